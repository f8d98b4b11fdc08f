/* The disk is full, here or there, or all of it: what cannot be kept is refused with 503 or waits,
 * what was answered stands, and all goes on by itself once there is room. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, statSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../lib/samples.mjs";
import { Server, start } from "../lib/server.mjs";
import { FailingDisk, PLACES } from "./failing_disk.mjs";
import { SETTINGS } from "./market.mjs";
import { Patient, integrity, newImage } from "./patient.mjs";
import { until } from "./processes.mjs";

const FULL = ["write", "rename"]; /* what a full disk refuses */
const DEAD = ["write", "rename", "fsync", "fdatasync", "ftruncate", "open"];
const ROOM_BYTES = 256 << 10;
const OFFSET_STREAM = { "tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream" };

async function withServer(run) {
  const disk = new FailingDisk();
  const server = await start(SETTINGS);
  await server.halt();
  server.environment = disk.environment;
  await server.launch();
  try {
    await run({ disk, server, patient: await Patient.open(server) });
    assert.equal(server.child.exitCode, null, "the server lives");
    await server.kill9();
    await server.launch();
    await server.audit();
    integrity(server);
  } finally {
    disk.heal();
    await server.stop();
    disk.close();
  }
}

function assertUnavailable(reply) {
  assert.equal(reply.status, 503, reply.text);
  assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d*$/);
}

function delivered(server, patient, played) {
  return until(async () => {
    if (await patient.isDelivered(played)) return true;
    await server.advance(60);
    return false;
  }, "it is delivered", { everyMs: 20 });
}

function post(patient, idempotencyKey) {
  return patient.buyer.postJob({ accepted_formats: ["image/png"], min_star_rating: 1 }, { idempotencyKey });
}

for (const [error, kinds] of [["ENOSPC", FULL], ["EIO", DEAD]]) {
  test(`${error} on the log: writes are refused, reads answered`, { timeout: 400_000 }, () =>
    withServer(async ({ disk, server, patient }) => {
      const kept = await patient.post();
      const reservation = await patient.accept(kept);
      const key = randomUUID();
      disk.fail({ kinds, error, pattern: PLACES.log });
      for (let i = 0; i < 3; i++) assertUnavailable(await post(patient, key));
      assertUnavailable(await patient.buyer.post("/v1/api_keys", { name: "a key", scopes: ["jobs:read"], environment: "live" }));
      assertUnavailable(await patient.buyer.request("POST", `/v1/jobs/${kept.id}/cancel`));
      assertUnavailable(await patient.tus.create(reservation.id, { length: 100 }));
      assertUnavailable(await patient.client.putFile(reservation.id, newImage()));
      assert.equal((await patient.buyer.get(`/v1/jobs/${kept.id}`)).json.status, "open");
      assert.ok(disk.failed > 0);
      disk.heal();
      const first = await patient.expect(201, () => post(patient, key));
      assert.equal((await post(patient, key)).text, first.text);
      assert.equal((await patient.buyer.all("/v1/jobs")).length, 2, "a refused write left nothing");
      const bytes = newImage();
      await patient.upload(reservation, bytes);
      await delivered(server, patient, { job: kept, reservation });
    }));

  test(`${error} on the store: commits stand in the log until there is room`, { timeout: 400_000 }, () =>
    withServer(async ({ disk, server, patient }) => {
      disk.fail({ kinds: kinds.filter((kind) => kind !== "open"), error, pattern: PLACES.store });
      const played = await patient.play();
      await until(() => patient.isDelivered(played), "it is delivered");
      await server.halt(); /* its last checkpoint fails, which loses nothing */
      assert.ok(disk.failed > 0);
      disk.heal();
      await server.launch();
      patient.connect();
      await patient.checkDelivered(played);
    }));

  test(`${error} on uploads: bytes are refused, and resume where they stand`, { timeout: 400_000 }, () =>
    withServer(async ({ disk, server, patient }) => {
      const [job, other] = [await patient.post(), await patient.post()];
      const [reservation, otherReservation] = [await patient.accept(job), await patient.accept(other)];
      const bytes = newImage(), half = bytes.length >> 1;
      const created = await patient.expect(201, () => patient.tus.create(reservation.id, { length: bytes.length }));
      const { location } = created.headers;
      await patient.send(location, bytes, 0, half);
      disk.fail({ kinds, error, pattern: PLACES.uploads });
      for (let i = 0; i < 3; i++) assertUnavailable(await patient.tus.patch(location, half, bytes.subarray(half)));
      assertUnavailable(await patient.client.putFile(otherReservation.id, newImage()));
      assert.ok(disk.failed > 0);
      disk.heal();
      assert.equal(await patient.offset(location), half);
      const reply = await patient.send(location, bytes, half, bytes.length);
      assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
      await patient.put(otherReservation, newImage());
      await delivered(server, patient, { job, reservation });
    }));

  test(`${error} on blobs: a finish is refused, and needs no byte again`, { timeout: 400_000 }, () =>
    withServer(async ({ disk, server, patient }) => {
      const job = await patient.post();
      const reservation = await patient.accept(job);
      const bytes = newImage();
      const created = await patient.expect(201, () => patient.tus.create(reservation.id, { length: bytes.length }));
      const { location } = created.headers;
      disk.fail({ kinds, error, pattern: PLACES.blobs });
      assertUnavailable(await patient.tus.patch(location, 0, bytes));
      assertUnavailable(await patient.tus.head(location)); /* asking would finish it */
      assertUnavailable(await patient.tus.patch(location, bytes.length, Buffer.alloc(0)));
      assert.ok(disk.failed > 0);
      disk.heal();
      const reply = await patient.expect(204, () => patient.tus.patch(location, bytes.length, Buffer.alloc(0)));
      assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
      await delivered(server, patient, { job, reservation });
    }));

  test(`${error} on delivered folders: the file is paid, its delivery waits`, { timeout: 400_000 }, () =>
    withServer(async ({ disk, server, patient }) => {
      disk.fail({ kinds, error, pattern: PLACES.delivered });
      const played = await patient.play();
      await until(() => server.logLines.some((line) => line.includes("delivery_postponed")), "it is parked");
      assert.equal(await patient.isDelivered(played), false);
      assert.equal((await patient.client.get("/worker/v1/earnings")).json.data.length, 1);
      assert.ok(disk.failed > 0);
      disk.heal();
      await delivered(server, patient, played);
      await patient.checkDelivered(played);
    }));
}

test("what could not be synced is not answered, wherever the sync failed", { timeout: 400_000 }, () =>
  withServer(async ({ disk, patient }) => {
    const reservation = await patient.accept(await patient.post());
    const bytes = newImage();
    const created = await patient.expect(201, () => patient.tus.create(reservation.id, { length: bytes.length }));
    const { location } = created.headers;
    const key = randomUUID();
    const unsynced = (pattern) => disk.fail({ kinds: ["fsync", "fdatasync"], error: "EIO", pattern });
    unsynced(PLACES.log);
    assertUnavailable(await post(patient, key));
    unsynced(PLACES.uploads);
    assertUnavailable(await patient.tus.patch(location, 0, bytes.subarray(0, 100)));
    assert.equal(await patient.offset(location), 0, "what may not be on disk is not counted");
    disk.heal();
    await patient.send(location, bytes, 0, bytes.length - 1);
    unsynced(PLACES.blobs);
    assertUnavailable(await patient.tus.patch(location, bytes.length - 1, bytes.subarray(-1)));
    assertUnavailable(await patient.tus.head(location));
    assert.ok(disk.failed > 0);
    disk.heal();
    assert.equal(await patient.offset(location), bytes.length);
    await patient.expect(201, () => post(patient, key));
  }));

test("a part that cannot even be cut resumes where it stood", { timeout: 400_000 }, () =>
  withServer(async ({ disk, server, patient }) => {
    const job = await patient.post();
    const reservation = await patient.accept(job);
    const bytes = newImage(), half = bytes.length >> 1;
    const created = await patient.expect(201, () => patient.tus.create(reservation.id, { length: bytes.length }));
    const { location } = created.headers;
    await patient.send(location, bytes, 0, half);
    for (const kinds of [["write", "ftruncate"], ["fdatasync", "ftruncate"]]) {
      disk.fail({ kinds, error: "EIO", pattern: PLACES.uploads });
      for (let i = 0; i < 3; i++) assertUnavailable(await patient.tus.patch(location, half, bytes.subarray(half)));
      assert.ok(disk.failed > 2);
      disk.heal();
      assert.equal(await patient.offset(location), half, "what was not answered is not counted");
    }
    const reply = await patient.send(location, bytes, half, bytes.length);
    assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
    await delivered(server, patient, { job, reservation });
    await patient.checkDelivered({ job, reservation, sha: sha256(bytes) });
  }));

test("blobs that cannot be read are nobody's fault: the score waits", { timeout: 400_000 }, () =>
  withServer(async ({ disk, server, patient }) => {
    const good = await patient.play();
    await delivered(server, patient, good);
    const job = await patient.post();
    const reservation = await patient.accept(job);
    disk.fail({ kinds: ["open"], error: "EIO", pattern: `/blobs/${reservation.submission_id}.1$` });
    for (let i = 0; i < 2; i++) assertUnavailable(await patient.client.putFile(reservation.id, newImage()));
    disk.heal();
    await server.restart({ tasks: "off" });
    patient.connect();
    await patient.put(reservation, newImage());
    disk.fail({ kinds: ["open"], error: "EIO", pattern: `/blobs/${reservation.submission_id}.1$` });
    await server.restart({ tasks: "on" }); /* it is to be read only now */
    patient.connect();
    await server.advance(1);
    for (let failures = 1; failures <= 7; failures++) {
      const other = await patient.play({ isPut: true }); /* other files pass meanwhile */
      await delivered(server, patient, other);
      await until(async () => {
        await server.advance(120);
        return server.logLines.filter((line) => line.includes("score_postponed")).length >= failures;
      }, "it is tried again");
    }
    const row = await patient.client.get(`/worker/v1/submissions/${reservation.submission_id}`);
    assert.equal(row.json.status, "pending_score", row.text);
    disk.heal();
    await delivered(server, patient, { job, reservation });
  }));

/* --- a disk that is really full --- */

function mountSmall(bytes) {
  const folder = mkdtempSync(join(tmpdir(), "firsthand-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "firsthand-test", folder], { stdio: "pipe" });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return null;
  }
}

/* Leave room for a few writes. */
function fill(folder) {
  const { bavail, bsize } = statfsSync(folder);
  try {
    writeFileSync(join(folder, "ballast"), Buffer.alloc(Number(bavail) * Number(bsize) + bsize, 1));
  } catch (e) {
    assert.equal(e.code, "ENOSPC");
  }
  assert.equal(Number(statfsSync(folder).bavail), 0);
  truncateSync(join(folder, "ballast"), statSync(join(folder, "ballast")).size - ROOM_BYTES);
}

test("a file system without a block left refuses writes, and goes on when there is room", { timeout: 400_000 }, async (t) => {
  const folder = mountSmall(24 << 20);
  if (folder === null) {
    t.skip("NOT RUN: no tmpfs may be mounted here; the shim's ENOSPC above has to do");
    return;
  }
  const server = new Server(join(folder, "data"), SETTINGS);
  try {
    await server.launch();
    const patient = await Patient.open(server);
    const kept = await patient.play();
    await delivered(server, patient, kept);
    const job = await patient.post();
    const reservation = await patient.accept(job);
    const bytes = newImage(), half = bytes.length >> 1;
    const created = await patient.expect(201, () => patient.tus.create(reservation.id, { length: bytes.length }));
    const { location } = created.headers;
    await patient.send(location, bytes, 0, half);

    /* Jobs of a long description, until the log has no room. */
    fill(folder);
    const answered = [];
    let refused = null;
    for (let i = 0; i < 3000 && !refused; i++) {
      const key = randomUUID();
      const body = { accepted_formats: ["image/png"], min_star_rating: 1, description: "x".repeat(1900) };
      const reply = await patient.buyer.postJob(body, { idempotencyKey: key });
      if (reply.status === 201) answered.push({ key, body, text: reply.text });
      else refused = { key, body, reply };
    }
    assertUnavailable(refused.reply);
    assertUnavailable(await patient.buyer.postJob(refused.body, { idempotencyKey: refused.key }));
    const patched = await patient.client.request("PATCH", new URL(location).pathname, {
      raw: bytes.subarray(half), headers: { ...OFFSET_STREAM, "upload-offset": String(half) },
    });
    assertUnavailable(patched);
    assert.equal((await patient.buyer.get(`/v1/jobs/${job.id}`)).status, 200, "reads are answered");

    rmSync(join(folder, "ballast"));
    for (const { key, body, text } of answered)
      assert.equal((await patient.buyer.postJob(body, { idempotencyKey: key })).text, text);
    await patient.expect(201, () => patient.buyer.postJob(refused.body, { idempotencyKey: refused.key }));
    const stands = await patient.offset(location);
    assert.ok(stands >= half);
    await patient.send(location, bytes, stands, bytes.length);
    await delivered(server, patient, { job, reservation });
    await patient.checkDelivered({ job, reservation, sha: sha256(bytes) });
    await server.kill9();
    await server.launch();
    await server.audit();
    integrity(server);
    t.diagnostic(`${answered.length} jobs were answered before the disk was full`);
  } finally {
    await server.stop();
    execFileSync("umount", [folder]);
    rmSync(folder, { recursive: true });
  }
});
