/* One tenant's objects do not exist for another: for every operation that takes an id. Generated
 * from the contract, so a new operation is covered or fails here. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { operations, pathParameters } from "../lib/contract.mjs";
import { pngImage } from "../lib/media.mjs";
import { until } from "../lib/market.mjs";
import { bodyIds, idParameters, listings, NOBODY, requestFor } from "../lib/requests.mjs";
import { start } from "../lib/server.mjs";

/* Addressed by a signed link, not by who asks. */
const SIGNED = ["downloadFile", "getCheckoutPage", "payCheckout", "cancelCheckout"];
/* A live job is any worker's business. */
const SHARED = ["getWorkerJob", "acceptJob", "flagJob"];

const withIds = operations.filter((one) => idParameters(one).length > 0 && !SIGNED.includes(one.operationId));

let server;
const ids = {}; /* parameter → the victim's object */
const clients = {};

/* What another may not ask for is there: a file, once its submission is approved. */
async function approvedFileOf(client, submissionId) {
  const { status, file } = await until(`${submissionId} is scored`, async () => {
    const { json } = await client.get(`/v1/submissions/${submissionId}`);
    return json.status !== "pending_score" && json;
  });
  assert.equal(status, "approved");
  return file;
}

async function uploadIdFor(worker, reservationId) {
  const reply = await worker.request("POST", `/worker/v1/uploads?reservation=${reservationId}`, {
    headers: { "tus-resumable": "1.0.0", "upload-length": "100000" },
  });
  assert.equal(reply.status, 201, reply.text);
  return new URL(reply.headers.location, server.base).pathname.split("/").pop();
}

before(async () => {
  server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0 });
  const victim = await server.createOrg({ credits: 100_000 });
  const other = await server.createOrg({ credits: 100_000 });
  clients.victim = server.client(victim.live_key);
  clients.victimTest = server.client(victim.test_key);
  clients.other = server.client(other.live_key);
  clients.otherTest = server.client(other.test_key);
  clients.worker = server.client((await server.createWorker()).token);
  clients.otherWorker = server.client((await server.createWorker()).token);

  ids.endpoint_id = (await clients.victim.createEndpoint()).id;
  await clients.victim.post(`/v1/jobs/${(await clients.victim.createJob()).id}/cancel`);
  const [told] = (await clients.victim.get("/v1/webhook_events")).json.data;
  ids.event_id = told.id;
  ids.occurrence_id = told.occurrence_id;
  const job = await clients.victim.createJob({ files_needed: 5, min_star_rating: 1 });
  ids.job_id = job.id;
  ids.key_id = (await clients.victim.createKey()).id;
  const used = await clients.worker.accept(job.id);
  const sent = await clients.worker.putFile(used.id, pngImage({ seed: 41, width: 640, height: 480 }));
  assert.equal(sent.status, 201, sent.text);
  ids.submission_id = sent.json.id;
  ids.file_id = (await approvedFileOf(clients.victim, sent.json.id)).id;
  const open = await clients.worker.accept(job.id);
  ids.reservation_id = ids.reservation = open.id;
  ids.upload_id = await uploadIdFor(clients.worker, open.id);
  ids.testJob = (await clients.victimTest.createJob()).id;
});
after(() => server?.stop());

async function assertAbsent(client, one, values) {
  const reply = await client.request(...requestFor(one, values));
  assert.equal(reply.status, 404, `${one.operationId}: ${reply.text}`);
}

/* What the victim can see of its objects. */
async function victimsView() {
  const { worker, victim } = clients;
  const offset = await worker.request("HEAD", `/worker/v1/uploads/${ids.upload_id}`, { headers: { "tus-resumable": "1.0.0" } });
  const { cancelled_at, total_cost_cents } = (await victim.get(`/v1/jobs/${ids.job_id}`)).json;
  const { status: told } = (await victim.get(`/v1/webhook_events/${ids.event_id}`)).json;
  return {
    job: { cancelled_at, total_cost_cents },
    endpoints: await victim.all("/v1/webhook_endpoints"),
    told,
    keys: (await victim.all("/v1/api_keys")).map(({ id, status: state }) => ({ id, state })),
    reservations: (await worker.get("/worker/v1/reservations")).json.data.map(({ id }) => id),
    offset: [offset.status, offset.headers["upload-offset"]],
    retries: (await worker.get(`/worker/v1/submissions/${ids.submission_id}`)).json.attempt,
  };
}

describe("another's object", () => {
  it("is made here for every parameter that operations take", () => {
    for (const one of withIds)
      for (const name of idParameters(one)) assert.ok(name in ids, `${one.operationId}: no ${name} is made`);
  });

  it("is named in no body: an operation that takes an id there must be asked for another's, too", () => {
    for (const one of operations) assert.deepEqual(bodyIds(one), [], one.operationId);
    const taking = { bodySchema: { properties: { job: { properties: { job_id: {}, title: {} } }, ids: { items: { properties: { id: {} } } } } } };
    assert.deepEqual(bodyIds(taking), ["ids", "job_id", "id"]);
  });

  it("is asked for wherever a query may name it", () => {
    const taking = { path: "/v1/submissions", parameters: ["job_id", "limit", "min_score"].map((name) => ({ in: "query", name })) };
    assert.deepEqual(idParameters(taking), ["job_id"]);
    assert.equal(requestFor(taking, { job_id: "job_1" })[1], "/v1/submissions?job_id=job_1");
    assert.equal(requestFor(taking)[1], "/v1/submissions");
  });

  it("is untouched by all that follows", async () => {
    const view = await victimsView();
    for (const one of withIds.filter((other) => other.credential === "key")) {
      for (const name of ["other", "otherTest"]) await assertAbsent(clients[name], one, ids);
    }
    for (const one of withIds.filter((other) => other.credential === "worker" && !SHARED.includes(other.operationId)))
      await assertAbsent(clients.otherWorker, one, ids);
    assert.deepEqual(await victimsView(), view);
  });

  for (const one of withIds) {
    if (one.credential === "key") {
      it(`is absent for another organisation: ${one.operationId}`, () => assertAbsent(clients.other, one, ids));
      it(`is absent for a test key of another organisation: ${one.operationId}`, () => assertAbsent(clients.otherTest, one, ids));
      it(`is absent for a test key of the same organisation: ${one.operationId}`, () => assertAbsent(clients.victimTest, one, ids));
    } else if (!SHARED.includes(one.operationId)) {
      it(`is absent for another worker: ${one.operationId}`, () => assertAbsent(clients.otherWorker, one, ids));
    }
    if (pathParameters(one).includes("job_id")) {
      const client = () => (one.credential === "key" ? clients.victim : clients.worker);
      it(`is absent when it is a test job: ${one.operationId}`, () => assertAbsent(client(), one, { job_id: ids.testJob }));
    }
  }

  it("is absent for another worker who says POST and means another method", async () => {
    for (const method of ["HEAD", "PATCH", "DELETE"]) {
      const reply = await clients.otherWorker.request("POST", `/worker/v1/uploads/${ids.upload_id}`, {
        raw: Buffer.from("x"), isChecked: false,
        headers: { "tus-resumable": "1.0.0", "upload-offset": "0", "content-type": "application/offset+octet-stream", "x-http-method-override": method },
      });
      assert.equal(reply.status, 404, `${method}: ${reply.status} ${reply.text}`);
    }
    const offset = await clients.worker.request("HEAD", `/worker/v1/uploads/${ids.upload_id}`, { headers: { "tus-resumable": "1.0.0" } });
    assert.deepEqual([offset.status, offset.headers["upload-offset"]], [200, "0"]);
  });

  it("cannot be told from one that never was, but for the request's id", async () => {
    for (const one of withIds.filter((other) => other.credential === "key" && other.method === "GET")) {
      const texts = [];
      for (const values of [ids, NOBODY]) {
        const reply = await clients.other.request(...requestFor(one, values));
        texts.push(reply.text.replace(/req_[0-9A-Z]{26}/g, "").replaceAll(/[a-z]+_[0-9A-Z]{26}/g, ""));
      }
      assert.equal(texts[0], texts[1], one.operationId);
    }
  });
});

describe("a malformed id", () => {
  const malformed = (good) => {
    const [prefix, ulid] = good.split("_");
    const wrongPrefix = prefix === "job" ? "sub" : "job";
    return ["x", prefix, `${prefix}_`, ulid, good.toLowerCase(), `${wrongPrefix}_${ulid}`, `${good}0`, good.slice(0, -1),
            `${good} `, ` ${good}`, `${prefix}_${"U".repeat(26)}`, `${prefix}_8${ulid.slice(1)}`, "x".repeat(300), `${good}\0`, "../jobs", "'; --", "%", "ü"];
  };
  for (const one of withIds)
    it(`is absent: ${one.operationId}`, async () => {
      const client = one.credential === "key" ? clients.victim : clients.worker;
      for (const name of idParameters(one))
        for (const value of malformed(ids[name])) {
          const reply = await client.request(...requestFor(one, { ...ids, [name]: value }));
          const isQueryFault = !pathParameters(one).includes(name) && reply.status === 400;
          assert.ok(reply.status === 404 || isQueryFault, `${name} ${JSON.stringify(value)}: ${reply.status} ${reply.text}`);
        }
    });
});

describe("a listing", () => {
  for (const one of listings) {
    if (pathParameters(one).length > 0) continue;
    it(`shows nothing of another's: ${one.operationId}`, async () => {
      const isBuyers = one.credential === "key";
      const [mine, others] = isBuyers ? [clients.victim, [clients.other, clients.otherTest, clients.victimTest]]
                                      : [clients.worker, [clients.otherWorker]];
      const own = new Set((await mine.all(one.path)).map(({ id }) => id));
      if (one.operationId === "getWorkerFeed") return assert.ok(!own.has(ids.testJob), "a test job in the feed");
      for (const client of others)
        for (const { id, environment } of await client.all(one.path))
          assert.ok(!own.has(id) || environment === "test", `${id} is seen by another`);
    });
  }
});

/* Last: it ends what the tests above ask for. */
describe("another's object that has ended", () => {
  before(async () => {
    const { victim, worker } = clients;
    const ended = await worker.request("DELETE", `/worker/v1/uploads/${ids.upload_id}`, { headers: { "tus-resumable": "1.0.0" } });
    assert.equal(ended.status, 204, ended.text);
    assert.equal((await worker.delete(`/worker/v1/reservations/${ids.reservation_id}`)).status, 204);
    assert.equal((await victim.post(`/v1/jobs/${ids.job_id}/cancel`)).status, 200);
    assert.equal((await victim.post(`/v1/api_keys/${ids.key_id}/revoke`)).status, 204);
    assert.equal((await victim.delete(`/v1/webhook_endpoints/${ids.endpoint_id}`)).status, 204);
  });

  it("is told apart by its owner", async () => {
    const offset = await clients.worker.request("HEAD", `/worker/v1/uploads/${ids.upload_id}`, { headers: { "tus-resumable": "1.0.0" } });
    assert.equal(offset.status, 410);
    assert.equal((await clients.victim.post(`/v1/jobs/${ids.job_id}/cancel`)).status, 409);
    assert.equal((await clients.victim.post(`/v1/api_keys/${ids.key_id}/rotate`)).status, 409);
    assert.equal((await clients.victim.post(`/v1/webhook_events/${ids.event_id}/replay`)).status, 409);
  });

  for (const one of withIds.filter(({ operationId }) => !SHARED.includes(operationId)))
    it(`is absent as ever: ${one.operationId}`, async () => {
      const strangers = one.credential === "key" ? [clients.other, clients.otherTest, clients.victimTest] : [clients.otherWorker];
      for (const client of strangers) await assertAbsent(client, one, ids);
    });
});
