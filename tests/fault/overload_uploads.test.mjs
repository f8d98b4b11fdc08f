/* Two hundred files at once: each arrives whole, or is refused for a moment and goes on where it was,
 * and what an upload costs in memory does not depend on its size. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Bystander, inWords } from "../lib/bystander.mjs";
import { pngImage } from "../lib/media.mjs";
import { MIB, assertBounded, assertRecovered, gauge, mib } from "../lib/gauge.mjs";
import { inParallel, openMarket, until } from "../lib/market.mjs";
import { sha256 } from "../lib/samples.mjs";
import { Line, closeLines, requestBytes } from "../lib/swarm.mjs";
import { OFFSET_STREAM, Tus, VERSION } from "../lib/tus.mjs";

const UPLOADS = 200;
const FILE_BYTES = 4 * MIB;
const STEPS = [0.25, 0.75]; /* of the file, where memory is looked at */
const BYTES_OF_AN_UPLOAD = 256 << 10;
const FOLLOWERS = 50; /* that a loaded machine may begin late */

/* Valid for as far as anybody looks before scoring, which is off. */
const FILE = Buffer.concat([pngImage({ seed: 1 }), randomBytes(FILE_BYTES)]).subarray(0, FILE_BYTES);

async function beginUploads(market) {
  const tus = new Tus(market.worker);
  return inParallel(Array(UPLOADS).fill(market), 20, async () => {
    const job = await market.job({ price_per_file_cents: 1, accepted_formats: ["image/png"] });
    const reservation = await market.worker.accept(job.id);
    return { reservation, location: await tus.begin(reservation.id, FILE_BYTES) };
  });
}

/* The head of a PATCH for the whole file; its bytes follow when told. */
async function openPatch(server, token, upload) {
  const headers = { ...VERSION, "content-type": OFFSET_STREAM, "upload-offset": 0, "content-length": FILE_BYTES };
  upload.line = (await Line.open(server.base)).send(requestBytes("PATCH", upload.location, { token, headers }));
}

/* How much has reached the parts on disk, by what the server has read of its sockets. */
async function sendUpTo(uploads, from, to) {
  const sent = uploads.map(({ line }) => new Promise((done) => line.socket.write(FILE.subarray(from, to), done)));
  await Promise.all(sent);
}

/* From the offset the server tells, as often as it says 503. → how often */
async function resume(market, upload) {
  const tus = new Tus(market.worker);
  for (let refused = 1; ; refused++) {
    const offset = await tus.offset(upload.location);
    const reply = await tus.patch(upload.location, offset, FILE.subarray(offset));
    if (reply.status === 204) return refused;
    assert.equal(reply.status, 503, reply.text);
    await pause(Number(reply.headers["retry-after"]) * 1000);
  }
}

test("two hundred uploads at once all arrive, in constant memory and with no more threads", { timeout: 400_000 }, async () => {
  const market = await openMarket({ tasks: "off", "idle-timeout": "10m" }, { credits: 1_000_000 });
  const { server } = market;
  let uploads = [];
  try {
    const { pid } = server.child;
    uploads = await beginUploads(market);
    market.worker.close();
    const before = gauge(pid);
    const bystander = await Bystander.start({ base: server.base, token: market.buyer.token, target: "/v1/jobs" });
    await inParallel(uploads, 50, (upload) => openPatch(server, market.worker.token, upload));

    const held = [];
    let from = 0;
    for (const share of STEPS) {
      await sendUpTo(uploads, from, FILE_BYTES * share);
      from = FILE_BYTES * share;
      held.push(gauge(pid).rssBytes - before.rssBytes);
    }
    assert.ok(gauge(pid).threads <= before.threads, "an upload has no thread of its own");
    for (const bytes of held) assertBounded(`memory of ${UPLOADS} uploads`, bytes, UPLOADS * BYTES_OF_AN_UPLOAD);

    await sendUpTo(uploads, from, FILE_BYTES);
    let refused = 0;
    for (const upload of uploads) {
      const reply = await upload.line.reply();
      if (reply?.status === 204) continue;
      assert.equal(reply?.status, 503, reply?.text);
      assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d*$/);
      refused += await resume(market, upload);
    }
    console.log(`beside ${UPLOADS} uploads: ${inWords(await bystander.stop())}`);
    console.log(`${UPLOADS} uploads of ${mib(FILE_BYTES)}, ${refused} times 503: at ${STEPS.join(" and ")} of the file all held ${held.map(mib).join(" and ")}`);

    const sha = sha256(FILE);
    for (const { reservation } of uploads) {
      const reply = await market.worker.get(`/worker/v1/submissions/${reservation.submission_id}`);
      assert.equal(reply.json.status, "pending_score", reply.text);
      assert.equal(reply.json.size_bytes, FILE_BYTES);
    }
    const blobs = readdirSync(join(server.dataDir, "blobs"), { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    assert.equal(blobs.length, UPLOADS);
    for (const { parentPath, path, name } of blobs)
      assert.equal(sha256(readFileSync(join(parentPath ?? path, name))), sha, `${name} is the file that was sent`);
    closeLines(uploads.map(({ line }) => line));
    await assertRecovered(server, before);
  } finally {
    closeLines(uploads.flatMap(({ line }) => line ?? []));
    await market.stop();
  }
});
