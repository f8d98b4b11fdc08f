/* Signing up: who may, what comes of it, and how often an address may try. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import { assertRefused } from "../lib/market.mjs";
import { run, start } from "../lib/server.mjs";

const signUp = (server, body, options) => server.client().post("/v1/auth/signup", body, options);
const isReplay = ({ headers }) => headers["idempotent-replayed"] === "true";
const buyer = (n) => ({ name: "Buyer", email: `buyer${n}@example.org` });

describe("where sign-up is closed", () => {
  let server;
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  it("nobody signs up, whatever he sends", async () => {
    assertRefused(await signUp(server, buyer(1)), 403, "signup_closed");
    assertRefused(await signUp(server, {}), 403, "signup_closed");
    for (let i = 0; i < 20; i++) assertRefused(await signUp(server, buyer(i)), 403, "signup_closed");
  });
});

describe("where sign-up is open", () => {
  let server;
  before(async () => {
    server = await start({ signup: "open", "signups-per-minute": 0 });
  });
  after(() => server?.stop());

  it("an organisation has a key of all scopes for each environment, and no credit", async () => {
    const { status, json, text } = await signUp(server, buyer("one"));
    assert.equal(status, 201, text);
    assert.match(json.api_key, /^fh_live_/);
    assert.match(json.test_api_key, /^fh_test_/);
    assert.equal(json.credits_cents, 0);
    const live = server.client(json.api_key), test = server.client(json.test_api_key);
    const keys = await live.all("/v1/api_keys");
    assert.deepEqual(keys.map(({ environment, scopes, expires_at }) => [environment, scopes.length, expires_at]), [["test", 8, null], ["live", 8, null]]);
    assert.equal((await live.get("/v1/billing/credits")).json.balance_cents, 0);
    assert.equal((await test.get("/v1/billing/credits")).json.balance_cents, 10_000_000);
    const job = await test.createJob();
    assert.equal(job.organization_id, json.organization_id);
  });

  it("is noted as a visitor's doing, not the operator's", async () => {
    const { json } = await signUp(server, buyer("noted"));
    for (const key of [json.api_key, json.test_api_key]) {
      const events = await server.client(key).all("/v1/audit_events");
      assert.ok(events.some(({ action }) => action === "api_key.created"));
      assert.deepEqual([...new Set(events.map(({ actor_type, source }) => `${actor_type} ${source}`))], ["visitor 127.0.0.1"]);
    }
  });

  it("an address opens one organisation, however it is written and whoever asks", async () => {
    assert.equal((await signUp(server, { name: "A", email: "twice@example.org" })).status, 201);
    assertRefused(await signUp(server, { name: "B", email: "Twice@Example.ORG" }), 409, "email_taken");
    await server.createOrg({ email: "operator@example.org" });
    assertRefused(await signUp(server, { name: "B", email: "operator@example.org" }), 409, "email_taken");
  });

  it("one of many at once has the address", async () => {
    const replies = await Promise.all(Array.from({ length: 8 }, () => signUp(server, buyer("race"))));
    assert.deepEqual(replies.map(({ status }) => status).sort(), [201, ...Array(7).fill(409)]);
  });

  it("a name has a hundred characters, in any script", async () => {
    for (const name of ["n", "中".repeat(100), "😀".repeat(100)])
      assert.equal((await signUp(server, { name, email: `${name.length}@example.net` })).status, 201, name);
  });

  it("name and address are held against their form", async () => {
    const bad = [[{}, ["name", "email"]], [{ name: "", email: "a@example.org" }, ["name"]], [{ name: "n".repeat(101), email: "a@example.org" }, ["name"]],
                 [{ name: "A", email: "example.org" }, ["email"]], [{ name: "A", email: "a b@example.org" }, ["email"]], [{ name: "ü".repeat(100) + "x", email: "@@@" }, ["name", "email"]],
                 [{ name: "😀".repeat(101), email: "a@example.org" }, ["name"]]];
    for (const [body, fields] of bad) {
      const reply = await signUp(server, body);
      assert.equal(reply.status, 422, `${JSON.stringify(body)}: ${reply.text}`);
      const named = new Set(reply.json.error.details.map(({ field }) => field));
      for (const field of named) assert.ok(fields.includes(field), `${JSON.stringify(body)}: ${field}`);
    }
  });

});

describe("a sign-up's Idempotency-Key", () => {
  let server, options;
  before(async () => {
    server = await start({ signup: "open", "signups-per-minute": 0 });
  });
  beforeEach(() => {
    options = { headers: { "idempotency-key": randomUUID() } };
  });
  after(() => server?.stop());

  it("of 64 clients opens one organisation, with one reply for all", async () => {
    const replies = await Promise.all(Array.from({ length: 64 }, () => signUp(server, buyer("raced"), options)));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1, "byte for byte the same");
    assert.equal(replies.filter(isReplay).length, 63);
    assert.equal((await server.client(replies[0].json.api_key).all("/v1/api_keys")).length, 2);
  });

  it("gives the same keys again after a restart, to who says the same", async () => {
    const first = await signUp(server, buyer("once"), options);
    await server.restart();
    const again = await signUp(server, buyer("once"), options);
    assert.deepEqual([first.status, again.status, again.text, isReplay(first), isReplay(again)], [201, 201, first.text, false, true]);
    const other = await signUp(server, buyer("other"), options);
    assertRefused(other, 409, "idempotency_key_reused");
    assert.ok(!other.text.includes(first.json.api_key));
    assertRefused(await signUp(server, buyer("once"), { headers: { "idempotency-key": randomUUID() } }), 409, "email_taken");
  });

  it("is bound by success alone, and for 24 hours", async () => {
    await signUp(server, buyer("taken"));
    assertRefused(await signUp(server, buyer("taken"), options), 409, "email_taken");
    const first = await signUp(server, buyer("free"), options);
    assert.equal(first.status, 201, first.text);
    await server.advance(24 * 60 * 60);
    assertRefused(await signUp(server, buyer("free"), options), 409, "email_taken");
  });

  it("has 22 characters at least, so that nobody guesses it", async () => {
    for (const key of ["k", "k".repeat(21), "k".repeat(256), "k ".repeat(20)]) {
      const { status, json } = await signUp(server, buyer("short"), { headers: { "idempotency-key": key } });
      assert.deepEqual([status, json.error.details.map(({ field, code }) => [field, code])], [400, [["Idempotency-Key", "pattern"]]], key);
    }
    assert.equal((await signUp(server, buyer("short"), { headers: { "idempotency-key": "k".repeat(22) } })).status, 201);
  });

  it("is not to be read in the store, nor are the keys it gives", async () => {
    server.secrets.add("a sign-up's key", options.headers["idempotency-key"]);
    assert.equal((await signUp(server, buyer("hidden"), options)).status, 201);
    server.secrets.assertAbsentFromFolder(server.dataDir);
  });
});

describe("the operator's gift", () => {
  it("is live credit of the free tier, for those who sign up only", async () => {
    const server = await start({ signup: "open", "signup-credit-cents": 250 });
    try {
      const { json } = await signUp(server, buyer("gift"));
      assert.equal(json.credits_cents, 250);
      const live = server.client(json.api_key);
      const [row, ...others] = await live.all("/v1/billing/transactions");
      assert.deepEqual([row.type, row.amount_cents, row.running_balance_cents, others], ["free_tier", 250, 250, []]);
      assert.ok(Date.parse(row.expires_at) > Date.parse(row.created_at) + 364 * 86_400_000);
      const made = server.client((await server.createOrg()).live_key);
      assert.equal((await made.get("/v1/billing/credits")).json.balance_cents, 0);
    } finally {
      await server.stop();
    }
  });
});

describe("an address that tries too often", () => {
  let server;
  before(async () => {
    server = await start({ signup: "open", "signups-per-minute": 3, "trusted-proxy": "127.0.0.1" });
  });
  after(() => server?.stop());
  const from = (address) => ({ headers: { "x-forwarded-for": address } });

  it("waits, whatever it sends, and others do not", async () => {
    assert.equal((await signUp(server, buyer("a"), from("192.0.2.1"))).status, 201);
    assert.equal((await signUp(server, buyer("a"), from("192.0.2.1"))).status, 409);
    assert.equal((await signUp(server, {}, from("192.0.2.1"))).status, 422);
    let refused; /* one more is allowed every twenty seconds */
    do refused = await signUp(server, {}, from("192.0.2.1"));
    while (refused.status === 422);
    assertRefused(refused, 429, "too_many_signups");
    assert.ok(Number(refused.headers["retry-after"]) <= 60);
    assert.equal((await signUp(server, buyer("b"), from("192.0.2.2"))).status, 201);
    await server.advance(60);
    assert.equal((await signUp(server, buyer("c"), from("192.0.2.1"))).status, 201);
  });
});

describe("the setting", () => {
  it("is closed or open and nothing else", async () => {
    const { code, stderr } = await run(["serve", "--listen", "127.0.0.1:0", "--signup", "maybe"]);
    assert.equal(code, 2);
    assert.match(stderr, /signup must be closed or open/);
  });
});
