/* Money, seen from outside: what is spent, held, paid, refunded and expired adds up to the cent,
 * whatever races, and however often the server is stopped between. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertRefused, Market, openMarket } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";

const PRICE = 37;
const PAYOUT = 30;
const YEAR_S = 366 * 24 * 60 * 60;

const cancel = (market, job) => market.buyer.post(`/v1/jobs/${job.id}/cancel`);

async function cancelled(market, job) {
  const reply = await cancel(market, job);
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.json.status, "cancelled");
  assert.ok(reply.json.cancelled_at);
  return reply.json;
}

describe("two keys racing for the last cent", () => {
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  it("one gets the job, the other 402, and nothing is overdrawn", async () => {
    const own = await Market.open(market.server, { credits: 100 });
    const other = market.server.client((await market.server.createKey({ org: own.org.organization_id })).secret);
    const body = { files_needed: 1, price_per_file_cents: 100 };
    for (let round = 0; round < 20; round++) {
      const replies = await Promise.all([own.buyer.postJob(body), other.postJob(body)]);
      assert.deepEqual(replies.map(({ status }) => status).sort(), [201, 402]);
      assert.deepEqual(await own.balance(), { balance: 0, held: 100 });
      await cancelled(own, replies.find(({ status }) => status === 201).json);
      assert.deepEqual(await own.balance(), { balance: 100, held: 0 });
    }
    assert.equal((await own.transactions()).length, 1 + 2 * 20);
  });

  it("of thirty at once as many succeed as can be paid for", async () => {
    const own = await Market.open(market.server, { credits: 1050 });
    const clients = Array.from({ length: 30 }, () => market.server.client(own.org.live_key));
    const replies = await Promise.all(clients.map((client) => client.postJob({ files_needed: 1, price_per_file_cents: 100 })));
    assert.equal(replies.filter(({ status }) => status === 201).length, 10);
    assert.equal(replies.filter(({ status }) => status === 402).length, 20);
    assert.deepEqual(await own.balance(), { balance: 50, held: 1000 });
    await own.transactions();
  });

  it("a cancel from both sides refunds once", async () => {
    const own = await Market.open(market.server, { credits: 500 });
    for (let round = 0; round < 5; round++) {
      const job = await own.job({ price_per_file_cents: 500 });
      const clients = Array.from({ length: 8 }, () => market.server.client(own.org.live_key));
      const replies = await Promise.all(clients.map((client) => client.post(`/v1/jobs/${job.id}/cancel`)));
      assert.equal(replies.filter(({ status }) => status === 200).length, 1);
      for (const reply of replies) if (reply.status !== 200) assertRefused(reply, 409, "job_not_cancellable");
      assert.deepEqual(await own.balance(), { balance: 500, held: 0 });
    }
  });
});

describe("cancelling", () => {
  const CREDITS = 10_000;
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  it("an untouched job refunds all of it", async () => {
    const own = await Market.open(market.server, { credits: CREDITS });
    const job = await own.job({ files_needed: 6, price_per_file_cents: PRICE });
    await cancelled(own, job);
    assert.deepEqual(await own.statement(), [["bonus", CREDITS, null], ["deduction", -6 * PRICE, job.id], ["refund", 6 * PRICE, job.id]]);
    assert.deepEqual(await own.balance(), { balance: CREDITS, held: 0 });
  });

  it("twice, or when it is completed, is refused", async () => {
    const own = await Market.open(market.server, { credits: CREDITS });
    const job = await own.job();
    await cancelled(own, job);
    assertRefused(await cancel(own, job), 409, "job_not_cancellable");
    const done = await own.job();
    await own.submitAndScore(done, sample("photo-2.jpg"));
    assertRefused(await cancel(own, done), 409, "job_not_cancellable");
    assert.deepEqual(await own.balance(), { balance: CREDITS - 50, held: 0 });
  });

  it("with nothing left to release writes no row", async () => {
    const own = await Market.open(market.server, { credits: CREDITS });
    const job = await own.job({ price_per_file_cents: PRICE });
    await market.server.restart({ tasks: "off" });
    own.reconnect();
    const sent = await own.submit(job, sample("photo-3.jpg"));
    await cancelled(own, job);
    assert.deepEqual(await own.statement(), [["bonus", CREDITS, null], ["deduction", -PRICE, job.id]]);
    assert.deepEqual(await own.balance(), { balance: CREDITS - PRICE, held: PRICE });
    await market.server.restart({ tasks: "on" });
    own.reconnect();
    assert.equal((await own.scored(sent)).status, "approved");
    assert.deepEqual(await own.balance(), { balance: CREDITS - PRICE, held: 0 });
  });

  it("releases what is neither approved nor pending; the pending is paid or refunded, once, when it is judged", async () => {
    const own = await Market.open(market.server, { credits: CREDITS });
    const job = await own.job({ files_needed: 8, price_per_file_cents: PRICE });
    for (const name of ["photo-2.jpg", "photo-3.jpg"]) await own.submitAndScore(job, sample(name));

    await market.server.restart({ tasks: "off" });
    own.reconnect();
    const good = await own.submit(job, sample("photo-4.jpg"));
    const blurred = await own.submit(job, sample("blurred.jpg"));
    const broken = await own.submit(job, sample("truncated.jpg"));
    const reservation = await own.worker.accept(job.id);
    const after = await cancelled(own, job);
    assert.deepEqual([after.files_approved, after.files_remaining], [2, 6]);
    const statement = [["bonus", CREDITS, null], ["deduction", -8 * PRICE, job.id], ["refund", 3 * PRICE, job.id]];
    assert.deepEqual(await own.statement(), statement);
    assert.deepEqual(await own.balance(), { balance: CREDITS - 5 * PRICE, held: 3 * PRICE });
    assertRefused(await own.worker.putFile(reservation.id, sample("photo-5.jpg")), 409, "job_closed");

    await market.server.restart({ tasks: "on" });
    own.reconnect();
    assert.equal((await own.scored(good)).status, "approved");
    const two = await own.scored(blurred);
    assert.deepEqual([two.status, two.ai_star_rating], ["rejected", 2]);
    assert.equal((await own.scored(broken)).status, "rejected");
    const settled = [...statement, ["refund", PRICE, job.id], ["refund", PRICE, job.id]];
    assert.deepEqual(await own.statement(), settled);
    assert.deepEqual(await own.balance(), { balance: CREDITS - 3 * PRICE, held: 0 });
    assert.equal((await own.earnings()).balance_cents, 3 * PAYOUT);

    const job2 = await own.getJob(job);
    assert.deepEqual([job2.status, job2.files_approved, job2.completed_at], ["cancelled", 3, null]);
    assert.equal((await own.files(job)).length, 3);
    assert.equal((await own.manifest(job, 3)).length, 3, "and delivered");
    assertRefused(await own.worker.post(`/worker/v1/submissions/${blurred.id}/retry`), 409, "job_closed");

    await market.server.restart();
    own.reconnect();
    await market.server.advance(3600);
    assert.deepEqual(await own.statement(), settled, "nothing comes twice");
  });

  it("a second try that is under way ends it, with its first stars", async () => {
    const own = await Market.open(market.server, { credits: CREDITS });
    const job = await own.job({ price_per_file_cents: PRICE });
    const submission = await own.submitAndScore(job, sample("blurred.jpg"));
    assert.equal((await own.worker.post(`/worker/v1/submissions/${submission.id}/retry`)).status, 201);
    await cancelled(own, job);
    const after = (await own.worker.get(`/worker/v1/submissions/${submission.id}`)).json;
    assert.deepEqual([after.status, after.ai_star_rating], ["rejected", 2]);
    assert.deepEqual(await own.balance(), { balance: CREDITS, held: 0 });
  });
});

describe("the platform's fee", () => {
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  const setFee = (own, fee) => own.buyer.patch("/v1/organization/settings", { default_platform_fee_pct: fee });

  for (const [fee, price, payout] of [
    [0, PRICE, PRICE], [0.5, PRICE, PRICE - 18], [0.125, PRICE, PRICE - 4], [0.2, 1, 1], [0.5, 1, 1], [0.000001, 99_999, 99_999], [0.333333, 100, 67],
  ])
    it(`of ${fee} leaves ${payout} of ${price} cents, and books exactly that`, async () => {
      const own = await Market.open(market.server, { credits: 100_000 });
      const set = await setFee(own, fee);
      assert.equal(set.status, 200, set.text);
      assert.equal(set.json.default_platform_fee_pct, fee);
      const job = await own.job({ price_per_file_cents: price });
      assert.deepEqual([job.platform_fee_pct, job.worker_payout_per_file_cents], [fee, payout]);
      const submission = await own.submitAndScore(job, sample("photo-8.jpg"));
      assert.equal(submission.payout_cents, payout);
      assert.equal((await own.earnings()).balance_cents, payout);
      assert.deepEqual(await own.balance(), { balance: 100_000 - price, held: 0 });
    });

  it("is frozen into the job when it is posted", async () => {
    const own = await Market.open(market.server, { credits: 10_000 });
    const job = await own.job({ price_per_file_cents: 100 });
    await setFee(own, 0.5);
    assert.equal((await own.getJob(job)).platform_fee_pct, 0.2);
    assert.equal((await own.submitAndScore(job, sample("photo-8.jpg"))).payout_cents, 80);
  });

  it("is the operator's when the setting is cleared", async () => {
    const own = await Market.open(market.server, { credits: 10_000 });
    await setFee(own, 0.5);
    assert.equal((await setFee(own, null)).json.default_platform_fee_pct, null);
    assert.equal((await own.job()).platform_fee_pct, 0.2);
  });

  it("above a half, or below nothing, is refused", async () => {
    for (const fee of [0.51, -0.01, 1]) assertRefused(await setFee(market, fee), 422);
  });

  it("cannot be changed where the operator locked it", async () => {
    await market.server.restart({ "platform-fee-locked": "on", "platform-fee": "0.3" });
    market.reconnect();
    for (const fee of [0, 0.1, 0.3]) assertRefused(await setFee(market, fee), 403, "platform_fee_locked");
    const other = await market.buyer.patch("/v1/organization/settings", { auto_top_up_threshold_cents: 500 });
    assert.equal(other.status, 200, other.text);
    assert.equal((await market.job()).platform_fee_pct, 0.3);
  });

  it("locked holds also for an organisation that had set its own", async () => {
    await market.server.restart({ "platform-fee-locked": "off", "platform-fee": "0.2" });
    market.reconnect();
    const own = await Market.open(market.server, { credits: 10_000 });
    await setFee(own, 0);
    await market.server.restart({ "platform-fee-locked": "on" });
    own.reconnect();
    assertRefused(await setFee(own, 0.1), 403);
    assert.equal((await own.buyer.get("/v1/organization/settings")).json.default_platform_fee_pct, 0);
  });
});

describe("credit expires", () => {
  it("after twelve months, with a row that says so", async () => {
    const market = await openMarket({}, { credits: 1000 });
    try {
      const [grant] = await market.transactions();
      const end = Date.parse(grant.expires_at);
      assert.equal(new Date(end).getUTCFullYear(), new Date(Date.parse(grant.created_at)).getUTCFullYear() + 1);
      const now = await market.server.advance(YEAR_S - 3 * 24 * 60 * 60);
      assert.ok(now < end);
      assert.deepEqual(await market.balance(), { balance: 1000, held: 0 });
      await market.server.advance(3 * 24 * 60 * 60);
      assert.deepEqual(await market.balance(), { balance: 0, held: 0 });
      assert.deepEqual(await market.statement(), [["bonus", 1000, null], ["expiration", -1000, null]]);
      assertRefused(await market.buyer.postJob(), 402);
    } finally {
      await market.stop();
    }
  });

  it("at its instant, also where no sweeper runs: it buys nothing", async () => {
    const market = await openMarket({ tasks: "off" }, { credits: 1000 });
    try {
      await market.server.advance(YEAR_S);
      assertRefused(await market.buyer.postJob({ files_needed: 1, price_per_file_cents: 1 }), 402);
    } finally {
      await market.stop();
    }
  });

  it("in escrow when it comes back: refund and expiration are both to be seen", async () => {
    const market = await openMarket({}, { credits: 1000 });
    try {
      const job = await market.job({ files_needed: 2, price_per_file_cents: 300 });
      await market.server.advance(YEAR_S);
      assert.deepEqual(await market.balance(), { balance: 0, held: 600 });
      const submission = await market.submitAndScore(job, sample("photo-2.jpg"));
      assert.equal(submission.status, "approved", "what is in escrow still pays");
      await cancelled(market, job);
      assert.deepEqual(await market.balance(), { balance: 0, held: 0 });
      assert.deepEqual(await market.statement(), [
        ["bonus", 1000, null], ["deduction", -600, job.id], ["expiration", -400, null],
        ["refund", 300, job.id], ["expiration", -300, null],
      ]);
      assert.equal((await market.earnings()).balance_cents, 240);
    } finally {
      await market.stop();
    }
  });
});

describe("the two environments", () => {
  it("have balances of their own", async () => {
    const market = await openMarket({}, { credits: 1000 });
    try {
      const test = market.server.client(market.org.test_key);
      const balance = async (client) => (await client.get("/v1/billing/credits")).json.balance_cents;
      assert.equal(await balance(test), 10_000_000);
      await test.createJob({ files_needed: 1, price_per_file_cents: 100 });
      assert.equal(await balance(test), 9_999_900);
      assert.equal(await balance(market.buyer), 1000);
      await market.job();
      assert.equal(await balance(test), 9_999_900);
    } finally {
      await market.stop();
    }
  });
});
