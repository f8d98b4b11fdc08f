/* The server is killed between a commit and its delivery, in the middle of one, and before it is
 * written down: every state change has exactly its events, and each of them reaches its endpoint.
 *
 *   FIRSTHAND_CRASH_CYCLES=1000 FIRSTHAND_CRASH_SEED=7 node --test tests/fault/crash_webhooks.test.mjs
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../lib/market.mjs";
import { Random, seedOf } from "../lib/random.mjs";
import { Receiver } from "../lib/receiver.mjs";
import { start } from "../lib/server.mjs";

const CYCLES = Number(process.env.FIRSTHAND_CRASH_CYCLES ?? 50);
const FULL_CHECK_EVERY = 25;
const LOAD_MS = [2, 80];
const LOAD_WIDTH = 4;
const FAILURES_MAX = 4; /* of nine attempts, as the server dies in some */
const LOST = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE"]);
const SETTINGS = { "rate-limit-per-minute": 0, "webhook-allow": "127.0.0.1/32" };

function sql(server, query) {
  const args = ["-readonly", "-json", join(server.dataDir, "store.db"), query];
  return execFileSync("sqlite3", args, { encoding: "utf8", maxBuffer: 256 << 20 });
}

function rows(server, query) {
  const text = sql(server, query);
  return text ? JSON.parse(text) : [];
}

/* Post and cancel jobs until the server is gone. */
async function load(buyer, cancelled) {
  try {
    for (;;) {
      const reply = await buyer.postJob();
      assert.equal(reply.status, 201, reply.text);
      const end = await buyer.post(`/v1/jobs/${reply.json.id}/cancel`);
      assert.equal(end.status, 200, end.text);
      cancelled.push(reply.json.id);
    }
  } catch (e) {
    if (!LOST.has(e.code)) throw e;
  }
}

/* What was answered has its occurrence; each occurrence has one event for each endpoint, and there
 * is nothing else. */
function checkEvents(server, cancelled, endpoints) {
  const told = new Map(rows(server, "SELECT subject_id, count(*) AS n FROM occurrences WHERE type = 'job.cancelled' GROUP BY subject_id")
    .map((row) => [row.subject_id, row.n]));
  for (const id of cancelled) assert.equal(told.get(id), 1, `${id} was cancelled`);
  const states = rows(server, "SELECT count(*) AS n FROM jobs WHERE status = 'cancelled'")[0].n;
  assert.equal(told.size, states, "as many occurrences as jobs that are cancelled");
  const counts = rows(server, `SELECT p.id, count(e.id) AS n, count(DISTINCT e.occurrence_id) AS d FROM webhook_endpoints p
    LEFT JOIN webhook_events e ON e.endpoint_id = p.id GROUP BY p.id`); /* the first crash may come before there are any */
  assert.deepEqual(counts.map((row) => [row.id, row.n, row.d]).sort(), endpoints.map((id) => [id, states, states]).sort());
}

/* Every event was received by its endpoint, always the same, and nobody received anything else. */
async function checkDeliveries(server, receiver) {
  const isDone = () => rows(server, "SELECT count(*) AS n FROM webhook_events WHERE status = 'pending'")[0].n === 0;
  await until("every event is delivered", async () => isDone() || (await server.advance(1800), isDone()));
  const events = rows(server, "SELECT e.id, p.url, e.status FROM webhook_events e JOIN webhook_endpoints p ON p.id = e.endpoint_id");
  const received = new Map();
  for (const { path, json, text } of receiver.requests) {
    const key = `${path} ${json.id}`;
    assert.equal(received.get(key) ?? text, text, `${json.id} is always the same`);
    received.set(key, text);
  }
  for (const { id, url, status } of events) {
    assert.equal(status, "delivered", id);
    assert.ok(received.has(`${new URL(url).pathname} ${id}`), `${id} was received`);
  }
  assert.equal(received.size, events.length, "and nothing else was");
  const gaps = rows(server, "SELECT event_id FROM webhook_attempts GROUP BY event_id HAVING count(*) <> max(number)");
  assert.deepEqual(gaps, []);
}

test(`every event is told in ${CYCLES} crashes`, { timeout: 24 * 3600 * 1000 }, async (t) => {
  const seed = seedOf("FIRSTHAND_CRASH_SEED");
  const random = new Random(seed);
  const server = await start(SETTINGS);
  const counts = { inFlight: 0, atRandom: 0 };
  const cancelled = [];
  const failures = new Map(); /* event → how often it was not taken: never so often that it fails for good */
  let onReceived = () => {};
  const receiver = await Receiver.open({
    onRequest: ({ path, json }, response) => {
      onReceived();
      const key = `${path} ${json.id}`, count = failures.get(key) ?? 0;
      if (count === FAILURES_MAX || !random.chance(0.2)) return false;
      failures.set(key, count + 1);
      if (random.chance(0.5)) return response.writeHead(500).end() || true;
      return response.socket.destroy() || true;
    },
  });
  let cycle = 0;
  try {
    const org = await server.createOrg({ credits: 1_000_000_000 });
    const admin = server.client(org.live_key);
    const endpoints = [];
    for (const [path, events] of [["/all", undefined], ["/some", ["job.cancelled"]]])
      endpoints.push((await admin.createEndpoint({ url: receiver.url(path), events })).id);
    for (cycle = 1; cycle <= CYCLES; cycle++) {
      const buyer = server.client(org.live_key);
      const loads = Array.from({ length: LOAD_WIDTH }, () => load(buyer, cancelled));
      const isInFlight = random.chance(0.5);
      if (isInFlight) {
        let left = random.int(1, 40);
        await Promise.race([new Promise((done) => (onReceived = () => --left === 0 && done())), sleep(10_000)]);
      } else await sleep(random.int(...LOAD_MS));
      onReceived = () => {};
      await server.kill9();
      counts[isInFlight ? "inFlight" : "atRandom"]++;
      await Promise.all(loads);
      checkEvents(server, cancelled, endpoints);
      await server.launch();
      if (cycle % FULL_CHECK_EVERY !== 0 && cycle !== CYCLES) continue;
      await checkDeliveries(server, receiver);
      await server.audit();
      if (CYCLES > 100) console.error(`seed ${seed}: ${cycle} crashes, ${receiver.requests.length} requests`);
    }
    t.diagnostic(`seed ${seed}: ${JSON.stringify({ ...counts, cancelled: cancelled.length, requests: receiver.requests.length })}`);
  } catch (e) {
    e.message = `seed ${seed}, cycle ${cycle}: ${e.message}\n${server.logLines.slice(-15).join("\n")}`;
    throw e;
  } finally {
    receiver.close();
    await server.stop();
  }
});
