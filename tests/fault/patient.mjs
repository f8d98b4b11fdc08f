/* A buyer and a worker who do not give up: every 503 is asked again, as it says, and what was
 * answered must stand. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pngImage } from "../lib/media.mjs";
import { sha256 } from "../lib/samples.mjs";
import { Tus } from "../lib/tus.mjs";

const ASKED_MAX = 60;
let imageSeed = 1;

export function integrity(server) {
  const store = join(server.dataDir, "store.db");
  assert.equal(execFileSync("sqlite3", [store, "PRAGMA integrity_check"], { encoding: "utf8" }).trim(), "ok");
}

export function newImage() {
  return pngImage({ seed: imageSeed++, width: 112, height: 84 });
}

export class Patient {
  constructor(server, { organisation, worker }) {
    this.server = server;
    this.organisation = organisation;
    this.worker = worker;
    this.refused = 0; /* 503s seen */
    this.connect();
  }

  static async open(server) {
    const organisation = await server.createOrg({ credits: 10_000_000 });
    return new Patient(server, { organisation, worker: await server.createWorker() });
  }

  connect() {
    this.buyer = this.server.client(this.organisation.live_key);
    this.client = this.server.client(this.worker.token);
    this.tus = new Tus(this.client);
  }

  /* A reply that is no 503. onRefused is called for each of those. */
  async ask(send, onRefused = () => {}) {
    for (let asked = 1; ; asked++) {
      const reply = await send();
      assert.notEqual(reply.status, 500, reply.text);
      if (reply.status !== 503) return reply;
      assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d*$/, "a 503 says when to ask again");
      this.refused++;
      assert.ok(asked < ASKED_MAX, `asked ${asked} times: ${reply.text}`);
      await onRefused();
    }
  }

  async expect(status, send, onRefused) {
    const reply = await this.ask(send, onRefused);
    assert.equal(reply.status, status, reply.text);
    return reply;
  }

  async post() {
    const idempotencyKey = randomUUID();
    const reply = await this.expect(201, () =>
      this.buyer.postJob({ files_needed: 1, accepted_formats: ["image/png"], min_star_rating: 1 }, { idempotencyKey }),
    );
    return reply.json;
  }

  async accept(job) {
    const key = randomUUID();
    const send = () =>
      this.client.request("POST", `/worker/v1/jobs/${job.id}/accept`, { headers: { "idempotency-key": key } });
    const reply = await this.ask(send);
    assert.ok(reply.status === 201 || reply.status === 200, reply.text);
    return reply.json;
  }

  async offset(location) {
    const reply = await this.expect(200, () => this.tus.head(location));
    return Number(reply.headers["upload-offset"]);
  }

  /* Send up to end; what was answered is never taken back. → the last reply */
  async send(location, bytes, from, end) {
    let offset = from;
    for (;;) {
      let isRefused = false;
      const reply = await this.ask(
        async () => (isRefused ? { status: 0 } : this.tus.patch(location, offset, bytes.subarray(offset, end))),
        () => (isRefused = true),
      );
      if (reply.status !== 0) {
        assert.equal(reply.status, 204, reply.text);
        assert.equal(Number(reply.headers["upload-offset"]), end);
        return reply;
      }
      const stands = await this.offset(location);
      assert.ok(stands >= from && stands <= end, `the offset is ${stands}, sent was ${from} to ${end}`);
      offset = stands;
    }
  }

  async upload(reservation, bytes) {
    const half = bytes.length >> 1;
    const created = await this.expect(201, () => this.tus.create(reservation.id, { length: bytes.length }));
    await this.send(created.headers.location, bytes, 0, half);
    const reply = await this.send(created.headers.location, bytes, half, bytes.length);
    assert.equal(reply.headers["firsthand-submission-id"], reservation.submission_id);
  }

  async put(reservation, bytes) {
    const reply = await this.ask(() => this.client.putFile(reservation.id, bytes));
    assert.ok(reply.status === 201 || reply.status === 200, reply.text);
    assert.equal(reply.json.id, reservation.submission_id);
  }

  /* Post, accept, upload. → what has to come of it */
  async play({ isPut = false } = {}) {
    const job = await this.post();
    const reservation = await this.accept(job);
    const bytes = newImage();
    await (isPut ? this.put(reservation, bytes) : this.upload(reservation, bytes));
    return { job, reservation, sha: sha256(bytes) };
  }

  /* Scored and delivered? A read may be refused as well. */
  async isDelivered({ job, reservation }) {
    const row = await this.expect(200, () => this.client.get(`/worker/v1/submissions/${reservation.submission_id}`));
    if (row.json.status === "pending_score") return false;
    assert.equal(row.json.status, "approved", row.text);
    const reply = await this.expect(200, () => this.buyer.get(`/v1/jobs/${job.id}/files`));
    const [file] = reply.json.data;
    return this.manifest(job).includes(`"${file.id}"`);
  }

  folder(job) {
    return join(this.server.dataDir, "delivered", this.organisation.organization_id, job.id);
  }

  manifest(job) {
    try {
      return readFileSync(join(this.folder(job), "manifest.jsonl"), "utf8");
    } catch (e) {
      if (e.code === "ENOENT") return "";
      throw e;
    }
  }

  /* Delivered once, byte for byte, and paid once. */
  async checkDelivered({ job, reservation, sha }) {
    const { json: files } = await this.buyer.get(`/v1/jobs/${job.id}/files`);
    assert.equal(files.data.length, 1);
    assert.equal(files.data[0].content_hash, sha);
    assert.equal(sha256(readFileSync(join(this.folder(job), `${files.data[0].id}.png`))), sha);
    assert.equal(this.manifest(job).trimEnd().split("\n").length, 1, "one line a file");
    const earnings = await this.client.all("/worker/v1/earnings");
    assert.equal(earnings.filter((row) => row.submission_id === reservation.submission_id).length, 1, "paid once");
  }
}
