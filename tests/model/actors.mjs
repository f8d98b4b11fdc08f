/* Buyers and workers who do as chance says, several of them on behalf of the same organisation or
 * worker, and remember everything. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { JOB } from "../lib/client.mjs";
import { pngImage } from "../lib/media.mjs";
import { Tus } from "../lib/tus.mjs";

const RECENT_JOBS = 12;

/* What may answer each operation. */
const STATUSES = {
  create: [201, 402, 409],
  createWithoutKey: [400],
  cancel: [200, 409],
  getJob: [200],
  list: [200],
  balance: [200],
  transactions: [200],
  newKey: [201],
  useKey: [200, 401],
  revokeKey: [204],
  accept: [200, 201, 409],
  release: [204, 409],
  put: [200, 201, 409],
  tus: [204, 404, 409, 410],
  retry: [201, 409],
  reservations: [200],
  earnings: [200],
  submissions: [200],
};

/* What the actors know together. */
export class World {
  constructor(history) {
    this.history = history;
    this.jobs = []; /* ids that anybody heard of, of all organisations */
    this.images = [];
  }
}

class Actor {
  constructor(world, client, random) {
    Object.assign(this, { world, client, random });
  }

  async record(kind, facts, send) {
    const operation = await this.world.history.record(kind, { ...this.facts, ...facts }, send);
    const { status, text } = operation.reply;
    assert.ok(STATUSES[kind].includes(status), `${kind} was answered ${status}: ${text}`);
    return operation;
  }

  get(kind, target) {
    return this.record(kind, {}, () => this.client.get(target));
  }

  /* A POST, with a key of its own, one that others use for the same, or none. */
  post(kind, facts, target, sharedKey) {
    const key = this.random.of([undefined, sharedKey, randomUUID()]);
    return this.record(kind, { ...facts, key }, () =>
      this.client.post(target, undefined, { headers: key ? { "idempotency-key": key } : {} }));
  }

  /* So many steps, each drawn by its weight. */
  async run(count) {
    const steps = this.steps.flatMap(([weight, step]) => Array(weight).fill(step));
    for (let i = 0; i < count; i++) await this.random.of(steps).call(this);
  }
}

export class Buyer extends Actor {
  /* account: what the buyers of one organisation share: { name, jobs, requests, keys } */
  constructor(world, client, random, account) {
    super(world, client, random);
    this.account = account;
    this.facts = { org: account.name };
  }

  steps = [
    [24, this.create], [10, this.createAgain], [1, this.createWithoutKey], [10, this.cancel], [10, this.getJob],
    [8, this.list], [18, this.balance], [9, this.transactions], [3, this.newKey], [5, this.useKey], [2, this.revokeKey],
  ];

  create() {
    const request = { key: randomUUID(), body: this.#newJob() };
    this.account.requests.push(request);
    return this.#send(request);
  }

  #newJob() {
    const { random } = this;
    return {
      ...JOB,
      accepted_formats: ["image/png"],
      files_needed: random.int(1, 4),
      price_per_file_cents: random.int(1, 150),
      min_star_rating: random.int(1, 5),
    };
  }

  async #send({ key, body }) {
    const { reply } = await this.record("create", { key, body }, () => this.client.postJob(body, { idempotencyKey: key }));
    if (reply.status !== 201 || this.account.jobs.includes(reply.json.id)) return;
    this.account.jobs.push(reply.json.id);
    this.world.jobs.push(reply.json.id);
  }

  /* The same again, or the key for something else; the first may be under way still. */
  async createAgain() {
    if (this.account.requests.length === 0) return;
    const { key, body } = this.random.of(this.account.requests.slice(-RECENT_JOBS));
    const isOther = this.random.chance(0.2);
    await this.#send({ key, body: isOther ? { ...body, files_needed: body.files_needed + 1 } : body });
  }

  createWithoutKey() {
    return this.record("createWithoutKey", {}, () => this.client.post("/v1/jobs", this.#newJob()));
  }

  #job() {
    const { jobs } = this.account;
    return this.random.of(this.random.chance(0.7) ? jobs.slice(-RECENT_JOBS) : jobs);
  }

  async cancel() {
    if (this.account.jobs.length === 0) return;
    const job = this.#job();
    await this.post("cancel", { job }, `/v1/jobs/${job}/cancel`, `cancel-${job}`);
  }

  async getJob() {
    if (this.account.jobs.length > 0) await this.get("getJob", `/v1/jobs/${this.#job()}`);
  }

  list() {
    return this.get("list", `/v1/jobs?limit=${this.random.of([5, 20, 100])}`);
  }

  balance() {
    return this.get("balance", "/v1/billing/credits");
  }

  transactions() {
    return this.get("transactions", `/v1/billing/transactions?limit=${this.random.of([5, 20, 100])}`);
  }

  async newKey() {
    const body = { name: "a key", scopes: ["jobs:read"], environment: "live" };
    const { reply } = await this.record("newKey", {}, () => this.client.post("/v1/api_keys", body));
    this.account.keys.push({ id: reply.json.id, client: this.account.clientOf(reply.json.secret) });
  }

  async useKey() {
    if (this.account.keys.length === 0) return;
    const { id, client } = this.random.of(this.account.keys);
    await this.record("useKey", { apiKey: id }, () => client.get("/v1/jobs?limit=1"));
  }

  async revokeKey() {
    if (this.account.keys.length === 0) return;
    const { id } = this.random.of(this.account.keys);
    await this.record("revokeKey", { apiKey: id }, () => this.client.post(`/v1/api_keys/${id}/revoke`));
  }
}

export class Worker extends Actor {
  /* account: what the connections of one worker share: { name, reservations, rejected } */
  constructor(world, client, random, account) {
    super(world, client, random);
    this.account = account;
    this.facts = { worker: account.name };
  }

  steps = [
    [30, this.accept], [20, this.put], [10, this.tus], [5, this.release], [5, this.listReservations], [4, this.earnings],
    [6, this.submissions], [6, this.retry],
  ];

  #took({ json: { id, job_id, submission_id } }) {
    const { reservations } = this.account;
    if (!reservations.some((one) => one.id === id)) reservations.push({ id, job: job_id, submission: submission_id });
  }

  async accept() {
    if (this.world.jobs.length === 0) return;
    const job = this.random.of(this.world.jobs.slice(-RECENT_JOBS * 2));
    const { reply } = await this.post("accept", { job }, `/worker/v1/jobs/${job}/accept`, `accept-${job}`);
    if (reply.status < 300) this.#took(reply);
  }

  /* New bytes, or some that somebody sent before. */
  #image() {
    const { images } = this.world;
    if (images.length > 0 && this.random.chance(0.1)) return this.random.of(images);
    images.push(pngImage({ seed: this.random.int(1, 2 ** 30), width: 112, height: 84 }));
    return images.at(-1);
  }

  async put() {
    if (this.account.reservations.length === 0) return;
    const reservation = this.random.of(this.account.reservations.slice(-4));
    const bytes = this.#image();
    await this.record("put", { reservation }, () => this.client.putFile(reservation.id, bytes));
  }

  /* In two pieces, so that others come between; refused at any step is refused. */
  async tus() {
    if (this.account.reservations.length === 0) return;
    const reservation = this.random.of(this.account.reservations.slice(-4));
    const bytes = this.#image();
    await this.record("tus", { reservation }, () => this.#sendPieces(reservation.id, bytes));
  }

  async #sendPieces(reservationId, bytes) {
    const tus = new Tus(this.client);
    const half = bytes.length >> 1;
    const created = await tus.create(reservationId, { length: bytes.length });
    if (created.status !== 201) return created;
    const first = await tus.patch(created.headers.location, 0, bytes.subarray(0, half));
    if (first.status !== 204) return first;
    return tus.patch(created.headers.location, half, bytes.subarray(half));
  }

  async release() {
    if (this.account.reservations.length === 0) return;
    const reservation = this.random.of(this.account.reservations.slice(-4));
    await this.record("release", { reservation }, () => this.client.delete(`/worker/v1/reservations/${reservation.id}`));
  }

  listReservations() {
    return this.get("reservations", "/worker/v1/reservations?limit=100");
  }

  earnings() {
    return this.get("earnings", "/worker/v1/earnings?limit=100");
  }

  async submissions() {
    const { reply } = await this.get("submissions", "/worker/v1/submissions?limit=100");
    this.account.rejected = reply.json.data.filter(({ may_retry }) => may_retry);
  }

  async retry() {
    if (this.account.rejected.length === 0) return;
    const { id, job_id } = this.random.of(this.account.rejected);
    const facts = { submission: id, job: job_id };
    const { reply } = await this.post("retry", facts, `/worker/v1/submissions/${id}/retry`, `retry-${id}`);
    if (reply.status < 300) this.#took(reply);
  }
}
