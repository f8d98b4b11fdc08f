/* A small market under load, with a memory of every answer it got. After a crash the memory is held
 * against the server: what was answered is there and answers the same again, what was not answered
 * is there wholly or not at all, and a repeat with the same key settles which. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkReply } from "../lib/contract.mjs";
import { pngImage } from "../lib/media.mjs";
import { until } from "./processes.mjs";

const TUS = { "tus-resumable": "1.0.0" };
const OFFSET_STREAM = { ...TUS, "content-type": "application/offset+octet-stream" };
const LOST = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE"]);
const OLDER_WRITES_CHECKED = 12;
const RECENT_JOBS = 40; /* what workers look at */
const LEFT_OPEN_SHARE = 0.3;

export const SETTINGS = Object.freeze({
  "rate-limit-per-minute": 0,
  "auth-failures-per-minute": 0,
  "worker-reservations-max": 10_000,
  "worker-submissions-per-day": 0,
  "media-cpu-seconds": 5,
});

export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/* What the server's process took with it: null, not an error. */
async function orLost(promise) {
  try {
    return await promise;
  } catch (e) {
    if (LOST.has(e.code)) return null;
    throw e;
  }
}

function pathOf(location) {
  return new URL(location).pathname;
}

/* What may answer each write, beside the loss of the connection. */
const ANSWERS = {
  job: [201],
  cancel: [200, 409],
  key: [201],
  rotate: [200, 409],
  revoke: [204],
  accept: [201, 200, 409],
};

export class Market {
  constructor(server, random) {
    this.server = server;
    this.random = random;
    this.writes = []; /* every POST with its key, in order */
    this.jobs = new Map();
    this.jobIds = []; /* in the order of their answers */
    this.keys = new Map();
    this.uploads = [];
    this.workers = [];
    this.scored = new Map(); /* submission → how often the log says so */
    this.counts = { jobs: 0, keys: 0, answered: 0, unanswered: 0, resumed: 0, finished: 0 };
    this.checkedWrites = 0;
    this.imageSeed = random.int(1, 1e6);
  }

  async open({ workers = 3 } = {}) {
    this.organisation = await this.server.createOrg({ credits: 50_000_000 });
    for (let i = 0; i < workers; i++) this.workers.push(await this.server.createWorker());
    this.connect();
    for (let i = 0; i < 3; i++) await this.#write("job", "/v1/jobs", this.#newJob(this.random));
  }

  /* After a start: connections of the time before are dead. */
  connect() {
    this.isStopped = false;
    this.buyer = this.server.client(this.organisation.live_key);
    for (const worker of this.workers) worker.client = this.server.client(worker.token);
  }

  #clientOf(write) {
    return write.worker ? write.worker.client : this.buyer;
  }

  /* --- load --- */

  /* Until stop(), or until the server is gone. */
  load() {
    const actors = [this.#buy(this.random.fork()), this.#buy(this.random.fork())];
    for (const worker of this.workers) actors.push(this.#work(worker, this.random.fork()));
    return Promise.all(actors);
  }

  stop() {
    this.isStopped = true;
  }

  #newJob(random) {
    return {
      type: "data_collection",
      description: `Photos, ${random.int(0, 1e9)}`,
      files_needed: random.int(1, 5),
      accepted_formats: ["image/png"],
      price_per_file_cents: random.int(1, 50),
      min_star_rating: 1,
      metadata: { lot: random.int(0, 1e9), tag: "käse" },
    };
  }

  #sendWrite(write) {
    const headers = { "idempotency-key": write.key };
    return orLost(this.#clientOf(write).request("POST", write.target, { body: write.body, headers }));
  }

  /* → the reply, or null when none came */
  async #write(kind, target, body, extra = {}) {
    const write = { kind, target, body, key: randomUUID(), reply: null, ...extra };
    this.writes.push(write);
    const reply = await this.#sendWrite(write);
    if (reply) this.#answered(write, reply);
    else this.counts.unanswered++;
    return reply;
  }

  /* Remember the first answer, and what follows from it. */
  #answered(write, reply) {
    assert.ok(ANSWERS[write.kind].includes(reply.status), `${write.kind}: ${reply.status} ${reply.text}`);
    write.reply = { status: reply.status, text: reply.text };
    this.counts.answered++;
    if (reply.status >= 300) return;
    const { json } = reply;
    if (write.kind === "job") this.#jobMade(json);
    if (write.kind === "cancel") this.jobs.get(json.id).isCancelled = true;
    if (write.kind === "key") this.#keyMade(json);
    if (write.kind === "rotate") this.#keyMade(json.new_key);
    if (write.kind === "revoke") this.keys.get(write.keyId).isRevoked = true;
    if (write.kind === "accept") this.#slotTaken(write.worker, json);
  }

  #jobMade(first) {
    this.jobs.set(first.id, { first, isCancelled: false, isFull: false });
    this.jobIds.push(first.id);
    this.counts.jobs++;
  }

  #keyMade({ id, secret }) {
    this.counts.keys++;
    this.keys.set(id, { secret, isRevoked: false, isTouched: false });
  }

  async #buy(random) {
    while (!this.isStopped) {
      const draw = random.next();
      const reply = await (draw < 0.5 ? this.#write("job", "/v1/jobs", this.#newJob(random))
        : draw < 0.62 ? this.#cancelOne(random)
        : draw < 0.76 ? this.#write("key", "/v1/api_keys", { name: "a key", scopes: ["jobs:read"], environment: "live" })
        : draw < 0.84 ? this.#changeKey("rotate", random)
        : draw < 0.92 ? this.#changeKey("revoke", random)
        : orLost(this.buyer.get("/v1/jobs?limit=5")));
      if (reply === null) return;
    }
  }

  #cancelOne(random) {
    const id = random.of(this.jobIds);
    return this.#write("cancel", `/v1/jobs/${id}/cancel`);
  }

  async #changeKey(kind, random) {
    const usable = [...this.keys].filter(([, key]) => !key.isTouched);
    if (usable.length === 0) return undefined;
    const [id, key] = random.of(usable);
    key.isTouched = true; /* once is enough, by whichever buyer */
    return this.#write(kind, `/v1/api_keys/${id}/${kind}`, undefined, { keyId: id });
  }

  async #work(worker, random) {
    while (!this.isStopped) {
      const id = random.of(this.jobIds.slice(-RECENT_JOBS));
      const job = this.jobs.get(id);
      if (job.isCancelled || job.isFull) {
        await sleep(1);
        continue;
      }
      const reply = await this.#write("accept", `/worker/v1/jobs/${id}/accept`, undefined, { worker });
      if (reply === null) return;
      if (reply.status === 409) job.isFull = true;
      const upload = this.uploads.find(({ reservation }) => reply.json.id === reservation.id);
      if (!upload || upload.isBegun) continue;
      if ((await this.#upload(upload, random)) === null) return;
    }
  }

  #slotTaken(worker, reservation) {
    if (this.uploads.some((upload) => upload.reservation.id === reservation.id)) return;
    const bytes = pngImage({ seed: this.imageSeed++, width: 112, height: 84 });
    this.uploads.push({
      worker, reservation, bytes, sha: sha256(bytes), size: bytes.length,
      isPut: this.random.chance(0.35), isBegun: false, isDone: false,
      location: null, answered: 0, sent: 0,
    });
  }

  /* --- uploads --- */

  /* Bytes in pieces with pauses between them, so that a crash can come in the middle. */
  #stream(upload, method, target, headers, bytes, random) {
    const { client } = upload.worker;
    const sending = new Promise((done, fail) => {
      const request = http.request(
        {
          agent: client.agent, host: client.base.hostname, port: client.base.port, method, path: target,
          headers: { authorization: `Bearer ${client.token}`, "content-length": bytes.length, ...headers },
        },
        (response) => {
          const pieces = [];
          response.on("data", (piece) => pieces.push(piece));
          response.on("error", fail);
          response.on("end", () => {
            const text = Buffer.concat(pieces).toString("utf8");
            done({ status: response.statusCode, headers: response.headers, text });
          });
        },
      );
      request.on("error", fail);
      const pause = random.chance(0.5) ? random.int(1, 4) : 0;
      (async () => {
        for (let at = 0; at < bytes.length && !request.destroyed; ) {
          const end = Math.min(bytes.length, at + random.int(500, 8000));
          request.write(bytes.subarray(at, end));
          at = end;
          if (pause) await sleep(pause);
        }
        request.end();
      })();
    });
    return orLost(
      sending.then((reply) => {
        const json = checkReply(method, target, reply.status, reply.headers, reply.text, { hasRateLimit: false });
        return { ...reply, json };
      }),
    );
  }

  #upload(upload, random) {
    upload.isBegun = true;
    return upload.isPut ? this.#put(upload, random) : this.#tus(upload, random);
  }

  async #put(upload, random) {
    upload.sent = upload.size;
    const target = `/worker/v1/reservations/${upload.reservation.id}/file`;
    const reply = await this.#stream(upload, "PUT", target, { "content-type": "image/png" }, upload.bytes, random);
    if (reply) this.#uploaded(upload, reply, [201]);
    return reply;
  }

  /* The whole file was taken, or nothing will be: its job was cancelled, or full, meanwhile. */
  #uploaded(upload, reply, wanted) {
    if (reply.status === 409 || reply.status === 410) {
      upload.isClosed = true;
      return;
    }
    assert.ok(wanted.includes(reply.status), `upload: ${reply.status} ${reply.text}`);
    const id = reply.headers["firsthand-submission-id"] ?? reply.json?.id;
    assert.equal(id, upload.reservation.submission_id);
    if (!upload.isDone) this.counts.finished++;
    upload.isDone = true;
  }

  async #create(upload, random) {
    const first = random.chance(0.3) ? upload.bytes.subarray(0, random.int(1, upload.size - 1)) : Buffer.alloc(0);
    const target = `/worker/v1/uploads?reservation=${upload.reservation.id}`;
    const headers = { ...(first.length ? OFFSET_STREAM : TUS), "upload-length": upload.size };
    const reply = await this.#stream(upload, "POST", target, headers, first, random);
    if (reply === null) return null;
    if (reply.status === 409) {
      upload.isClosed = true;
      return reply;
    }
    assert.equal(reply.status, 201, reply.text);
    upload.location = pathOf(reply.headers.location);
    upload.answered = Number(reply.headers["upload-offset"]);
    upload.sent = first.length;
    assert.equal(upload.answered, first.length);
    return reply;
  }

  async #patch(upload, offset, bytes, random) {
    upload.sent = Math.max(upload.sent, offset + bytes.length);
    const headers = { ...OFFSET_STREAM, "upload-offset": offset };
    if (random.chance(0.2))
      headers["upload-checksum"] = `sha1 ${createHash("sha1").update(bytes).digest("base64")}`;
    const reply = await this.#stream(upload, "PATCH", upload.location, headers, bytes, random);
    if (reply?.status === 204) {
      upload.answered = Number(reply.headers["upload-offset"]);
      assert.equal(upload.answered, offset + bytes.length);
      if (upload.answered === upload.size) this.#uploaded(upload, reply, [204]);
    } else if (reply) {
      this.#uploaded(upload, reply, [204]); /* closed meanwhile, or an error */
    }
    return reply;
  }

  async #tus(upload, random, { mayLeave = true } = {}) {
    if (!upload.location && (await this.#create(upload, random)) === null) return null;
    while (!upload.isDone && !upload.isClosed) {
      if (mayLeave && upload.answered > 0 && random.chance(0.15)) return undefined;
      const end = Math.min(upload.size, upload.answered + random.int(1, upload.size));
      const piece = upload.bytes.subarray(upload.answered, end);
      if ((await this.#patch(upload, upload.answered, piece, random)) === null) return null;
    }
    return undefined;
  }

  /* --- after a crash --- */

  /* The server runs again and nobody else asks anything of it. */
  async check() {
    await this.#checkWrites();
    for (const upload of this.uploads) if (!upload.isSettled) await this.#settleUpload(upload);
    this.#countScored();
  }

  async #checkWrites() {
    const fresh = this.writes.slice(this.checkedWrites);
    const older = Array.from({ length: this.checkedWrites ? OLDER_WRITES_CHECKED : 0 }, () =>
      this.writes[this.random.int(0, this.checkedWrites - 1)],
    );
    this.checkedWrites = this.writes.length;
    for (const write of fresh) await this.#repeat(write);
    for (const write of [...fresh, ...older]) await this.#checkEffect(write);
    for (const write of older) await this.#repeat(write);
  }

  /* With the same key: the first answer again, or the first answer at all. */
  async #repeat(write) {
    const reply = await this.#sendWrite(write);
    assert.ok(reply, `${write.kind}: the server went away`);
    if (write.reply === null) {
      this.#answered(write, reply);
      return;
    }
    if (write.reply.status >= 300) return; /* a refusal binds nothing */
    assert.equal(reply.status, write.reply.status, `${write.kind} ${write.target}: ${reply.text}`);
    assert.equal(reply.text, write.reply.text, `${write.kind} ${write.target}: another answer to a repeat`);
    assert.equal(reply.headers["idempotent-replayed"], "true", `${write.kind}: not a replay, but done again`);
  }

  async #checkEffect(write) {
    if (write.reply.status >= 300) return;
    const json = write.reply.text ? JSON.parse(write.reply.text) : null;
    if (write.kind === "job" || write.kind === "cancel") await this.#checkJob(json.id);
    if (write.kind === "key") await this.#checkKey(json.id);
    if (write.kind === "rotate") await this.#checkKey(json.new_key.id);
    if (write.kind === "revoke" || write.kind === "rotate") await this.#checkKey(write.keyId);
  }

  async #checkJob(id) {
    const { first, isCancelled } = this.jobs.get(id);
    const { json } = await this.buyer.get(`/v1/jobs/${id}`);
    assert.ok(json?.id, `${id} is not there`);
    for (const name of ["description", "files_needed", "price_per_file_cents", "total_cost_cents", "created_at", "min_star_rating"])
      assert.equal(json[name], first[name], `${id}: ${name}`);
    assert.deepEqual(json.metadata, first.metadata);
    if (isCancelled) assert.equal(json.status, "cancelled", `${id} was cancelled`);
  }

  async #checkKey(id) {
    const key = this.keys.get(id);
    const client = this.server.client(key.secret);
    const reply = await client.get("/v1/jobs?limit=1");
    client.close();
    assert.equal(reply.status, key.isRevoked ? 401 : 200, `${id}: ${key.isRevoked ? "revoked" : "usable"}`);
  }

  /* The offset is true, and the rest may follow; some wait for another crash. */
  async #settleUpload(upload) {
    if (upload.isClosed) {
      upload.isSettled = true;
      return;
    }
    if (upload.isPut && upload.isBegun) await this.#repeatPut(upload);
    if (upload.location) await this.#checkOffset(upload);
    const mayWait = !upload.isPut && !upload.isDone && this.random.chance(LEFT_OPEN_SHARE);
    if (mayWait) return;
    upload.isBegun = true;
    if (!upload.isDone) {
      await (upload.isPut ? this.#put(upload, this.random) : this.#tus(upload, this.random, { mayLeave: false }));
    }
    if (upload.isDone) this.#checkBlob(upload);
    assert.ok(upload.isDone || upload.isClosed, "a resumed upload ends");
    upload.isSettled = true;
    upload.bytes = null;
  }

  async #repeatPut(upload) {
    const wasDone = upload.isDone;
    const target = `/worker/v1/reservations/${upload.reservation.id}/file`;
    const reply = await this.#stream(upload, "PUT", target, { "content-type": "image/png" }, upload.bytes, this.random);
    assert.ok(reply, "the server went away");
    this.#uploaded(upload, reply, wasDone ? [200] : [200, 201]);
    assert.ok(!wasDone || !upload.isClosed, "an answered PUT was lost");
  }

  /* Nothing is taken any more only for a job that takes nothing any more. */
  async #checkIsClosed(jobId) {
    const { json } = await this.buyer.get(`/v1/jobs/${jobId}`);
    assert.ok(["cancelled", "completed"].includes(json.status), `an upload was refused for ${jobId}, which is ${json.status}`);
  }

  async #checkOffset(upload) {
    const reply = await upload.worker.client.request("HEAD", upload.location, { headers: TUS });
    if ([409, 410].includes(reply.status) && !upload.isDone) {
      await this.#checkIsClosed(upload.reservation.job_id);
      upload.isClosed = true;
      return;
    }
    assert.equal(reply.status, 200, `an answered upload is not there: ${reply.status}`);
    const offset = Number(reply.headers["upload-offset"]);
    assert.ok(offset >= upload.answered, `offset ${offset} although ${upload.answered} was answered`);
    assert.ok(offset <= upload.sent, `offset ${offset} although only ${upload.sent} were sent`);
    this.#checkPart(upload, offset);
    if (offset > upload.answered || !upload.isDone) this.counts.resumed++;
    upload.answered = offset;
    if (reply.headers["firsthand-submission-id"]) this.#uploaded(upload, reply, [200]);
    else assert.ok(!upload.isDone, "an answered finish was lost");
    if (!upload.isDone && offset === upload.size)
      await this.#patch(upload, offset, Buffer.alloc(0), this.random); /* all is there but the last word */
  }

  #read(folder, name) {
    try {
      return readFileSync(join(this.server.dataDir, folder, name));
    } catch (e) {
      if (e.code === "ENOENT") return null;
      throw e;
    }
  }

  /* Until it is a blob the bytes are a part, and no longer than the offset. */
  #checkPart(upload, offset) {
    const part = this.#read("uploads", upload.location.split("/").at(-1));
    const bytes = part ?? this.#read("blobs", `${upload.reservation.submission_id}.1`);
    assert.ok(bytes, "the bytes of an upload are nowhere");
    assert.equal(bytes.length, offset, "the offset is the number of bytes on disk");
    assert.ok(bytes.equals(upload.bytes.subarray(0, offset)), "the bytes on disk are those that were sent");
  }

  #checkBlob(upload) {
    const bytes = this.#read("blobs", `${upload.reservation.submission_id}.1`);
    assert.ok(bytes, "the bytes of a submission are nowhere");
    assert.equal(sha256(bytes), upload.sha, "a finished upload has the SHA-256 of what was sent");
  }

  #countScored() {
    for (const line of this.server.logLines) {
      if (!line.includes('"event":"scored"')) continue;
      const { submission } = JSON.parse(line);
      this.scored.set(submission, (this.scored.get(submission) ?? 0) + 1);
    }
    this.server.logLines.length = 0;
  }

  /* --- when all is quiet --- */

  sql(text) {
    return execFileSync("sqlite3", [join(this.server.dataDir, "store.db"), text], { encoding: "utf8" }).trim();
  }

  /* Every task ends; then everything that was done is compared with everything that was sent. */
  async checkAll() {
    for (const upload of this.uploads) if (!upload.isSettled) await this.#finish(upload);
    await until(async () => {
      await this.server.advance(5);
      return this.sql("SELECT count(*) FROM tasks") === "0";
    }, "every task is done");
    this.#countScored();
    assert.equal(this.sql("PRAGMA integrity_check"), "ok");
    const approved = await this.#checkSubmissions();
    await this.#checkJobs(approved);
    for (const [id, count] of this.scored) assert.equal(count, 1, `${id} was scored ${count} times`);
  }

  async #finish(upload) {
    while (!upload.isSettled) await this.#settleUpload(upload);
  }

  /* → job id → the uploads approved for it */
  async #checkSubmissions() {
    const approved = new Map();
    for (const worker of this.workers) {
      const sent = this.uploads.filter((upload) => upload.worker === worker && upload.isDone);
      const rows = new Map((await worker.client.all("/worker/v1/submissions")).map((row) => [row.id, row]));
      assert.equal(rows.size, sent.length, "as many submissions as finished uploads");
      let cents = 0;
      const payouts = await worker.client.all("/worker/v1/earnings");
      const paid = new Map(payouts.map((payout) => [payout.submission_id, payout.amount_cents]));
      assert.equal(paid.size, payouts.length, "nobody is paid twice for a submission");
      for (const upload of sent) {
        const row = rows.get(upload.reservation.submission_id);
        assert.equal(row?.status, "approved", `${row?.id}: ${row?.status} ${row?.ai_reasoning}`);
        assert.equal(paid.get(row.id), row.payout_cents, "a payout an approval");
        cents += row.payout_cents;
        approved.set(row.job_id, [...(approved.get(row.job_id) ?? []), upload]);
      }
      assert.equal(paid.size, sent.length, "no payout without an approval");
      const earnings = await worker.client.get("/worker/v1/earnings?limit=1");
      assert.equal(earnings.json.balance_cents, cents);
    }
    return approved;
  }

  async #checkJobs(approved) {
    const rows = await this.buyer.all("/v1/jobs");
    assert.equal(rows.length, this.jobs.size, "a job a key, none more");
    const revoked = [...this.keys].filter(([, key]) => key.isRevoked);
    for (const [id] of revoked.slice(-5)) await this.#checkKey(id);
    for (const row of rows) {
      const job = this.jobs.get(row.id);
      assert.ok(job, `${row.id} is nobody's`);
      const uploads = approved.get(row.id) ?? [];
      assert.equal(row.files_approved, uploads.length, `${row.id}: files_approved`);
      if (job.isCancelled) assert.equal(row.status, "cancelled");
      else assert.equal(row.status === "completed", row.files_approved === row.files_needed);
      if (uploads.length > 0) await this.#checkDelivered(row.id, uploads);
    }
  }

  async #checkDelivered(jobId, uploads) {
    const folder = join("delivered", this.organisation.organization_id, jobId);
    const files = await this.buyer.all(`/v1/jobs/${jobId}/files`);
    assert.deepEqual(files.map((file) => file.content_hash).sort(), uploads.map(({ sha }) => sha).sort());
    const manifest = this.#read(folder, "manifest.jsonl").toString().trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(manifest.map(({ id }) => id).sort(), files.map(({ id }) => id).sort(), "a manifest line a file");
    for (const file of files)
      assert.equal(sha256(this.#read(folder, `${file.id}.png`)), file.content_hash, "what was delivered is what was sent");
  }
}
