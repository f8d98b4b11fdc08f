/* Stoplight's prism between the tests and the server: a judge of requests and replies that nobody
 * here wrote. FIRSTHAND_PRISM_DOCUMENT names the OpenAPI document it judges by; then what the clients
 * of tests/lib/server.mjs ask goes through `prism proxy --errors`, where it can. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { transmit } from "./client.mjs";
import { templateOf } from "./contract.mjs";

const START_MS_MAX = 60_000;
const COMMAND = fileURLToPath(new URL("../node_modules/@stoplight/prism-cli/dist/index.js", import.meta.url));
const DOCUMENT_PATH = process.env.FIRSTHAND_PRISM_DOCUMENT;
const REPORTS_FOLDER = process.env.FIRSTHAND_PRISM_REPORTS;

export const isWanted = DOCUMENT_PATH !== undefined;

/* --- the process --- */

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/* Pipes every connection to the port that upstream() names, byte by byte: prism learns where it
 * forwards to at its start, but outlives the servers of a test file. */
async function listenRelay(upstream) {
  const relay = net.createServer((client) => {
    const server = net.connect({ host: "127.0.0.1", port: upstream() });
    for (const [from, to] of [[client, server], [server, client]]) {
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return relay;
}

async function listeningUrl(child) {
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
  const said = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    const match = /Prism is listening on (http:\/\/\S+)/.exec(line);
    if (!match) continue;
    clearTimeout(timer);
    return new URL(match[1]);
  }
  throw new Error(`prism did not start:\n${said.join("\n")}`);
}

export class Prism {
  static async start(documentPath) {
    const prism = new Prism();
    prism.documentPath = documentPath;
    prism.relay = await listenRelay(() => prism.port);
    const upstream = `http://127.0.0.1:${prism.relay.address().port}`;
    const args = [COMMAND, "proxy", "--errors", "--cors", "false", "--port", "0", documentPath, upstream];
    prism.child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    running.add(prism.child);
    prism.url = await listeningUrl(prism.child);
    prism.child.stdout.resume();
    for (const one of [prism.child, prism.child.stdout, prism.relay]) one.unref();
    return prism;
  }

  /* port: of the server it stands before from now on. */
  standBefore(port) {
    this.port = port;
  }

  send({ method, target, payload, headers }) {
    const { hostname, port } = this.url;
    return transmit(http, { agent: false, host: hostname, port, method, path: target, headers }, payload);
  }
}

/* --- what it can carry --- */

const FRAMING = ["connection", "expect", "te", "trailer", "transfer-encoding", "upgrade"];

/* prism reads a JSON body and writes it anew, or leaves it out when it is null, false or 0. */
function isRewritten(payload) {
  const bytes = Buffer.from(payload);
  try {
    const value = JSON.parse(bytes);
    return !value || !Buffer.from(JSON.stringify(value)).equals(bytes);
  } catch {
    return true;
  }
}

/* So with the target. */
function isTargetRewritten(target) {
  const [path, query = ""] = target.split("?", 2);
  try {
    decodeURIComponent(query);
    return new URL(target, "http://any").pathname !== path;
  } catch {
    return true;
  }
}

function isJsonOnly(operation) {
  const contents = [operation.requestBody, ...Object.values(operation.responses)].map((one) => one?.content ?? {});
  return contents.flatMap(Object.keys).every((type) => type === "application/json");
}

/* prism takes the scheme's name in one spelling only. */
function isSchemeStrange({ authorization = "" }) {
  return /^bearer /i.test(authorization) && !authorization.startsWith("Bearer ");
}

/* prism asks by itself where a 3xx points, and hands on what it finds there. */
export function isRedirecting(operation) {
  return Object.keys(operation.responses).some((status) => status.startsWith("3") && status !== "304");
}

/* The reasons for which a request goes to the server directly, each with its test. */
const REASONS = [
  ["prism is told of no certificate", ({ base }) => base.startsWith("https:")],
  ["the document has no such operation", ({ operation }) => !operation],
  ["a body of bytes, either way", ({ operation }) => operation["x-access"] === "stream" || !isJsonOnly(operation)],
  ["prism reads the body that a reply to HEAD has not", ({ method }) => method === "HEAD"],
  ["prism goes where a redirect points", ({ operation }) => isRedirecting(operation)],
  ["prism refuses a body of GET", ({ method, payload }) => method === "GET" && payload !== undefined],
  ["prism would write the body anew", ({ payload }) => payload !== undefined && payload !== "" && isRewritten(payload)],
  ["prism would write the target anew", ({ target }) => isTargetRewritten(target)],
  ["prism knows one spelling of Bearer", ({ headers }) => isSchemeStrange(headers)],
  ["prism fails at a media type without a slash", ({ headers }) => /^[^/]*$/.test(headers["content-type"] ?? "/")],
  ["headers of the connection", ({ headers }) => FRAMING.some((name) => name in headers)],
];

/* --- the judge --- */

/* How often each happened: "how what status" → times. */
const tally = new Map();

if (REPORTS_FOLDER)
  process.on("exit", () => writeFileSync(`${REPORTS_FOLDER}/${process.pid}.json`, JSON.stringify([...tally])));

function count(...words) {
  const key = words.join(" ");
  tally.set(key, (tally.get(key) ?? 0) + 1);
}

function violationsOf({ headers }) {
  return "sl-violations" in headers ? JSON.parse(headers["sl-violations"]) : [];
}

/* Of a status outside the document prism warns, and says no more. */
function isOfStatus({ location, severity, message }) {
  return location[0] === "response" && severity === "Warning" && message.startsWith("Unable to match the returned status code");
}

const idle = []; /* prisms whose server has ended */

export class PrismGate {
  #prism; /* a promise, once one is needed */

  /* server: anything with a base, by the time the first request comes. */
  constructor(server, documentPath = DOCUMENT_PATH) {
    this.server = server;
    this.documentPath = documentPath;
    this.paths = JSON.parse(readFileSync(documentPath, "utf8")).paths;
  }

  async #lease() {
    const at = idle.findIndex(({ documentPath }) => documentPath === this.documentPath);
    const prism = at < 0 ? await Prism.start(this.documentPath) : idle.splice(at, 1)[0];
    prism.standBefore(new URL(this.server.base).port);
    return prism;
  }

  /* The server's reply to a request, judged by prism where it can be. direct(): asks the server itself. */
  async exchange(request, direct) {
    const operation = this.paths[templateOf(this.paths, request.target)]?.[request.method.toLowerCase()];
    const facts = { ...request, operation, base: this.server.base };
    const reason = REASONS.find(([, holds]) => holds(facts));
    if (reason) {
      count("direct", reason[0]);
      return direct();
    }
    this.#prism ??= this.#lease();
    const reply = await (await this.#prism).send(request);
    const where = `${operation.operationId}: ${request.method} ${request.target} → ${reply.status}`;
    return "x-request-id" in reply.headers
      ? this.#passedOn(operation, reply, where)
      : this.#ofPrism(operation, reply, where, direct);
  }

  /* The server's reply: there is no violation, but perhaps a warning of the status. */
  #passedOn(operation, reply, where) {
    const isDocumented = reply.status in operation.responses;
    const violations = violationsOf(reply).filter((one) => isDocumented || !isOfStatus(one));
    assert.deepEqual(violations, [], `${where}: prism finds violations`);
    delete reply.headers["sl-violations"];
    count(isDocumented ? "documented" : "undocumented", operation.operationId, reply.status);
    return reply;
  }

  /* prism's own reply: to a request that breaks the document, so the server, which never got it, has
   * to refuse it too; or because the server's reply breaks it. */
  async #ofPrism(operation, reply, where, direct) {
    const ofReply = violationsOf(reply).filter(({ location }) => location[0] === "response");
    assert.deepEqual(ofReply, [], `${where}: prism finds violations`);
    if (reply.status >= 500) throw new Error(`${where}: ${reply.text}`);
    const own = await direct();
    const isRefused = reply.status === 401 ? [401, 429].includes(own.status) : own.status >= 400 && own.status < 500;
    assert.ok(isRefused, `${where} says prism, ${own.status} the server: ${reply.text}`);
    count("refused", operation.operationId, `${reply.status}/${own.status}`);
    return own;
  }

  close() {
    this.#prism?.then((prism) => idle.push(prism), () => {});
    this.#prism = undefined;
  }
}
