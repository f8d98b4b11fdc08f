/* A job that ends while the request that is to wait for it is being read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Market, until } from "../lib/market.mjs";
import { start } from "../lib/server.mjs";
import { FailingDisk, PLACES } from "./failing_disk.mjs";
import { SETTINGS } from "./market.mjs";

const HANG_MS_MIN = 45_000; /* answered so late: by nothing but the end of the time that it asked for */
const SOON_MS = 1_000;
const TRIES = 50;

/* After so long, so that another try is made: what it is an answer to decides nothing. */
const soon = () => pause(SOON_MS, null);

/* One read of the store stands still, and the job ends. → the reply and how long it took once the disk went on; null: it
 * was not the read of the request that waits, which by then has its snapshot, but somebody else's */
async function cancelDuringRead({ server, disk, market }) {
  const waiting = server.client(market.buyer.token); /* a connection of its own: another thread, some time */
  await waiting.get("/v1/jobs"); /* by which its thread has opened the store */
  const job = await market.job(); /* after which it has to read again */
  disk.fail({ kinds: ["read"], error: "NONE", pattern: `${PLACES.log}|${PLACES.store}`, count: 1 });
  const poll = waiting.get(`/v1/jobs/${job.id}`, { headers: { prefer: "wait=55" } });
  await until("a read stands still", () => disk.failed > 0, { everyMs: 1 });
  const cancelled = market.buyer.post(`/v1/jobs/${job.id}/cancel`);
  const wasAnother = !(await Promise.race([cancelled, soon()])) || (await Promise.race([poll, soon()]));
  disk.heal();
  const healedMs = performance.now();
  assert.equal((await cancelled).status, 200);
  const reply = await poll;
  waiting.close();
  return wasAnother ? null : { reply, tookMs: performance.now() - healedMs };
}

test("a long poll that began to read before its job ended is answered at once", { timeout: 500_000 }, async () => {
  const disk = new FailingDisk();
  const server = await start(SETTINGS);
  try {
    await server.halt();
    server.environment = disk.environment;
    await server.launch();
    const market = await Market.open(server);
    let answer = null;
    for (let i = 0; answer === null && i < TRIES; i++) answer = await cancelDuringRead({ server, disk, market });
    assert.ok(answer, "it never was the request's");
    assert.equal(answer.reply.status, 200, answer.reply.text);
    assert.equal(answer.reply.json.status, "cancelled");
    assert.ok(answer.tookMs < HANG_MS_MIN, "nobody told it");
  } finally {
    disk.heal();
    await server.stop();
    disk.close();
  }
});
