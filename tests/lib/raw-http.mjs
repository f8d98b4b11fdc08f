/* HTTP/1.1 on the wire: what a strict reader makes of the bytes a client sends, and of those a server
 * sends back. Shares no code with the server. */
import assert from "node:assert/strict";

export const HEAD_BYTES_MAX = 16 << 10;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.(\d)$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/* libmicrohttpd 0.9.75 writes NULs where it found line ends, and cannot tell one that was there. */
const NUL_AT_LINE_END = /\0\n|\n\0/;
const CHUNK_LINE = /^([0-9A-Fa-f]{1,16})$/;

/* --- requests --- */

class Stop extends Error {
  constructor(end) {
    super(end);
    this.end = end;
  }
}

/* The line at an offset, without its CR LF. Stops where there is none yet, or another line end. */
function lineAt(text, at, limit) {
  const reach = text.slice(at, at + limit + 2);
  const length = reach.indexOf("\r\n");
  const end = length < 0 ? -1 : at + length;
  const line = length < 0 ? reach : reach.slice(0, length);
  const broken = NUL_AT_LINE_END.test(line) ? "hidden" : "malformed";
  if (line.length > limit) throw new Stop(broken);
  if (end < 0) throw new Stop(/[\n\0]|\r[^]/.test(line) ? broken : "incomplete");
  if (/[\r\n\0]/.test(line)) throw new Stop(broken);
  return { line, next: end + 2 };
}

function fieldsAt(text, from, limit) {
  const fields = [];
  for (let at = from; ; ) {
    const { line, next } = lineAt(text, at, limit);
    if (line === "") return { fields, next };
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    if (!TOKEN.test(name) || !FIELD_VALUE.test(line.slice(colon + 1))) throw new Stop("malformed");
    if (/^content-length:.*[ \t]$/i.test(line)) throw new Stop("malformed"); /* stricter than it must be */
    fields.push([name.toLowerCase(), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")]);
    at = next;
  }
}

const valuesOf = (fields, name) => fields.filter(([one]) => one === name).map(([, value]) => value);

function isTarget(method, target) {
  return target.startsWith("/") || /^https?:\/\/[^/?]*(\/|$)/.test(target) || (target === "*" && method === "OPTIONS");
}

/* Where the chunks from an offset end. A trailer, an extension or a line end that only some readers
 * take makes it "disputed". */
function chunksEnd(text, from) {
  for (let at = from; ; ) {
    const { line, next } = disputed(() => lineAt(text, at, HEAD_BYTES_MAX));
    const size = CHUNK_LINE.exec(line);
    if (!size) throw new Stop("disputed");
    const bytes = Number.parseInt(size[1], 16);
    if (bytes === 0) {
      if (text.startsWith("\r\n", next)) return next + 2;
      throw new Stop("\r\n".startsWith(text.slice(next)) ? "incomplete" : "disputed");
    }
    at = next + bytes;
    if (text.length < at + 2) throw new Stop("incomplete");
    if (text.slice(at, at + 2) !== "\r\n") throw new Stop("disputed");
    at += 2;
  }
}

function disputed(read) {
  try {
    return read();
  } catch (e) {
    if (e instanceof Stop && e.end !== "incomplete") throw new Stop("disputed");
    throw e;
  }
}

function framingOf(fields, minor) {
  const lengths = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  const hosts = valuesOf(fields, "host");
  if (hosts.length > 1 || (minor !== "0" && hosts.length === 0)) throw new Stop("malformed");
  if (lengths.length + codings.length > 1) throw new Stop("malformed");
  if (codings.length > 0) {
    if (minor === "0" || codings[0].toLowerCase() !== "chunked") throw new Stop("malformed");
    return "chunked";
  }
  if (lengths.length === 0) return 0;
  if (!/^\d{1,18}$/.test(lengths[0])) throw new Stop("malformed");
  return Number(lengths[0]);
}

function requestAt(text, from) {
  const { line, next } = lineAt(text, from, HEAD_BYTES_MAX);
  const match = REQUEST_LINE.exec(line);
  if (!match || !isTarget(match[1], match[2])) throw new Stop("malformed");
  const [, method, target, minor] = match;
  const head = fieldsAt(text, next, HEAD_BYTES_MAX);
  if (head.next - from > HEAD_BYTES_MAX) throw new Stop("malformed");
  const framing = framingOf(head.fields, minor);
  return { method, target, minor, fields: head.fields, framing, bodyAt: head.next };
}

/* A whole request from an offset, with where the next begins. */
function wholeRequestAt(text, from) {
  const request = requestAt(text, from);
  const connection = valuesOf(request.fields, "connection").join(",");
  request.mayClose = request.minor === "0" || /close/i.test(connection) || request.framing === "chunked";
  request.next = request.framing === "chunked" ? chunksEnd(text, request.bodyAt) : request.bodyAt + request.framing;
  if (request.next > text.length) throw new Stop("incomplete");
  return request;
}

/* Empty lines before a request are nothing (RFC 9112 §2.2); a bare CR there is taken by some. */
function requestsStart(text, from) {
  let at = from;
  for (let empty; (empty = /^\r?\n/.exec(text.slice(at, at + 2))); ) at += empty[0].length;
  if (text[at] === "\r") throw new Stop(at + 1 === text.length ? "incomplete" : "disputed");
  return at;
}

/* What bytes say: { requests, end }. A request is { method, target, minor, fields, mayClose }. end, of
 * what follows the whole ones, is "clean", "incomplete", "malformed" (must be refused, and nothing
 * after it be heard), "disputed" (readers differ; nothing after it be heard) or "hidden" (nothing is
 * known of what the server makes of it). */
export function readRequests(bytes) {
  const text = bytes.toString("latin1");
  const requests = [];
  try {
    for (let at = requestsStart(text, 0); at < text.length; at = requestsStart(text, requests.at(-1).next))
      requests.push(wholeRequestAt(text, at));
    return { requests, end: "clean", bytes: bytes.length };
  } catch (e) {
    if (!(e instanceof Stop)) throw e;
    return { requests, end: e.end, bytes: bytes.length };
  }
}

/* --- replies --- */

const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [ A-Za-z'-]*$/;

function replyHead(text, from) {
  const end = text.indexOf("\r\n\r\n", from);
  if (end < 0) return null;
  const [first, ...lines] = text.slice(from, end).split("\r\n");
  const status = STATUS_LINE.exec(first);
  assert.ok(status, `not a status line: ${JSON.stringify(first.slice(0, 200))}`);
  const headers = {};
  for (const line of lines) {
    const match = /^([A-Za-z][A-Za-z0-9-]*): ?([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
    assert.ok(match, `not a header of a reply: ${JSON.stringify(line.slice(0, 200))}`);
    const name = match[1].toLowerCase();
    assert.ok(!(name in headers), `the header ${name} comes twice`);
    headers[name] = match[2];
  }
  return { status: Number(status[1]), headers, bodyAt: end + 4 };
}

function replyEnd({ status, headers, bodyAt }, bytesThere, method) {
  const hasNoBody = method === "HEAD" || status === 204 || status === 304;
  if (hasNoBody || (method === undefined && bodyAt === bytesThere)) return bodyAt;
  assert.match(headers["content-length"] ?? "", /^\d+$/, `a ${status} without a Content-Length`);
  return bodyAt + Number(headers["content-length"]);
}

/* The whole replies in bytes, at most so many, and what follows them. methods: of the requests that
 * they answer, in order; one beyond them may be to a broken HEAD, without a body. Interim replies
 * (100) are only counted. */
export function readReplies(bytes, methods, most = Infinity) {
  const text = bytes.toString("latin1");
  const replies = [];
  let at = 0;
  let interim = 0;
  while (at < text.length && replies.length < most) {
    const head = replyHead(text, at);
    if (head === null) break;
    if (head.status === 100) {
      interim++;
      at = head.bodyAt;
      continue;
    }
    const end = replyEnd(head, text.length, methods[replies.length]);
    if (end > text.length) break;
    replies.push({ ...head, body: bytes.subarray(head.bodyAt, end) });
    at = end;
  }
  return { replies, interim, rest: bytes.subarray(at) };
}
