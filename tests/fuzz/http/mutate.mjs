/* What can be wrong with a request: in its parts, in its framing, and in its bytes. Each mutation takes
 * a request (or bytes) and a source of chance, and yields another. */

const TOKENS = [
  "\r\n", "\n", "\r", "\0", "\r\n\r\n", "\n\n", " ", "\t", ":", "\x0b", "\x7f", "\xff", "%00", "%0d%0aX-Injected:%201",
  "0\r\n\r\n", "ffffffffffffffff\r\n", "-1\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n",
  "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1", "http://", "../", "\\", "\"", "{", "}", "[", "]", ",", "\xc3\x28", "\\u0000", "9".repeat(40),
];

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "G\xcbT", "", "X".repeat(300)];
const VERSIONS = ["HTTP/1.0", "HTTP/1.1 ", "http/1.1", "HTTP/2.0", "HTTP/0.9", "HTTP/1.10", "HTTP/11", "", "ICY/1.1"];

/* name → values worth trying */
const HEADERS = {
  Connection: ["close", "keep-alive", "Upgrade", "upgrade, close", "Content-Length", "\t", "keep-alive, close"],
  Upgrade: ["h2c", "websocket", "HTTP/2.0, TLS/1.0"],
  Expect: ["100-continue", "100-Continue", "200-ok", "", "100-continue, x"],
  "Content-Length": ["0", "1", "5", "+5", "-1", "0x5", "5, 5", "", "5 5", "00005", "18446744073709551616", "9223372036854775807", "1e3", "\xb2"],
  "Transfer-Encoding": ["chunked", "Chunked", "chunked, chunked", "identity", "gzip, chunked", "xchunked", "chunked;q=1", "\tchunked", ""],
  TE: ["trailers, chunked"],
  Trailer: ["Content-Length"],
  Host: ["localhost", "", "a b", "evil/../x", "localhost:99999", "[::1", "\xff"],
  "Content-Type": ["multipart/form-data; boundary=x", "application/json; charset=utf-16", "text/plain", "application/offset+octet-stream", "", "application/json, text/html", "image/png"],
  "Content-Encoding": ["gzip", "br", "identity"],
  Authorization: ["Bearer", "Bearer ", "Basic dTpw", "Bearer fh_live_", "bearer \xff", "Digest username=\"a\"", "Bearer a b c", `Bearer ${"x".repeat(9000)}`],
  Prefer: ["wait=1", "wait=0", "wait=99999999999999999999", "wait=1, wait=2", "wait=\"1", "return=minimal; x=\"a,b\", wait=1", "=", ",,,"],
  Range: ["bytes=0-", "bytes=-0", "bytes=1-0", "bytes=0-0,1-1", "bytes=99999999999999999999-", "bytes", "lines=0-1", "bytes=--1", "bytes=a-b"],
  "If-Range": ["*", "\"x\"", "Wed, 21 Oct 2015 07:28:00 GMT"],
  "If-None-Match": ["*", "W/\"\"", "\"", ",,,,"],
  "Idempotency-Key": ["", "a b", "k".repeat(255), "k".repeat(256), "\xe9", "k\tk"],
  "Tus-Resumable": ["1.0.0", "0.2.2", "1.0.0, 1.0.0", ""],
  "Upload-Offset": ["0", "10", "-1", "9223372036854775807", "9223372036854775808", "0x0", "1 0", ""],
  "Upload-Length": ["0", "1", "-1", "9223372036854775807", "9".repeat(30), "1.5"],
  "Upload-Defer-Length": ["1", "0", "2"],
  "Upload-Metadata": ["filename d29ybGQ=", "filename", "filename ====", ",", "a b,a b", "filename Li4vLi4vZXRjL3Bhc3N3ZA==", "filename AA==", "x\ty AAAA"],
  "Upload-Checksum": ["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1 ", "md5 AAAA", "sha256 AAAA", "sha1"],
  "Upload-Concat": ["partial", "final;/a /b"],
  "X-HTTP-Method-Override": ["PATCH", "DELETE", "HEAD", "CONNECT", "GET /", "\0"],
  "X-Forwarded-For": ["1.2.3.4", ",,,", "x".repeat(2000), "::1, 127.0.0.1"],
  "Content-Disposition": ["attachment; filename=\"a.png\"", "attachment; filename*=UTF-8''%e2%82%ac", "attachment; filename=\"", "x; filename*=UTF-8''%", "; ; ;"],
  Cookie: ["a=b; c=\"d\"", "=", "x".repeat(5000)],
  Accept: ["text/html", "*/*;q=0"],
  "X-Long": ["y".repeat(15_000), "y".repeat(17_000)],
};

const copyOf = (request) => ({ ...request, lines: request.lines.map((line) => [...line]) });
const at = (text, random) => random.int(0, text.length);

function spliced(text, random, insertion, removedMax = 0) {
  const from = at(text, random);
  return text.slice(0, from) + insertion + text.slice(from + random.int(0, removedMax));
}

/* --- the parts --- */

function escaped(text, random) {
  return text.replace(/[^/]/g, (c) => (random.chance(0.1) ? `%${c.charCodeAt(0).toString(16).padStart(2, "0")}` : c));
}

const TARGETS = [
  (target, random) => escaped(target, random),
  (target, random) => spliced(target, random, random.of(["%00", "%2f", "%2e%2e/", "/", "//", "?", "#", "%", "%zz", "\xe9", ";a=b", "&", "=", "+"])),
  (target, random) => spliced(target, random, random.of(TOKENS)),
  (target) => `http://localhost${target}`,
  (target) => `https://user@elsewhere:1${target}`,
  (target) => target.slice(1),
  () => "*",
  (target) => `${target}/`,
  (target, random) => `${target}?${"a&".repeat(random.int(1, 4000))}`,
  (target, random) => `${target}/${"b".repeat(random.of([100, 8000, 17_000, 33_000]))}`,
  (target) => `${target}${target.includes("?") ? "&" : "?"}limit=1&limit=2&cursor=%ff&x[]=1`,
  (target, random) => spliced(target, random, "", 6),
];

function changeLine(request, random) {
  const line = random.of(request.lines);
  const which = random.int(0, 5);
  if (which === 0) line[0] = line[0].replace(/[a-z]/gi, (c) => (random.chance(0.5) ? c.toUpperCase() : c.toLowerCase()));
  if (which === 1) line[0] += random.of([" ", "\t", "\0", "(", "\xe9"]);
  if (which === 2) line[1] = spliced(line[1], random, random.of(TOKENS), 3);
  if (which === 3) line[1] += `${random.of(["\r\n ", "\r\n\t", "\n ", "\r", "\n"])}X-Folded: 1`;
  if (which === 4) line[1] = "";
  if (which === 5) line[1] += "z".repeat(random.of([10, 300, 9000]));
}

const PARTS = [
  (request, random) => { request.method = random.of(METHODS); },
  (request, random) => { request.version = random.of(VERSIONS); },
  (request, random) => { request.target = random.of(TARGETS)(request.target, random); },
  (request, random) => { request.target = random.of(TARGETS)(request.target, random); },
  (request, random) => {
    const name = random.of(Object.keys(HEADERS));
    request.lines = request.lines.filter(([one]) => random.chance(0.3) || one.toLowerCase() !== name.toLowerCase());
    request.lines.splice(random.int(0, request.lines.length), 0, [name, random.of(HEADERS[name])]);
  },
  (request, random) => { request.lines.push([...random.of(request.lines)]); },
  (request, random) => { request.lines.splice(random.int(0, request.lines.length - 1), 1); },
  (request, random) => { changeLine(request, random); },
  (request, random) => { request.lines.sort(() => random.next() - 0.5); },
  (request, random) => { for (let i = random.int(1, 400); i > 0; i--) request.lines.push([`X-${i}`, "v"]); },
];

/* --- the body and its framing --- */

const VALUES = [null, true, 0, -1, 1.5, 1e308, 9007199254740993, "", "x", "\u0000", "\ud800", "é".repeat(200), [], {}, [[[[[[]]]]]], "2026-01-01T00:00:00Z", "9".repeat(30)];

function changedJson(body, random) {
  let value;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    return body;
  }
  if (value === null || typeof value !== "object") return body;
  const names = Object.keys(value);
  const name = names.length > 0 && random.chance(0.9) ? random.of(names) : "extra";
  if (random.chance(0.15)) delete value[name];
  else value[name] = random.of(VALUES);
  const text = JSON.stringify(value);
  return Buffer.from(random.chance(0.1) ? text.replace("{", `{${JSON.stringify(name)}:1,`) : text);
}

function chunkOf(piece, random) {
  const size = piece.length.toString(16);
  const head = random.chance(0.85) ? size : random.of([`${size};a=b`, `0${size}`, size.toUpperCase(), `${size} `, `0x${size}`, `-${size}`, `${size}\n`, "7fffffffffffffff", `${size};\r\nX`]);
  const end = random.chance(0.95) ? "\r\n" : random.of(["\n", "", "\r", "\r\n\r\n"]);
  return Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), piece, Buffer.from(end, "latin1")]);
}

/* In chunks, most of them right. */
function inChunks(body, random) {
  const pieces = [];
  for (let from = 0; from < body.length; ) {
    const size = random.of([1, 2, 7, 100, body.length]);
    pieces.push(chunkOf(body.subarray(from, from + size), random));
    from += size;
  }
  const last = random.chance(0.9) ? "0\r\n\r\n" : random.of(["0\r\nX: y\r\n\r\n", "0\n\n", "00\r\n\r\n", "0;x\r\n\r\n", "0\r\nContent-Length: 9\r\n\r\n", ""]);
  return Buffer.concat([...pieces, Buffer.from(last, "latin1")]);
}

function chunked(request, random) {
  const isLength = ([name]) => name.toLowerCase() === "content-length";
  if (random.chance(0.9)) request.lines = request.lines.filter((line) => !isLength(line));
  request.lines.push(["Transfer-Encoding", "chunked"]);
  request.body = inChunks(request.body ?? Buffer.from("{}"), random);
}

function lengthened(request, random) {
  const line = request.lines.find(([name]) => name.toLowerCase() === "content-length");
  if (line) line[1] = String(Math.max(0, Number(line[1]) + random.of([-5, -1, 1, 5, 1 << 20, 1 << 26, 1 << 30])));
  else request.lines.push(["Content-Length", String(random.of([0, 1, 100, 1 << 20]))]);
}

function withBody(request, body) {
  const line = request.lines.find(([name]) => name.toLowerCase() === "content-length");
  if (line) line[1] = String(body.length);
  else request.lines.push(["Content-Length", String(body.length)]);
  request.body = body;
}

const BODIES = [
  chunked,
  chunked,
  lengthened,
  (request, random) => { if (request.body) withBody(request, changedJson(request.body, random)); },
  (request, random) => { if (request.body) withBody(request, changedJson(request.body, random)); },
  (request, random) => { withBody(request, mutateBytes(request.body ?? Buffer.from("{}"), random)); },
  (request, random) => { withBody(request, Buffer.alloc(random.of([0, 1, 1000, 20_000, 70_000, 1 << 20, (1 << 20) + 1]), random.of(["[", "a", " ", "\0"]))); },
  (request) => { withBody(request, Buffer.from("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nabc\r\n--x--\r\n")); },
  (request) => { withBody(request, Buffer.from("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")); },
];

/* A request with one to three things changed. */
export function mutateRequest(request, random) {
  const changed = copyOf(request);
  for (let n = random.int(1, 3); n > 0; n--)
    if (changed.lines.length > 0) random.of(random.chance(0.65) ? PARTS : BODIES)(changed, random);
  return changed;
}

/* --- the bytes --- */

const BYTES = [
  (bytes, random) => { const copy = Buffer.from(bytes); copy[random.int(0, copy.length - 1)] ^= 1 << random.int(0, 7); return copy; },
  (bytes, random) => { const copy = Buffer.from(bytes); copy[random.int(0, copy.length - 1)] = random.int(0, 255); return copy; },
  (bytes, random) => inserted(bytes, Buffer.from(random.of(TOKENS), "latin1"), random),
  (bytes, random) => inserted(bytes, Buffer.from(random.of(TOKENS), "latin1"), random),
  (bytes, random) => { const from = at(bytes, random); return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.int(1, 20))]); },
  (bytes, random) => { const from = at(bytes, random); return inserted(bytes, bytes.subarray(from, from + random.int(1, 60)), random); },
  (bytes, random) => Buffer.from(bytes.toString("latin1").replace(/\r\n/g, (end) => (random.chance(0.2) ? random.of(["\n", "\r", "\r\r\n", "\n\r"]) : end)), "latin1"),
  (bytes, random) => bytes.subarray(0, at(bytes, random)),
];

function inserted(bytes, piece, random) {
  const from = at(bytes, random);
  return Buffer.concat([bytes.subarray(0, from), piece, bytes.subarray(from)]);
}

/* Bytes with one to four things changed. */
export function mutateBytes(bytes, random) {
  let changed = bytes;
  for (let n = random.int(1, 4); n > 0 && changed.length > 0; n--) changed = random.of(BYTES)(changed, random);
  return changed;
}
