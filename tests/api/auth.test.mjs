/* Who may do what: credentials and scopes, for every operation of the contract. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { operation, operations, resolve } from "../lib/contract.mjs";
import { requestFor } from "../lib/requests.mjs";
import { start } from "../lib/server.mjs";

const SCOPES = resolve({ $ref: "#/components/schemas/ApiScope" }).anyOf.map((one) => one.const);
const ofKeys = operations.filter((one) => one.credential === "key");
const ofWorkers = operations.filter((one) => one.credential === "worker");

let server, org, worker, buyer;

before(async () => {
  server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0 });
  org = await server.createOrg({ credits: 10_000 });
  worker = await server.createWorker();
  buyer = server.client(org.live_key);
});
after(() => server?.stop());

async function statusOf(client, one, options) {
  return (await client.request(...requestFor(one, {}, options))).status;
}

async function clientWith(scopes) {
  const { secret } = await server.createKey({ org: org.organization_id, scopes });
  return server.client(secret);
}

describe("credentials", () => {
  for (const one of [...ofKeys, ...ofWorkers])
    it(`are demanded: ${one.operationId}`, async () => {
      assert.equal(await statusOf(server.client(), one), 401);
    });

  for (const one of ofKeys)
    it(`of a worker are none for a buyer's operation: ${one.operationId}`, async () => {
      assert.equal(await statusOf(server.client(worker.token), one), 401);
    });

  for (const one of ofWorkers)
    it(`of a buyer are none for a worker's operation: ${one.operationId}`, async () => {
      for (const key of [org.live_key, org.test_key]) assert.equal(await statusOf(server.client(key), one), 401);
    });

  it("do not matter where none are asked for", async () => {
    for (const path of ["/healthz", "/readyz", "/openapi.json"])
      for (const token of [undefined, "nonsense", worker.token])
        assert.equal((await server.client(token).get(path)).status, 200, path);
  });

  const headers = {
    "no scheme": (key) => key,
    "another scheme": (key) => `Basic ${Buffer.from(`${key}:`).toString("base64")}`,
    "the scheme alone": () => "Bearer",
    "an empty token": () => "Bearer ",
    "two tokens": (key) => `Bearer ${key} ${key}`,
    "a list": (key) => `Bearer ${key}, Bearer ${key}`,
    "a quoted token": (key) => `Bearer "${key}"`,
    "a changed character": (key) => `Bearer ${key.slice(0, 20)}${key[20] === "a" ? "b" : "a"}${key.slice(21)}`,
    "a changed checksum": (key) => `Bearer ${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`,
    "a character more": (key) => `Bearer ${key}a`,
    "a character less": (key) => `Bearer ${key.slice(0, -1)}`,
    "another case": (key) => `Bearer ${key.toUpperCase()}`,
    "the other environment": (key) => `Bearer ${key.replace("fh_live_", "fh_test_")}`,
    "an unknown prefix": (key) => `Bearer ${key.replace("fh_live_", "fh_past_")}`,
    "only the prefix": () => "Bearer fh_live_",
    "very long": () => `Bearer fh_live_${"a".repeat(4000)}`,
    "bytes beyond ASCII": () => "Bearer fh_live_\u00e9\u00e8",
    "text for SQL": () => "Bearer ' OR 1=1 --",
  };
  for (const [name, make] of Object.entries(headers))
    it(`are refused with ${name}`, async () => {
      const reply = await buyer.get("/v1/jobs", { headers: { authorization: make(org.live_key) } });
      assert.equal(reply.status, 401);
      assert.ok(!reply.text.includes(org.live_key), "the reply repeats the key");
    });

  it("are refused in the query", async () => {
    for (const name of ["api_key", "access_token", "key"])
      assert.equal((await server.client().get(`/v1/jobs?${name}=${org.live_key}`)).status, 401);
  });

  it("are taken whatever the case of the scheme", async () => {
    for (const scheme of ["bearer", "BEARER"])
      assert.equal((await buyer.get("/v1/jobs", { headers: { authorization: `${scheme} ${org.live_key}` } })).status, 200);
  });

  it("are good for both environments, each in its own", async () => {
    for (const key of [org.live_key, org.test_key]) assert.equal((await server.client(key).get("/v1/jobs")).status, 200);
  });

  it("never reach the log", async () => {
    await buyer.get("/v1/jobs");
    const secret = org.live_key.slice(12, -4);
    assert.ok(server.logLines.length > 0, "the server logs nothing");
    assert.ok(!server.logLines.some((line) => line.includes(secret)), "a key is in the log");
    assert.ok(!server.logLines.some((line) => line.includes(worker.token.slice(12, -4))), "a token is in the log");
  });
});

describe("a key that has ended", () => {
  for (const one of ofKeys)
    it(`is refused once revoked: ${one.operationId}`, async () => {
      const key = await buyer.createKey({ scopes: SCOPES });
      const client = server.client(key.secret);
      assert.notEqual(await statusOf(client, one), 401);
      assert.equal((await buyer.post(`/v1/api_keys/${key.id}/revoke`)).status, 204);
      assert.equal(await statusOf(client, one), 401);
    });

  it("is refused from its expires_at on", async () => {
    const now = await server.advance(1);
    const key = await buyer.createKey({ expires_at: new Date(now + 3_600_000).toISOString() });
    const client = server.client(key.secret);
    assert.equal((await client.get("/v1/jobs")).status, 200);
    await server.advance(3_500);
    assert.equal((await client.get("/v1/jobs")).status, 200);
    await server.advance(101);
    assert.equal((await client.get("/v1/jobs")).status, 401);
  });
});

describe("a scope", () => {
  it("is one of the contract's for every operation that has one", () => {
    const scoped = ofKeys.filter((one) => one["x-scope"]);
    assert.ok(scoped.length >= 13);
    const free = ofKeys.filter((one) => !one["x-scope"]).map((one) => one.operationId);
    assert.deepEqual(free, ["getOrganizationSettings"]);
  });

  for (const one of ofKeys.filter((other) => other["x-scope"])) {
    it(`is enough by itself: ${one.operationId}`, async () => {
      const client = await clientWith([one["x-scope"]]);
      /* An empty body where there is one: what follows the scope may refuse it. */
      const status = await statusOf(client, one, one.bodySchema ? { body: { scopes: [] } } : {});
      assert.ok(![401, 403].includes(status), `${status}`);
    });

    it(`is replaced by no other: ${one.operationId}`, async () => {
      const client = await clientWith(SCOPES.filter((scope) => scope !== one["x-scope"]));
      assert.equal(await statusOf(client, one), 403);
    });
  }

  for (const scope of SCOPES)
    it(`is needed by nobody to read the settings: ${scope} alone`, async () => {
      assert.equal(await statusOf(await clientWith([scope]), operation("getOrganizationSettings")), 200);
    });
});

/* The secret of an invite link. */
function inviteOf(url) {
  const link = new URL(url);
  return link.searchParams.get("invite") ?? link.pathname.split("/").pop();
}

describe("a worker", () => {
  const person = { name: "Wanda", email: "wanda@example.com", password: "correct horse" };
  const session = { email: person.email, password: person.password };
  let invite;

  before(async () => {
    invite = inviteOf((await server.admin("invite-worker", "--name", "Wanda")).url);
  });

  it("joins with an invite, which then is spent", async () => {
    const client = server.client();
    const reply = await client.post("/worker/v1/join", { invite, ...person });
    assert.equal(reply.status, 201, reply.text);
    assert.match(reply.json.token, /^fh_wkr_/);
    assert.equal((await server.client(reply.json.token).get("/worker/v1/jobs")).status, 200);
    assert.equal((await client.post("/worker/v1/join", { invite, ...person, email: "other@example.com" })).status, 409);
  });

  it("is not let in with an invite that never was", async () => {
    assert.equal((await server.client().post("/worker/v1/join", { ...person, invite: "never-was", email: "x@example.com" })).status, 404);
  });

  it("is not let in with an address that is taken, and the invite stays good", async () => {
    const fresh = inviteOf((await server.admin("invite-worker")).url);
    for (const email of [person.email, "WANDA@example.com"])
      assert.equal((await server.client().post("/worker/v1/join", { ...person, invite: fresh, email })).status, 409);
    const reply = await server.client().post("/worker/v1/join", { ...person, invite: fresh, email: "wendy@example.com" });
    assert.equal(reply.status, 201);
  });

  it("signs in and out", async () => {
    const reply = await server.client().post("/worker/v1/sessions", session);
    assert.equal(reply.status, 201, reply.text);
    const client = server.client(reply.json.token);
    assert.equal((await client.get("/worker/v1/earnings")).status, 200);
    assert.equal((await client.delete("/worker/v1/sessions/current")).status, 204);
    assert.equal((await client.get("/worker/v1/earnings")).status, 401);
  });

  it("is refused with another password, and with another address, in the same words", async () => {
    const words = [];
    for (const body of [{ ...session, password: "wrong horse" }, { ...session, email: "nobody@example.com" }]) {
      const reply = await server.client().post("/worker/v1/sessions", body);
      assert.equal(reply.status, 401);
      words.push(reply.json.error.message);
    }
    assert.equal(words[0], words[1]);
  });

  it("is signed out after 90 days without use, but not the one the operator made", async () => {
    const { token } = (await server.client().post("/worker/v1/sessions", session)).json;
    await server.advance(89 * 86_400);
    assert.equal((await server.client(token).get("/worker/v1/jobs")).status, 200);
    await server.advance(89 * 86_400);
    assert.equal((await server.client(token).get("/worker/v1/jobs")).status, 200);
    await server.advance(91 * 86_400);
    assert.equal((await server.client(token).get("/worker/v1/jobs")).status, 401);
    assert.equal((await server.client(worker.token).get("/worker/v1/jobs")).status, 200);
  });

  it("is not let in with an invite older than seven days", async () => {
    const old = inviteOf((await server.admin("invite-worker")).url);
    await server.advance(7 * 86_400 + 1);
    assert.equal((await server.client().post("/worker/v1/join", { ...person, invite: old, email: "late@example.com" })).status, 409);
  });
});
