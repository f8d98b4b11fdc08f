/* What a buyer thinks of a job's work, and a worker of a job. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertRefused, openMarket } from "../lib/market.mjs";
import { sample, withComment } from "../lib/samples.mjs";

let market;
before(async () => {
  market = await openMarket();
});
after(() => market?.stop());

async function completedJob() {
  const job = await market.job();
  const submission = await market.submitAndScore(job, withComment(sample("photo.jpg"), job.id));
  assert.equal(submission.status, "approved", submission.ai_reasoning);
  return job;
}

describe("rating a job", () => {
  const rate = (job, body, options) => market.buyer.post(`/v1/jobs/${job.id}/rate`, body, options);

  it("is shown by the job from then on", async () => {
    const job = await completedJob();
    const reply = await rate(job, { rating: 4, comment: "Good, but dark." });
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual([reply.json.rating, reply.json.rating_comment], [4, "Good, but dark."]);
    assert.deepEqual(await market.getJob(job), reply.json);
  });

  it("happens once, and again for the same request", async () => {
    const job = await completedJob();
    const options = { headers: { "idempotency-key": "rate-once" } };
    const first = await rate(job, { rating: 5 }, options);
    assert.equal(first.json.rating_comment, null);
    assert.equal((await rate(job, { rating: 5 }, options)).text, first.text);
    assertRefused(await rate(job, { rating: 1 }), 409, "already_rated");
    assert.equal((await market.getJob(job)).rating, 5);
  });

  it("is for completed jobs only", async () => {
    const open = await market.job(), cancelled = await market.job();
    await market.buyer.post(`/v1/jobs/${cancelled.id}/cancel`);
    for (const job of [open, cancelled]) assertRefused(await rate(job, { rating: 5 }), 409, "job_not_completed");
  });

  it("takes one to five and up to 1000 characters", async () => {
    const job = await completedJob();
    for (const body of [{}, { rating: 0 }, { rating: 6 }, { rating: 4.5 }, { rating: "5" }, { rating: 5, comment: "c".repeat(1001) }])
      assert.equal((await rate(job, body)).status, 422, JSON.stringify(body));
    assert.equal((await rate(job, { rating: 1, comment: "ü".repeat(1000) })).status, 200);
  });

  it("is one however many ask at once", async () => {
    const job = await completedJob();
    const replies = await Promise.all([1, 2, 3, 4, 5].map((rating) => rate(job, { rating })));
    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409, 409, 409, 409]);
    const won = replies.find(({ status }) => status === 200);
    assert.equal((await market.getJob(job)).rating, won.json.rating);
  });
});

describe("flagging a job", () => {
  const flag = (worker, job, body) => worker.post(`/worker/v1/jobs/${job.id}/flag`, body);

  it("is counted, and its reason shown to the buyer, not who gave it", async () => {
    const job = await market.job();
    const reply = await flag(market.worker, job, { reason: "It asks for faces." });
    assert.equal(reply.status, 201, reply.text);
    assert.deepEqual([reply.json.job_id, reply.json.reason], [job.id, "It asks for faces."]);
    assert.equal((await flag(await market.newWorker(), job, { reason: "Nonsense." })).status, 201);
    const now = await market.buyer.get(`/v1/jobs/${job.id}`);
    assert.deepEqual([now.json.flags_count, now.json.flag_reason, now.json.status], [2, "Nonsense.", "open"]);
    assert.ok(!/wkr_/.test(now.text));
  });

  it("happens once per worker and job", async () => {
    const job = await market.job();
    assert.equal((await flag(market.worker, job, { reason: "Odd." })).status, 201);
    assertRefused(await flag(market.worker, job, { reason: "Odd still." }), 409, "already_flagged");
    assert.equal((await market.getJob(job)).flag_reason, "Odd.");
    assert.equal((await flag(market.worker, await market.job(), { reason: "Odd." })).status, 201);
  });

  it("wants a reason of up to 500 characters", async () => {
    const job = await market.job();
    for (const body of [{}, { reason: "" }, { reason: 5 }, { reason: "r".repeat(501) }])
      assert.equal((await flag(market.worker, job, body)).status, 422, JSON.stringify(body));
    assert.equal((await flag(market.worker, job, { reason: "ü".repeat(500) })).status, 201);
  });
});
