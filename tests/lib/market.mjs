/* A server with a buyer and workers on it, and the steps that most tests take. */
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { start } from "./server.mjs";

const SCORE_MS_MAX = 120_000;

/* Ask until the answer is truthy, and yield it. what: for the message when it never is. */
export async function until(what, ask, { msMax = SCORE_MS_MAX, everyMs = 25 } = {}) {
  const endMs = performance.now() + msMax;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(performance.now() < endMs, `this should have come true: ${what}`);
    await pause(everyMs);
  }
}

/* The code of a refusal's first detail, or its whole text when it has none. */
export function codeOf(reply) {
  return reply.json?.error?.details?.[0]?.code ?? reply.text;
}

export function assertRefused(reply, status, code) {
  assert.equal(reply.status, status, reply.text);
  if (code) assert.equal(codeOf(reply), code);
}

/* Run fn over items, so many at a time; yields the results in order. */
export async function inParallel(items, width, fn) {
  const results = new Array(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await fn(items[at], at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}

export class Market {
  constructor(server) {
    this.server = server;
  }

  async #fill(credits) {
    this.org = await this.server.createOrg({ credits });
    this.buyer = this.server.client(this.org.live_key);
    this.worker = await this.newWorker();
  }

  static async open(server, { credits = 100_000 } = {}) {
    const market = new Market(server);
    await market.#fill(credits);
    return market;
  }

  async newWorker() {
    return this.server.client((await this.server.createWorker()).token);
  }

  stop() {
    return this.server.stop();
  }

  /* Clients of a server that was started again. */
  reconnect() {
    this.buyer = this.server.client(this.buyer.token);
    this.worker = this.server.client(this.worker.token);
  }

  job(overrides = {}) {
    return this.buyer.createJob({ files_needed: 1, accepted_formats: ["image/jpeg"], ...overrides });
  }

  /* Take a slot and send the file. → the submission */
  async submit(job, bytes, { worker = this.worker, headers } = {}) {
    const reservation = await worker.accept(job.id);
    const reply = await worker.putFile(reservation.id, bytes, { headers });
    assert.equal(reply.status, 201, reply.text);
    assert.equal(reply.json.id, reservation.submission_id);
    return reply.json;
  }

  /* The submission once it has its stars. */
  scored(submission, { worker = this.worker } = {}) {
    return until(`${submission.id} is scored`, async () => {
      const reply = await worker.get(`/worker/v1/submissions/${submission.id}`);
      assert.equal(reply.status, 200, reply.text);
      return reply.json.status !== "pending_score" && reply.json;
    });
  }

  async submitAndScore(job, bytes, options = {}) {
    return this.scored(await this.submit(job, bytes, options), options);
  }

  async getJob(job) {
    const reply = await this.buyer.get(`/v1/jobs/${job.id}`);
    assert.equal(reply.status, 200, reply.text);
    return reply.json;
  }

  files(job) {
    return this.buyer.all(`/v1/jobs/${job.id}/files`);
  }

  async balance() {
    const reply = await this.buyer.get("/v1/billing/credits");
    assert.equal(reply.status, 200, reply.text);
    const { balance_cents, held_cents, total_cents } = reply.json;
    assert.equal(total_cents, balance_cents + held_cents);
    return { balance: balance_cents, held: held_cents };
  }

  /* The transactions, oldest first, checked to chain and to end at the balance. */
  async transactions() {
    const rows = (await this.buyer.all("/v1/billing/transactions")).reverse();
    let running = 0;
    for (const row of rows) {
      running += row.amount_cents;
      assert.equal(row.running_balance_cents, running, `${row.id} does not chain`);
      assert.ok(running >= 0, `${row.id} overdraws`);
    }
    assert.equal((await this.balance()).balance, running, "the newest ends at the balance");
    return rows;
  }

  /* The same in short: [type, amount, job id or null]. */
  async statement() {
    return (await this.transactions()).map(({ type, amount_cents, job_id }) => [type, amount_cents, job_id]);
  }

  async earnings(worker = this.worker) {
    const reply = await worker.get("/worker/v1/earnings?limit=100");
    assert.equal(reply.status, 200, reply.text);
    return reply.json;
  }

  deliveredFolder(job) {
    return join(this.server.dataDir, "delivered", this.org.organization_id, job.id);
  }

  /* The lines of the job's manifest, once it has as many as expected. */
  manifest(job, count) {
    return until(`the manifest of ${job.id} has ${count} lines`, async () => {
      const text = await readFile(join(this.deliveredFolder(job), "manifest.jsonl"), "utf8").catch(() => "");
      const lines = text.split("\n");
      return text.endsWith("\n") && lines.length - 1 >= count && lines.slice(0, -1).map((one) => JSON.parse(one));
    });
  }

  /* A delivered file: its bytes, and its mode in octal. */
  async delivered(job, name) {
    const path = join(this.deliveredFolder(job), name);
    return { bytes: await readFile(path), mode: ((await stat(path)).mode & 0o7777).toString(8) };
  }
}

/* What tests of the market run with: no limits but those under test. */
const SETTINGS = Object.freeze({
  "rate-limit-per-minute": 0,
  "auth-failures-per-minute": 0,
  "worker-reservations-max": 10_000,
  "worker-submissions-per-day": 0,
});

/* settings: as of serve; null leaves one out. → a Market */
export async function openMarket(settings = {}, options = {}) {
  const all = Object.entries({ ...SETTINGS, ...settings }).filter(([, value]) => value !== null);
  const server = await start(Object.fromEntries(all));
  try {
    return await Market.open(server, options);
  } catch (e) {
    await server.stop();
    throw e;
  }
}
