/* A file's way in: one-shot and resumable, cut, taken over, refused, repeated, restarted. All of
 * tusOptions, createUpload, getUploadOffset, appendUpload, terminateUpload, listUploads and
 * putReservationFile. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { until } from "../lib/market.mjs";
import { pngImage } from "../lib/media.mjs";
import { sha256 } from "../lib/samples.mjs";
import { start } from "../lib/server.mjs";
import { checksum, metadata, Tus, VERSION } from "../lib/tus.mjs";

const HOUR_S = 3600;
const server = await start({ "rate-limit-per-minute": "0", "worker-reservations-max": "100", "worker-submissions-per-day": "0" });
let buyer;
let seed = 100;

before(async () => {
  const org = await server.createOrg({ credits: 10_000_000 });
  buyer = server.client(org.live_key);
});
after(async () => {
  await server.audit();
  await server.stop();
});

async function newWorker() {
  const { token } = await server.createWorker();
  return server.client(token);
}

/* A job, a worker with a slot of it, and a file nobody sent before. */
async function slot({ job: overrides = {}, worker } = {}) {
  const job = await buyer.createJob({ accepted_formats: ["image/png"], files_needed: 50, ...overrides });
  const client = worker ?? (await newWorker());
  const reservation = await client.accept(job.id);
  return { job, client, tus: new Tus(client), reservation, file: pngImage({ seed: seed++ }) };
}

function codeOf(reply) {
  return reply.json?.error.details[0].code;
}

function partsOnDisk() {
  return readdirSync(join(server.dataDir, "uploads"));
}

async function submissionOf(client, id) {
  const reply = await client.get(`/worker/v1/submissions/${id}`);
  assert.equal(reply.status, 200, reply.text);
  return reply.json;
}

/* --- one request --- */

function curl(client, args) {
  const write = "%{http_code}";
  return promisify(execFile)("curl", [
    "--silent", "--show-error", "--max-time", "60", "--write-out", `\n${write}`,
    "--header", `Authorization: Bearer ${client.token}`, ...args,
  ]).then(({ stdout }) => {
    const at = stdout.lastIndexOf("\n");
    return { status: Number(stdout.slice(at + 1)), json: at > 0 ? JSON.parse(stdout.slice(0, at)) : null };
  });
}

test("curl -T sends a whole file; the same bytes again are the same submission", async () => {
  const { client, reservation, file } = await slot();
  const path = join(server.dataDir, "sign.png");
  const url = `${server.base}/worker/v1/reservations/${reservation.id}/file`;
  writeFileSync(path, file);
  const name = ["--header", 'Content-Disposition: attachment; filename="../../etc/sign.png"'];
  const first = await curl(client, ["-T", path, ...name, url]);
  assert.equal(first.status, 201);
  assert.equal(first.json.id, reservation.submission_id);
  assert.equal(first.json.size_bytes, file.length);
  assert.equal(first.json.content_type, "image/png");
  assert.equal(first.json.original_filename, "sign.png");
  const again = await curl(client, ["-T", path, url]);
  assert.equal(again.status, 200);
  assert.equal(again.json.id, first.json.id);
  writeFileSync(path, pngImage({ seed: seed++ }));
  const other = await curl(client, ["-T", path, url]);
  assert.equal(other.status, 409);
  assert.equal(other.json.error.details[0].code, "reservation_used");
  const uploads = await client.all("/worker/v1/uploads");
  assert.equal(uploads.length, 1);
  assert.equal(uploads[0].state, "finished");
  assert.equal(uploads[0].content_hash, sha256(file));
  assert.equal(uploads[0].offset_bytes, file.length);
  await until("nothing of what was refused stays", () => partsOnDisk().length === 0);
});

test("curl without a length is streamed", async () => {
  const { client, reservation, file } = await slot();
  const path = join(server.dataDir, "stream.png");
  writeFileSync(path, file);
  const url = `${server.base}/worker/v1/reservations/${reservation.id}/file`;
  const reply = await curl(client, ["-T", path, "--header", "Transfer-Encoding: chunked", url]);
  assert.equal(reply.status, 201);
  assert.equal(reply.json.size_bytes, file.length);
});

test("a name in UTF-8 wins over its plain form and is only a hint", async () => {
  const { client, reservation, file } = await slot();
  const headers = { "content-disposition": "attachment; filename=\"x.png\"; filename*=UTF-8''stra%C3%9Fe%0A.gif" };
  const reply = await client.putFile(reservation.id, file, { headers });
  assert.equal(reply.status, 201, reply.text);
  assert.equal(reply.json.original_filename, "straße?.gif");
  assert.equal(reply.json.content_type, "image/png");
});

test("a file that is not what the job takes is refused by its content and the slot is kept", async () => {
  const { client, reservation, file } = await slot();
  const wrong = await client.putFile(reservation.id, Buffer.alloc(300_000, "GIF89a"), { contentType: "image/png" });
  assert.equal(wrong.status, 415);
  assert.equal(codeOf(wrong), "unsupported_format");
  const right = await client.putFile(reservation.id, file);
  assert.equal(right.status, 201);
});

test("an empty file is of no type", async () => {
  const { client, tus, reservation, file } = await slot();
  const announced = await client.putFile(reservation.id, Buffer.alloc(0));
  assert.equal(announced.status, 415);
  const chunked = { "transfer-encoding": "chunked", "content-length": null };
  const streamed = await client.putFile(reservation.id, Buffer.alloc(0), { headers: chunked });
  assert.equal(streamed.status, 415);
  assert.equal((await tus.create(reservation.id, { length: 0 })).status, 415);
  assert.equal((await client.putFile(reservation.id, file)).status, 201);
});

test("a PUT of a part of a file is refused, and the slot is kept", async () => {
  const { client, reservation, file } = await slot();
  const range = { "content-range": `bytes 0-${file.length - 101}/${file.length}` };
  const reply = await client.putFile(reservation.id, file.subarray(0, file.length - 100), { headers: range });
  assert.deepEqual([reply.status, codeOf(reply)], [400, "content_range"]);
  assert.equal((await client.putFile(reservation.id, file)).status, 201);
});

test("a PUT that breaks off leaves nothing behind", async () => {
  const { client, reservation, file } = await slot();
  const socket = net.connect({ host: client.base.hostname, port: Number(client.base.port) });
  socket.on("error", () => {});
  socket.write(
    `PUT /worker/v1/reservations/${reservation.id}/file HTTP/1.1\r\nHost: x\r\n` +
      `Authorization: Bearer ${client.token}\r\nContent-Length: ${file.length}\r\n\r\n`,
  );
  socket.write(file.subarray(0, 50_000));
  await until("the part appears", () => partsOnDisk().length === 1);
  socket.resetAndDestroy();
  await until("the part is gone", () => partsOnDisk().length === 0);
  assert.deepEqual(await client.all("/worker/v1/uploads"), []);
  assert.equal((await client.putFile(reservation.id, file)).status, 201);
});

test("the same bytes from another worker are a duplicate", async () => {
  const { job, client, reservation, file } = await slot();
  const other = await newWorker();
  const second = await other.accept(job.id);
  assert.equal((await client.putFile(reservation.id, file)).status, 201);
  const reply = await other.putFile(second.id, file);
  assert.equal(reply.status, 201);
  assert.equal(reply.json.status, "rejected");
  assert.equal(reply.json.ai_star_rating, 1);
});

/* --- tus: the plain way --- */

test("OPTIONS says what the server can do, to anyone", async () => {
  const reply = await server.client().request("OPTIONS", "/worker/v1/uploads");
  assert.equal(reply.status, 204);
  assert.equal(reply.headers["tus-version"], "1.0.0");
  assert.equal(reply.headers["tus-max-size"], String(2 * 1024 ** 3));
  assert.equal(reply.headers["tus-checksum-algorithm"], "sha1,sha256");
  for (const extension of ["creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination"])
    assert.ok(reply.headers["tus-extension"].split(",").includes(extension), extension);
});

test("a file in pieces: offsets, metadata, expiry, and the submission at the end", async () => {
  const { client, tus, reservation, file } = await slot();
  const hints = metadata({ filename: "ünser/bild.png", filetype: "image/gif" });
  const location = await tus.begin(reservation.id, file.length, { "upload-metadata": hints });
  const cut = Math.floor(file.length / 3);
  const begun = await tus.head(location);
  assert.equal(begun.headers["upload-offset"], "0");
  assert.equal(begun.headers["upload-length"], String(file.length));
  assert.equal(begun.headers["upload-metadata"], hints);
  assert.equal(begun.headers["cache-control"], "no-store");
  assert.ok(Date.parse(begun.headers["upload-expires"]) > Date.now());

  const first = await tus.patch(location, 0, file.subarray(0, cut));
  assert.equal(first.status, 204, first.text);
  assert.equal(first.headers["upload-offset"], String(cut));
  assert.equal(first.headers["firsthand-submission-id"], undefined);
  const row = (await client.all("/worker/v1/uploads"))[0];
  assert.equal(row.state, "receiving");
  assert.equal(row.offset_bytes, cut);
  assert.equal(row.filename, "bild.png");

  const last = await tus.patch(location, cut, file.subarray(cut));
  assert.equal(last.status, 204, last.text);
  assert.equal(last.headers["upload-offset"], String(file.length));
  assert.equal(last.headers["firsthand-submission-id"], reservation.submission_id);
  const submission = await submissionOf(client, reservation.submission_id);
  assert.equal(submission.size_bytes, file.length);
  assert.equal(submission.original_filename, "bild.png");
  assert.equal((await client.all("/worker/v1/uploads"))[0].content_hash, sha256(file));
});

test("whoever missed the last reply gets it again", async () => {
  const { tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(location, 0, file)).status, 204);
  const head = await tus.head(location);
  assert.equal(head.headers["upload-offset"], head.headers["upload-length"]);
  assert.equal(head.headers["firsthand-submission-id"], reservation.submission_id);
  const again = await tus.patch(location, file.length, Buffer.alloc(0));
  assert.equal(again.status, 204);
  assert.equal(again.headers["firsthand-submission-id"], reservation.submission_id);
  const more = await tus.patch(location, file.length, Buffer.from("x"));
  assert.equal(more.status, 413);
  assert.equal((await tus.patch(location, 0, file)).status, 409);
});

test("the creation may carry the whole file", async () => {
  const { tus, reservation, file } = await slot();
  const reply = await tus.create(reservation.id, { length: file.length, body: file });
  assert.equal(reply.status, 201, reply.text);
  assert.equal(reply.headers["upload-offset"], String(file.length));
  assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
});

test("the creation may carry a beginning", async () => {
  const { tus, reservation, file } = await slot();
  const reply = await tus.create(reservation.id, { length: file.length, body: file.subarray(0, 1000) });
  assert.equal(reply.status, 201, reply.text);
  assert.equal(reply.headers["upload-offset"], "1000");
  assert.equal((await tus.patch(reply.headers.location, 1000, file.subarray(1000))).status, 204);
});

test("POST with X-HTTP-Method-Override is the method it names", async () => {
  const { client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  const reply = await client.request("POST", location, {
    raw: file,
    headers: { ...VERSION, "content-type": "application/offset+octet-stream", "upload-offset": "0", "x-http-method-override": "PATCH" },
    isChecked: false,
  });
  assert.equal(reply.status, 204, reply.text);
});

test("a length may follow later, once", async () => {
  const { tus, reservation, file } = await slot();
  const created = await tus.create(reservation.id, { headers: { "upload-defer-length": "1" } });
  assert.equal(created.status, 201);
  const { location } = created.headers;
  assert.equal((await tus.head(location)).headers["upload-defer-length"], "1");
  assert.equal((await tus.patch(location, 0, file.subarray(0, 500))).status, 204);
  const size = { "upload-length": String(file.length) };
  assert.equal((await tus.patch(location, 500, file.subarray(500, 600), size)).status, 204);
  const head = await tus.head(location);
  assert.equal(head.headers["upload-length"], String(file.length));
  assert.equal(head.headers["upload-defer-length"], undefined);
  const other = await tus.patch(location, 600, file.subarray(600, 700), { "upload-length": "99999999" });
  assert.equal(other.status, 400);
  const last = await tus.patch(location, 600, file.subarray(600));
  assert.equal(last.headers["firsthand-submission-id"], reservation.submission_id);
});

/* --- tus: what is refused --- */

test("requests that are not tus 1.0.0 are refused and told the version", async () => {
  const { client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  for (const version of [null, "0.2.2"])
    for (const [method, target] of [["POST", `/worker/v1/uploads?reservation=${reservation.id}`], ["HEAD", location], ["PATCH", location], ["DELETE", location]]) {
      const reply = await client.request(method, target, { raw: "", headers: { "tus-resumable": version } });
      assert.equal(reply.status, 412, `${method} ${version}`);
      assert.equal(reply.headers["tus-version"], "1.0.0");
      assert.equal(reply.headers["tus-resumable"], "1.0.0");
    }
});

test("a creation says what it is about to send", async () => {
  const { tus, reservation } = await slot();
  const cases = [
    [{}, 400, "length_missing"],
    [{ length: 10, headers: { "upload-defer-length": "1" } }, 400, "length_missing"],
    [{ headers: { "upload-defer-length": "2" } }, 400, "defer_length"],
    [{ length: "-1" }, 400, "type"],
    [{ length: "+1" }, 400, "type"],
    [{ length: "99999999999999999999" }, 400, "type"],
    [{ length: 10, headers: { "upload-metadata": "filename not-base64!" } }, 400, "metadata_malformed"],
    [{ length: 10, headers: { "upload-metadata": "a\tYQ==" } }, 400, "metadata_malformed"],
    [{ length: 10, headers: { "upload-concat": "partial" } }, 400, "concatenation"],
    [{ length: 50 * 1024 ** 2 + 1 }, 413, "file_too_large"],
    [{ length: 10, body: Buffer.alloc(11) }, 413, "too_many_bytes"],
    [{ length: 10, body: Buffer.alloc(5), headers: { "content-type": "image/png" } }, 415, "not_offset_stream"],
  ];
  for (const [options, status, code] of cases) {
    const reply = await tus.create(reservation.id, options);
    assert.equal(reply.status, status, JSON.stringify(options));
    assert.equal(codeOf(reply), code, JSON.stringify(options));
  }
  assert.equal((await tus.create("rsv_00000000000000000000000000", { length: 1 })).status, 404);
  assert.equal((await tus.create("nonsense", { length: 1 })).status, 404);
  assert.deepEqual(partsOnDisk().filter((name) => name.includes(".")), []);
});

test("bytes go where the upload stands and nowhere else", async () => {
  const { tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(location, 0, file.subarray(0, 1000))).status, 204);
  for (const offset of [0, 999, 1001, file.length]) {
    const reply = await tus.patch(location, offset, file.subarray(1000, 1100));
    assert.equal(reply.status, 409);
    assert.equal(reply.headers["upload-offset"], "1000");
  }
  const bad = await tus.patch(location, "1000x", file.subarray(1000, 1100));
  assert.equal(bad.status, 400);
  const missing = await tus.patch(location, 0, file, { "upload-offset": null });
  assert.equal(missing.status, 400);
  const typed = await tus.patch(location, 1000, file.subarray(1000, 1100), { "content-type": "image/png" });
  assert.equal(typed.status, 415);
  const long = await tus.patch(location, 1000, Buffer.concat([file.subarray(1000), Buffer.from("x")]));
  assert.equal(long.status, 413);
  assert.equal(await tus.offset(location), 1000);
  assert.equal((await tus.patch(location, 1000, file.subarray(1000))).status, 204);
});

test("a checksum is kept, or nothing is", async () => {
  const { tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  const cut = Math.floor(file.length / 2);
  const head = file.subarray(0, cut);
  const wrong = await tus.patch(location, 0, head, { "upload-checksum": checksum("sha256", file) });
  assert.equal(wrong.status, 460);
  assert.equal(await tus.offset(location), 0);
  for (const value of ["md5 1B2M2Y8AsgTpgAmy7PhCfg==", "sha1", "sha1 !!!", "sha256 AAAA"]) {
    const reply = await tus.patch(location, 0, head, { "upload-checksum": value });
    assert.equal(reply.status, 400, value);
  }
  const right = await tus.patch(location, 0, head, { "upload-checksum": checksum("sha1", head) });
  assert.equal(right.status, 204, right.text);
  assert.equal(right.headers["upload-offset"], String(cut));
  const rest = file.subarray(cut);
  const last = await tus.patch(location, cut, rest, { "upload-checksum": checksum("sha256", rest) });
  assert.equal(last.headers["firsthand-submission-id"], reservation.submission_id);
  assert.deepEqual(partsOnDisk().filter((name) => name.includes(".")), []);
});

test("a refused type ends the upload as soon as it can be told, and the slot is kept", async () => {
  const { client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, 200_000);
  const few = await tus.patch(location, 0, Buffer.from("%PDF-1.7 "));
  assert.equal(few.status, 204);
  const told = await tus.patch(location, 9, Buffer.alloc(55, "x"));
  assert.equal(told.status, 415);
  assert.equal(codeOf(told), "unsupported_format");
  assert.equal((await tus.head(location)).status, 410);
  assert.equal((await tus.patch(location, 9, Buffer.alloc(1))).status, 410);
  assert.equal((await tus.terminate(location)).status, 410);
  await until("the row says so", async () => (await client.all("/worker/v1/uploads"))[0].state === "refused");
  const again = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(again, 0, file)).status, 204);
});

test("a short file is judged when it is complete", async () => {
  const { tus, reservation } = await slot();
  const location = await tus.begin(reservation.id, 10);
  assert.equal((await tus.patch(location, 0, Buffer.from("0123456789"))).status, 415);
  assert.equal((await tus.head(location)).status, 410);
});

test("the size that counts is that of the type the bytes show", async () => {
  const { tus, reservation, file } = await slot({ job: { accepted_formats: ["image/png", "video/mp4"] } });
  const location = await tus.begin(reservation.id, 60 * 1024 ** 2);
  const reply = await tus.patch(location, 0, file.subarray(0, 1000));
  assert.equal(reply.status, 413);
  assert.equal(codeOf(reply), "file_too_large");
  assert.equal((await tus.head(location)).status, 410);
  const larger = await tus.create(reservation.id, { length: 2 * 1024 ** 3 + 1 });
  assert.equal(larger.status, 413);
  assert.equal(larger.headers["tus-max-size"], String(2 * 1024 ** 3));
});

test("an upload is its worker's alone", async () => {
  const { tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  const other = new Tus(await newWorker());
  assert.equal((await other.head(location)).status, 404);
  assert.equal((await other.patch(location, 0, file)).status, 404);
  assert.equal((await other.terminate(location)).status, 404);
  assert.equal((await other.create(reservation.id, { length: file.length })).status, 404);
  assert.equal((await other.client.putFile(reservation.id, file)).status, 404);
  assert.equal((await new Tus(buyer).head(location)).status, 401);
  assert.equal((await tus.patch(location, 0, file)).status, 204);
});

test("a worker has so many unfinished uploads, however many slots he had", async () => {
  const small = await start({ "worker-reservations-max": "1" });
  try {
    const org = await small.createOrg({ credits: 10_000 });
    const job = await small.client(org.live_key).createJob({ accepted_formats: ["image/png"] });
    const client = small.client((await small.createWorker()).token);
    const tus = new Tus(client);
    const begun = [];
    for (let i = 0; i < 8; i++) {
      const reservation = await client.accept(job.id);
      begun.push(await tus.begin(reservation.id, 1000));
      assert.equal((await client.delete(`/worker/v1/reservations/${reservation.id}`)).status, 204);
    }
    const reservation = await client.accept(job.id);
    const file = pngImage({ seed: seed++ });
    const refused = await tus.create(reservation.id, { length: file.length, body: file });
    assert.deepEqual([refused.status, codeOf(refused)], [409, "uploads_capped"]);
    assert.equal((await tus.terminate(begun[0])).status, 204);
    assert.equal((await tus.create(reservation.id, { length: file.length, body: file })).status, 201);
  } finally {
    await small.stop();
  }
});

test("a terminated upload is gone and the slot is kept", async () => {
  const { client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(location, 0, file.subarray(0, 1000))).status, 204);
  assert.equal((await tus.terminate(location)).status, 204);
  assert.equal((await tus.head(location)).status, 410);
  assert.equal((await tus.patch(location, 1000, file.subarray(1000))).status, 410);
  assert.equal((await tus.terminate(location)).status, 410);
  assert.equal((await client.all("/worker/v1/uploads"))[0].state, "terminated");
  await until("its bytes are gone", () => !partsOnDisk().includes(location.split("/").pop()));
  const again = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(again, 0, file)).status, 204);
  assert.equal((await tus.terminate(again)).status, 409);
});

/* --- tus: interruptions --- */

test("a new request takes over from a half-dead connection at the true offset", async () => {
  const { tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  const old = await tus.openPatch(location, 0, file.length);
  old.write(file.subarray(0, 3000));
  const path = join(server.dataDir, "uploads", location.split("/").pop());
  await until("the first bytes arrive", () => statSync(path).size === 3000);
  assert.equal(await tus.offset(location), 3000);
  old.write(file.subarray(3000));
  assert.match(await old.reply(), /^HTTP\/1\.1 409 [\s\S]*upload_taken_over/);
  old.close();
  assert.equal(await tus.offset(location), 3000);
  const last = await tus.patch(location, 3000, file.subarray(3000));
  assert.equal(last.status, 204, last.text);
  const [row] = await tus.client.all("/worker/v1/uploads");
  assert.equal(row.content_hash, sha256(file));
});

test("of many that send the same piece one at a time wins and the bytes are right", async () => {
  const { tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  let at = 0;
  while (at < file.length) {
    const piece = file.subarray(at, at + 40_000);
    const replies = await Promise.all(Array.from({ length: 6 }, () => tus.patch(location, at, piece)));
    for (const { status } of replies) assert.ok([204, 409].includes(status), String(status));
    const now = await tus.offset(location);
    assert.ok(now >= at && now <= at + piece.length);
    at = now;
  }
  const [row] = await tus.client.all("/worker/v1/uploads");
  assert.equal(row.state, "finished");
  assert.equal(row.content_hash, sha256(file));
});

test("after kill -9 the upload goes on where its bytes end", async () => {
  const { tus, client, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(location, 0, file.subarray(0, 70_000))).status, 204);
  await server.kill9();
  await server.restart();
  const again = new Tus(server.client(client.token));
  const offset = await again.offset(location);
  assert.ok(offset >= 70_000, "what was acknowledged is there");
  buyer = server.client(buyer.token);
  const last = await again.patch(location, offset, file.subarray(offset));
  assert.equal(last.headers["firsthand-submission-id"], reservation.submission_id);
  const [row] = await again.client.all("/worker/v1/uploads");
  assert.equal(row.content_hash, sha256(file));
});

/* What a power failure leaves when it comes after the last byte and before the commit. */
async function crashedAtTheEnd({ isRenamed }) {
  const it = await slot();
  const location = await it.tus.begin(it.reservation.id, it.file.length);
  assert.equal((await it.tus.patch(location, 0, it.file.subarray(0, -1))).status, 204);
  await server.kill9();
  const part = join(server.dataDir, "uploads", location.split("/").pop());
  appendFileSync(part, it.file.subarray(-1));
  if (isRenamed) renameSync(part, join(server.dataDir, "blobs", `${it.reservation.submission_id}.1`));
  await server.restart();
  buyer = server.client(buyer.token);
  return { ...it, location, tus: new Tus(server.client(it.client.token)) };
}

for (const isRenamed of [false, true])
  test(`a finish that broke off ${isRenamed ? "after" : "before"} its rename is finished by whoever asks next`, async () => {
    const { tus, location, reservation, file } = await crashedAtTheEnd({ isRenamed });
    const [head, again] = await Promise.all([tus.head(location), tus.head(location)]);
    for (const reply of [head, again]) {
      assert.equal(reply.status, 200);
      assert.equal(reply.headers["upload-offset"], String(file.length));
      assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
    }
    const [row] = await tus.client.all("/worker/v1/uploads");
    assert.equal(row.state, "finished");
    assert.equal(row.content_hash, sha256(file));
    assert.equal(sha256(readFileSync(join(server.dataDir, "blobs", `${reservation.submission_id}.1`))), sha256(file));
  });

test("an empty last request finishes what broke off", async () => {
  const { tus, location, reservation, file } = await crashedAtTheEnd({ isRenamed: true });
  const reply = await tus.patch(location, file.length, Buffer.alloc(0));
  assert.equal(reply.status, 204, reply.text);
  assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
});

test("progress renews the reservation, and bytes alone do it", async () => {
  const { client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  const expires = async () => {
    const rows = await client.all("/worker/v1/reservations");
    return Date.parse(rows.find(({ id }) => id === reservation.id).expires_at);
  };
  const before = await expires();
  await server.advance(20 * 60);
  assert.equal((await tus.patch(location, 0, file.subarray(0, 1000))).status, 204);
  /* The renewal is a commit of its own, which the reply does not wait for. */
  await until("a request renews", async () => (await expires()) >= before + 19 * 60_000);
  await server.advance(20 * 60);
  const slow = await tus.openPatch(location, 1000, file.length - 1000);
  slow.write(file.subarray(1000, 2000));
  await until("a long request renews as it streams", async () => (await expires()) >= before + 39 * 60_000);
  slow.write(file.subarray(2000));
  assert.match(await slow.reply(), /^HTTP\/1\.1 204 /);
  slow.close();
});

test("an upload lapses with its time", async () => {
  const { client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(location, 0, file.subarray(0, 1000))).status, 204);
  await server.advance(6 * HOUR_S + 1);
  assert.equal((await tus.head(location)).status, 410);
  assert.equal((await tus.patch(location, 1000, file.subarray(1000))).status, 410);
  assert.equal((await client.all("/worker/v1/uploads"))[0].state, "expired");
  await until("its bytes are gone", () => !partsOnDisk().includes(location.split("/").pop()));
});

test("a lapsed reservation takes a free slot again, and none that is taken", async () => {
  const { client, tus, reservation, file } = await slot();
  const free = await tus.begin(reservation.id, file.length);
  await server.advance(HOUR_S);
  assert.equal((await tus.patch(free, 0, file)).status, 204);

  const full = await slot({ job: { files_needed: 1 }, worker: client });
  const location = await full.tus.begin(full.reservation.id, full.file.length);
  await server.advance(HOUR_S);
  const other = await newWorker();
  await other.accept(full.job.id);
  const late = await full.tus.patch(location, 0, full.file);
  assert.equal(late.status, 409);
  assert.equal(codeOf(late), "reservation_expired");
  const create = await full.tus.create(full.reservation.id, { length: 100 });
  assert.equal(codeOf(create), "reservation_expired");
  assert.equal((await client.putFile(full.reservation.id, full.file)).status, 409);
});

test("a job that was cancelled meanwhile takes nothing more", async () => {
  const { job, client, tus, reservation, file } = await slot();
  const location = await tus.begin(reservation.id, file.length);
  assert.equal((await tus.patch(location, 0, file.subarray(0, 1000))).status, 204);
  assert.equal((await buyer.post(`/v1/jobs/${job.id}/cancel`)).status, 200);
  const last = await tus.patch(location, 1000, file.subarray(1000));
  assert.equal(last.status, 409);
  assert.equal(codeOf(last), "job_closed");
  assert.equal((await tus.head(location)).status, 409);
  assert.equal(codeOf(await client.putFile(reservation.id, file)), "job_closed");
  assert.equal(codeOf(await tus.create(reservation.id, { length: 10 })), "job_closed");
});

test("the same file again over tus is the same submission, another is refused", async () => {
  const { client, tus, reservation, file } = await slot();
  assert.equal((await client.putFile(reservation.id, file)).status, 201);
  const same = await tus.begin(reservation.id, file.length);
  const reply = await tus.patch(same, 0, file);
  assert.equal(reply.status, 204, reply.text);
  assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
  const other = pngImage({ seed: seed++ });
  const different = await tus.begin(reservation.id, other.length);
  const refused = await tus.patch(different, 0, other);
  assert.equal(refused.status, 409);
  assert.equal(codeOf(refused), "reservation_used");
});

test("of parallel uploads for one slot one becomes the submission, with its own bytes", async () => {
  const { client, tus, reservation } = await slot();
  const files = Array.from({ length: 6 }, () => pngImage({ seed: seed++ }));
  const replies = await Promise.all(files.map((file) => client.putFile(reservation.id, file)));
  const winners = replies.map(({ status }, i) => (status === 201 ? i : -1)).filter((i) => i >= 0);
  assert.equal(winners.length, 1);
  for (const { status } of replies) assert.ok([201, 409].includes(status), String(status));
  const [row] = await client.all("/worker/v1/uploads");
  assert.equal(row.content_hash, sha256(files[winners[0]]));
  const blob = join(server.dataDir, "blobs", `${reservation.submission_id}.1`);
  assert.equal(sha256(readFileSync(blob)), row.content_hash);
  assert.equal(statSync(blob).mode & 0o777, 0o444);
  assert.equal(tus.client, client);
});

test("whoever asks while the last bytes arrive is told how it stands, and is never refused", async () => {
  for (let round = 0; round < 10; round++) {
    const { tus, reservation, file } = await slot();
    const headers = { "idempotency-key": `last-bytes-${round}` };
    const rest = file.length - 10;
    const first = await tus.create(reservation.id, { length: file.length, headers, body: file.subarray(0, rest) });
    const { location } = first.headers;
    const asking = Array.from({ length: 24 }, (_, i) => (i % 2 ? tus.head(location) : tus.create(reservation.id, { length: file.length, headers })));
    const [, ...replies] = await Promise.all([tus.patch(location, rest, file.subarray(rest)), ...asking]);
    for (const [i, reply] of replies.entries()) {
      assert.equal(reply.status, i % 2 ? 200 : 201, reply.text);
      assert.ok([rest, file.length].includes(Number(reply.headers["upload-offset"])), reply.headers["upload-offset"]);
    }
  }
});
