/* Five thousand connections, idle or busy: whoever behaves gets in or is told when to come back, and
 * everything is given back when they go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bystander, inWords } from "../lib/bystander.mjs";
import { checkReply } from "../lib/contract.mjs";
import { MIB, assertBounded, assertRecovered, gauge, mib } from "../lib/gauge.mjs";
import { inParallel, openMarket, until } from "../lib/market.mjs";
import { Line, assertTurnedAway, closeLines, getIn, openLines, requestBytes } from "../lib/swarm.mjs";

const CONNECTIONS = 5000;
const SURPLUS_MAX = 256; /* HTTP_SURPLUS_MAX, src/platform/http_server.h */
const NEWCOMERS = 300;
const OVER = 64;
const RSS_BYTES_MAX = 768 * MIB; /* 5,000 buffers of 64 KiB, and as much again */
const HEALTH = requestBytes("GET", "/healthz");

async function withMarket(settings, run) {
  const market = await openMarket({ "connections-max": CONNECTIONS, "waiters-max": 1, "idle-timeout": "10m", ...settings });
  try {
    await market.job();
    await run(market, gauge(market.server.child.pid));
  } finally {
    await market.stop();
  }
}

function startedLine(server) {
  const line = server.logLines.map((text) => JSON.parse(text)).find(({ event }) => event === "started");
  assert.ok(line, "the log tells of the start");
  return line;
}

test("the log says how many connections and descriptors there may be", { timeout: 400_000 }, () =>
  withMarket({}, async ({ server }) => {
    const { connections_max, descriptors_max } = startedLine(server);
    assert.equal(connections_max, CONNECTIONS);
    assert.ok(descriptors_max > 3 * CONNECTIONS, "the soft limit was raised to the hard one");
  }));

test("idle connections make room for a client that comes", { timeout: 400_000 }, () =>
  withMarket({}, async ({ server, buyer }, before) => {
    const { pid } = server.child;
    const idle = await openLines(server.base, CONNECTIONS - OVER);
    for (const { status } of await Promise.all(idle.map((line) => line.ask(HEALTH)))) assert.equal(status, 200);
    const full = gauge(pid);
    assertBounded(`memory of ${CONNECTIONS} kept connections`, full.rssBytes, RSS_BYTES_MAX);
    assert.ok(full.descriptors > idle.length);

    const bystander = await Bystander.start({ base: server.base, token: buyer.token, target: "/v1/jobs", keepsConnection: false });
    const more = await inParallel(Array(NEWCOMERS).fill(server.base), NEWCOMERS, (base) => getIn(base, HEALTH));
    const closed = idle.filter((line) => line.isEnded).length;
    assert.ok(closed > 0 && closed < idle.length / 2, `${closed} closed for ${NEWCOMERS}`);
    assert.ok(gauge(pid).descriptors <= before.descriptors + CONNECTIONS + SURPLUS_MAX);
    console.log(`beside ${CONNECTIONS} idle connections: ${inWords(await bystander.stop())}`);

    closeLines([...idle, ...more]);
    await assertRecovered(server, before);
    console.log(`${CONNECTIONS} kept connections: RSS ${mib(full.rssBytes)}, before ${mib(before.rssBytes)}, after ${mib(gauge(pid).rssBytes)}`);
  }));

test("while all connections are busy newcomers get 503, and those inside are served", { timeout: 400_000 }, () =>
  withMarket({}, async ({ server, buyer }, before) => {
    const { pid } = server.child;
    const headers = { "content-type": "application/json", "content-length": 10 };
    const half = requestBytes("POST", "/v1/jobs", { token: buyer.token, headers, body: "{" });
    const bystander = await Bystander.start({ base: server.base, token: buyer.token, target: "/v1/jobs" });
    const busy = await inParallel(Array(CONNECTIONS + OVER).fill(server.base), 100, async (base) => (await Line.open(base)).send(half));
    try {
      const hasPlace = (line) => !line.isEnded;
      await until("those that find no room are refused", () => busy.filter(hasPlace).length < CONNECTIONS);
      const full = gauge(pid);
      assertBounded(`memory of ${CONNECTIONS} busy connections`, full.rssBytes, RSS_BYTES_MAX);
      for (let i = 0; i < NEWCOMERS; i++) {
        const line = await Line.open(server.base);
        const reply = await line.ask(requestBytes("GET", "/v1/jobs", { token: buyer.token }));
        assertTurnedAway(reply, "connections_full");
        checkReply("GET", "/v1/jobs", reply.status, reply.headers, reply.text, { hasRateLimit: false });
        assert.equal(reply.headers.connection?.toLowerCase(), "close");
        await line.ended;
        line.close();
      }
      const figures = await bystander.stop();
      assert.equal(figures.refused, 0, "who is inside stays inside");
      console.log(`beside ${CONNECTIONS} busy connections: ${inWords(figures)}`);

      const kept = busy.filter(hasPlace);
      assert.ok(kept.length >= CONNECTIONS - OVER);
      for (const line of kept.slice(0, OVER)) assert.equal((await line.ask("         ")).status, 400);
      closeLines(busy);
      await assertRecovered(server, before);
      assert.equal((await buyer.get("/v1/jobs")).status, 200);
      console.log(`${kept.length} busy connections: RSS ${mib(full.rssBytes)}, before ${mib(before.rssBytes)}, after ${mib(gauge(pid).rssBytes)}`);
    } finally {
      closeLines(busy);
    }
  }));
