/* What receivers answered is written down, even when the store refuses for a while. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inParallel, Market, until } from "../lib/market.mjs";
import { Receiver } from "../lib/receiver.mjs";
import { start } from "../lib/server.mjs";
import { FailingDisk, PLACES } from "./failing_disk.mjs";
import { SETTINGS } from "./market.mjs";

const ENDPOINTS = 10, JOBS = 40, EVENTS = ENDPOINTS * JOBS;
const SCHEDULE = "0,1s,1s,1s,1s,1s,1s,1s"; /* should a slow machine let the gate be closed for too long */
const COMMIT = 256; /* so many results at most are in one: the rest waits behind it */

/* It answers nobody until it is opened. */
class Gate {
  held = [];
  isOpen = false;

  take(response) {
    if (this.isOpen) return false;
    this.held.push(response);
    return true;
  }

  open() {
    this.isOpen = true;
    for (const response of this.held) response.writeHead(200).end();
  }
}

async function cancelOne(market) {
  const job = await market.job();
  assert.equal((await market.buyer.post(`/v1/jobs/${job.id}/cancel`)).status, 200);
}

/* Commits of results that failed since the line of that number. */
function postponed(server, since) {
  return server.logLines.slice(since).filter((line) => line.includes("webhook_attempts_postponed"));
}

test("results that a failing store refuses are kept, with those that came meanwhile", { timeout: 240_000 }, async () => {
  const gate = new Gate();
  const disk = new FailingDisk();
  const receiver = await Receiver.open({ onRequest: (request, response) => gate.take(response) });
  const server = await start({ ...SETTINGS, "webhook-allow": "127.0.0.1/32", "webhook-schedule": SCHEDULE });
  try {
    await server.halt();
    server.environment = disk.environment;
    await server.launch();
    const market = await Market.open(server, { credits: 1_000_000 });
    for (let i = 0; i < ENDPOINTS; i++) await market.buyer.createEndpoint({ url: receiver.url(`/${i}`) });
    await inParallel(Array.from({ length: JOBS }), 4, () => cancelOne(market));
    await until("every endpoint was asked", () => new Set(receiver.requests.map(({ path }) => path)).size === ENDPOINTS);

    disk.fail({ kinds: ["write", "rename"], error: "EIO", pattern: PLACES.log });
    gate.open();
    await until("all were sent", () => new Set(receiver.requests.map(({ headers }) => headers["webhook-id"])).size === EVENTS);
    const since = server.logLines.length;
    const isFull = (line) => line.includes(`"attempts":${COMMIT}`);
    await until("full commits fail, with more behind them", () => postponed(server, since).filter(isFull).length >= 2);
    disk.heal();

    const delivered = async () => (await market.buyer.all("/v1/webhook_events?status=delivered")).length;
    await until("all are written down", async () => (await delivered()) === EVENTS, { everyMs: 200 });
  } finally {
    disk.heal();
    await server.stop();
    receiver.close();
    disk.close();
  }
});
