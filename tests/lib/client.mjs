/* A client that sends exactly what it is told and holds every reply against the contract. Built on
 * node:http, not fetch, so that malformed requests can be sent and every header be seen. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { checkReply } from "./contract.mjs";

const REPLY_MS_MAX = 60_000;
const IDLE_MS_MAX = 20_000; /* the server hangs up after a minute: nothing is sent on its way to that */

export const JOB = Object.freeze({
  type: "data_collection",
  description: "Photos of street signs by daylight.",
  files_needed: 2,
  accepted_formats: ["image/png", "image/jpeg"],
  price_per_file_cents: 50,
});

/* One request and its reply. options: as of http.request. → { status, headers, bytes, text } */
export function transmit(scheme, options, payload) {
  return new Promise((done, fail) => {
    const request = scheme.request(options, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("error", fail);
      response.on("end", () => {
        const bytes = Buffer.concat(pieces);
        done({ status: response.statusCode, headers: response.headers, bytes, text: bytes.toString("utf8") });
      });
    });
    request.setTimeout(REPLY_MS_MAX, () => request.destroy(new Error(`${options.method} ${options.path}: no reply in time`)));
    request.on("error", fail);
    request.end(payload);
  });
}

export class Client {
  constructor({ base, token, hasRateLimit, ca, secrets, gate }) {
    this.base = new URL(base);
    this.token = token;
    this.hasRateLimit = hasRateLimit;
    this.gate = gate; /* what stands between it and the server, if anything */
    this.secrets = secrets; /* where those that are sent and come back are remembered */
    this.scheme = this.base.protocol === "https:" ? https : http;
    this.agent = new this.scheme.Agent({ keepAlive: true, timeout: IDLE_MS_MAX, ca });
  }

  close() {
    this.agent.destroy();
  }

  /* body: a value to send as JSON. raw: text or bytes to send as they are (JSON unless the headers
   * say otherwise). headers: added to, and before, the client's own; null leaves one out.
   * isChecked: false leaves the reply unjudged. → { status, headers, text, bytes, json } */
  async request(method, target, { body, raw, headers = {}, isChecked = true } = {}) {
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    this.secrets?.learnRequest(target, body);
    const reply = await this.#send(method, target, payload, this.#headersOf(payload, headers));
    this.secrets?.learn(reply.text);
    if (isChecked)
      reply.json = checkReply(method, target, reply.status, reply.headers, reply.text, {
        hasRateLimit: this.hasRateLimit,
      });
    return reply;
  }

  #headersOf(payload, headers) {
    const all = {};
    if (this.token) all.authorization = `Bearer ${this.token}`;
    if (payload !== undefined) {
      all["content-type"] = "application/json";
      all["content-length"] = Buffer.byteLength(payload);
    }
    for (const [name, value] of Object.entries(headers)) {
      const key = name.toLowerCase();
      if (value === null) delete all[key];
      else all[key] = value;
    }
    return all;
  }

  #send(method, target, payload, headers) {
    const direct = () =>
      transmit(this.scheme, { agent: this.agent, host: this.base.hostname, port: this.base.port, method, path: target, headers }, payload);
    return this.gate ? this.gate.exchange({ method, target, payload, headers }, direct) : direct();
  }

  get(target, options) {
    return this.request("GET", target, options);
  }

  post(target, body, options) {
    return this.request("POST", target, { body, ...options });
  }

  patch(target, body, options) {
    return this.request("PATCH", target, { body, ...options });
  }

  delete(target, options) {
    return this.request("DELETE", target, options);
  }

  /* POST /v1/jobs with a good body but for the overrides (undefined leaves a member out). */
  postJob(overrides = {}, { idempotencyKey = randomUUID(), headers = {}, ...options } = {}) {
    return this.post("/v1/jobs", { ...JOB, ...overrides }, {
      ...options,
      headers: { "idempotency-key": idempotencyKey, ...headers },
    });
  }

  /* The same, and it must work. → the job */
  async createJob(overrides, options) {
    const reply = await this.postJob(overrides, options);
    assert.equal(reply.status, 201, reply.text);
    return reply.json;
  }

  /* POST /v1/api_keys, and it must work. → the key, with its secret */
  async createKey(overrides = {}) {
    const body = { name: "a key", scopes: ["jobs:read"], environment: "live", ...overrides };
    const reply = await this.post("/v1/api_keys", body);
    assert.equal(reply.status, 201, reply.text);
    return reply.json;
  }

  /* POST /v1/webhook_endpoints, and it must work. → the endpoint, with its secret */
  async createEndpoint(overrides = {}) {
    const body = { url: "https://hooks.example.invalid/firsthand", ...overrides };
    const reply = await this.post("/v1/webhook_endpoints", body);
    assert.equal(reply.status, 201, reply.text);
    return reply.json;
  }

  /* A worker takes a slot. → the reservation */
  async accept(jobId) {
    const reply = await this.request("POST", `/worker/v1/jobs/${jobId}/accept`);
    assert.equal(reply.status, 201, reply.text);
    return reply.json;
  }

  /* A worker sends a whole file in one request. → the reply */
  putFile(reservationId, bytes, { contentType = "application/octet-stream", headers = {}, ...options } = {}) {
    return this.request("PUT", `/worker/v1/reservations/${reservationId}/file`, {
      raw: bytes,
      ...options,
      headers: { "content-type": contentType, ...headers },
    });
  }

  /* Every row of a listing, page by page. Checks what holds for every listing: no page is longer
   * than asked, no row comes twice, next_cursor is there exactly when
   * has_more. onPage(page, number) runs between the pages. */
  async all(target, { limit = 100, onPage } = {}) {
    const rows = [];
    let cursor = null;
    for (let pages = 1; ; pages++) {
      const query = `limit=${limit}${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
      const reply = await this.get(`${target}${target.includes("?") ? "&" : "?"}${query}`);
      assert.equal(reply.status, 200, reply.text);
      const page = reply.json;
      assert.ok(page.data.length <= limit, "a page longer than asked");
      assert.equal(page.has_more, page.next_cursor !== null, "next_cursor goes with has_more");
      rows.push(...page.data);
      assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length, "a row came twice");
      if (onPage) await onPage(page, pages);
      if (!page.has_more) return rows;
      cursor = page.next_cursor;
      assert.ok(pages < 10_000, "the listing does not end");
    }
  }
}
