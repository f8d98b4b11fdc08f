/* The tus protocol by hand, so that a test can send what no good client would. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";

export const VERSION = { "tus-resumable": "1.0.0" };
export const OFFSET_STREAM = "application/offset+octet-stream";

export function metadata(values) {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString("base64")}`)
    .join(",");
}

export function checksum(algorithm, bytes) {
  return `${algorithm} ${createHash(algorithm).update(bytes).digest("base64")}`;
}

/* How many bytes each file has on the disk that is on its way in. One that has ended goes at any time. */
export function partSizes(dataDir) {
  const folder = join(dataDir, "uploads");
  return readdirSync(folder).flatMap((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? []);
}

function targetOf(location) {
  return location.startsWith("/") ? location : new URL(location).pathname;
}

export class Tus {
  constructor(client) {
    this.client = client;
  }

  /* → the reply, whatever it is. length: undefined leaves the header out. */
  create(reservation, { length, body, headers = {} } = {}) {
    const all = { ...VERSION, "content-type": null, ...headers };
    if (length !== undefined) all["upload-length"] = String(length);
    if (body !== undefined) all["content-type"] ??= OFFSET_STREAM;
    return this.client.request("POST", `/worker/v1/uploads?reservation=${reservation}`, {
      raw: body ?? "",
      headers: all,
    });
  }

  /* Create, and it must work. → the path of the upload */
  async begin(reservation, length, headers) {
    const reply = await this.create(reservation, { length, headers });
    assert.equal(reply.status, 201, reply.text);
    assert.match(reply.headers.location, /^http:\/\/[^/]+\/worker\/v1\/uploads\/upl_[0-9A-Z]{26}$/);
    return targetOf(reply.headers.location);
  }

  head(location) {
    return this.client.request("HEAD", targetOf(location), { headers: VERSION });
  }

  /* The offset, and it must be known. */
  async offset(location) {
    const reply = await this.head(location);
    assert.equal(reply.status, 200);
    return Number(reply.headers["upload-offset"]);
  }

  patch(location, offset, bytes, headers = {}) {
    return this.client.request("PATCH", targetOf(location), {
      raw: bytes,
      headers: { ...VERSION, "content-type": OFFSET_STREAM, "upload-offset": String(offset), ...headers },
    });
  }

  terminate(location) {
    return this.client.request("DELETE", targetOf(location), { headers: VERSION });
  }

  /* A PATCH on a connection of its own that sends what it is told to, when it is told to. */
  openPatch(location, offset, lengthDeclared) {
    return this.#open(`PATCH ${targetOf(location)}`, lengthDeclared, {
      ...VERSION, "content-type": OFFSET_STREAM, "upload-offset": offset,
    });
  }

  /* The same for a whole file. */
  openPut(reservation, lengthDeclared, type) {
    return this.#open(`PUT /worker/v1/reservations/${reservation}/file`, lengthDeclared, { "content-type": type });
  }

  async #open(line, length, headers) {
    const { hostname, port, host } = this.client.base;
    const socket = net.connect({ host: hostname, port: Number(port) });
    socket.on("error", () => {});
    await once(socket, "connect");
    const stream = new SlowRequest(socket);
    const all = { host, authorization: `Bearer ${this.client.token}`, ...headers, "content-length": length };
    socket.write(`${line} HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
    return stream;
  }
}

class SlowRequest {
  #text = "";

  constructor(socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text) => (this.#text += text));
    this.closed = once(socket, "close");
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /* The reply's head and body, once its end or the connection's has come. */
  async reply() {
    for (;;) {
      if (/^HTTP\/1\.1 (?!1\d\d)\d+ [\s\S]*\r\n\r\n/.test(this.#text)) return this.#text;
      const ended = await Promise.race([
        once(this.socket, "data").then(() => false),
        this.closed.then(() => true),
      ]);
      if (ended) return this.#text;
    }
  }

  close() {
    this.socket.destroy();
  }
}
