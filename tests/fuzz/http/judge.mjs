/* What must hold for whatever a client sends: the replies are HTTP, no more of them than requests,
 * none missing unless the connection says so, none of them a 500 or with a header that the server
 * does not write; what a strict reader refuses is refused; what it takes is answered as the contract
 * says. */
import assert from "node:assert/strict";
import { checkReply, schemaFaults } from "../../lib/contract.mjs";
import { readReplies } from "../../lib/raw-http.mjs";

const HEADERS = new Set([
  "accept-ranges", "allow", "cache-control", "connection", "content-disposition", "content-length", "content-range",
  "content-security-policy", "content-type", "date", "etag", "firsthand-submission-id", "idempotent-replayed", "location", "preference-applied",
  "referrer-policy", "retry-after", "tus-checksum-algorithm", "tus-extension", "tus-max-size", "tus-resumable", "tus-version",
  "upload-defer-length", "upload-expires", "upload-length", "upload-metadata", "upload-offset", "www-authenticate",
  "x-content-type-options", "x-request-id",
]);

const FIELDS_TAKEN = 128; /* more of them may not fit, though their bytes would */
const READ_ALONG_BYTES_MAX = 16 << 10;
const ENVELOPE = { $ref: "#/components/schemas/ErrorEnvelope" };

function checkAny({ status, headers, body }) {
  assert.notEqual(status, 500, `500: ${body}`);
  for (const name of Object.keys(headers)) assert.ok(HEADERS.has(name), `a header of nobody's: ${name}: ${headers[name]}`);
  const isJson = (headers["content-type"] ?? "").startsWith("application/json");
  if (status < 400 || !isJson || body.length === 0) return;
  const json = JSON.parse(body.toString("utf8"));
  assert.deepEqual(schemaFaults(ENVELOPE, json), [], `${status}: not the envelope: ${body}`);
  assert.equal(json.error.request_id, headers["x-request-id"], "request_id");
}

const headerOf = ({ fields }, name) => fields.find(([one]) => one === name)?.[1];

function methodOf(request, path) {
  const asked = headerOf(request, "x-http-method-override");
  return request.method === "POST" && path.startsWith("/worker/v1/uploads") && asked !== undefined ? asked : request.method;
}

/* The reply to a request that every reader understands. */
function checkUnderstood(request, reply) {
  if (reply.status === 431 && request.fields.length > FIELDS_TAKEN) return;
  const target = request.target.replace(/^https?:\/\/[^/?]*/, "") || "/";
  const path = target.split("?")[0];
  assert.match(reply.headers["x-request-id"] ?? "", /^req_/, `${reply.status} is not the application's`);
  const method = methodOf(request, path);
  if (!/^[\x21-\x24\x26-\x7e]+$/.test(path)) return; /* escaped: another way to write some path */
  if (method === "HEAD" && request.method !== "HEAD") return; /* asked by POST: has a body after all */
  const text = reply.body.toString("utf8");
  checkReply(method, path, reply.status, reply.headers, text, { hasRateLimit: false });
}

/* A reply beyond those to whole requests: a refusal after which nothing is heard. */
function checkRefusal(reply, end) {
  assert.ok(reply.status >= 400 || end === "disputed", `${reply.status} for what is ${end}`);
  assert.equal(reply.headers.connection?.toLowerCase(), "close", `the connection stays after what is ${end}`);
}

/* The library refuses a length that is no number itself, and version 0.9.75 writes the head of that
 * reply twice before it hangs up. */
function undoubled(bytes) {
  const head = /(HTTP\/1\.1 4\d\d [ A-Za-z]+\r\nDate: [^\r]+\r\nConnection: close\r\nContent-Length: \d+\r\n\r\n)\1/;
  return Buffer.from(bytes.toString("latin1").replace(head, "$1"), "latin1");
}

function checkNoneIsMissing(requests, replies) {
  assert.ok(replies.length > 0, "no reply to a whole request");
  const isClosing = requests[replies.length - 1].mayClose || replies.at(-1).headers.connection?.toLowerCase() === "close";
  assert.ok(isClosing, `${replies.length} replies to ${requests.length} requests, and no word of closing`);
}

/* Where the server ends the connection while something is still to be read, the kernel throws away
 * what it has yet to send. What comes at once and is not much is read along. */
function mayBeCut({ requests, end, bytes }, { piecesCount = 1 }) {
  if (end === "hidden") return true;
  const isReadAlong = piecesCount === 1 && bytes <= READ_ALONG_BYTES_MAX;
  return !isReadAlong && (end !== "clean" || requests.slice(0, -1).some(({ mayClose }) => mayClose));
}

/* Throws when something is wrong. → the replies */
export function judge(model, outcome) {
  const { requests, end } = model;
  const { received, isReset, isHung } = outcome;
  const isCut = isReset || mayBeCut(model, outcome);
  assert.ok(!isHung, "the connection neither gave an answer nor ended");
  const most = requests.length + (end === "clean" || end === "hidden" ? 0 : 1);
  const bytes = end === "malformed" ? undoubled(received) : received;
  const { replies, rest } = readReplies(bytes, requests.map(({ method }) => method), most);
  assert.ok(isCut || rest.length === 0, `behind the last reply: ${rest.toString("latin1").slice(0, 300)}`);
  replies.forEach(checkAny);
  replies.slice(0, requests.length).forEach((reply, i) => checkUnderstood(requests[i], reply));
  replies.slice(requests.length).forEach((reply) => checkRefusal(reply, end));
  if (!isCut && replies.length < requests.length) checkNoneIsMissing(requests, replies);
  return replies;
}
