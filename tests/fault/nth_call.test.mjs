/* One call of the disk fails, the n-th, for every n of a small scenario: post, accept, upload, score,
 * deliver. Whoever meets it is told 503 or never notices; asked again, everything comes to its end,
 * once.
 *
 *   FIRSTHAND_FAULT_STRIDE=1 node --test tests/fault/nth_call.test.mjs     every call
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "../lib/server.mjs";
import { EVERYWHERE, FailingDisk, KINDS } from "./failing_disk.mjs";
import { SETTINGS } from "./market.mjs";
import { Patient, integrity } from "./patient.mjs";
import { until } from "./processes.mjs";

const STRIDE = Number(process.env.FIRSTHAND_FAULT_STRIDE ?? 5);
const ERRORS = ["ENOSPC", "EIO"]; /* in turns; of every call both, when every call is tried */
const AUDIT_EVERY = 20;

async function begin(disk) {
  const server = await start(SETTINGS);
  await server.halt(); /* the shim is for a server that has begun well */
  server.environment = disk.environment;
  await server.launch();
  return { server, patient: await Patient.open(server) };
}

/* Back-off is the test clock's. */
function delivered(server, patient, played) {
  return until(async () => {
    if (await patient.isDelivered(played)) return true;
    await server.advance(15);
    return false;
  }, `${played.job.id} is delivered`, { everyMs: 30 });
}

/* How many calls of this kind the scenario makes. */
async function countCalls(disk, server, patient, kind, isPut) {
  disk.fail({ kinds: [kind], pattern: EVERYWHERE, first: 0 });
  const played = await patient.play({ isPut });
  await until(() => patient.isDelivered(played), "it is delivered");
  disk.heal();
  return disk.seen;
}

async function failNth(disk, server, patient, { kind, error, first, isPut }) {
  disk.fail({ kinds: [kind], error, pattern: EVERYWHERE, first, count: 1 });
  const played = await patient.play({ isPut });
  await until(async () => disk.failed > 0 || (await patient.isDelivered(played)), "the call comes", { msMax: 400 })
    .catch(() => {}); /* parked by its failure, or it does not come this time */
  disk.heal();
  await delivered(server, patient, played);
  await patient.checkDelivered(played);
  return disk.failed;
}

async function sweep(t, kind) {
  const disk = new FailingDisk();
  const { server, patient } = await begin(disk);
  let rounds = 0, failed = 0;
  try {
    for (const isPut of [false, true]) {
      const calls = await countCalls(disk, server, patient, kind, isPut);
      const stride = calls > STRIDE * 2 ? STRIDE : 1;
      const perCall = STRIDE === 1 ? ERRORS.length : 1;
      for (let at = 0; at < calls * perCall; at += stride) {
        const first = 1 + Math.floor(at / perCall);
        const error = ERRORS[(STRIDE === 1 ? at : rounds) % 2];
        const where = `${kind} ${first} of ${calls}, ${error}, ${isPut ? "PUT" : "tus"}`;
        try {
          failed += await failNth(disk, server, patient, { kind, error, first, isPut });
          assert.equal(server.child.exitCode, null, "the server lives");
          if (++rounds % AUDIT_EVERY === 0) await server.audit();
        } catch (e) {
          e.message = `${where}: ${e.message}\n${server.logLines.slice(-12).join("\n")}`;
          throw e;
        }
      }
    }
    await server.kill9();
    await server.launch();
    await server.audit();
    integrity(server);
  } finally {
    await server.stop();
    disk.close();
  }
  t.diagnostic(`${kind}: ${rounds} rounds, ${failed} calls failed, ${patient.refused} times 503`);
  if (rounds > 0) assert.ok(failed > 0, "the disk did fail");
}

/* mmap: only a start does that, see failing_start.test.mjs. */
for (const kind of Object.keys(KINDS).filter((one) => one !== "mmap"))
  test(`any one ${kind} may fail`, { timeout: 3600_000 }, (t) => sweep(t, kind));
