/* One key, one occurrence: whatever the concurrency, whatever happened to the object since, across
 * a restart, for 24 hours. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import { JOB } from "../lib/client.mjs";
import { assertRefused, Market, openMarket } from "../lib/market.mjs";
import { pngImage } from "../lib/media.mjs";
import { sample } from "../lib/samples.mjs";
import { checksum, metadata, Tus } from "../lib/tus.mjs";

const CLIENTS = 64;
const DAY_S = 24 * 60 * 60;

let market, server;
before(async () => {
  market = await openMarket({}, { credits: 1_000_000 });
  server = market.server;
});
after(() => market?.stop());

const isReplay = (reply) => reply.headers["idempotent-replayed"] === "true";
const withKey = (idempotencyKey) => ({ headers: { "idempotency-key": idempotencyKey } });

function assertReplays(reply, first) {
  assert.equal(reply.status, first.status, reply.text);
  assert.equal(reply.text, first.text, "byte for byte");
  assert.ok(isReplay(reply), "Idempotent-Replayed");
  assert.ok(!isReplay(first), "the first is not a replay");
}

describe("64 clients with one key", () => {
  it("make one job and get one reply", async () => {
    const own = await Market.open(server, { credits: 1000 });
    const clients = Array.from({ length: CLIENTS }, () => server.client(own.org.live_key));
    const idempotencyKey = randomUUID();
    const replies = await Promise.all(clients.map((client) => client.postJob({}, { idempotencyKey })));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1, "byte for byte the same");
    assert.equal(replies.filter(isReplay).length, CLIENTS - 1);
    assert.equal((await own.buyer.all("/v1/jobs")).length, 1);
    assert.deepEqual(await own.statement(), [["bonus", 1000, null], ["deduction", -100, replies[0].json.id]]);
  });

  it("and keys of their own make 64 jobs", async () => {
    const own = await Market.open(server, { credits: 10_000 });
    const clients = Array.from({ length: CLIENTS }, () => server.client(own.org.live_key));
    const replies = await Promise.all(clients.map((client) => client.postJob()));
    assert.equal(new Set(replies.map(({ json }) => json.id)).size, CLIENTS);
    assert.equal((await own.buyer.all("/v1/jobs")).length, CLIENTS);
    assert.equal((await own.balance()).balance, 10_000 - CLIENTS * 100);
  });

  it("make one API key with one secret", async () => {
    const own = await Market.open(server);
    const clients = Array.from({ length: CLIENTS }, () => server.client(own.org.live_key));
    const body = { name: "raced", scopes: ["jobs:read"], environment: "live" };
    const options = withKey(randomUUID());
    const replies = await Promise.all(clients.map((client) => client.post("/v1/api_keys", body, options)));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
    assert.equal(new Set(replies.map(({ json }) => json.secret)).size, 1);
    assert.equal((await own.buyer.all("/v1/api_keys")).filter(({ name }) => name === "raced").length, 1);
  });
});

describe("a key used again", () => {
  it("with another body is refused, and the first reply still stands", async () => {
    const idempotencyKey = randomUUID();
    const first = await market.buyer.postJob({}, { idempotencyKey });
    const refused = await market.buyer.postJob({ files_needed: 3 }, { idempotencyKey });
    assertRefused(refused, 409, "idempotency_key_reused");
    assertReplays(await market.buyer.postJob({}, { idempotencyKey }), first);
  });

  it("is refused for the least difference: a space, a query", async () => {
    const options = withKey(randomUUID());
    const send = (target, raw) => market.buyer.request("POST", target, { raw, ...options });
    assert.equal((await send("/v1/jobs", JSON.stringify(JOB))).status, 201);
    assertRefused(await send("/v1/jobs", `${JSON.stringify(JOB)} `), 409, "idempotency_key_reused");
    assertRefused(await send("/v1/jobs?again=1", JSON.stringify(JOB)), 409, "idempotency_key_reused");
  });

  it("by another organisation, in the other environment or for another operation is another key", async () => {
    const idempotencyKey = randomUUID();
    const other = await Market.open(server);
    const test = server.client(market.org.test_key);
    const jobs = [];
    for (const client of [market.buyer, other.buyer, test]) jobs.push(await client.createJob({}, { idempotencyKey }));
    assert.equal(new Set(jobs.map(({ id }) => id)).size, 3);
    const key = await market.buyer.post("/v1/api_keys", { name: "k", scopes: ["jobs:read"], environment: "live" }, withKey(idempotencyKey));
    assert.equal(key.status, 201, key.text);
    assert.ok(!isReplay(key));
  });

  it("by another key of the organisation replays the job", async () => {
    const idempotencyKey = randomUUID();
    const first = await market.buyer.postJob({}, { idempotencyKey });
    const other = server.client((await server.createKey({ org: market.org.organization_id })).secret);
    assertReplays(await other.postJob({}, { idempotencyKey }), first);
  });
});

describe("what is not a success", () => {
  it("binds no key: after 402 and money, the same request succeeds", async () => {
    const own = await Market.open(server, { credits: 100 });
    const first = await own.job({ price_per_file_cents: 100 });
    const idempotencyKey = randomUUID();
    const body = { files_needed: 1, price_per_file_cents: 100 };
    assertRefused(await own.buyer.postJob(body, { idempotencyKey }), 402);
    assert.equal((await own.buyer.post(`/v1/jobs/${first.id}/cancel`)).status, 200);
    const paid = await own.buyer.postJob(body, { idempotencyKey });
    assert.equal(paid.status, 201, paid.text);
    assert.ok(!isReplay(paid));
    assertReplays(await own.buyer.postJob(body, { idempotencyKey }), paid);
  });

  it("binds no key: after 422 another body may use it", async () => {
    const idempotencyKey = randomUUID();
    assertRefused(await market.buyer.postJob({ files_needed: 0 }, { idempotencyKey }), 422);
    assert.equal((await market.buyer.postJob({}, { idempotencyKey })).status, 201);
  });
});

describe("a replay", () => {
  it("shows the job as it was created, whatever became of it", async () => {
    const idempotencyKey = randomUUID();
    const body = {
      files_needed: 1, accepted_formats: ["image/jpeg"], title: "Signs", min_width: 10, min_duration_seconds: 1.5,
      metadata: { b: 1, a: "two", none: null, nested: true, price: 1.25 },
    };
    const first = await market.buyer.postJob(body, { idempotencyKey });
    const done = await market.submitAndScore(first.json, sample("photo-2.jpg"));
    assert.equal(done.status, "approved");
    assert.equal((await market.getJob(first.json)).status, "completed");
    assertReplays(await market.buyer.postJob(body, { idempotencyKey }), first);
    assert.equal(first.json.status, "open");
  });

  it("shows the job as it was created after it was cancelled and the fee changed", async () => {
    const own = await Market.open(server);
    const idempotencyKey = randomUUID();
    const first = await own.buyer.postJob({}, { idempotencyKey });
    await own.buyer.post(`/v1/jobs/${first.json.id}/cancel`);
    await own.buyer.patch("/v1/organization/settings", { default_platform_fee_pct: 0.5 });
    assertReplays(await own.buyer.postJob({}, { idempotencyKey }), first);
  });

  it("of a cancel is the first answer, not a refusal", async () => {
    const job = await market.job();
    const options = withKey(randomUUID());
    const first = await market.buyer.post(`/v1/jobs/${job.id}/cancel`, undefined, options);
    assert.equal(first.status, 200, first.text);
    assertReplays(await market.buyer.post(`/v1/jobs/${job.id}/cancel`, undefined, options), first);
    assertRefused(await market.buyer.post(`/v1/jobs/${job.id}/cancel`), 409, "job_not_cancellable");
  });

  it("of a worker's accept is the same reservation", async () => {
    const job = await market.job({ files_needed: 3 });
    const options = withKey(randomUUID());
    const accept = (client) => client.post(`/worker/v1/jobs/${job.id}/accept`, undefined, options);
    const first = await accept(market.worker);
    assert.equal(first.status, 201, first.text);
    assertReplays(await accept(market.worker), first);
    const other = await accept(await market.newWorker());
    assert.ok(!isReplay(other), "another worker's key is another key");
    assert.notEqual(other.json.id, first.json.id);
  });

  it("of a new API key is the same secret, but only for the key that asked", async () => {
    const body = { name: "replayed", scopes: ["jobs:read"], environment: "live" };
    const options = withKey(randomUUID());
    const first = await market.buyer.post("/v1/api_keys", body, options);
    const again = await market.buyer.post("/v1/api_keys", body, options);
    assertReplays(again, first);
    assert.equal((await server.client(again.json.secret).get("/v1/jobs")).status, 200);
    const other = server.client((await server.createKey({ org: market.org.organization_id })).secret);
    assertRefused(await other.post("/v1/api_keys", body, options), 409);
  });

  it("of a rotation is the same secret", async () => {
    const key = await market.buyer.createKey();
    const options = withKey(randomUUID());
    const first = await market.buyer.post(`/v1/api_keys/${key.id}/rotate`, undefined, options);
    assert.equal(first.status, 200, first.text);
    assertReplays(await market.buyer.post(`/v1/api_keys/${key.id}/rotate`, undefined, options), first);
  });

  it("survives a restart, secrets too", async () => {
    const idempotencyKey = randomUUID();
    const options = withKey(randomUUID());
    const body = { name: "kept", scopes: ["jobs:read"], environment: "live" };
    const job = await market.buyer.postJob({}, { idempotencyKey });
    const key = await market.buyer.post("/v1/api_keys", body, options);
    await server.restart();
    market.reconnect();
    assertReplays(await market.buyer.postJob({}, { idempotencyKey }), job);
    assertReplays(await market.buyer.post("/v1/api_keys", body, options), key);
  });

  it("ends after 24 hours", async () => {
    const idempotencyKey = randomUUID();
    const first = await market.buyer.postJob({}, { idempotencyKey });
    await server.advance(DAY_S - 60);
    assertReplays(await market.buyer.postJob({}, { idempotencyKey }), first);
    await server.advance(60);
    const second = await market.buyer.postJob({}, { idempotencyKey });
    assert.equal(second.status, 201, second.text);
    assert.ok(!isReplay(second));
    assert.notEqual(second.json.id, first.json.id);
    assertReplays(await market.buyer.postJob({}, { idempotencyKey }), second);
  });
});

describe("at once and afterwards", () => {
  let own, key;
  beforeEach(async () => {
    own = await Market.open(server);
    key = randomUUID();
  });
  const clientsOf = (token) => Array.from({ length: CLIENTS }, () => server.client(token));
  const accept = (client, job) => client.post(`/worker/v1/jobs/${job.id}/accept`, undefined, withKey(key));

  it("of two bodies one wins, and the other is refused", async () => {
    const titleOf = (i) => (i % 2 ? "odd" : "even");
    const replies = await Promise.all(
      clientsOf(own.org.live_key).map((client, i) => client.postJob({ title: titleOf(i) }, { idempotencyKey: key })),
    );
    const jobs = await own.buyer.all("/v1/jobs");
    assert.equal(jobs.length, 1);
    const winners = replies.filter((_, i) => titleOf(i) === jobs[0].title);
    assert.deepEqual([...new Set(winners.map(({ status }) => status))], [201]);
    assert.equal(new Set(winners.map(({ text }) => text)).size, 1, "byte for byte the same");
    assert.equal(winners.filter((reply) => !isReplay(reply)).length, 1);
    for (const reply of replies.filter((one) => !winners.includes(one))) assertRefused(reply, 409, "idempotency_key_reused");
  });

  it("a cancel asked 64 times refunds once", async () => {
    const job = await own.buyer.createJob();
    const cancel = (client) => client.post(`/v1/jobs/${job.id}/cancel`, undefined, withKey(key));
    const replies = await Promise.all(clientsOf(own.org.live_key).map(cancel));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1, "byte for byte the same");
    assert.equal((await own.statement()).filter(([type]) => type === "refund").length, 1);
  });

  it("without money 64 are refused, and none of them binds the key", async () => {
    const poor = await Market.open(server, { credits: 99 });
    const post = (client) => client.postJob({}, { idempotencyKey: key });
    for (const reply of await Promise.all(clientsOf(poor.org.live_key).map(post))) assertRefused(reply, 402);
    const other = await poor.buyer.postJob({ files_needed: 1 }, { idempotencyKey: key });
    assert.equal(other.status, 201, other.text);
    assert.ok(!isReplay(other));
  });

  it("two workers with the same key have a slot each", async () => {
    const job = await own.buyer.createJob();
    const replies = [await accept(own.worker, job), await accept(await own.newWorker(), job)];
    assert.deepEqual(replies.map(({ status }) => status), [201, 201]);
    assert.notEqual(replies[0].json.id, replies[1].json.id);
  });

  it("an accept replays after its slot was given back, and takes none", async () => {
    const job = await own.buyer.createJob();
    const first = await accept(own.worker, job);
    assert.equal(first.status, 201, first.text);
    assert.equal((await own.worker.delete(`/worker/v1/reservations/${first.json.id}`)).status, 204);
    assertReplays(await accept(own.worker, job), first);
    assert.deepEqual(await own.worker.all("/worker/v1/reservations"), []);
  });

  it("a replay is for those who may ask: 401 for a revoked key, 403 without the scope", async () => {
    await own.buyer.postJob({}, { idempotencyKey: key });
    const reader = await own.buyer.createKey({ scopes: ["jobs:read"] });
    assertRefused(await server.client(reader.secret).postJob({}, { idempotencyKey: key }), 403);
    const former = await own.buyer.createKey({ scopes: ["jobs:write"] });
    assert.equal((await own.buyer.post(`/v1/api_keys/${former.id}/revoke`)).status, 204);
    assertRefused(await server.client(former.secret).postJob({}, { idempotencyKey: key }), 401);
  });

  it("a replay does not prolong the 24 hours", async () => {
    const post = () => own.buyer.postJob({}, { idempotencyKey: key });
    const first = await post();
    await server.advance(DAY_S / 2);
    assertReplays(await post(), first);
    await server.advance(DAY_S / 2);
    assert.ok(!isReplay(await post()));
  });

  it("survives a crash, secrets too", async () => {
    const body = { name: "kept", scopes: ["jobs:read"], environment: "live" };
    const job = await own.buyer.postJob({}, { idempotencyKey: key });
    const secret = await own.buyer.post("/v1/api_keys", body, withKey(key));
    assert.deepEqual([job.status, secret.status], [201, 201]);
    await server.kill9();
    await server.restart();
    own.reconnect();
    assertReplays(await own.buyer.postJob({}, { idempotencyKey: key }), job);
    assertReplays(await own.buyer.post("/v1/api_keys", body, withKey(key)), secret);
  });
});

describe("the test clock's key", () => {
  const advance = (seconds, options) => server.client().post("/test/clock/advance", { seconds }, options);
  const nowOf = async () => Date.parse((await advance(1)).json.now);

  it("moves it once, however many ask, and by however much", async () => {
    const options = withKey(randomUUID());
    const before = await nowOf();
    const replies = await Promise.all(Array.from({ length: 16 }, () => advance(2 * DAY_S, options)));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1, "byte for byte the same");
    assert.equal(replies.filter((reply) => !isReplay(reply)).length, 1);
    const moved = (await nowOf()) - before;
    assert.ok(moved >= 2 * DAY_S * 1000 && moved < 3 * DAY_S * 1000, `${moved} ms`);
    assertRefused(await advance(1, options), 409, "idempotency_key_reused");
  });

  it("is over 24 hours after the time it led to", async () => {
    const options = withKey("k");
    const first = await advance(60, options);
    await advance(DAY_S - 60);
    assertReplays(await advance(60, options), first);
    await advance(60);
    assert.ok(!isReplay(await advance(60, options)));
  });

  it("leaves the moved clock to a restart", async () => {
    await advance(DAY_S, withKey(randomUUID()));
    const before = await nowOf();
    await server.restart();
    market.reconnect();
    assert.ok((await nowOf()) >= before);
  });
});

describe("an upload's key", () => {
  let worker, reservation, tus, file, headers;
  let seed = 9000;
  beforeEach(async () => {
    const job = await market.job({ accepted_formats: ["image/png"] });
    worker = await market.newWorker();
    reservation = await worker.accept(job.id);
    tus = new Tus(worker);
    file = pngImage({ seed: seed++ });
    headers = { "idempotency-key": randomUUID(), "upload-metadata": metadata({ filename: "sign.png" }) };
  });
  const create = (options = {}) => tus.create(reservation.id, { length: file.length, headers, ...options });
  const uploads = () => worker.all("/worker/v1/uploads");

  function assertNames(reply, first, offset) {
    assert.deepEqual([reply.status, reply.headers.location, reply.headers["upload-offset"]], [201, first.headers.location, String(offset)], reply.text);
    assert.ok(isReplay(reply) && !isReplay(first));
  }

  it("of 64 clients makes one upload, which then becomes the submission", async () => {
    const replies = await Promise.all(Array.from({ length: CLIENTS }, () => create()));
    const first = replies.find((reply) => !isReplay(reply));
    for (const reply of replies.filter((one) => one !== first)) assertNames(reply, first, 0);
    assert.deepEqual([...new Set(replies.map((reply) => reply.headers["upload-expires"]))], [first.headers["upload-expires"]]);
    assert.equal((await uploads()).length, 1);
    assert.equal((await tus.patch(first.headers.location, 0, file)).headers["firsthand-submission-id"], reservation.submission_id);
  });

  it("of 64 clients that send the whole file makes one submission and tells all of it", async () => {
    const replies = await Promise.all(Array.from({ length: CLIENTS }, () => create({ body: file })));
    const first = replies.find((reply) => !isReplay(reply));
    for (const reply of replies.filter((one) => one !== first)) assertNames(reply, first, file.length);
    assert.deepEqual([...new Set(replies.map((reply) => reply.headers["firsthand-submission-id"]))], [reservation.submission_id]);
    assert.equal((await uploads()).length, 1);
  });

  it("names the upload as it stands, and drops what a repeat sends", async () => {
    const first = await create({ body: file.subarray(0, 1000) });
    assertNames(await create({ body: file.subarray(0, 2000) }), first, 1000);
    assertNames(await create({ body: file }), first, 1000);
    assert.equal((await tus.patch(first.headers.location, 1000, file.subarray(1000, 5000))).status, 204);
    assertNames(await create(), first, 5000);
    const done = await tus.patch(first.headers.location, 5000, file.subarray(5000));
    assert.equal(done.status, 204, done.text);
    const last = await create({ body: file });
    assertNames(last, first, file.length);
    assert.equal(last.headers["firsthand-submission-id"], reservation.submission_id);
    assert.equal(last.headers["upload-expires"], undefined);
  });

  it("is refused with other headers, or for another reservation", async () => {
    const first = await create();
    const others = [create({ length: file.length + 1 }), create({ length: undefined, headers: { ...headers, "upload-defer-length": "1" } }),
                    create({ headers: { ...headers, "upload-metadata": metadata({ filename: "other.png" }) } }), tus.create("rsv_other", { length: file.length, headers })];
    for (const reply of await Promise.all(others)) assertRefused(reply, 409, "idempotency_key_reused");
    assertNames(await create(), first, 0);
    assert.equal((await uploads()).length, 1);
  });

  it("is bound by no refusal, and by no body that was not whole", async () => {
    assertRefused(await tus.create("rsv_nobody", { length: file.length, headers }), 404);
    const torn = await create({ body: file, headers: { ...headers, "upload-checksum": checksum("sha256", "other bytes") } });
    assert.equal(torn.status, 460, torn.text);
    assert.deepEqual(await uploads(), []);
    const first = await create();
    assert.equal(first.status, 201, first.text);
    assert.ok(!isReplay(first));
  });

  it("of an upload that has ended is 410, and no new upload", async () => {
    const first = await create();
    assert.equal((await tus.terminate(first.headers.location)).status, 204);
    const again = await create();
    assertRefused(again, 410, "upload_ended");
    assert.ok(!isReplay(again));
    assert.equal((await uploads()).length, 1);
  });

  it("of another worker is another key", async () => {
    const first = await create();
    const other = await market.newWorker();
    const own = await other.accept((await market.job({ accepted_formats: ["image/png"] })).id);
    const reply = await new Tus(other).create(own.id, { length: file.length, headers });
    assert.equal(reply.status, 201, reply.text);
    assert.ok(!isReplay(reply));
    assert.notEqual(reply.headers.location, first.headers.location);
  });

  it("survives a crash", async () => {
    const first = await create({ body: file.subarray(0, 1000) });
    await server.kill9();
    await server.restart();
    market.reconnect();
    tus = new Tus(server.client(worker.token));
    const again = await create();
    assert.deepEqual([again.status, new URL(again.headers.location).pathname, again.headers["upload-offset"]], [201, new URL(first.headers.location).pathname, "1000"]);
    assert.ok(isReplay(again));
  });
});
