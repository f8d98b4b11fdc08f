/* What the HTTP fuzzer knows of the server it talks to: credentials, ids that exist, cursors, links;
 * and good requests for every operation of the contract, made of them. */
import { NOBODY, requestFor } from "../../lib/requests.mjs";
import { JOB } from "../../lib/client.mjs";
import { operations } from "../../lib/contract.mjs";
import { pngImage } from "../../lib/media.mjs";

const KEPT_MAX = 64;
const HASHED = new Set(["joinWithInvite", "createWorkerSession"]); /* slow on purpose */

/* name of a path parameter → prefix of the ids that fit it */
const PREFIX = Object.freeze(
  Object.fromEntries(Object.entries(NOBODY).map(([name, id]) => [name, id.slice(0, id.indexOf("_"))])),
);

/* Operations as often as they are worth it. */
function weightOf({ operationId }) {
  if (HASHED.has(operationId) || operationId === "advanceTestClock") return 1;
  return ["acceptJob", "downloadFile"].includes(operationId) ? 36 : 12;
}

const CHOICES = operations.flatMap((one) => Array(weightOf(one)).fill(one));

export class World {
  constructor({ key, token, spareToken, spareKeyId }) {
    this.key = key;
    this.token = token;
    this.spareToken = spareToken; /* may be signed out */
    this.known = new Map([["key", [spareKeyId]]]); /* prefix → ids */
    this.cursors = [];
    this.links = [];
  }

  #keep(list, item) {
    if (list.includes(item)) return;
    list.push(item);
    if (list.length > KEPT_MAX) list.shift();
  }

  /* Remember what a good reply gave. */
  learn(reply) {
    const text = reply.body.toString("latin1");
    for (const [id, prefix] of text.matchAll(/\b(job|rsv|upl|sub|file)_[0-9A-HJKMNP-TV-Z]{26}\b/g)) {
      if (!this.known.has(prefix)) this.known.set(prefix, []);
      this.#keep(this.known.get(prefix), id);
    }
    for (const [, cursor] of text.matchAll(/"next_cursor":\s*"([^"]+)"/g)) this.#keep(this.cursors, cursor);
    for (const [, link] of text.matchAll(/"download_url":\s*"http:\/\/[^/]+([^"]+)"/g)) this.#keep(this.links, link);
    const upload = /\/worker\/v1\/uploads\/(upl_\w+)/.exec(reply.headers.location ?? "");
    if (upload) this.learn({ body: Buffer.from(upload[1]), headers: {} });
  }

  #id(random, name) {
    const ids = this.known.get(PREFIX[name]) ?? [NOBODY[name]];
    const [isKnown, id] = [random.chance(0.93), random.of(ids)]; /* as many draws whatever is known */
    return isKnown ? id : NOBODY[name];
  }

  #ids(random) {
    return Object.fromEntries(Object.keys(NOBODY).map((name) => [name, this.#id(random, name)]));
  }

  /* Text in a seed that stands for what this server knows. */
  filled(seed, random) {
    const values = { ...this.#ids(random), key: this.key, token: this.token, job: JSON.stringify(JOB) };
    return seed.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);
  }

  #credential(one, random) {
    if (one.operationId === "deleteWorkerSession") return this.spareToken;
    return one.credential === "worker" ? this.token : one.credential === "key" ? this.key : random.of([null, this.key]);
  }

  #optional(parameter, random) {
    const { name, schema } = parameter;
    if (name === "cursor") return this.cursors.length > 0 ? random.of(this.cursors) : "AAAA";
    if (name === "limit") return String(random.of([1, 2, 20, 100, 0, 101, -1]));
    if (name === "Prefer") return random.of(["wait=1", "respond-async, wait=2;x", "wait", "wait=-1", "wait=\"3\""]);
    if (name === "Range") return random.of(["bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,3-4", "bytes=9-1"]);
    if (name === "If-None-Match") return random.of(["*", '"a", W/"b"', '"'.repeat(9)]);
    if (name === "Idempotency-Key") return `as-long-as-a-sign-ups-${random.int(0, 50)}`;
    return random.of([...(schema.enum ?? []), "2026-01-01T00:00:00Z", "x", "1", ""]);
  }

  #addOptional(request, one, random) {
    for (const parameter of one.parameters) {
      if (parameter.in === "path" || parameter.required || random.chance(0.6)) continue;
      const value = this.#optional(parameter, random);
      if (parameter.in === "header") request.lines.push([parameter.name, value]);
      else request.target += `${request.target.includes("?") ? "&" : "?"}${parameter.name}=${encodeURIComponent(value)}`;
    }
  }

  #pictured(options, one, random) {
    if (one.operationId !== "putReservationFile") return options;
    return { ...options, raw: pngImage({ seed: random.int(1, 1 << 30), width: 96, height: 64 }) };
  }

  /* A good request: { method, target, version, lines, body }. */
  request(random) {
    const one = random.of(CHOICES);
    const [method, target, options] = requestFor(one, this.#ids(random));
    const { body, raw, headers } = this.#pictured(options, one, random);
    const payload = raw ?? (body === undefined ? null : Buffer.from(JSON.stringify(body)));
    const credential = this.#credential(one, random);
    const lines = [["Host", "localhost"], ...Object.entries(headers)];
    if (credential) lines.push(["Authorization", `Bearer ${credential}`]);
    if (body !== undefined) lines.push(["Content-Type", "application/json"]);
    if (payload) lines.push(["Content-Length", String(payload.length)]);
    const isLink = one.operationId === "downloadFile" && this.links.length > 0;
    const request = { method, target: isLink ? random.of(this.links) : target, version: "HTTP/1.1", lines, body: payload };
    this.#addOptional(request, one, random);
    return request;
  }
}

/* The request as bytes. */
export function written({ method, target, version, lines, body }) {
  const head = [`${method} ${target} ${version}`, ...lines.map(([name, value]) => `${name}: ${value}`), "", ""];
  return Buffer.concat([Buffer.from(head.join("\r\n"), "latin1"), body ?? Buffer.alloc(0)]);
}
