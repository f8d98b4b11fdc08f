/* More clients than connections-max. tests/fault/overload_connections has the same at full size. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { inParallel, openMarket, until } from "../lib/market.mjs";
import { Line, assertTurnedAway, closeLines, getIn, requestBytes } from "../lib/swarm.mjs";

const PLACES = 40;
const HEALTH = requestBytes("GET", "/healthz");

describe("a server with all its connections taken", () => {
  let market;
  beforeEach(async () => { /* places that a test gave up are not taken in the next */
    market = await openMarket({ "connections-max": PLACES });
  });
  afterEach(() => market.stop());

  it("lets newcomers in by closing who is idle", async () => {
    const { base } = market.server;
    const lines = await inParallel(Array(3 * PLACES).fill(base), 3 * PLACES, (one) => getIn(one, HEALTH));
    assert.ok(lines.some((line) => line.isEnded), "somebody made room");
    closeLines(lines);
  });

  it("says 503 while all are busy, and serves them and the next when one ends", async () => {
    const { base } = market.server;
    const headers = { "content-type": "application/json", "content-length": 10 };
    const half = requestBytes("POST", "/v1/jobs", { token: market.buyer.token, headers, body: "{" });
    const busy = await inParallel(Array(2 * PLACES).fill(base), 8, async (one) => (await Line.open(one)).send(half));
    await until("those that find no room are refused", () => busy.filter((line) => line.isEnded).length >= PLACES);
    for (const line of busy.filter(({ isEnded }) => isEnded)) assertTurnedAway(await line.reply(), "connections_full");
    const kept = busy.filter((line) => !line.isEnded);
    assert.ok(kept.length > PLACES / 2);
    for (const line of kept) assert.equal((await line.ask("         ")).status, 400, "whoever has a place is answered");
    closeLines(busy);
    (await getIn(base, HEALTH)).close();
    assert.equal((await market.buyer.get("/v1/jobs")).status, 200);
  });
});
