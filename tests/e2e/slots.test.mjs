/* Slots: approved, pending and reserved together never exceed what a job needs, and a slot that is
 * given up is free at once. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertRefused, inParallel, openMarket, until } from "../lib/market.mjs";
import { sample, withComment } from "../lib/samples.mjs";
import { Tus } from "../lib/tus.mjs";

const MINUTE = 60;
const TTL_S = 30 * MINUTE;

const accept = (worker, job) => worker.post(`/worker/v1/jobs/${job.id}/accept`);
const look = async (worker, job) => (await worker.get(`/worker/v1/jobs/${job.id}`)).json;
const held = (worker) => worker.all("/worker/v1/reservations");

describe("200 workers racing for 20 slots", () => {
  const SLOTS = 20;
  let market, job, workers;
  before(async () => {
    market = await openMarket();
    job = await market.job({ files_needed: SLOTS });
    workers = await inParallel(Array(200).fill(), 6, () => market.newWorker());
  });
  after(() => market?.stop());

  async function race(expected) {
    const replies = await Promise.all(workers.map((worker) => accept(worker, job)));
    const won = replies.filter(({ status }) => status === 201);
    assert.equal(won.length, expected);
    for (const reply of replies)
      if (![200, 201].includes(reply.status)) assertRefused(reply, 409, "job_full");
    assert.equal(new Set(won.map(({ json }) => json.id)).size, expected);
    return replies;
  }

  it("get exactly 20", async () => {
    await race(SLOTS);
    assert.equal((await look(market.worker, job)).slots_open, 0);
    await market.server.audit();
  });

  it("get exactly as many as were given back", async () => {
    const holders = (await inParallel(workers, 8, async (worker) => ({ worker, rows: await held(worker) })))
      .filter(({ rows }) => rows.length > 0);
    assert.equal(holders.length, SLOTS);
    for (const { worker, rows } of holders.slice(0, 7))
      assert.equal((await worker.delete(`/worker/v1/reservations/${rows[0].id}`)).status, 204);
    assert.equal((await look(market.worker, job)).slots_open, 7);
    const replies = await race(7);
    assert.equal(replies.filter(({ status }) => status === 200).length, SLOTS - 7, "the others hold theirs still");
  });

  it("and again 20 when all have lapsed", async () => {
    await market.server.advance(TTL_S + 1);
    await race(SLOTS);
  });
});

/* No sweeper runs here: time itself must free the slot. */
describe("a reservation lapses at its instant", () => {
  let market, other;
  before(async () => {
    market = await openMarket({ tasks: "off" });
    other = await market.newWorker();
  });
  after(() => market?.stop());

  it("and not before", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    const before = await market.server.advance(TTL_S - MINUTE);
    assert.ok(before < Date.parse(reservation.expires_at));
    assertRefused(await accept(other, job), 409, "job_full");
    assert.deepEqual((await held(market.worker)).map(({ id }) => id), [reservation.id]);
    await market.server.advance(MINUTE);
    assert.deepEqual(await held(market.worker), []);
    assert.equal((await look(other, job)).slots_open, 1);
    assert.equal((await accept(other, job)).status, 201);
  });

  it("and its holder may take it again, as a new one", async () => {
    const job = await market.job();
    const first = await market.worker.accept(job.id);
    await market.server.advance(TTL_S + 1);
    const second = await accept(market.worker, job);
    assert.equal(second.status, 201, second.text);
    assert.notEqual(second.json.id, first.id);
    assert.notEqual(second.json.submission_id, first.submission_id);
  });

  it("a file that comes later takes a free slot", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    await market.server.advance(TTL_S + 1);
    const reply = await market.worker.putFile(reservation.id, sample("photo-2.jpg"));
    assert.equal(reply.status, 201, reply.text);
    assert.equal((await look(other, job)).slots_open, 0);
  });

  it("a file that comes later and finds no slot is refused", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    await market.server.advance(TTL_S + 1);
    assert.equal((await accept(other, job)).status, 201);
    assertRefused(await market.worker.putFile(reservation.id, sample("photo-2.jpg")), 409, "reservation_expired");
  });
});

describe("giving a slot back", () => {
  let market, other;
  before(async () => {
    market = await openMarket();
    other = await market.newWorker();
  });
  after(() => market?.stop());

  it("frees it at once, and twice is once", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    for (let i = 0; i < 2; i++) {
      assert.equal((await market.worker.delete(`/worker/v1/reservations/${reservation.id}`)).status, 204);
      assert.equal((await look(other, job)).slots_open, 1);
    }
    assert.equal((await accept(other, job)).status, 201);
  });

  it("is not possible once its file is there", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    const sent = await market.worker.putFile(reservation.id, sample("photo-2.jpg"));
    assert.equal(sent.status, 201, sent.text);
    assertRefused(await market.worker.delete(`/worker/v1/reservations/${reservation.id}`), 409, "reservation_used");
    await market.scored(sent.json);
  });

  it("is done for all of them when the job is cancelled", async () => {
    const job = await market.job({ files_needed: 2 });
    const reservation = await market.worker.accept(job.id);
    await market.buyer.post(`/v1/jobs/${job.id}/cancel`);
    assert.ok(!(await held(market.worker)).some(({ id }) => id === reservation.id));
    assertRefused(await market.worker.putFile(reservation.id, sample("photo-2.jpg")), 409, "job_closed");
    assertRefused(await accept(other, job), 409, "job_closed");
  });
});

describe("accepting", () => {
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  it("twice gives the same reservation", async () => {
    const job = await market.job({ files_needed: 5 });
    const first = await accept(market.worker, job);
    const second = await accept(market.worker, job);
    assert.deepEqual([first.status, second.status], [201, 200]);
    assert.deepEqual(second.json, first.json);
    assert.equal((await look(market.worker, job)).slots_open, 4);
  });

  it("at once from many connections gives one reservation", async () => {
    const job = await market.job({ files_needed: 5 });
    const clients = Array.from({ length: 16 }, () => market.server.client(market.worker.token));
    const replies = await Promise.all(clients.map((client) => accept(client, job)));
    assert.equal(replies.filter(({ status }) => status === 201).length, 1);
    assert.equal(new Set(replies.map(({ json }) => json.id)).size, 1);
  });

  it("again after the upload gives another, while slots last", async () => {
    const job = await market.job({ files_needed: 2 });
    for (const name of ["photo-2.jpg", "photo-3.jpg"]) await market.submit(job, sample(name));
    const third = await accept(market.worker, job);
    assert.equal(third.status, 409, "both slots are taken by files waiting for their stars, or used up");
  });

  it("a rejected file's slot is another's", async () => {
    const job = await market.job();
    await market.submitAndScore(job, sample("blurred.jpg"));
    assert.equal((await accept(await market.newWorker(), job)).status, 201);
  });

  it("is not possible for a job of the test environment", async () => {
    const job = await market.server.client(market.org.test_key).createJob();
    assertRefused(await accept(market.worker, job), 404);
    assertRefused(await market.worker.get(`/worker/v1/jobs/${job.id}`), 404);
  });
});

describe("the feed", () => {
  let market, other;
  before(async () => {
    market = await openMarket({ tasks: "off" });
    other = await market.newWorker();
  });
  after(() => market?.stop());

  const feedOf = async (worker, sort) => (await worker.all(`/worker/v1/jobs?sort=${sort}`, { limit: 2 })).map(({ id }) => id);
  const shows = async (worker, job) => {
    const [newest, best] = [await feedOf(worker, "newest"), await feedOf(worker, "best_paid")];
    assert.deepEqual([...newest].sort(), [...best].sort(), "both orders show the same");
    return newest.includes(job.id);
  };

  it("leaves out what is full, but for whoever holds one of its slots", async () => {
    const job = await market.job();
    assert.equal(await shows(other, job), true);
    const reservation = await market.worker.accept(job.id);
    assert.equal(await shows(other, job), false);
    assert.equal(await shows(market.worker, job), true);
    const sent = await market.worker.putFile(reservation.id, sample("photo-2.jpg"));
    assert.equal(sent.status, 201, sent.text);
    assert.equal(await shows(market.worker, job), false, "the file waits for its stars");
  });

  it("has it again when a slot is given back, or has lapsed", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    await market.worker.delete(`/worker/v1/reservations/${reservation.id}`);
    assert.equal(await shows(other, job), true);
    await market.worker.accept(job.id);
    assert.equal(await shows(other, job), false);
    await market.server.advance(TTL_S + 1);
    assert.equal(await shows(other, job), true, "with nobody sweeping");
  });

  it("leaves out what takes no more of this worker", async () => {
    const job = await market.job({ files_needed: 3, max_files_per_worker: 1 });
    const reservation = await market.worker.accept(job.id);
    assert.equal(await shows(market.worker, job), true, "he holds it");
    const sent = await market.worker.putFile(reservation.id, sample("photo-3.jpg"));
    assert.equal(sent.status, 201, sent.text);
    assert.equal(await shows(market.worker, job), false);
    assert.equal(await shows(other, job), true);
  });

  it("goes on behind what it leaves out, in either order", async () => {
    const worker = await market.newWorker();
    const jobs = [];
    for (let i = 0; i < 9; i++) jobs.push(await market.job({ price_per_file_cents: 500 + (i % 4) }));
    for (const job of jobs.filter((_, i) => i % 3 !== 0)) await other.accept(job.id);
    for (const sort of ["newest", "best_paid"]) {
      const mine = new Set(jobs.map(({ id }) => id));
      const shown = (await feedOf(worker, sort)).filter((id) => mine.has(id));
      assert.deepEqual([...shown].sort(), [jobs[0], jobs[3], jobs[6]].map(({ id }) => id).sort(), sort);
    }
  });
});

describe("progress renews a reservation", () => {
  const MAX_S = 75 * MINUTE;
  let market;
  before(async () => {
    market = await openMarket({ "reservation-max": "75m" });
  });
  after(() => market?.stop());

  const expiry = async () => Date.parse((await held(market.worker))[0]?.expires_at);
  /* The renewal is a commit of its own, which the upload's reply does not wait for. */
  const expiryAtLeast = (ms) => until("the reservation is renewed", async () => (await expiry()) >= ms);

  it("to the full time, at most once a minute, and never beyond the maximum", async () => {
    const bytes = sample("photo-2.jpg");
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    const accepted = Date.parse(reservation.expires_at) - TTL_S * 1000;
    const tus = new Tus(market.worker);
    const created = await tus.create(reservation.id, { length: bytes.length });
    assert.equal(created.status, 201, created.text);
    const target = new URL(created.headers.location, market.server.base).pathname;
    let offset = 0;
    const send = async (length) => {
      const reply = await market.worker.request("PATCH", target, {
        raw: bytes.subarray(offset, offset + length),
        headers: { "tus-resumable": "1.0.0", "upload-offset": String(offset), "content-type": "application/offset+octet-stream" },
      });
      assert.equal(reply.status, 204, reply.text);
      offset += length;
    };

    await send(1000);
    assert.equal(await expiry(), accepted + TTL_S * 1000, "the first minute changes nothing");

    const later = await market.server.advance(25 * MINUTE);
    await send(1000);
    await expiryAtLeast(later + TTL_S * 1000);
    const renewed = await expiry();

    await market.server.advance(5);
    await send(1000);
    assert.equal(await expiry(), renewed, "not again within the minute");

    await market.server.advance(25 * MINUTE);
    await send(1000);
    await expiryAtLeast(accepted + MAX_S * 1000);
    assert.equal(await expiry(), accepted + MAX_S * 1000, "no further than the maximum");

    await market.server.advance(20 * MINUTE);
    await send(1000);
    assert.equal(await expiry(), accepted + MAX_S * 1000);
    await market.server.advance(5 * MINUTE);
    assert.deepEqual(await held(market.worker), [], "and then it ends");
  });
});

describe("a worker's caps", () => {
  const DAILY = 6; /* above the five reservations: held ones count */
  let market;
  before(async () => {
    market = await openMarket({ "worker-reservations-max": null, "worker-submissions-per-day": DAILY });
  });
  after(() => market?.stop());

  const other = (n) => withComment(sample("photo-8.jpg"), `picture ${n}`);

  it("five live reservations", async () => {
    const jobs = [];
    for (let i = 0; i < 6; i++) jobs.push(await market.job());
    for (const job of jobs.slice(0, 5)) await market.worker.accept(job.id);
    assertRefused(await accept(market.worker, jobs[5]), 409, "worker_capped");
    const seen = await look(market.worker, jobs[5]);
    assert.deepEqual([seen.may_accept, seen.may_not_reason, seen.slots_open], [false, "worker_capped", 1]);
    const [newest] = await held(market.worker);
    await market.worker.delete(`/worker/v1/reservations/${newest.id}`);
    assert.equal((await accept(market.worker, jobs[5])).status, 201, "one given back is one to take");
    for (const row of await held(market.worker)) await market.worker.delete(`/worker/v1/reservations/${row.id}`);
  });

  it("lapsed ones do not count", async () => {
    const worker = await market.newWorker();
    for (let i = 0; i < 5; i++) await worker.accept((await market.job()).id);
    await market.server.advance(TTL_S + 1);
    assert.equal((await accept(worker, await market.job())).status, 201);
  });

  it("so many files in 24 hours", async () => {
    const worker = await market.newWorker();
    const job = await market.job({ files_needed: 10 });
    for (let n = 0; n < DAILY; n++) await market.submitAndScore(job, other(n), { worker });
    assertRefused(await accept(worker, job), 409, "worker_capped");
    assert.equal((await accept(await market.newWorker(), job)).status, 201, "another's day is his own");
    await market.server.advance(24 * 60 * MINUTE - 10 * MINUTE);
    assertRefused(await accept(worker, job), 409, "worker_capped");
    await market.server.advance(11 * MINUTE);
    assert.equal((await accept(worker, job)).status, 201);
  });

  it("max_files_per_worker of the job", async () => {
    const worker = await market.newWorker();
    const job = await market.job({ files_needed: 10, max_files_per_worker: 2 });
    await market.submitAndScore(job, other("first"), { worker });
    await market.submitAndScore(job, other("second"), { worker });
    assertRefused(await accept(worker, job), 409, "worker_capped");
    assert.equal((await accept(await market.newWorker(), job)).status, 201);
  });

  it("max_files_per_worker does not count what was rejected", async () => {
    const worker = await market.newWorker();
    const job = await market.job({ files_needed: 10, max_files_per_worker: 1 });
    await market.submitAndScore(job, sample("blurred.jpg"), { worker });
    await market.submitAndScore(job, other("good"), { worker });
    assertRefused(await accept(worker, job), 409, "worker_capped");
  });
});
