/* prism, unmodified, between the tests and the server: every other test that asks over HTTP runs
 * again, and prism finds nothing to say against what the seed's operations answer, or, where the seed
 * is not at hand, ours. tests/lib/prism.mjs lists what it cannot carry. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { REPOSITORY, operations } from "../lib/contract.mjs";
import { PrismGate, isRedirecting } from "../lib/prism.mjs";
import { BODIES, requestFor } from "../lib/requests.mjs";

const FILE_MS_MAX = 900_000;
const FILES_AT_ONCE = 3; /* most of a file's time is waiting */
const OURS = resolve(REPOSITORY, "api/openapi.json");
const SEED = resolve(REPOSITORY, process.env.FIRSTHAND_SEED ?? "../shared/contract/openapi-seed.json");
const isSeedThere = existsSync(SEED);

/* Test files that do not run through prism. */
const LEFT_OUT = {
  "api/contract": "asks no server",
  "api/judge": "asks no server",
  "api/superset": "asks no server",
  "api/hostile": "has amounts above 2^53, which prism rounds",
};
/* When the seed is the judge, ours judges these too. */
const SAMPLE = ["e2e/accounts", "e2e/main-job"];

function testFiles(folder) {
  const names = readdirSync(join(REPOSITORY, "tests", folder)).filter((name) => name.endsWith(".test.mjs"));
  return names.map((name) => `${folder}/${name.replace(".test.mjs", "")}`);
}

const ALL = ["e2e", "api"].flatMap(testFiles).filter((name) => !(name in LEFT_OUT));
const SUITES = isSeedThere
  ? [{ path: SEED, files: ALL }, { path: OURS, files: SAMPLE }]
  : [{ path: OURS, files: ALL }];

function operationsOf(path) {
  const { paths } = JSON.parse(readFileSync(path, "utf8"));
  const described = Object.values(paths).flatMap((methods) => Object.values(methods));
  return new Map(described.filter(({ operationId }) => operationId).map((one) => [one.operationId, one]));
}

/* Run a test file with prism in between. → its exit code and what it said */
async function runThrough(documentPath, name, reports) {
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const child = spawn(process.execPath, [join(REPOSITORY, "tests", `${name}.test.mjs`)], {
    env: { ...environment, FIRSTHAND_PRISM_DOCUMENT: documentPath, FIRSTHAND_PRISM_REPORTS: reports },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: FILE_MS_MAX,
  });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => said.push(bytes));
  const [code, signal] = await once(child, "close");
  return { code: code ?? signal, said: Buffer.concat(said).toString("utf8") };
}

/* What failed, with some lines around it. */
function failuresIn(said) {
  const lines = said.split("\n");
  const isNear = (at) => lines.slice(Math.max(at - 14, 0), at + 1).some((line) => /^\s*(not ok|✖)/.test(line));
  return lines.filter((_, at) => isNear(at)).slice(0, 200).join("\n") || said.slice(-4000);
}

/* Of all files that ran: "how what status" → times. */
function readReports(folder) {
  const sum = new Map();
  for (const name of readdirSync(folder))
    for (const [key, times] of JSON.parse(readFileSync(join(folder, name), "utf8")))
      sum.set(key, (sum.get(key) ?? 0) + times);
  return sum;
}

for (const { path, files } of SUITES)
  describe(`prism with ${relative(REPOSITORY, path)}`, () => {
    let reports;
    before(() => {
      reports = mkdtempSync(join(tmpdir(), "firsthand-prism-"));
    });
    after(() => rmSync(reports, { recursive: true, force: true }));

    describe("finds no violation", { concurrency: FILES_AT_ONCE }, () => {
      for (const name of files)
        it(`in ${name}`, async () => {
          const { code, said } = await runThrough(path, name, reports);
          assert.equal(code, 0, failuresIn(said));
        });
    });

    it("has seen no status that the document does not list", { skip: path !== OURS && "the seed lists few" }, () => {
      assert.deepEqual([...readReports(reports).keys()].filter((key) => key.startsWith("undocumented")), []);
    });

    it("has seen every operation that it can carry succeed", { skip: files !== ALL && "of a sample" }, (t) => {
      const sum = readReports(reports);
      for (const [key, times] of [...sum].sort()) t.diagnostic(`${times} × ${key}`);
      const seen = new Set([...sum.keys()].filter((key) => /^documented \S+ 2/.test(key)).map((key) => key.split(" ")[1]));
      const documented = operationsOf(path);
      const missing = operations
        .filter((one) => documented.has(one.operationId) && isCarried(one) && !seen.has(one.operationId))
        .map(({ operationId }) => operationId);
      assert.deepEqual(missing, []);
    });
  });

function typesIn(one) {
  return Object.keys(one?.content ?? {});
}

function isCarried(one) {
  const types = [one.requestBody, ...Object.values(one.responses)].flatMap(typesIn);
  return one["x-access"] !== "stream" && one.method !== "HEAD" && !isRedirecting(one) && types.every((type) => type === "application/json");
}

/* A server of ours that answers what it is told to. */
describe("the judgement", () => {
  const stub = http.createServer((request, response) => {
    request.resume().on("end", () => {
      const { status, body } = stub.answer;
      response.writeHead(status, { "content-type": "application/json", "x-request-id": "req_1" }).end(JSON.stringify(body));
    });
  });
  const gates = new Map();
  before(async () => {
    stub.listen(0, "127.0.0.1");
    await once(stub, "listening");
    const base = `http://127.0.0.1:${stub.address().port}`;
    for (const { path } of SUITES) gates.set(path, new PrismGate({ base }, path));
  });
  after(() => stub.close());

  /* A complete request for an operation, as the gate takes it. */
  function complete(one) {
    const [method, target, { headers, body }] = requestFor(one);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const framing = payload === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
    return { method, target, payload, headers: { authorization: "Bearer x", ...framing, ...headers } };
  }

  function ask(path, request, answer) {
    stub.answer = answer;
    return gates.get(path).exchange(request, () => Promise.resolve({ status: answer.status, headers: {}, text: "" }));
  }

  for (const { path } of SUITES) {
    const documented = operationsOf(path);
    const judged = operations.filter((one) => isCarried(one) && documented.has(one.operationId));
    const name = relative(REPOSITORY, path);

    it(`finds a reply outside the schema, of every operation and status: ${name}`, async () => {
      let replies = 0;
      for (const one of judged)
        for (const [status, { content }] of Object.entries(documented.get(one.operationId).responses)) {
          if (!content) continue;
          const asked = ask(path, complete(one), { status: Number(status), body: "nonsense" });
          await assert.rejects(asked, /prism finds violations/, `${one.operationId} ${status}`);
          replies++;
        }
      assert.ok(replies >= judged.length, `${replies} replies of ${judged.length} operations`);
    });

    it(`finds a success that the document does not know: ${name}`, async () => {
      for (const one of judged)
        await assert.rejects(ask(path, complete(one), { status: 299, body: {} }), /prism finds violations/, one.operationId);
    });

    it(`finds a server that takes what the document forbids: ${name}`, async () => {
      for (const one of judged.filter(({ operationId }) => operationId in BODIES)) {
        const request = complete(one);
        const headers = { ...request.headers, "content-length": 2 };
        const asked = ask(path, { ...request, payload: "[]", headers }, { status: 200, body: {} });
        await assert.rejects(asked, /says prism, 200 the server/, one.operationId);
      }
    });

    it(`finds a server that asks for no credentials: ${name}`, async () => {
      for (const one of judged.filter(({ credential }) => credential === "key")) {
        const { authorization: _, ...headers } = complete(one).headers;
        const asked = ask(path, { ...complete(one), headers }, { status: 200, body: {} });
        await assert.rejects(asked, /401 says prism, 200 the server/, one.operationId);
      }
    });
  }
});
