/* The server is killed at random moments of a mixed load, its media processes too, and started again
 * on the same data: nothing that was answered may be lost, nothing done twice.
 *
 *   FIRSTHAND_CRASH_CYCLES=1000 FIRSTHAND_CRASH_SEED=7 node --test tests/fault/crash.test.mjs
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "../lib/server.mjs";
import { Market, SETTINGS } from "./market.mjs";
import { kill9, mediaChildOf, zygoteOf } from "./processes.mjs";
import { Random, seedOf } from "../lib/random.mjs";

const CYCLES = Number(process.env.FIRSTHAND_CRASH_CYCLES ?? 50);
const CYCLES_A_STORE = 100; /* then another begins, lest checking grow without end */
const FULL_CHECK_EVERY = 25;
const LOAD_MS = [200, 600];
const START_MS = [5, 130];

/* Kill media processes while the load runs. */
async function killMedia(server, random, killed, isOver) {
  while (!isOver()) {
    await sleep(random.int(20, 200));
    if (isOver()) return;
    const isZygote = random.chance(0.4);
    const pid = isZygote ? zygoteOf(server.child.pid) : mediaChildOf(server.child.pid);
    if (kill9(pid)) killed[isZygote ? "zygote" : "child"]++;
  }
}

/* A start that does not come to its end. */
async function dieWhileStarting(server, ms) {
  const launched = server.launch().then(() => true, () => false);
  await sleep(ms);
  kill9(server.child.pid);
  await launched;
  await server.closed; /* with its zygote */
  server.child = null;
}

async function cycle(server, market, random, killed) {
  let isOver = false;
  const load = market.load();
  const media = random.chance(0.5) ? killMedia(server, random.fork(), killed, () => isOver) : null;
  await Promise.race([load, sleep(random.int(...LOAD_MS))]);
  isOver = true;
  await server.kill9();
  killed.server++;
  market.stop();
  await Promise.all([load, media]);
  if (random.chance(0.2)) {
    await dieWhileStarting(server, random.int(...START_MS));
    killed.starting++;
  }
  await server.launch();
  market.connect();
}

/* Crash a server of its own so many times. */
async function crashMany({ seed, cycles, killed, totals }) {
  const random = new Random(seed);
  const server = await start(SETTINGS);
  const market = new Market(server, random);
  let number = 0;
  try {
    await market.open();
    for (number = 1; number <= cycles; number++) {
      await cycle(server, market, random, killed);
      await server.audit();
      await market.check();
      if (number % FULL_CHECK_EVERY === 0 || number === cycles) {
        await market.checkAll();
        await server.audit();
      }
      await server.advance(2);
    }
  } catch (e) {
    e.message = `seed ${seed}, cycle ${number}: ${e.message}\n${server.logLines.slice(-15).join("\n")}`;
    throw e;
  } finally {
    await server.stop();
  }
  for (const [name, count] of Object.entries(market.counts)) totals[name] = (totals[name] ?? 0) + count;
}

test(`nothing answered is lost in ${CYCLES} crashes`, { timeout: 24 * 3600 * 1000 }, async (t) => {
  const first = seedOf("FIRSTHAND_CRASH_SEED");
  const killed = { server: 0, starting: 0, zygote: 0, child: 0 };
  const totals = {};
  for (let done = 0, seed = first; done < CYCLES; seed++) {
    const cycles = Math.min(CYCLES_A_STORE, CYCLES - done);
    await crashMany({ seed, cycles, killed, totals });
    done += cycles;
    const figures = `seed ${seed}: ${done} crashes: ${JSON.stringify({ killed, ...totals })}`;
    if (CYCLES > CYCLES_A_STORE) console.error(figures); /* a long run shows that it goes on */
    else t.diagnostic(figures);
  }
  assert.equal(killed.server, CYCLES);
});
