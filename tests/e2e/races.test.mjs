/* Many at once for the last of something: slots, cents, keys. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertRefused, codeOf, inParallel, Market, openMarket } from "../lib/market.mjs";

let market;
before(async () => {
  market = await openMarket();
});
after(() => market?.stop());

const accept = (worker, job) => worker.request("POST", `/worker/v1/jobs/${job.id}/accept`);
const count = (replies, status) => replies.filter((reply) => reply.status === status).length;

describe("200 workers for 20 slots", () => {
  const WORKERS = 200;
  const SLOTS = 20;
  let workers, job, replies;

  before(async () => {
    workers = await inParallel(new Array(WORKERS).fill(), 4, () => market.newWorker());
    job = await market.buyer.createJob({ files_needed: SLOTS });
    replies = await Promise.all(workers.map((worker) => accept(worker, job)));
  });

  it("get exactly 20 reservations, the others are told the job is full", () => {
    assert.equal(count(replies, 201), SLOTS);
    assert.equal(count(replies, 409), WORKERS - SLOTS);
    for (const reply of replies) if (reply.status === 409) assert.equal(codeOf(reply), "job_full");
    assert.equal(new Set(replies.filter(({ status }) => status === 201).map(({ json }) => json.id)).size, SLOTS);
  });

  it("who has one and asks again gets the same", async () => {
    const at = replies.findIndex(({ status }) => status === 201);
    const again = await Promise.all(Array.from({ length: 8 }, () => accept(workers[at], job)));
    for (const reply of again) {
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.json.id, replies[at].json.id);
    }
  });

  it("ten given back are ten taken again", async () => {
    const held = workers.filter((_, at) => replies[at].status === 201).slice(0, 10);
    const idle = workers.filter((_, at) => replies[at].status === 409);
    await Promise.all(held.map(async (worker) => {
      const { id } = replies[workers.indexOf(worker)].json;
      const reply = await worker.delete(`/worker/v1/reservations/${id}`);
      assert.equal(reply.status, 204, reply.text);
    }));
    const second = await Promise.all(idle.map((worker) => accept(worker, job)));
    assert.equal(count(second, 201), 10);
    assert.equal(count(second, 409), idle.length - 10);
  });

  it("lapsed ones are free at once", async () => {
    await market.server.advance(30 * 60 + 1);
    const seen = await workers[0].get(`/worker/v1/jobs/${job.id}`);
    assert.equal(seen.json.slots_open, SLOTS);
    const third = await Promise.all(workers.map((worker) => accept(worker, job)));
    assert.equal(count(third, 201), SLOTS);
  });
});

describe("two keys for the last cents", () => {
  it("one posts, the other is refused, whatever the order", async () => {
    for (let round = 0; round < 10; round++) {
      const own = await Market.open(market.server, { credits: 500 });
      const { secret } = await own.buyer.createKey({ scopes: ["jobs:write"] });
      const asked = { files_needed: 10, price_per_file_cents: 50 };
      const replies = await Promise.all([own.buyer, market.server.client(secret)].map((buyer) => buyer.postJob(asked)));
      assert.deepEqual(replies.map(({ status }) => status).sort(), [201, 402]);
      assertRefused(replies.find(({ status }) => status === 402), 402, "insufficient_credits");
      assert.deepEqual(await own.balance(), { balance: 0, held: 500 });
      assert.equal((await own.transactions()).length, 2);
    }
  });
});

describe("cancel and accept at once", () => {
  it("leave no reservation on a cancelled job, and every cent accounted for", async () => {
    const own = await Market.open(market.server, { credits: 1000 });
    const workers = await inParallel(new Array(10).fill(), 4, () => market.newWorker());
    const job = await own.buyer.createJob({ files_needed: 10, price_per_file_cents: 100 });
    const [cancelled, ...accepted] = await Promise.all([
      own.buyer.post(`/v1/jobs/${job.id}/cancel`),
      ...workers.map((worker) => accept(worker, job)),
    ]);
    assert.equal(cancelled.status, 200, cancelled.text);
    for (const reply of accepted) if (reply.status !== 201) assertRefused(reply, 409, "job_closed");
    for (const worker of workers) assert.deepEqual(await worker.all("/worker/v1/reservations"), []);
    assert.deepEqual(await own.balance(), { balance: 1000, held: 0 });
    assert.deepEqual((await own.statement()).slice(1), [["deduction", -1000, job.id], ["refund", 1000, job.id]]);
  });
});
