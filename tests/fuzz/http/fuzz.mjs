/* The HTTP fuzzer: mutated requests against a running server. Case number N of a seed draws the same
 * chances in every run; only the ids in it are the server's own. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { Random } from "../../lib/random.mjs";
import { REPOSITORY } from "../../lib/contract.mjs";
import { until } from "../../lib/market.mjs";
import { pngImage } from "../../lib/media.mjs";
import { readRequests } from "../../lib/raw-http.mjs";
import { start } from "../../lib/server.mjs";
import { judge } from "./judge.mjs";
import { mutateBytes, mutateRequest } from "./mutate.mjs";
import { exchange } from "./wire.mjs";
import { World, written } from "./world.mjs";

const SEEDS_FOLDER = `${REPOSITORY}tests/fuzz/corpus/http`;
const SANITIZER = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|CHECK failed/;
const GROWTH_BYTES_MAX = 256 << 20;
const WARM_CASES = 500;
const SHOWN_BYTES_MAX = 2000;

const SETTINGS = Object.freeze({
  "rate-limit-per-minute": 0,
  "auth-failures-per-minute": 0,
  "worker-reservations-max": 10_000,
  "worker-submissions-per-day": 0,
  "idle-timeout": "20s",
});

/* Requests written by hand, one file each: name → text with {{placeholders}}. */
export function seeds() {
  return new Map(readdirSync(SEEDS_FOLDER).sort().map((name) => [name, readFileSync(`${SEEDS_FOLDER}/${name}`, "latin1")]));
}

/* --- the server --- */

/* One approved file, so that there is a link to download. */
async function addFile(server, buyer, token) {
  const job = await buyer.createJob({ accepted_formats: ["image/png"], min_star_rating: 1 });
  const worker = server.client(token);
  const reservation = await worker.accept(job.id);
  assert.equal((await worker.putFile(reservation.id, pngImage())).status, 201);
  return until("the file is approved", async () => {
    const reply = await buyer.get(`/v1/jobs/${job.id}/files`);
    return reply.json.data.length > 0 && { body: reply.bytes, headers: {} };
  });
}

async function newWorld(server) {
  const org = await server.createOrg({ credits: 1_000_000_000_000 });
  const { token } = await server.createWorker();
  const { token: spareToken } = await server.createWorker();
  const { key_id: spareKeyId } = await server.createKey({ org: org.organization_id });
  const world = new World({ key: org.live_key, token, spareToken, spareKeyId });
  world.learn(await addFile(server, server.client(org.live_key), token));
  return world;
}

function residentBytes(server) {
  const status = readFileSync(`/proc/${server.child.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}

const shown = (bytes) => JSON.stringify(bytes.toString("latin1", 0, SHOWN_BYTES_MAX)) + (bytes.length > SHOWN_BYTES_MAX ? ` … ${bytes.length} bytes` : "");

export class Target {
  /* A server with what its fuzzer knows. Freed memory is kept back little, so that growth shows. */
  static async open() {
    const target = new Target();
    target.ends = {};
    const before = process.env.ASAN_OPTIONS;
    process.env.ASAN_OPTIONS = `${before ? `${before}:` : ""}quarantine_size_mb=8`;
    try {
      target.server = await start(SETTINGS);
    } finally {
      if (before === undefined) delete process.env.ASAN_OPTIONS;
      else process.env.ASAN_OPTIONS = before;
    }
    target.world = await newWorld(target.server);
    target.port = Number(new URL(target.server.base).port);
    const bystander = await target.server.createOrg();
    target.witness = target.server.client(bystander.test_key); /* workers see nothing of it, and simulated ones have nothing to do */
    target.witnessed = await target.witness.createJob({ title: "untouched", files_needed: 1, metadata: { sandbox_scenario: "stall" } });
    return target;
  }

  /* A client that does nothing wrong is served as ever. */
  async assertServes() {
    const reply = await this.witness.get(`/v1/jobs/${this.witnessed.id}`);
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(reply.json, this.witnessed);
  }

  /* Nothing in the log tells of a fault, and every line is one of its own. Forgets them. */
  assertNoFaultLogged() {
    const lines = this.server.logLines.splice(0);
    for (const line of lines) {
      assert.doesNotMatch(line, SANITIZER);
      assert.doesNotThrow(() => JSON.parse(line), `not a line of the log: ${line}`);
    }
    assert.equal(this.server.child.exitCode, null, lines.slice(-50).join("\n"));
  }

  /* Sends bytes and judges what comes back. → the replies */
  async send(bytes, random) {
    const model = readRequests(bytes);
    this.ends[model.end] = (this.ends[model.end] ?? 0) + 1;
    const outcome = await exchange(this.port, bytes, model, random);
    try {
      const replies = judge(model, outcome);
      replies.forEach((reply) => reply.status < 300 && this.world.learn(reply));
      return replies;
    } catch (e) {
      e.message += `\nread as ${model.requests.length} requests, then ${model.end}; sent:\n${shown(bytes)}\ngot:\n${shown(outcome.received)}`;
      throw e;
    }
  }

  /* SIGTERM, exit 0, leaks, and an audit. */
  stop() {
    return this.server.stop();
  }
}

/* --- cases --- */

function drawOne(world, texts, random) {
  if (random.chance(0.12)) return Buffer.from(world.filled(random.of(texts), random), "latin1");
  const request = world.request(random);
  return written(random.chance(0.55) ? mutateRequest(request, random) : request);
}

/* The bytes of a case: one request or some in a row. */
function drawCase(world, texts, random) {
  const parts = Array.from({ length: random.of([1, 1, 1, 2, 4]) }, () => drawOne(world, texts, random));
  const bytes = Buffer.concat(parts);
  return random.chance(0.25) ? mutateBytes(bytes, random) : bytes;
}

const chanceOf = (seed, number) => new Random((Math.imul(number + 1, 0x9e3779b1) ^ seed) >>> 0);

class Run {
  constructor(target, seed, first, isOver) {
    Object.assign(this, { target, seed, isOver, texts: [...seeds().values()], next: first, first });
    this.counts = { cases: 0, replies: 0, byStatus: {}, byEnd: {} };
  }

  async #case(number) {
    const random = chanceOf(this.seed, number);
    const bytes = drawCase(this.target.world, this.texts, random);
    try {
      for (const { status } of await this.target.send(bytes, random)) {
        this.counts.replies++;
        this.counts.byStatus[status] = (this.counts.byStatus[status] ?? 0) + 1;
      }
    } catch (e) {
      e.message = `case ${number} of seed ${this.seed}: ${e.message}`;
      throw e;
    }
    this.counts.cases++;
  }

  async #lane() {
    while (!this.failure && !this.isOver(this.next - this.first)) await this.#case(this.next++).catch((e) => { this.failure ??= e; });
  }

  async #watch() {
    let baseBytes = 0;
    while (!this.failure && !this.isDone) {
      await this.target.assertServes();
      this.target.assertNoFaultLogged();
      if (baseBytes === 0 && this.counts.cases >= WARM_CASES) baseBytes = residentBytes(this.target.server);
      await new Promise((done) => setImmediate(done));
    }
    this.counts.grownBytes = baseBytes && residentBytes(this.target.server) - baseBytes;
  }

  async all(lanes) {
    const watch = this.#watch().catch((e) => { this.failure ??= e; });
    await Promise.all(Array.from({ length: lanes }, () => this.#lane()));
    this.isDone = true;
    await watch;
    if (this.failure) throw this.failure;
    this.target.assertNoFaultLogged();
    this.counts.byEnd = this.target.ends;
    assert.ok(this.counts.grownBytes < GROWTH_BYTES_MAX, `the server grew by ${this.counts.grownBytes} bytes`);
    return this.counts;
  }
}

/* Cases of a seed, from a number on, until isOver(count of those begun). → counts */
export function fuzz(target, { seed, first = 0, lanes = 12, isOver }) {
  return new Run(target, seed, first, isOver).all(lanes);
}
