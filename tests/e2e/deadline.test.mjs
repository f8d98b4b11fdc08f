/* A deadline acts at its instant, whether or not anybody has written it down. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertRefused, openMarket } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { Tus } from "../lib/tus.mjs";

const HOUR_S = 3600;
const accept = (worker, job) => worker.post(`/worker/v1/jobs/${job.id}/accept`);

async function jobWithDeadline(market, overrides = {}) {
  const now = await market.server.advance(1);
  return market.job({ files_needed: 3, deadline: new Date(now + HOUR_S * 1000).toISOString(), ...overrides });
}

describe("past its deadline, with nobody sweeping, a job", () => {
  const bytes = sample("photo.jpg"), half = bytes.length >> 1;
  let market, job, reservation, sender, upload;
  before(async () => {
    market = await openMarket({ tasks: "off" });
    job = await jobWithDeadline(market);
    await market.server.advance(HOUR_S - 60);
    reservation = await market.worker.accept(job.id);
    sender = new Tus(await market.newWorker());
    upload = await sender.begin((await sender.client.accept(job.id)).id, bytes.length);
    assert.equal((await sender.patch(upload, 0, bytes.subarray(0, half))).status, 204);
    await market.server.advance(61);
  });
  after(() => market?.stop());

  it("held no reservation beyond it", () => {
    assert.equal(reservation.expires_at, job.deadline);
  });

  it("is accepted and delivered no more", async () => {
    assertRefused(await accept(market.worker, job), 409, "job_closed");
    assertRefused(await accept(await market.newWorker(), job), 409, "job_closed");
    assertRefused(await market.worker.putFile(reservation.id, sample("photo.jpg")), 409, "job_closed");
  });

  it("takes no file whose upload began before", async () => {
    assertRefused(await sender.patch(upload, half, bytes.subarray(half)), 409, "job_closed");
  });

  it("is closed to workers and in no feed", async () => {
    const { json } = await market.worker.get(`/worker/v1/jobs/${job.id}`);
    assert.deepEqual([json.status, json.slots_open, json.may_accept, json.may_not_reason], ["cancelled", 0, false, "job_closed"]);
    for (const sort of ["newest", "best_paid"])
      assert.deepEqual(await market.worker.all(`/worker/v1/jobs?sort=${sort}`), []);
  });

  it("is cancelled since then, for every reader", async () => {
    const now = await market.getJob(job);
    assert.deepEqual([now.status, now.cancelled_at], ["cancelled", job.deadline]);
    assert.deepEqual((await market.buyer.all("/v1/jobs?status=open")).map(({ id }) => id), []);
    assert.deepEqual((await market.buyer.all("/v1/jobs?status=cancelled")).map(({ id }) => id), [job.id]);
    assertRefused(await market.buyer.post(`/v1/jobs/${job.id}/cancel`), 409, "job_not_cancellable");
  });

  it("has its credit back once somebody sweeps, and reads the same", async () => {
    const before = await market.getJob(job);
    assert.deepEqual(await market.balance(), { balance: 100_000 - 150, held: 150 });
    await market.server.restart({ tasks: "on" });
    market.reconnect();
    await market.server.advance(1);
    assert.deepEqual(await market.balance(), { balance: 100_000, held: 0 });
    assert.deepEqual(await market.getJob(job), before);
    assert.deepEqual((await market.statement()).slice(-2), [["deduction", -150, job.id], ["refund", 150, job.id]]);
    assert.deepEqual(await market.worker.all("/worker/v1/reservations"), []);
  });
});

describe("a job that reaches its deadline", () => {
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  it("keeps what was approved and refunds the rest", async () => {
    const job = await jobWithDeadline(market);
    const submission = await market.submitAndScore(job, sample("photo.jpg"));
    assert.equal(submission.status, "approved");
    const { balance } = await market.balance();
    await market.server.advance(HOUR_S);
    const now = await market.getJob(job);
    assert.deepEqual([now.status, now.files_approved, now.completed_at, now.cancelled_at], ["cancelled", 1, null, job.deadline]);
    assert.deepEqual(await market.balance(), { balance: balance + 100, held: 0 });
    assert.equal((await market.files(job)).length, 1);
  });

  it("is left alone when it was completed before", async () => {
    const job = await jobWithDeadline(market, { files_needed: 1 });
    const { status } = await market.submitAndScore(job, sample("photo.jpg"));
    assert.equal(status, "approved");
    await market.server.advance(HOUR_S);
    assert.equal((await market.getJob(job)).status, "completed");
  });

  it("comes back as it was to the request that made it", async () => {
    const now = await market.server.advance(1);
    const asked = { deadline: new Date(now + HOUR_S * 1000).toISOString() };
    const first = await market.buyer.postJob(asked, { idempotencyKey: "past" });
    await market.server.advance(HOUR_S);
    const again = await market.buyer.postJob(asked, { idempotencyKey: "past" });
    assert.deepEqual([again.status, again.text], [201, first.text]);
  });

  it("by the thousand is cancelled to the last", async () => {
    const jobs = 450; /* more than two commits of the sweeper */
    const now = await market.server.advance(1);
    const deadline = new Date(now + HOUR_S * 1000).toISOString();
    for (let i = 0; i < jobs; i += 50)
      await Promise.all(Array.from({ length: 50 }, () => market.job({ deadline })));
    await market.server.advance(HOUR_S);
    assert.deepEqual(await market.buyer.all("/v1/jobs?status=open"), []);
    assert.equal((await market.balance()).held, 0);
  });
});
