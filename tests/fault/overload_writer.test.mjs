/* The disk stands still while more writes arrive than may wait: the rest is refused and says when to
 * come back, reads go on, and once the disk moves everything that was taken is done. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Bystander, inWords } from "../lib/bystander.mjs";
import { JOB } from "../lib/client.mjs";
import { checkReply } from "../lib/contract.mjs";
import { MIB, assertBounded, assertRecovered, gauge, mib } from "../lib/gauge.mjs";
import { inParallel, openMarket, until } from "../lib/market.mjs";
import { assertTurnedAway, closeLines, openLines, requestBytes } from "../lib/swarm.mjs";
import { FailingDisk, PLACES } from "./failing_disk.mjs";

const QUEUE_MAX = 4096; /* WRITER_QUEUE_MAX, src/platform/writer.h */
const BATCH_MAX = 128; /* and those that the writer has taken out of it */
const OVER = 400;
const GONE = 200;
const RSS_BYTES_MAX = 512 * MIB;

function postBytes(token, key) {
  const body = JSON.stringify({ ...JOB, files_needed: 1, price_per_file_cents: 1 });
  const headers = { "content-type": "application/json", "idempotency-key": key };
  return requestBytes("POST", "/v1/jobs", { token, headers, body });
}

/* Send a write on each line. → per line { line, key, reply }, reply once it has come */
function writeOnAll(lines, token) {
  return lines.map((line) => {
    const write = { line, key: randomUUID(), reply: null };
    write.answered = line.ask(postBytes(token, write.key)).then((reply) => (write.reply = reply));
    return write;
  });
}

function checkCreated({ status, headers, text }) {
  assert.equal(status, 201, text);
  return checkReply("POST", "/v1/jobs", status, headers, text, { hasRateLimit: false });
}

/* A 503 is asked again with the same key, until it is a job. */
async function settle(market, key) {
  return until("the write is taken", async () => {
    const reply = await market.buyer.postJob({ files_needed: 1, price_per_file_cents: 1 }, { idempotencyKey: key });
    if (reply.status === 503) return false;
    assert.equal(reply.status, 201, reply.text);
    return reply;
  });
}

test("beyond the writer's queue writes are refused, reads are answered, and all that was taken is done", { timeout: 400_000 }, async () => {
  const disk = new FailingDisk();
  const market = await openMarket({ "connections-max": 5000, "waiters-max": 1, "idle-timeout": "10m" }, { credits: 10_000_000 });
  const { server } = market;
  let lines = [];
  try {
    server.environment = disk.environment;
    await server.restart();
    market.reconnect();
    const first = await market.job({ price_per_file_cents: 1 });
    const { pid } = server.child;
    const before = gauge(pid);
    lines = await openLines(server.base, QUEUE_MAX + BATCH_MAX + OVER);

    disk.hold({ pattern: PLACES.log });
    const bystander = await Bystander.start({ base: server.base, token: market.buyer.token, target: `/v1/jobs/${first.id}` });
    const writes = writeOnAll(lines, market.buyer.token);
    await until("all that finds no room is refused", () => writes.filter(({ reply }) => reply).length >= OVER);
    const held = gauge(pid);
    assertBounded("memory with a full queue", held.rssBytes, RSS_BYTES_MAX);
    assertTurnedAway(await market.buyer.postJob({}), "writer_full");
    assert.equal((await market.buyer.get("/v1/jobs?limit=100")).json.data.length, 1, "nothing is told that is not kept");
    assert.ok(disk.failed > 0, "the disk stood still");

    /* Some give up waiting. */
    const waiting = writes.filter(({ reply }) => !reply);
    const gone = waiting.slice(0, GONE);
    closeLines(gone.map(({ line }) => line));
    console.log(`while the queue was full: ${inWords(await bystander.stop())}`);
    disk.heal();

    const patient = writes.filter((write) => !gone.includes(write));
    await Promise.all(patient.map(({ answered }) => answered));
    const refused = patient.filter(({ reply }) => reply.status === 503);
    assert.ok(refused.length >= OVER);
    for (const { reply } of refused) {
      assertTurnedAway(reply, "writer_full");
      checkReply("POST", "/v1/jobs", reply.status, reply.headers, reply.text, { hasRateLimit: false });
    }
    const done = patient.filter(({ reply }) => reply.status !== 503);
    const ids = new Set(done.map(({ reply }) => checkCreated(reply).id));
    for (const { key, reply } of [done[0], done.at(-1)])
      assert.equal((await settle(market, key)).text, reply.text, "a repeat is the first answer again");
    const settled = await inParallel([...refused, ...gone], 32, ({ key }) => settle(market, key));
    for (const reply of settled) ids.add(reply.json.id);
    assert.equal(ids.size, writes.length, "each write is a job of its own");
    const jobs = new Set((await market.buyer.all("/v1/jobs")).map(({ id }) => id));
    assert.equal(jobs.size, writes.length + 1, "each was done once");
    for (const id of ids) assert.ok(jobs.has(id), `${id} was acknowledged`);

    closeLines(lines);
    await market.job();
    await assertRecovered(server, before);
    console.log(`${lines.length} connections, ${waiting.length} writes waiting: RSS ${mib(held.rssBytes)}, before ${mib(before.rssBytes)}, after ${mib(gauge(pid).rssBytes)}`);
  } finally {
    disk.heal();
    closeLines(lines);
    await market.stop();
    disk.close();
  }
});
