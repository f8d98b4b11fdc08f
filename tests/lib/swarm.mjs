/* Many connections at once, each of which sends exactly what it is told, when it is told, and reads
 * only when it is told. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { inParallel } from "./market.mjs";

const CONNECTING_AT_ONCE = 100;
const REPLY_MS_MAX = 120_000;

function lengthOf(head) {
  return Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
}

function headersOf(lines) {
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
}

export class Line {
  #bytes = Buffer.alloc(0);
  #replies = [];
  #waiting = [];

  constructor(socket) {
    this.socket = socket;
    this.isEnded = false;
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (bytes) => this.#take(bytes));
    this.ended = new Promise((done) => {
      const end = () => {
        this.isEnded = true;
        this.#waiting.splice(0).forEach((tell) => tell(null));
        done();
      };
      socket.on("end", end);
      socket.on("close", end);
    });
  }

  static async open(base) {
    const { hostname, port } = new URL(base);
    const socket = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    const line = new Line(socket);
    await Promise.race([once(socket, "connect"), line.ended]);
    return line;
  }

  #take(bytes) {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const end = this.#bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = this.#bytes.toString("latin1", 0, end);
      const size = end + 4 + lengthOf(head);
      if (this.#bytes.length < size) return;
      const [first, ...lines] = head.split("\r\n");
      const text = this.#bytes.toString("utf8", end + 4, size);
      this.#bytes = this.#bytes.subarray(size);
      this.#give({ status: Number(first.split(" ")[1]), headers: headersOf(lines), text });
    }
  }

  #give(reply) {
    const tell = this.#waiting.shift();
    if (tell) tell(reply);
    else this.#replies.push(reply);
  }

  send(bytes) {
    this.socket.write(bytes);
    return this;
  }

  /* The next reply; null when the connection ends before. */
  async reply() {
    if (this.#replies.length > 0) return this.#replies.shift();
    if (this.isEnded) return null;
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error("no reply in time")), REPLY_MS_MAX);
    });
    try {
      return await Promise.race([new Promise((tell) => this.#waiting.push(tell)), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  ask(bytes) {
    this.send(bytes);
    return this.reply();
  }

  stopReading() {
    this.socket.pause();
    return this;
  }

  goOnReading() {
    this.socket.resume();
  }

  close() {
    this.socket.destroy();
  }
}

/* Open so many; none may be turned away. */
export async function openLines(base, count) {
  const lines = await inParallel(Array(count).fill(base), CONNECTING_AT_ONCE, Line.open);
  assert.ok(lines.every((line) => !line.isEnded), "a connection was turned away");
  return lines;
}

export function closeLines(lines) {
  for (const line of lines) line.close();
}

/* A request as bytes. body: text or bytes, with their length unless the headers say another. */
export function requestBytes(method, target, { token, headers = {}, body } = {}) {
  const all = { host: "t", ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  if (body !== undefined) all["content-length"] ??= Buffer.byteLength(body);
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${head}\r\n`), Buffer.from(body ?? "")]);
}

export function assertTurnedAway(reply, code) {
  assert.equal(reply?.status, 503, reply?.text);
  assert.equal(JSON.parse(reply.text).error.details[0].code, code);
  assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d*$/);
}

/* Ask on a new connection, and come back when the server says so, until it has room. One on which
 * nothing was asked for a while may be closed to make room. → the line */
export async function getIn(base, bytes) {
  for (;;) {
    const line = await Line.open(base);
    const reply = await line.ask(bytes);
    if (reply?.status === 200) return line;
    line.close();
    if (reply === null) continue;
    assertTurnedAway(reply, "connections_full");
    await pause(Number(reply.headers["retry-after"]) * 1000);
  }
}
