/* Who asked for what: every change is noted in its commit, listed to whom it concerns, and what
 * somebody edits, takes out or adds in the store afterwards is found by `firsthand audit`. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { JOB } from "../lib/client.mjs";
import { operations } from "../lib/contract.mjs";
import { until } from "../lib/market.mjs";
import { BODIES } from "../lib/requests.mjs";
import { run, start } from "../lib/server.mjs";

const SETTINGS = { "rate-limit-per-minute": 0, "trusted-proxy": "127.0.0.1" };
const EVENTS = "/v1/audit_events";

let server, org, buyer, tester;
before(async () => {
  server = await start(SETTINGS);
  org = await server.createOrg({ credits: 1_000_000 });
  buyer = server.client(org.live_key);
  tester = server.client(org.test_key);
});
after(() => server?.stop());

async function newest(client, query = "") {
  const reply = await client.get(`${EVENTS}?limit=1${query}`);
  assert.equal(reply.status, 200, reply.text);
  return reply.json.data[0];
}

const inShort = ({ action, object_id, actor_type, source }) => [action, object_id, actor_type, source];

describe("what is noted", () => {
  it("begins with what the operator's command made", async () => {
    const events = await buyer.all(EVENTS);
    assert.deepEqual(events.slice(-2).map(inShort), [
      ["credits.granted", org.organization_id, "operator", "command"],
      ["organization.created", org.organization_id, "operator", "command"],
    ]);
    assert.ok(events.some((one) => one.action === "api_key.created" && one.actor_type === "operator"));
    assert.deepEqual((await tester.all(EVENTS)).map(({ action }) => action), ["api_key.created"]);
  });

  it("names the key, the object, the request and the client's address", async () => {
    const reply = await buyer.request("POST", "/v1/jobs", {
      body: JOB, headers: { "idempotency-key": "a", "x-forwarded-for": "10.1.1.1, 203.0.113.7" },
    });
    assert.equal(reply.status, 201, reply.text);
    const event = await newest(buyer);
    assert.deepEqual(inShort(event), ["job.created", reply.json.id, "api_key", "203.0.113.7"]);
    assert.equal(event.request_id, reply.headers["x-request-id"]);
    const keys = await buyer.all("/v1/api_keys");
    assert.ok(keys.some(({ id, hint }) => id === event.actor_id && org.live_key.endsWith(hint)));
  });

  it("has a row for every operation of a key that changes something, as the contract calls it", async () => {
    const job = await buyer.createJob();
    const key = await buyer.createKey();
    const other = await buyer.createKey();
    const asked = {
      createJob: ["/v1/jobs", undefined],
      cancelJob: [`/v1/jobs/${job.id}/cancel`, job.id],
      createApiKey: ["/v1/api_keys", undefined],
      createWebhookEndpoint: ["/v1/webhook_endpoints", undefined],
      rotateApiKey: [`/v1/api_keys/${key.id}/rotate`, key.id],
      revokeApiKey: [`/v1/api_keys/${other.id}/revoke`, other.id],
      updateOrganizationSettings: ["/v1/organization/settings", org.organization_id],
    };
    for (const [operationId, [path, object]] of Object.entries(asked)) {
      const one = operations.find((all) => all.operationId === operationId);
      const reply = await buyer.request(one.method, path, { body: BODIES[operationId], headers: { "idempotency-key": operationId } });
      assert.ok(reply.status < 300, reply.text);
      const event = await newest(buyer, `&action=${one["x-audit"]}`);
      assert.equal(event.request_id, reply.headers["x-request-id"], operationId);
      assert.equal(event.object_id, object ?? reply.json.id, operationId);
    }
  });

  it("has a purchase once, however often it is asked for", async () => {
    const ask = () => buyer.request("POST", "/v1/billing/credits/purchase", { body: BODIES.purchaseCredits, headers: { "idempotency-key": "buy" } });
    const first = await ask();
    assert.equal(first.status, 200, first.text);
    await ask();
    const events = await buyer.all(`${EVENTS}?action=credits.purchase_begun`);
    assert.deepEqual(events.map(({ object_id, request_id }) => [object_id, request_id]), [[first.json.session_id, first.headers["x-request-id"]]]);
  });

  it("says of a rotated key which one took its place", async () => {
    const key = await buyer.createKey();
    const reply = await buyer.post(`/v1/api_keys/${key.id}/rotate`);
    const [rotated, made] = (await buyer.get(`${EVENTS}?limit=2`)).json.data;
    assert.deepEqual([rotated.action, rotated.object_id], ["api_key.rotated", key.id]);
    assert.deepEqual([made.action, made.object_id], ["api_key.created", reply.json.new_key.id]);
  });

  it("is also what time does: a job that its deadline ends is cancelled by the system", async () => {
    const now = await server.advance(1);
    const job = await buyer.createJob({ deadline: new Date(now + 60_000).toISOString() });
    await server.advance(61);
    const event = await newest(buyer);
    assert.deepEqual(inShort(event), ["job.cancelled", job.id, "system", "server"]);
    assert.equal(event.request_id, null);
  });

  it("is neither what was refused, nor what was only asked for again", async () => {
    const body = { ...JOB, description: "Once, and not twice." };
    const ask = () => buyer.request("POST", "/v1/jobs", { body, headers: { "idempotency-key": "again" } });
    const first = await ask();
    const count = (await buyer.all(EVENTS)).length;
    assert.equal((await ask()).json.id, first.json.id);
    assert.equal((await buyer.post(`/v1/jobs/${first.json.id}/cancel`)).status, 200);
    assert.equal((await buyer.post(`/v1/jobs/${first.json.id}/cancel`)).status, 409);
    const dear = { body: { ...JOB, files_needed: 10_000, price_per_file_cents: 10_000 }, headers: { "idempotency-key": "dear" } };
    assert.equal((await buyer.request("POST", "/v1/jobs", dear)).status, 402);
    assert.equal((await buyer.all(EVENTS)).length, count + 1);
  });

  it("is another world's business for the other environment, and nobody's for another organisation", async () => {
    const job = await tester.createJob();
    assert.equal((await newest(tester)).object_id, job.id);
    assert.notEqual((await newest(buyer)).object_id, job.id);
    const other = server.client((await server.createOrg()).live_key);
    for (const event of await other.all(EVENTS)) assert.equal(event.actor_type, "operator");
  });
});

describe("the listing", () => {
  it("is the same before and after the rows are sealed, in pages of any size", async () => {
    for (let i = 0; i < 5; i++) await buyer.createJob();
    const before = await buyer.all(EVENTS);
    await server.advance(1);
    for (let i = 0; i < 3; i++) await buyer.createJob();
    const rows = await buyer.all(EVENTS);
    assert.deepEqual(rows.slice(3), before);
    for (const limit of [1, 4, 100]) assert.deepEqual(await buyer.all(EVENTS, { limit }), rows);
  });

  it("is filtered by action and time", async () => {
    const all = await buyer.all(EVENTS);
    const jobs = all.filter(({ action }) => action === "job.created");
    assert.deepEqual(await buyer.all(`${EVENTS}?action=job.created`), jobs);
    assert.deepEqual(await buyer.all(`${EVENTS}?action=job.created`, { limit: 2 }), jobs);
    assert.deepEqual(await buyer.all(`${EVENTS}?action=no.such`), []);
    const { created_at: at } = all[3];
    const is = (keep) => all.filter(({ created_at }) => keep(Date.parse(created_at), Date.parse(at)));
    assert.deepEqual(await buyer.all(`${EVENTS}?created_after=${at}`), is((one, edge) => one >= edge));
    assert.deepEqual(await buyer.all(`${EVENTS}?created_before=${at}`, { limit: 2 }), is((one, edge) => one < edge));
  });

  it("needs audit:read", async () => {
    const { secret } = await server.createKey({ org: org.organization_id, scopes: ["jobs:read", "keys:manage"] });
    assert.equal((await server.client(secret).get(EVENTS)).status, 403);
  });
});

describe("the seals", () => {
  let folder, head;
  const store = (name) => join(folder, name, "store.db");
  const sql = (name, text) => execFileSync("sqlite3", ["-cmd", ".timeout 5000", store(name), text], { encoding: "utf8" }).trim();

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "firsthand-seals-"));
    for (let i = 0; i < 6; i++) await buyer.createJob();
    await server.advance(120);
    head = await until("a head that has one before it is logged", () => {
      const line = server.logLines.findLast((one) => one.includes('"audit_head"'));
      const found = line && JSON.parse(line).head;
      return Number.parseInt(found, 10) > 1 && found;
    });
    await buyer.createJob();
    await server.halt();
    cpSync(server.dataDir, join(folder, "sound"), { recursive: true });
    await server.launch();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const audit = (name, ...more) => run(["audit", "--data-dir", join(folder, name), ...more]);

  /* A copy with a change, audited: what it is called, and the lines that were found. */
  async function found(change, ...more) {
    const name = `changed-${Math.random()}`;
    cpSync(join(folder, "sound"), join(folder, name), { recursive: true });
    sql(name, change);
    const { code, stdout } = await audit(name, ...more);
    assert.equal(code, 1, `${change}: ${stdout}`);
    return stdout.trim().split("\n").slice(0, -1);
  }
  const nth = (n) => `(SELECT event_id FROM audit_seals WHERE org_id = '${org.organization_id}' AND environment = 0 AND number = ${n})`;
  const idOf = (n) => sql("sound", `SELECT ${nth(n)}`);

  it("pass on a store that nobody touched, with a head that was logged", async () => {
    const { code, stdout } = await audit("sound", "--audit-head", head);
    assert.equal(code, 0, stdout);
  });

  for (const column of ["action", "object_id", "actor", "source", "request_id"])
    it(`tell when a row's ${column} was edited, and name that row alone`, async () => {
      const lines = await found(`UPDATE audit_events SET ${column} = 'edited' WHERE id = ${nth(4)}`);
      assert.deepEqual(lines.length, 1, lines.join("\n"));
      assert.ok(lines[0].includes(idOf(4)) && lines[0].includes("edited"), lines[0]);
    });

  it("tell when a row was given to another organisation or environment", async () => {
    const lines = await found(`UPDATE audit_events SET environment = 1 WHERE id = ${nth(4)}`);
    assert.ok(lines.some((line) => line.includes(idOf(4))), lines.join("\n"));
  });

  it("tell when a row is missing, with its seal or without", async () => {
    const without = await found(`DELETE FROM audit_events WHERE id = ${nth(4)}`);
    assert.ok(without.length === 1 && without[0].includes(idOf(4)) && without[0].includes("missing"), without.join("\n"));
    const both = await found(`DELETE FROM audit_events WHERE id = ${nth(4)}; DELETE FROM audit_seals WHERE event_id = '${idOf(4)}'`);
    assert.ok(both.some((line) => line.includes(idOf(5)) && line.includes("number 4")), both.join("\n"));
  });

  it("tell when the end of a chain was cut off", async () => {
    const last = sql("sound", `SELECT max(event_id) FROM audit_seals WHERE org_id = '${org.organization_id}'`);
    const lines = await found(`DELETE FROM audit_events WHERE id = '${last}'; DELETE FROM audit_seals WHERE event_id = '${last}'`);
    assert.ok(lines.some((line) => line.includes("audit_heads_are_chained")), lines.join("\n"));
  });

  it("tell by a head from the log when chains and heads were cut off together", async () => {
    const number = Number(head.split(":")[0]);
    const to = sql("sound", `SELECT event_id FROM audit_heads WHERE number = ${number - 1}`);
    const cut = `DELETE FROM audit_heads WHERE number >= ${number}; DELETE FROM audit_events WHERE id > '${to}'; DELETE FROM audit_seals WHERE event_id > '${to}'`;
    const lines = await found(cut, "--audit-head", head);
    assert.deepEqual(lines.length, 1, lines.join("\n"));
    assert.match(lines[0], /not the one that was logged/);
  });

  it("tell when a row was slipped in, and when a head was edited or taken out", async () => {
    const copy = `INSERT INTO audit_events SELECT substr(id, 1, 29) || CASE substr(id, 30) WHEN 'Z' THEN 'Y' ELSE 'Z' END, org_id, environment, action, object_id, actor, source, request_id FROM audit_events WHERE id = ${nth(4)}`;
    const added = await found(copy);
    assert.ok(added.length === 1 && added[0].includes("behind the sealer's back"), added.join("\n"));
    for (const change of ["UPDATE audit_heads SET seals_count = seals_count + 1 WHERE number = 2", "DELETE FROM audit_heads WHERE number = 2"]) {
      const lines = await found(change);
      assert.ok(lines.some((line) => line.includes("audit_heads_are_chained")), lines.join("\n"));
    }
  });

  it("are no use under another server key", async () => {
    cpSync(join(folder, "sound"), join(folder, "other"), { recursive: true });
    writeFileSync(join(folder, "other", "server.key"), `1 ${"ab".repeat(32)}\n`, { mode: 0o600 });
    sql("other", "DELETE FROM server_state WHERE name = 'server_key_1_mark'"); /* else it is refused for that */
    const { code, stdout } = await audit("other");
    assert.equal(code, 1);
    assert.match(stdout, /^breach audit_rows_are_chained /m);
  });

  it("are missed when rows have had none for a minute", async () => {
    const lines = await found(`UPDATE server_state SET value = value + 120000 WHERE name = 'clock_offset_ms'; DELETE FROM audit_heads; DELETE FROM audit_seals`);
    assert.ok(lines.every((line) => line.includes("is not sealed yet")) && lines.length > 5, lines.join("\n"));
  });

  it("are made up for by the server that starts after a crash", async () => {
    await server.advance(1);
    await buyer.createJob();
    await server.kill9();
    await server.launch();
    buyer = server.client(org.live_key);
    await server.advance(3600);
    await server.audit();
  });

  it("refuse a head that is none", async () => {
    const { code, stderr } = await audit("sound", "--audit-head", "7");
    assert.equal(code, 2, stderr);
  });
});
