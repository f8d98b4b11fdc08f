/* A disk that fails while a server starts: it starts none the less or ends with a word about why,
 * and the next start, on a disk that works, finds everything. Starting recovers the log that a killed
 * server left, so this is where SQLite maps, reads and cuts its files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "../lib/server.mjs";
import { EVERYWHERE, FailingDisk, KINDS } from "./failing_disk.mjs";
import { SETTINGS } from "./market.mjs";
import { Patient, integrity } from "./patient.mjs";

const STRIDE = Number(process.env.FIRSTHAND_FAULT_STRIDE ?? 5);

/* → whether it came up */
async function startAnyhow(server) {
  server.logLines.length = 0;
  try {
    await server.launch();
  } catch {
    const [code, signal] = await server.closed; /* all it had to say was read */
    server.child = null;
    assert.equal(signal, null, `it was ended by ${signal}:\n${server.logLines.join("\n")}`);
    assert.equal(code, 1);
    assert.ok(server.logLines.some((line) => /firsthand|error/.test(line)), "it says why");
    return false;
  }
  return true;
}

/* What was answered before stands, and more can be done. */
async function checkWorks(server, patient, kept) {
  patient.connect();
  for (const job of kept) assert.equal((await patient.buyer.get(`/v1/jobs/${job.id}`)).status, 200);
  kept.push(await patient.post());
}

async function sweep(t, disk, server, patient, kept, kind) {
  let ended = 0, started = 0;
  disk.fail({ kinds: [kind], pattern: EVERYWHERE, first: 0 });
  await server.kill9();
  assert.ok(await startAnyhow(server));
  const calls = disk.seen;
  const stride = calls > STRIDE * 2 ? STRIDE : 1;
  for (let first = 1; first <= calls; first += stride) {
    await server.kill9();
    disk.fail({ kinds: [kind], error: first % 2 ? "EIO" : "ENOSPC", pattern: EVERYWHERE, first, count: 1 });
    const isUp = await startAnyhow(server);
    disk.heal();
    if (isUp) started++;
    else ended++;
    if (!isUp) await server.launch();
    await checkWorks(server, patient, kept);
  }
  t.diagnostic(`${kind}: ${calls} calls, ${started} starts none the less, ${ended} refusals`);
}

test("a start meets a failing disk", { timeout: 3600_000 }, async (t) => {
  const disk = new FailingDisk();
  const server = await start(SETTINGS);
  const patient = await Patient.open(server);
  const kept = [await patient.post()];
  server.environment = disk.environment;
  await server.kill9();
  await server.launch();
  try {
    for (const kind of Object.keys(KINDS)) {
      try {
        await sweep(t, disk, server, patient, kept, kind);
      } catch (e) {
        e.message = `${kind}: ${e.message}`;
        throw e;
      }
    }
    await server.audit();
    integrity(server);
  } finally {
    disk.heal();
    await server.stop();
    disk.close();
  }
});
