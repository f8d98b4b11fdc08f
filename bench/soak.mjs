/* What bench/soak runs: lanes of clients that never stop, and a table of what the server holds. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { MIB, gauge } from "../tests/lib/gauge.mjs";
import { inParallel, openMarket } from "../tests/lib/market.mjs";
import { pngImage } from "../tests/lib/media.mjs";
import { sample, withComment } from "../tests/lib/samples.mjs";
import { closeLines, openLines, requestBytes } from "../tests/lib/swarm.mjs";
import { Tus } from "../tests/lib/tus.mjs";
import { zygoteOf } from "../tests/fault/processes.mjs";

const EVERY_MS = 10_000;
const WARM_UP_SHARE = 0.2;
/* The writer keeps up to 64 MiB of the store's pages: what comes after that is what a leak would be. */
const STORE_BYTES_FIRST = 96 * MIB;
const THINK_MS = 20;
const GROWTH_SHARE_MAX = 0.05; /* of what is held on average, over the whole time after the warm-up */
const GROWTH_BYTES_MAX = 4 * MIB; /* or this, if it is more: the noise of an allocator */
const CONNECTIONS_AT_ONCE = 20;
const FORMATS = ["image/png", "image/jpeg", "audio/wav"];

const counts = new Map();
const count = (what) => counts.set(what, (counts.get(what) ?? 0) + 1);
let number = 0;

/* --- what comes and goes ---------------------------------------------------------------------- */

async function expect(what, statuses, promise) {
  const reply = await promise;
  count("requests");
  assert.ok(statuses.includes(reply.status), `${what}: ${reply.status} ${reply.text}`);
  return reply;
}

async function connections({ server }) {
  const lines = await openLines(server.base, CONNECTIONS_AT_ONCE);
  await Promise.all(lines.slice(0, 15).map((line) => expect("health", [200], line.ask(requestBytes("GET", "/healthz")))));
  lines[15].send("GET /half HTTP/1.1\r\nho");
  lines[16].send(requestBytes("POST", "/v1/jobs", { headers: { "content-length": 1000 }, body: "half" }));
  lines.slice(0, 10).forEach((line) => line.stopReading().send(requestBytes("GET", "/openapi.json")));
  closeLines(lines);
  count("connections");
}

function newJob(market, overrides = {}) {
  const body = { files_needed: 1, price_per_file_cents: 1, accepted_formats: FORMATS, min_star_rating: 1, ...overrides };
  return expect("job", [201], market.buyer.postJob(body, { idempotencyKey: randomUUID() }));
}

async function jobs(market) {
  const { json: job } = await newJob(market, { description: `A job of the soak, ${number++}: ${"word ".repeat(number % 500)}` });
  await expect("read", [200], market.buyer.get(`/v1/jobs/${job.id}`));
  await expect("list", [200], market.buyer.get("/v1/jobs?limit=100"));
  await expect("feed", [200], market.worker.get("/worker/v1/jobs?limit=50"));
  await expect("cancel", [200], market.buyer.request("POST", `/v1/jobs/${job.id}/cancel`));
  count("jobs cancelled");
}

async function keys(market) {
  const { json: key } = await expect("key", [201], market.buyer.post("/v1/api_keys", { name: "soak", scopes: ["jobs:read"], environment: "live" }));
  const client = market.server.client(key.secret);
  market.server.clients.pop();
  await expect("read with it", [200], client.get("/v1/jobs?limit=1"));
  await expect("revoke", [204], market.buyer.request("POST", `/v1/api_keys/${key.id}/revoke`));
  await expect("refused", [401], client.get("/v1/jobs?limit=1"));
  client.close();
  count("keys");
}

/* Mostly small pictures, so that many are scored; each tenth is a real photo or sound. */
function nextFile() {
  const n = number++;
  if (n % 10 === 0) return withComment(sample("photo.jpg"), `soak ${n}`);
  if (n % 10 === 5) return sample("speech.wav");
  return pngImage({ seed: n, width: 160, height: 120 });
}

async function acceptNew(market) {
  const { json: job } = await newJob(market);
  const reply = await expect("accept", [201], market.worker.request("POST", `/worker/v1/jobs/${job.id}/accept`));
  return { job, reservation: reply.json };
}

async function uploads(market) {
  const { job, reservation } = await acceptNew(market);
  const bytes = nextFile();
  const tus = new Tus(market.worker);
  const half = bytes.length >> 1;
  const location = await tus.begin(reservation.id, bytes.length);
  await expect("first half", [204], tus.patch(location, 0, bytes.subarray(0, half)));
  await expect("second half", [204], tus.patch(location, half, bytes.subarray(half)));
  const { status } = await market.scored({ id: reservation.submission_id });
  count(`uploads ${status}`);
  if (status !== "approved") return;
  const [file] = await market.files(job);
  const { pathname, search } = new URL(file.download_url);
  const { bytes: got } = await expect("download", [200], market.buyer.get(pathname + search, { isChecked: false }));
  assert.equal(got.length, bytes.length);
  count("downloads");
}

async function givenUp(market) {
  const { job, reservation } = await acceptNew(market);
  const tus = new Tus(market.worker);
  const location = await tus.begin(reservation.id, MIB);
  const patch = await tus.openPatch(location, 0, MIB);
  patch.write(pngImage({ seed: 7 }));
  patch.close();
  if (number++ % 2) await expect("terminate", [204], tus.terminate(location));
  await expect("cancel", [200, 409], market.buyer.request("POST", `/v1/jobs/${job.id}/cancel`));
  count("uploads given up");
}

async function badRequests(market) {
  await expect("no JSON", [400], market.buyer.post("/v1/jobs", undefined, { raw: "{" }));
  await expect("bad price", [422], market.buyer.postJob({ price_per_file_cents: 0 }));
  await expect("no path", [404], market.buyer.get("/nowhere", { isChecked: false }));
  await expect("too much", [413], market.buyer.post("/v1/jobs", undefined, { raw: Buffer.alloc(MIB + 1, 32) }));
  await expect("bad key", [401, 429], market.server.strangers.get("/v1/jobs"));
  count("bad requests");
}

/* Jobs with long texts, until the store is larger than what is kept of it in memory. */
async function fill(market) {
  const description = "word ".repeat(1000);
  while (storeBytes(market.server) < STORE_BYTES_FIRST)
    await inParallel(Array(500).fill({ description }), 16, (overrides) => newJob(market, overrides));
}

/* --- the table -------------------------------------------------------------------------------- */

function rssOf(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}

function storeBytes({ dataDir }) {
  return statSync(join(dataDir, "store.db")).size;
}

function lookAt(server, startedMs) {
  const { child } = server;
  return {
    seconds: Math.round((performance.now() - startedMs) / 1000),
    ...gauge(child.pid),
    zygoteBytes: rssOf(zygoteOf(child.pid)),
    storeBytes: storeBytes(server),
    requests: counts.get("requests") ?? 0,
  };
}

function print(row) {
  const mb = (bytes) => (bytes / MIB).toFixed(1).padStart(8);
  const cell = (value) => String(value).padStart(8);
  console.log(cell(row.seconds) + mb(row.rssBytes) + mb(row.zygoteBytes) + cell(row.descriptors) + cell(row.threads) + mb(row.storeBytes) + cell(row.requests));
}

/* How much the straight line through the values rises from the first to the last. */
function riseOf(values) {
  const n = values.length;
  const middle = (n - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const slope = values.reduce((sum, value, x) => sum + (x - middle) * (value - mean), 0) / values.reduce((sum, _, x) => sum + (x - middle) ** 2, 0);
  return { rise: slope * (n - 1), mean };
}

function verdict(rows, name, leastMax) {
  const { rise, mean } = riseOf(rows.map((row) => row[name]));
  const isFlat = rise <= Math.max(leastMax, mean * GROWTH_SHARE_MAX);
  const [shown, unit] = name.endsWith("Bytes") ? [MIB, " MiB"] : [1, ""];
  console.log(`${name}: mean ${(mean / shown).toFixed(1)}${unit}, rise over the time after the warm-up ${(rise / shown).toFixed(2)}${unit}: ${isFlat ? "flat" : "NOT FLAT"}`);
  return isFlat;
}

async function main() {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
  const market = await openMarket({ "test-clock": "off" }, { credits: 100_000_000 });
  market.server.strangers = market.server.client("fh_live_nobody");
  market.server.child.stderr.removeAllListeners();
  market.server.child.stderr.resume();
  await fill(market);
  const startedMs = performance.now();
  const endMs = startedMs + Number(values.minutes) * 60_000;
  const rows = [];
  const isOver = () => performance.now() >= endMs;
  const lane = async (step) => {
    while (!isOver()) {
      await step(market);
      await pause(THINK_MS);
    }
  };
  const table = async () => {
    console.log(" seconds RSS MiB  zygote  descr. threads   store requests");
    while (!isOver()) {
      await pause(EVERY_MS);
      rows.push(lookAt(market.server, startedMs));
      print(rows.at(-1));
    }
  };
  try {
    await Promise.all([table(), ...[connections, jobs, jobs, keys, uploads, uploads, uploads, givenUp, badRequests].map(lane)]);
  } finally {
    await market.stop();
  }
  for (const [what, times] of counts) console.log(`${what}: ${times}`);
  const warm = rows.slice(Math.ceil(rows.length * WARM_UP_SHARE));
  const flat = [["rssBytes", GROWTH_BYTES_MAX], ["zygoteBytes", GROWTH_BYTES_MAX], ["descriptors", CONNECTIONS_AT_ONCE], ["threads", 0]];
  if (flat.map(([name, least]) => verdict(warm, name, least)).includes(false)) process.exitCode = 1;
}

await main();
