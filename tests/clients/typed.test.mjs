/* A client with types made from the contract, by openapi-typescript and openapi-fetch, compiles
 * strictly and calls every operation there is. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { copyFile, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { REPOSITORY, checkReply, findOperation, operations } from "../lib/contract.mjs";
import { FakeStripe } from "../lib/fake-stripe.mjs";
import { openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { start } from "../lib/server.mjs";

const SOURCES = join(REPOSITORY, "tests/clients/typed");
const MODULES = join(REPOSITORY, "tests/node_modules");
const run = promisify(execFile);

let folder, market, stripe, stripeServer, driver, world;
const answered = new Map(); /* operationId → its statuses, in order */
const bound = new Set(); /* operationIds whose success was given again, and to nothing else */

async function node(module, ...args) {
  try {
    await run(process.execPath, [join(MODULES, module), ...args], { cwd: folder });
  } catch (e) {
    assert.fail(`${module} says:\n${e.stdout}${e.stderr}`);
  }
}

const takesKey = ({ method, parameters = [] }) =>
  method === "POST" && parameters.some(({ name, $ref = "" }) => `${name}${$ref}`.includes("Idempotency"));

/* fetch, each of whose replies is held against the contract. What takes an Idempotency-Key is asked again with the
 * same one when it succeeds, and once more for something else. */
async function judgedFetch(request) {
  const { operation } = findOperation(request.method, new URL(request.url).pathname);
  if (!takesKey(operation)) return judgedOnce(request);
  const key = request.headers.get("Idempotency-Key") ?? randomUUID();
  request.headers.set("Idempotency-Key", key);
  const [repeat, other] = [request.clone(), request.clone()];
  const response = await judgedOnce(request);
  if (response.status < 400) await assertBound(operation.operationId, response, repeat, other);
  return response;
}

async function assertBound(operationId, response, repeat, other) {
  const again = await judgedOnce(repeat);
  assert.equal(again.status, response.status, operationId);
  assert.equal(await again.text(), await response.clone().text(), `${operationId}: byte for byte`);
  assert.equal(again.headers.get("Idempotent-Replayed"), "true", operationId);
  assert.equal(response.headers.get("Idempotent-Replayed"), null, operationId);
  const url = new URL(other.url);
  url.searchParams.append("other", "1");
  const init = { method: "POST", headers: other.headers, body: await other.text() || undefined };
  const refusal = await judgedOnce(new Request(url, init));
  assert.equal(refusal.status, 409, operationId);
  assert.equal((await refusal.json()).error.details[0].code, "idempotency_key_reused", operationId);
  bound.add(operationId);
}

async function judgedOnce(request) {
  const response = await fetch(request);
  const { pathname, search } = new URL(request.url);
  const text = await response.clone().text();
  market.server.secrets.learn(text);
  checkReply(request.method, pathname + search, response.status, Object.fromEntries(response.headers), text, { hasRateLimit: false });
  const { operationId } = findOperation(request.method, pathname).operation;
  answered.set(operationId, [...(answered.get(operationId) ?? []), response.status]);
  return response;
}

async function inviteOf(server) {
  return new URL((await server.admin("invite-worker")).url).searchParams.get("invite");
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "firsthand-typed-"));
  await symlink(MODULES, join(folder, "node_modules"));
  for (const name of ["drive.mts", "tsconfig.json"]) await copyFile(join(SOURCES, name), join(folder, name));
  await node("openapi-typescript/bin/cli.js", join(REPOSITORY, "api/openapi.json"), "--output", "schema.d.ts");
  await node("typescript/bin/tsc", "--project", "tsconfig.json");
  driver = await import(pathToFileURL(join(folder, "drive.mjs")));

  market = await openMarket({ signup: "open", "checkout-credits-live": "on" });
  stripe = await FakeStripe.open();
  stripeServer = await start({ ...stripe.settings, "rate-limit-per-minute": 0 });
  const event = stripe.event("customer.created", {});
  const { server, buyer, worker } = market;
  world = {
    base: server.base, fetch: judgedFetch, until, uuid: randomUUID,
    liveKey: buyer.token, workerToken: worker.token, invite: await inviteOf(server),
    stripe: { base: stripeServer.base, event, get signature() { return stripe.sign(event); } }, /* of the moment */
    good: sample("photo.jpg"), blurred: sample("blurred.jpg"),
  };
});
after(async () => {
  await market?.stop();
  await stripeServer?.stop();
  await stripe?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

describe("a typed client", () => {
  it("drives every operation of the contract to a success", async (t) => {
    for (const [operationId, call] of Object.entries(driver.callsOf(world)))
      await t.test(operationId, async () => {
        const { response, error } = await call();
        assert.ok(response.status < 400, `${response.status}: ${JSON.stringify(error)}`);
        assert.ok(answered.get(operationId)?.includes(response.status), "another operation answered");
      });
    const driven = [...answered].filter(([, statuses]) => statuses.some((one) => one < 400)).map(([name]) => name);
    assert.deepEqual(driven.sort(), operations.map(({ operationId }) => operationId).sort());
  });

  it("has every Idempotency-Key honoured", () => {
    assert.deepEqual([...bound].sort(), operations.filter(takesKey).map(({ operationId }) => operationId).sort());
  });

  it("is told by its types what a refusal holds", async () => {
    assert.deepEqual(await driver.refusalOf(world), { type: "not_found", code: "job" });
  });
});
