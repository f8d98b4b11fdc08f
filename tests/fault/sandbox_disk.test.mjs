/* Simulated workers on a disk that fails: a batch is sent whole or not at all, nothing is left behind,
 * and the job is full once there is room. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertRefused, Market, until } from "../lib/market.mjs";
import { start } from "../lib/server.mjs";
import { FailingDisk, PLACES } from "./failing_disk.mjs";

const DELAY_S = 600;
const BACK_OFF_S = 600; /* the longest */
const WEEK_S = 7 * 24 * 60 * 60;
const GRACE_S = 600;

async function withSandbox(run) {
  const disk = new FailingDisk();
  const server = await start({ "rate-limit-per-minute": 0, "sandbox-delay": `${DELAY_S}s` });
  await server.halt();
  server.environment = disk.environment;
  await server.launch();
  const market = new Market(server);
  try {
    market.org = await server.createOrg();
    market.buyer = server.client(market.org.test_key);
    await run({ market, server, disk });
  } finally {
    disk.heal();
    await server.stop();
    disk.close();
  }
}

const bytesIn = (server, folder) => readdirSync(join(server.dataDir, folder));
const postponed = (server, event) => server.logLines.filter((line) => line.includes(`"${event}"`)).length;

/* Advance until it is so: what failed is tried again after a while. */
const eventually = (server, what, ask) =>
  until(what, async () => {
    if (await ask()) return true;
    await server.advance(BACK_OFF_S);
    return false;
  });

for (const [error, kinds] of [["ENOSPC", ["write"]], ["EIO", ["fsync"]], ["ENOSPC", ["rename"]], ["EIO", ["open"]]]) {
  test(`${error} on ${kinds} in the middle of a batch`, { timeout: 400_000 }, () =>
    withSandbox(async ({ market, server, disk }) => {
      const job = await market.job({ files_needed: 5 });
      disk.fail({ kinds, error, pattern: `${PLACES.uploads}|${PLACES.blobs}`, first: 4 });
      await server.advance(DELAY_S);
      await until("it was tried", () => postponed(server, "sandbox_postponed") > 0);
      const now = await market.getJob(job);
      assert.deepEqual([now.status, now.files_approved], ["open", 0]);
      await until("nothing is left behind", () => [...bytesIn(server, "uploads"), ...bytesIn(server, "blobs")].length === 0);
      disk.heal();
      await eventually(server, "it is full", async () => (await market.getJob(job)).status === "completed");
      assert.equal(bytesIn(server, "blobs").length, 5);
    }));
}

test("a store that takes no batch leaves no bytes behind, however often it is tried", { timeout: 400_000 }, () =>
  withSandbox(async ({ market, server }) => {
    const store = (sql) => execFileSync("sqlite3", ["-cmd", ".timeout 60000", join(server.dataDir, "store.db"), sql]);
    const job = await market.job({ files_needed: 5 });
    store("CREATE TRIGGER no_files BEFORE INSERT ON files BEGIN SELECT raise(ABORT, 'no files'); END");
    for (let tries = 1; tries <= 3; tries++) {
      await server.advance(DELAY_S);
      await until(`try ${tries}`, () => postponed(server, "sandbox_postponed") >= tries);
      await until("nothing is left behind", () => bytesIn(server, "blobs").length === 0);
    }
    store("DROP TRIGGER no_files");
    await eventually(server, "it is full", async () => (await market.getJob(job)).status === "completed");
    assert.equal(bytesIn(server, "blobs").length, 5);
  }));

test("a delivery that fails until the bytes are no longer kept", { timeout: 400_000 }, () =>
  withSandbox(async ({ market, server, disk }) => {
    const waiting = () => {
      const query = "SELECT count(*) FROM tasks WHERE kind = 'deliver'";
      return Number(execFileSync("sqlite3", [join(server.dataDir, "store.db"), query], { encoding: "utf8" }));
    };
    const job = await market.job({ files_needed: 2 });
    disk.fail({ kinds: ["write", "open", "rename"], error: "EIO", pattern: PLACES.delivered });
    await server.advance(DELAY_S);
    await until("it was tried", () => postponed(server, "delivery_postponed") > 1);
    assert.equal((await market.getJob(job)).status, "completed");
    await server.advance(WEEK_S);
    await server.advance(GRACE_S);
    disk.heal();
    await eventually(server, "nothing waits to be delivered", () => waiting() === 0);
    await eventually(server, "the bytes are gone", () => bytesIn(server, "blobs").length === 0);
    for (const file of await market.files(job)) {
      const url = new URL(file.download_url);
      assertRefused(await server.client().get(`${url.pathname}${url.search}`), 410, "file_expired");
    }
  }));
