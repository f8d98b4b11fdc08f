/* The processes that examine media die again and again: every submission still gets one score, its
 * worker is paid once, and what a dead server had under way does not wait for its lease. */
import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pngImage } from "../lib/media.mjs";
import { start } from "../lib/server.mjs";
import { SETTINGS } from "./market.mjs";
import { newImage, Patient } from "./patient.mjs";
import { isAlive, kill9, mediaChildOf, until, zygoteOf } from "./processes.mjs";

const KILLS = 4; /* the fifth end of one file may count against the file */

const BACK_OFF_S = 601; /* the longest */

let seed = 1;

/* Takes a while to examine, so that its child can be met. */
function slowImage() {
  return pngImage({ seed: seed++, width: 1600, height: 1200 });
}

async function begin() {
  const server = await start({ ...SETTINGS, "score-workers": 1 });
  return { server, patient: await Patient.open(server) };
}

async function submit(patient, bytes) {
  const job = await patient.post();
  const reservation = await patient.accept(job);
  await patient.put(reservation, bytes);
  return { job, reservation };
}

function submission(patient, { reservation }) {
  return patient.client.get(`/worker/v1/submissions/${reservation.submission_id}`).then(({ json }) => json);
}

function ends(server, event, subject) {
  const lines = server.logLines.filter((line) => line.includes(`"event":"${event}"`) && line.includes(subject));
  return lines.length;
}

const isScored = async (patient, played) => (await submission(patient, played)).status !== "pending_score";

/* Wait until it is examined. → whether that was seen: on a busy machine it may be over before anybody looks */
async function meet(server, patient, played) {
  const met = await until(
    async () => (mediaChildOf(server.child.pid) ? "met" : (await isScored(patient, played)) && "missed"),
    "a file is examined", { everyMs: 1 },
  );
  return met === "met";
}

/* Kill what is examining it, each time it is tried, and let the back-off pass. → whether every try was met */
async function killTries(server, patient, played, victimOf, kills) {
  const id = played.reservation.submission_id;
  const count = () => ends(server, "score_postponed", id);
  for (let done = count(), wanted = done + kills; done < wanted; done = count()) {
    if (!(await meet(server, patient, played))) return false;
    if (!kill9(victimOf(server.child.pid))) continue;
    await until(async () => count() > done || (await isScored(patient, played)), "its end is noted, or it was over");
    if (count() < wanted) server.advance(BACK_OFF_S).catch(() => {}); /* it waits for the try that we kill */
  }
  return true;
}

/* A file of which so many tries were killed. */
function submitAndKill(server, patient, victimOf, kills) {
  return until(async () => {
    const played = await submit(patient, slowImage());
    return (await killTries(server, patient, played, victimOf, kills)) && played;
  }, `${kills} tries of one file are met`);
}

/* mayBeUnlogged: the server was killed, and the line with it. */
async function checkScoredOnce(server, patient, played, { mayBeUnlogged = false } = {}) {
  await until(async () => {
    if (await isScored(patient, played)) return true;
    await server.advance(60);
    return false;
  }, "it is scored");
  const row = await submission(patient, played);
  assert.equal(row.status, "approved", row.ai_reasoning);
  if (!mayBeUnlogged) await until(() => ends(server, "scored", row.id) > 0, "the log says so");
  assert.ok(ends(server, "scored", row.id) <= 1, "scored once");
  const payouts = (await patient.client.all("/worker/v1/earnings")).filter((one) => one.submission_id === row.id);
  assert.equal(payouts.length, 1, "paid once");
  await server.audit();
}

for (const [name, victimOf] of [["child", mediaChildOf], ["zygote", zygoteOf]]) {
  test(`a ${name} killed ${KILLS} times while it scores leaves one score`, { timeout: 400_000 }, async () => {
    const { server, patient } = await begin();
    try {
      const played = await submitAndKill(server, patient, victimOf, KILLS);
      assert.equal((await submission(patient, played)).status, "pending_score", "nothing is judged for being killed");
      await checkScoredOnce(server, patient, played);
    } finally {
      await server.stop();
    }
  });
}

test("a file is scored after any number of deaths while no other file passes", { timeout: 400_000 }, async () => {
  const { server, patient } = await begin();
  try {
    const played = await submitAndKill(server, patient, mediaChildOf, 8);
    assert.equal((await submission(patient, played)).status, "pending_score");
    await checkScoredOnce(server, patient, played);
  } finally {
    await server.stop();
  }
});

/* A file that was not examined so often, then killed at its first try. → null when that try was missed */
async function failedThenKilled(server, patient) {
  await server.restart({ tasks: "off" });
  patient.connect();
  const played = await submit(patient, slowImage());
  const id = played.reservation.submission_id, path = join(server.dataDir, "blobs", `${id}.1`);
  renameSync(path, `${server.dataDir}/aside`); /* as a disk that cannot be read */
  await server.restart({ tasks: "on" });
  patient.connect();
  for (let failures = 1; failures <= KILLS; failures++) {
    await until(() => ends(server, "score_postponed", id) >= failures, `failure ${failures} is noted`);
    if (failures < KILLS) await server.advance(BACK_OFF_S);
  }
  const other = await submit(patient, newImage());
  await until(async () => (await submission(patient, other)).status === "approved", "another file passes");
  renameSync(`${server.dataDir}/aside`, path);
  server.advance(BACK_OFF_S).catch(() => {}); /* it waits for the try that we kill */
  return (await killTries(server, patient, played, mediaChildOf, 1)) ? played : null;
}

test("what failed before a file was examined does not count against it", { timeout: 400_000 }, async () => {
  const { server, patient } = await begin();
  try {
    const played = await until(() => failedThenKilled(server, patient), "its first try is met");
    assert.equal((await submission(patient, played)).status, "pending_score");
    await checkScoredOnce(server, patient, played);
  } finally {
    await server.stop();
  }
});

test("a server killed while it scores takes the score up when it starts", { timeout: 400_000 }, async () => {
  const { server, patient } = await begin();
  try {
    const played = await until(async () => {
      const one = await submit(patient, slowImage());
      return (await meet(server, patient, one)) && one;
    }, "a try is met");
    const child = mediaChildOf(server.child.pid);
    const zygote = zygoteOf(server.child.pid);
    await server.kill9();
    for (const pid of [zygote, child]) await until(() => !isAlive(pid), "what it started ends with it");
    await server.launch();
    patient.connect();
    /* The clock is not moved: this is at once, not when the lease ends. */
    await until(async () => (await submission(patient, played)).status === "approved", "it is scored");
    await checkScoredOnce(server, patient, played, { mayBeUnlogged: true });
  } finally {
    await server.stop();
  }
});

test("a file that was approved is delivered at once", { timeout: 400_000 }, async () => {
  const { server, patient } = await begin();
  try {
    const played = await patient.play({ isPut: true });
    await until(() => patient.isDelivered(played), "it is delivered");
    await patient.checkDelivered(played);
  } finally {
    await server.stop();
  }
});
