/* Clients that drip, that never read, that send without end: each is cut or slowed down, holds little
 * memory meanwhile, and nobody else notices. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bystander, inWords } from "../lib/bystander.mjs";
import { MIB, assertBounded, assertRecovered, gauge, mib } from "../lib/gauge.mjs";
import { inParallel, openMarket, until } from "../lib/market.mjs";
import { Line, closeLines, openLines, requestBytes } from "../lib/swarm.mjs";

const SLOW = 300;
const DRIP_MS = 100;
const IDLE_TIMEOUT = "3s";
const IDLE_TIMEOUT_LONGER = "5s"; /* than making a reply for every one of them takes */
const BIG_REPLIES = 20; /* asked for on each line that does not read */
const REQUESTS = 20_000; /* on one line */
/* What a connection may hold: its buffer, and one reply, here of half a MiB. */
const BYTES_OF_A_SLOW_READER = MIB;
const BYTES_OF_A_PIPELINE = 8 * MIB;

async function withMarket(settings, run) {
  const market = await openMarket(settings, { credits: 1_000_000 });
  try {
    const job = await market.job();
    await run(market, job, gauge(market.server.child.pid));
  } finally {
    await market.stop();
  }
}

/* Run it beside a client that behaves, who must be answered all the while. */
async function beside(market, job, what, run) {
  const bystander = await Bystander.start({ base: market.server.base, token: market.buyer.token, target: `/v1/jobs/${job.id}` });
  await run();
  const figures = await bystander.stop();
  assert.equal(figures.refused + figures.closed, 0);
  console.log(`beside ${what}: ${inWords(figures)}`);
}

/* Open the slow lines; each sends at once, lest it be cut for sending nothing. */
function openSlow(base, begin) {
  return inParallel(Array(SLOW).fill(base), 100, async (one) => {
    const line = await Line.open(one);
    begin(line);
    return line;
  });
}

/* Send a byte now and then on each line until the server has closed all of them. */
async function dripUntilClosed(lines) {
  const timer = setInterval(() => lines.forEach((line) => line.isEnded || line.send("a")), DRIP_MS);
  try {
    await until("every slow line has been closed", () => lines.every((line) => line.isEnded));
  } finally {
    clearInterval(timer);
  }
}

function halfRequest(kind, token) {
  if (kind === "headers") return "GET /healthz HTTP/1.1\r\nhost: t\r\nx-slow: ";
  const headers = { "content-type": "application/json", "content-length": 100_000 };
  return requestBytes("POST", "/v1/jobs", { token, headers, body: "{" });
}

for (const kind of ["headers", "body"])
  test(`senders that drip their ${kind} are cut`, { timeout: 400_000 }, () =>
    withMarket({ "idle-timeout": IDLE_TIMEOUT }, async (market, job, before) => {
      const { server } = market;
      const lines = await openSlow(server.base, (line) => line.send(halfRequest(kind, market.buyer.token)));
      await beside(market, job, `${SLOW} senders that drip their ${kind}`, () => dripUntilClosed(lines));
      closeLines(lines);
      await assertRecovered(server, before);
    }));

test("readers that do not read are cut, and hold a buffer and a reply each", { timeout: 400_000 }, () =>
  withMarket({ "idle-timeout": IDLE_TIMEOUT_LONGER }, async (market, job, before) => {
    const { server } = market;
    for (let i = 0; i < 100; i++) await market.job({ description: `${i} ${"word ".repeat(990)}`, price_per_file_cents: 1 });
    const ask = requestBytes("GET", "/v1/jobs?limit=100", { token: market.buyer.token });
    const asks = Buffer.concat(Array(BIG_REPLIES).fill(ask));
    let most = 0, lines;
    await beside(market, job, `${SLOW} readers that do not read`, async () => {
      lines = await openSlow(server.base, (line) => line.stopReading().send(asks));
      await until("the server has hung up on all of them", () => {
        const now = gauge(server.child.pid);
        most = Math.max(most, now.rssBytes);
        return now.descriptors < before.descriptors + SLOW / 10;
      });
    });
    console.log(`${SLOW} readers that do not read: RSS at most ${mib(most)}, before ${mib(before.rssBytes)}`);
    assertBounded("memory of readers that do not read", most - before.rssBytes, SLOW * BYTES_OF_A_SLOW_READER);
    closeLines(lines);
    await assertRecovered(server, before);
  }));

/* How many requests for a target the log tells of, once no more come. */
async function whenStill(server, target) {
  const answered = () => server.logLines.filter((text) => text.includes(`"${target}"`)).length;
  let last = -1;
  await until("the server answers no more", () => {
    const now = answered();
    const isStill = now === last;
    last = now;
    return isStill;
  }, { everyMs: 1000 });
  return last;
}

test("twenty thousand requests sent at once on one connection are answered in order, as they are read", { timeout: 400_000 }, () =>
  withMarket({ "idle-timeout": "10m" }, async (market, job, before) => {
    const { server } = market;
    const { pid } = server.child;
    const other = await market.job({ title: "the other" });
    const asks = [job, other].map(({ id }) => requestBytes("GET", `/v1/jobs/${id}`, { token: market.buyer.token }));
    const [line] = await openLines(server.base, 1);
    let unread;
    await beside(market, job, `${REQUESTS} requests on one connection`, async () => {
      line.stopReading();
      for (let i = 0; i < REQUESTS; i++) line.send(asks[i % 2]);
      unread = 2 * (await whenStill(server, `/v1/jobs/${other.id}`));
    });
    assertBounded("memory of requests that are not read", gauge(pid).rssBytes - before.rssBytes, BYTES_OF_A_PIPELINE);
    assert.ok(unread < REQUESTS, "the server waits for the reader");
    line.goOnReading();
    for (let i = 0; i < REQUESTS; i++) {
      const reply = await line.reply();
      assert.equal(reply.status, 200);
      assert.equal(JSON.parse(reply.text).id, [job, other][i % 2].id, `reply ${i}`);
    }
    console.log(`${REQUESTS} requests on one connection, ${unread} answered before any was read: RSS ${mib(gauge(pid).rssBytes)}, before ${mib(before.rssBytes)}`);
    line.close();
    await assertRecovered(server, before);
  }));
