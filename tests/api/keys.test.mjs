/* API keys: what their secrets look like, who may give what to whom, rotation and revocation. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { REPOSITORY } from "../lib/contract.mjs";
import { metricsOf, valueOf } from "../lib/exposition.mjs";
import { assertRefused, until } from "../lib/market.mjs";
import { crc32 } from "../lib/media.mjs";
import { start } from "../lib/server.mjs";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ALL = ["jobs:write", "jobs:read", "webhooks:write", "webhooks:read", "keys:manage", "audit:read", "usage:read", "billing:write"];

let server, org, live, test;

before(async () => {
  server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0 });
});
after(() => server?.stop());
beforeEach(async () => {
  org = await server.createOrg({ credits: 10_000 });
  live = server.client(org.live_key);
  test = server.client(org.test_key);
});

const body = (overrides) => ({ name: "a key", scopes: ["jobs:read"], environment: "live", ...overrides });
const create = (client, overrides, options) => client.post("/v1/api_keys", body(overrides), options);
const rotate = (client, id, options) => client.post(`/v1/api_keys/${id}/rotate`, undefined, options);
const revoke = (client, id, options) => client.post(`/v1/api_keys/${id}/revoke`, undefined, options);
const works = async (secret) => (await server.client(secret).get("/v1/organization/settings")).status === 200;
const time = (ms) => new Date(ms).toISOString();
const serverNow = () => server.advance(1);
const listed = async (client, id) => (await client.all("/v1/api_keys")).find((one) => one.id === id);

/* A key of this organisation that manages keys, as a client. */
async function manager(overrides = {}) {
  const key = await live.createKey({ name: "manager", scopes: ["keys:manage", "jobs:read"], ...overrides });
  return { key, client: server.client(key.secret) };
}

/* As docs/security.md says it, for those who look for leaked keys. */
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
function checksumOf(secret) {
  let sum = "", value = crc32(Buffer.from(secret.slice(0, -6)));
  for (let i = 0; i < 6; i++, value = Math.floor(value / 62)) sum = DIGITS[value % 62] + sum;
  return sum;
}

describe("a secret", () => {
  it("is recognised offline by its checksum", async () => {
    for (const environment of ["live", "test"])
      for (let i = 0; i < 10; i++) {
        const { secret } = await live.createKey({ environment });
        assert.equal(secret.slice(-6), checksumOf(secret));
      }
    for (const secret of [org.live_key, org.test_key]) assert.equal(secret.slice(-6), checksumOf(secret));
  });

  it("is recognised as the documentation's examples are", () => {
    const examples = [...readFileSync(join(REPOSITORY, "docs/security.md"), "utf8").matchAll(/^\| `(fh_\w+)` \| (\d+) \|$/gm)];
    assert.ok(examples.length >= 2);
    for (const [, secret, crc] of examples) {
      assert.equal(crc32(Buffer.from(secret.slice(0, -6))), Number(crc));
      assert.equal(secret.slice(-6), checksumOf(secret));
    }
  });

  it("has 32 random and 6 checksum characters behind its environment", async () => {
    for (const [environment, client] of [["live", live], ["test", test]]) {
      const key = await client.createKey({ environment });
      assert.match(key.secret, new RegExp(`^fh_${environment}_[0-9A-Za-z]{38}$`));
      assert.equal(key.prefix, key.secret.slice(0, 12));
    }
    assert.match(org.live_key, /^fh_live_[0-9A-Za-z]{38}$/);
    assert.match(org.test_key, /^fh_test_[0-9A-Za-z]{38}$/);
  });

  it("is another every time", async () => {
    const secrets = await Promise.all(Array.from({ length: 20 }, () => live.createKey().then((key) => key.secret)));
    assert.equal(new Set(secrets).size, 20);
  });

  it("is shown once: listings have its prefix and hint only", async () => {
    const key = await live.createKey();
    const reply = await live.get("/v1/api_keys");
    assert.ok(!reply.text.includes(key.secret.slice(12, -4)));
    const row = reply.json.data.find((one) => one.id === key.id);
    assert.equal(row.prefix, key.secret.slice(0, 12));
    assert.equal(row.hint, key.secret.slice(-4));
  });

  it("is the same in a replay, for the key that asked first only", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const first = await create(live, {}, { headers });
    const again = await create(live, {}, { headers });
    assert.equal(again.status, 201);
    assert.equal(again.text, first.text);
    assert.equal(again.headers["idempotent-replayed"], "true");
    assert.equal(first.headers["idempotent-replayed"], undefined);
    const { client } = await manager();
    const others = await create(client, {}, { headers });
    assert.equal(others.status, 409);
    assert.ok(!others.text.includes(first.json.secret));
    assert.equal((await live.all("/v1/api_keys")).filter((one) => one.name === "a key").length, 1);
  });
});

describe("a new key", () => {
  it("is what was asked for", async () => {
    const now = await serverNow();
    const expires_at = time(now + DAY);
    const { status, json } = await create(live, { name: "Ünïcode 😀", scopes: ["usage:read", "jobs:write"], expires_at });
    assert.equal(status, 201);
    assert.equal(json.name, "Ünïcode 😀");
    assert.deepEqual([...json.scopes].sort(), ["jobs:write", "usage:read"]);
    assert.deepEqual([json.environment, json.status, json.expires_at], ["live", "active", expires_at]);
    assert.equal((await create(live)).json.expires_at, null);
  });

  it("works at once", async () => {
    assert.ok(await works((await live.createKey()).secret));
  });

  it("of the test environment, made with a live key, sees the test world", async () => {
    const key = await live.createKey({ environment: "test", scopes: ["usage:read"] });
    const { json } = await server.client(key.secret).get("/v1/billing/credits");
    assert.equal(json.balance_cents, 10_000_000);
  });

  it("has no scope that its maker lacks", async () => {
    const { client } = await manager();
    for (const scope of ALL) {
      const { status } = await create(client, { scopes: ["jobs:read", scope] });
      assert.equal(status, ["keys:manage", "jobs:read"].includes(scope) ? 201 : 403, scope);
    }
  });

  it("is not live when its maker is a test key", async () => {
    assert.equal((await create(test, { environment: "live" })).status, 403);
    assert.equal((await create(test, { environment: "test" })).status, 201);
  });

  it("expires in the future, at a time that can be read", async () => {
    const now = await serverNow();
    const bad = { "2020-01-01T00:00:00Z": "in_past", "1970-01-01T00:00:00Z": "in_past", "1969-12-31T23:59:59Z": "in_past", [time(now - 1000)]: "in_past", tomorrow: "format", "": "format", "2099-02-30T00:00:00Z": "format",
                  "2099-01-01": "format", "2099-01-01T00:00:00": "format", "2099-13-01T00:00:00Z": "format", "2099-01-01T25:00:00Z": "format" };
    for (const [expires_at, code] of Object.entries(bad)) {
      const reply = await create(live, { expires_at });
      assert.equal(reply.status, 422, `${expires_at}: ${reply.text}`);
      assert.deepEqual(reply.json.error.details.map(({ field, code: found }) => [field, found]), [["expires_at", code]], expires_at);
    }
  });

  it("works until it expires and not after", async () => {
    const now = await serverNow();
    const key = await live.createKey({ expires_at: time(now + HOUR) });
    const client = server.client(key.secret);
    await server.advance(3600 - 60);
    assert.equal((await client.get("/v1/jobs")).status, 200);
    await server.advance(61);
    const reply = await client.get("/v1/jobs");
    assert.deepEqual([reply.status, reply.json.error.details[0].code], [401, "key_expired"]);
  });

  it("may say when it expires in another time zone", async () => {
    const { status, json } = await create(live, { expires_at: "2150-01-01T01:30:00+02:00" });
    assert.equal(status, 201);
    assert.equal(json.expires_at, "2149-12-31T23:30:00.000Z");
  });
});

describe("the listing of keys", () => {
  it("shows both environments to a live key and only its own to a test key", async () => {
    const key = await live.createKey({ environment: "test" });
    const environments = async (client) => new Set((await client.all("/v1/api_keys")).map((one) => one.environment));
    assert.deepEqual(await environments(live), new Set(["live", "test"]));
    assert.deepEqual(await environments(test), new Set(["test"]));
    assert.ok(await listed(test, key.id));
  });

  it("says when a key was last used, within a minute", async () => {
    const key = await live.createKey();
    assert.equal((await listed(live, key.id)).last_used_at, null);
    const client = server.client(key.secret);
    const startMs = await serverNow();
    assert.equal((await client.get("/v1/jobs")).status, 200);
    await server.advance(61);
    await client.get("/v1/jobs");
    await server.advance(61);
    const { last_used_at } = await listed(live, key.id);
    assert.ok(Date.parse(last_used_at) >= startMs - 1000, last_used_at);
  });

  it("keeps a use that the server's end follows at once", async () => {
    const key = await live.createKey();
    assert.equal((await server.client(key.secret).get("/v1/jobs")).status, 200);
    await server.restart();
    live = server.client(org.live_key);
    assert.notEqual((await listed(live, key.id)).last_used_at, null);
  });

  it("is not written to for each request", async () => {
    const own = await start({ tasks: "off", "rate-limit-per-minute": 0 }); /* nobody writes but requests */
    try {
      const client = own.client((await own.createOrg()).live_key);
      const written = () => ["store.db", "store.db-wal"].map((name) => statSync(join(own.dataDir, name), { bigint: true }).mtimeNs);
      const before = written();
      for (let i = 0; i < 200; i++) assert.equal((await client.get("/v1/jobs")).status, 200);
      assert.deepEqual(written(), before);
      await client.post("/v1/api_keys", body());
      assert.notDeepEqual(written(), before, "a write is seen");
    } finally {
      await own.stop();
    }
  });

  it("keeps revoked keys", async () => {
    const key = await live.createKey();
    await revoke(live, key.id);
    assert.equal((await listed(live, key.id)).status, "revoked");
  });
});

describe("rotation", () => {
  it("makes a key like the old one, with a new id and secret", async () => {
    const now = await serverNow();
    const old = await live.createKey({ name: "old", scopes: ["jobs:read", "usage:read"], environment: "test", expires_at: time(now + 90 * DAY) });
    const reply = await rotate(live, old.id);
    assert.equal(reply.status, 200, reply.text);
    const { new_key: fresh } = reply.json;
    assert.notEqual(fresh.id, old.id);
    assert.notEqual(fresh.secret, old.secret);
    for (const name of ["name", "scopes", "environment", "expires_at"]) assert.deepEqual(fresh[name], old[name], name);
    assert.equal(fresh.status, "active");
    assert.ok(await works(fresh.secret));
  });

  it("leaves the old key working for 24 hours", async () => {
    const old = await live.createKey();
    const now = await serverNow();
    const { old_key_expires_at } = (await rotate(live, old.id)).json;
    assert.ok(Math.abs(Date.parse(old_key_expires_at) - (now + DAY)) < 60_000, old_key_expires_at);
    assert.equal((await listed(live, old.id)).status, "rotating");
    assert.ok(await works(old.secret));
    await server.advance(86_400 - 60);
    assert.ok(await works(old.secret), "a minute before the end");
    await server.advance(120);
    assert.ok(!(await works(old.secret)), "a minute after the end");
    assert.equal((await listed(live, old.id)).status, "revoked");
  });

  it("ends no later than the key would have ended", async () => {
    const now = await serverNow();
    const expires_at = time(now + HOUR);
    const old = await live.createKey({ expires_at });
    const { new_key: fresh, old_key_expires_at } = (await rotate(live, old.id)).json;
    assert.equal(old_key_expires_at, expires_at);
    assert.ok(await works(old.secret) && await works(fresh.secret));
    await server.advance(3600);
    assert.ok(!(await works(old.secret)) && !(await works(fresh.secret)));
  });

  it("is for active keys only", async () => {
    const key = await live.createKey();
    assert.equal((await rotate(live, key.id)).status, 200);
    assert.equal((await rotate(live, key.id)).status, 409);
    await revoke(live, key.id);
    assert.equal((await rotate(live, key.id)).status, 409);
  });

  it("of itself works, and the new key goes on", async () => {
    const { key, client } = await manager();
    const { new_key: fresh } = (await rotate(client, key.id)).json;
    const next = server.client(fresh.secret);
    assert.equal((await create(next)).status, 201);
    assert.equal((await revoke(next, key.id)).status, 204);
    assert.ok(!(await works(key.secret)));
  });

  it("is refused of a key that can more than the asking one", async () => {
    const { client } = await manager();
    const mighty = await live.createKey({ scopes: ["billing:write"] });
    assert.equal((await rotate(client, mighty.id)).status, 403);
    assert.equal((await listed(live, mighty.id)).status, "active");
    assert.equal((await revoke(live, mighty.id)).status, 204);
    assert.equal((await rotate(client, mighty.id)).status, 403, "whatever its state");
  });

  it("replays with the same new secret", async () => {
    const key = await live.createKey();
    const headers = { "idempotency-key": randomUUID() };
    const first = await rotate(live, key.id, { headers });
    const again = await rotate(live, key.id, { headers });
    assert.equal(again.status, 200);
    assert.equal(again.text, first.text);
  });

  it("happens once when asked many times at once", async () => {
    const key = await live.createKey();
    const replies = await Promise.all(Array.from({ length: 8 }, () => rotate(live, key.id)));
    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, ...Array(7).fill(409)]);
  });
});

describe("a key near its end", () => {
  it("that is rotating gives nothing that outlives it", async () => {
    const { key, client } = await manager();
    const other = await live.createKey();
    await rotate(live, key.id);
    const now = await serverNow();
    assert.equal((await create(client)).status, 403);
    assert.equal((await create(client, { expires_at: time(now + 2 * DAY) })).status, 403);
    assert.equal((await rotate(client, other.id)).status, 403);
    assert.equal((await client.get("/v1/api_keys")).status, 200, "it still reads");
  });

  it("that is rotating gives nothing that outlives it, though it could have lived longer", async () => {
    const now = await serverNow();
    const { key, client } = await manager({ expires_at: time(now + 30 * DAY) });
    await rotate(live, key.id);
    assert.equal((await create(client, { expires_at: time(now + 2 * DAY) })).status, 403);
    assert.equal((await create(client, { expires_at: time(now + 12 * HOUR) })).status, 201);
  });

  it("that expires gives nothing that outlives it, but what ends before it", async () => {
    const now = await serverNow();
    const { client } = await manager({ expires_at: time(now + DAY) });
    const other = await live.createKey();
    assert.equal((await create(client)).status, 403);
    assert.equal((await create(client, { expires_at: time(now + DAY + HOUR) })).status, 403);
    assert.equal((await create(client, { expires_at: time(now + HOUR) })).status, 201);
    assert.equal((await rotate(client, other.id)).status, 403);
  });
});

describe("revocation", () => {
  it("holds from the very next request on, and may be repeated", async () => {
    const key = await live.createKey();
    assert.ok(await works(key.secret));
    assert.equal((await revoke(live, key.id)).status, 204);
    assert.ok(!(await works(key.secret)));
    assert.equal((await revoke(live, key.id)).status, 204);
    assert.equal((await listed(live, key.id)).status, "revoked");
  });

  it("ends a rotating key before its time", async () => {
    const key = await live.createKey();
    await rotate(live, key.id);
    assert.equal((await revoke(live, key.id)).status, 204);
    assert.ok(!(await works(key.secret)));
  });

  it("of the key that asks is possible", async () => {
    const { key, client } = await manager();
    assert.equal((await revoke(client, key.id)).status, 204);
    assert.equal((await client.get("/v1/api_keys")).status, 401);
  });

  const writes = {
    createJob: (client) => client.postJob(),
    purchaseCredits: (client) => client.post("/v1/billing/credits/purchase", { amount_cents: 1000 }),
  };
  /* Under way before its key is revoked, which another holds the store for. → the reply */
  async function overtaken(write) {
    const key = await live.createKey({ scopes: ["jobs:write", "billing:write"] });
    const holder = spawn("sqlite3", [join(server.dataDir, "store.db")], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      holder.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
      await once(holder.stdout, "data");
      const reply = write(server.client(key.secret));
      await until("it is under way", async () => valueOf(await metricsOf(server), "firsthand_http_requests_in_flight") === 2);
      holder.stdin.end(`UPDATE api_keys SET status = 'revoked' WHERE id = '${key.id}';\nCOMMIT;\n`);
      return await reply;
    } finally {
      holder.kill("SIGKILL");
    }
  }

  for (const [operation, write] of Object.entries(writes))
    it(`holds for what was let in before it and is written after it: ${operation}`, async () => {
      let reply = await overtaken(write);
      while (reply.status === 503) reply = await overtaken(write); /* the store was held longer than a write waits */
      assertRefused(reply, 401, "key_revoked");
    });

  it("survives a restart", async () => {
    const key = await live.createKey();
    await revoke(live, key.id);
    await server.restart();
    live = server.client(org.live_key);
    assert.ok(!(await works(key.secret)));
    assert.ok(await works(org.live_key));
  });
});

describe("a test key", () => {
  it("does not know a live key", async () => {
    const key = await live.createKey();
    assert.equal((await rotate(test, key.id)).status, 404);
    assert.equal((await revoke(test, key.id)).status, 404);
    assert.equal(await listed(test, key.id), undefined);
    assert.ok(await works(key.secret));
  });

  it("rotates and revokes test keys", async () => {
    const key = await live.createKey({ environment: "test" });
    assert.equal((await rotate(test, key.id)).status, 200);
    assert.equal((await revoke(test, key.id)).status, 204);
  });
});

describe("a key made by the operator", () => {
  it("works without a restart, with the scopes asked for", async () => {
    const { key_id, secret } = await server.createKey({ org: org.organization_id, environment: "test", name: "rescue", scopes: ["jobs:read"] });
    const row = await listed(live, key_id);
    assert.deepEqual([row.name, row.environment, row.scopes], ["rescue", "test", ["jobs:read"]]);
    assert.ok(await works(secret));
  });
});
