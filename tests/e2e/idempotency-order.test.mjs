/* Who is told what first, where an Idempotency-Key was used before: one order for every POST. What
 * is wrong with the request itself comes before the key, and the key before the object. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { operations, pathParameters } from "../lib/contract.mjs";
import { singleFaults } from "../lib/faults.mjs";
import { assertRefused, openMarket } from "../lib/market.mjs";
import { BODIES, requestFor } from "../lib/requests.mjs";
import { sample } from "../lib/samples.mjs";

const HERE = { lat: 52.52, lng: 13.405 };
const PLACE = { ...HERE, radius_km: 5 };
const PAST = "2001-02-03T04:05:06Z";

let market, server;
before(async () => {
  market = await openMarket({ signup: "open", "signups-per-minute": "0" }, { credits: 1_000_000 });
  server = market.server;
});
after(() => market?.stop());

const isReplay = (reply) => reply.headers["idempotent-replayed"] === "true";
const clientFor = (one) => ({ key: market.buyer, worker: market.worker })[one.credential] ?? server.client();

/* --- a request of each operation that works once, and bodies that only a rule refuses --- */

let count = 0;

async function invitation() {
  const { url } = await server.admin("invite-worker");
  const invite = new URL(url).searchParams.get("invite");
  server.secrets.add("an invite", invite);
  return { ...BODIES.joinWithInvite, invite, email: `wanda${++count}@example.com` };
}

async function member() {
  const body = await invitation();
  assert.equal((await server.client().post("/worker/v1/join", body)).status, 201);
  return { email: body.email, password: body.password };
}

async function completedJob() {
  const job = await market.job();
  assert.equal((await market.submitAndScore(job, sample("photo-2.jpg"))).status, "approved");
  return job;
}

async function retryable() {
  const job = await market.job({ location: PLACE });
  const { json } = await market.worker.post(`/worker/v1/jobs/${job.id}/accept`, HERE);
  const sent = await market.worker.putFile(json.id, sample("blurred.jpg"));
  const submission = await market.scored(sent.json);
  assert.equal(submission.may_retry, true);
  return { submission_id: submission.id };
}

async function event() {
  await market.buyer.createEndpoint();
  await market.buyer.post(`/v1/jobs/${(await market.job()).id}/cancel`);
  const { json } = await market.buyer.get("/v1/webhook_events");
  return { event_id: json.data[0].id };
}

const jobId = async (overrides) => ({ job_id: (await market.job(overrides)).id });
const keyId = async () => ({ key_id: (await market.buyer.createKey()).id });
const endpointId = async () => ({ endpoint_id: (await market.buyer.createEndpoint()).id });

/* operationId → { ids?, body?, refused?: what replaces members of the body and is 422 (refusedIds: there) } */
const CASES = {
  createJob: async () => ({ refused: [{ deadline: PAST }, { min_duration_seconds: 2, max_duration_seconds: 1 }] }),
  cancelJob: async () => ({ ids: await jobId() }),
  rateJob: async () => ({ ids: { job_id: (await completedJob()).id } }),
  refreshFileUrl: async () => ({ ids: { file_id: (await market.files(await completedJob()))[0].id } }),
  signUp: async () => ({ refused: [{ email: "nobody" }] }),
  createApiKey: async () => ({ refused: [{ expires_at: PAST }, { expires_at: "soon" }] }),
  rotateApiKey: async () => ({ ids: await keyId() }),
  revokeApiKey: async () => ({ ids: await keyId() }),
  createWebhookEndpoint: async () => ({ refused: [{ url: "http://hooks.example.invalid/" }] }),
  rotateWebhookSecret: async () => ({ ids: await endpointId() }),
  replayWebhookEvents: async () => ({ ids: await endpointId(), refused: [{ until: PAST }] }),
  replayWebhookEvent: async () => ({ ids: await event() }),
  purchaseCredits: async () => ({}),
  joinWithInvite: async () => ({ body: await invitation(), refused: [{ email: "nobody" }] }),
  createWorkerSession: async () => ({ body: await member() }),
  /* Who holds a slot of the job is given it again, wherever he is: it asks of another job. */
  acceptJob: async () => ({ ids: await jobId({ location: PLACE }), body: HERE, refused: [{ lat: undefined }], refusedIds: await jobId({ location: PLACE }) }),
  flagJob: async () => ({ ids: await jobId() }),
  createUpload: async () => ({ ids: { reservation: (await market.worker.accept((await market.job()).id)).id } }),
  retrySubmission: async () => ({ ids: await retryable(), body: HERE, refused: [{ lat: undefined }] }),
  advanceTestClock: async () => ({}),
};

const asked = operations.filter((one) => one.method === "POST" && one["x-idempotent"]);

/* A request of the case with its key: send(changes) → the reply. */
function senderOf(one, { ids, body = one.bodySchema && BODIES[one.operationId] }) {
  const key = { "idempotency-key": randomUUID() };
  return ({ raw, members, query = "", credential, headers, ids: others = ids } = {}) => {
    const options = { headers: { ...key, ...headers } };
    if (one.bodySchema) options.raw = raw ?? JSON.stringify({ ...body, ...members });
    const [method, target, all] = requestFor(one, others, options);
    const client = credential === null ? server.client() : clientFor(one);
    return client.request(method, target + query, all);
  };
}

describe("a key that was used is refused", () => {
  it("in every operation that takes one", () => {
    assert.deepEqual(asked.map(({ operationId }) => operationId).sort(), Object.keys(CASES).sort());
  });

  for (const one of asked) {
    it(`after what is wrong with the request, before what is wrong with its object: ${one.operationId}`, async () => {
      const made = await CASES[one.operationId]();
      const send = senderOf(one, made);
      const first = await send();
      assert.ok(first.status >= 200 && first.status < 300 && !isReplay(first), first.text);

      const body = made.body ?? BODIES[one.operationId];
      const another = one.operationId === "createUpload" ? { headers: { "upload-length": "101" } }
                      : one.bodySchema ? { raw: `${JSON.stringify(body)} ` } : { query: "?other=1" };
      assertRefused(await send(another), 409, "idempotency_key_reused");
      if (one.credential) assertRefused(await send({ credential: null }), 401);
      if (one.bodySchema) {
        assertRefused(await send({ raw: "{" }), 400, "malformed_json");
        const [fault] = singleFaults(one.bodySchema, body);
        assertRefused(await send({ raw: JSON.stringify(fault.body) }), 422, fault.code);
      }
      for (const members of made.refused ?? []) assertRefused(await send({ members, ids: made.refusedIds }), 422);
      if (pathParameters(one).length > 0) assertRefused(await send({ ids: {} }), 409, "idempotency_key_reused");

      const again = await send();
      assert.equal(again.status, first.status, again.text);
      assert.ok(isReplay(again), "the first answer still stands");
    });
  }
});

describe("a key that was used is refused", () => {
  it("after the headers of an upload: a checksum of no form", async () => {
    const one = asked.find(({ operationId }) => operationId === "createUpload");
    const send = senderOf(one, await CASES.createUpload());
    assert.equal((await send()).status, 201);
    assertRefused(await send({ headers: { "upload-length": "101", "upload-checksum": "sha1 x" } }), 400, "checksum_malformed");
  });

  it("after a scope that the key which asks has not", async () => {
    const one = asked.find(({ operationId }) => operationId === "createApiKey");
    const manager = server.client((await market.buyer.createKey({ scopes: ["keys:manage", "jobs:read"] })).secret);
    const options = { headers: { "idempotency-key": randomUUID() } };
    assert.equal((await manager.post(one.path, BODIES.createApiKey, options)).status, 201);
    assertRefused(await manager.post(one.path, { ...BODIES.createApiKey, scopes: ["billing:write"] }, options), 403);
  });
});

describe("a request that is repeated after its time", () => {
  for (const [what, target, body] of [
    ["a job's deadline", "/v1/jobs", { ...BODIES.createJob, deadline: null }],
    ["an API key's end", "/v1/api_keys", { ...BODIES.createApiKey, expires_at: null }],
  ]) {
    it(`has the first answer, not a refusal: ${what}`, async () => {
      const { json } = await server.client().post("/test/clock/advance", { seconds: 1 });
      const member = Object.keys(body).at(-1);
      const send = (value) => market.buyer.post(target, { ...body, [member]: value }, options);
      const options = { headers: { "idempotency-key": randomUUID() } };
      const soon = new Date(Date.parse(json.now) + 60_000).toISOString();
      const first = await send(soon);
      assert.equal(first.status, 201, first.text);
      await server.advance(120);
      const again = await send(soon);
      assert.deepEqual([again.status, again.text, isReplay(again)], [201, first.text, true]);
      assertRefused(await send(PAST), 422, "in_past");
    });
  }
});
