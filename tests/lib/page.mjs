/* What a browser does for a page of another origin (the Fetch standard): it asks before it sends what a form
 * could not, sends nothing that was not allowed, and shows only the headers that were exposed. */
import assert from "node:assert/strict";
import http from "node:http";
import { transmit } from "./client.mjs";

export const ORIGIN = "https://app.example.invalid";

const PLAIN_METHODS = ["GET", "HEAD", "POST"];
const PLAIN_TYPES = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
const PLAIN_REPLY_HEADERS = ["cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"];

const namesOf = (text) => (text ?? "").toLowerCase().split(",").map((name) => name.trim()).filter(Boolean);

function needsLeave([name, value]) {
  if (["accept", "accept-language", "content-language"].includes(name)) return false;
  return name !== "content-type" || !PLAIN_TYPES.includes(value);
}

function assertShared(reply, what) {
  assert.ok(["*", ORIGIN].includes(reply.headers["access-control-allow-origin"]), `${what} is not for other origins`);
}

/* Past whatever stands between a test's clients and the server, and unjudged. */
export function sendPlain(method, url, headers, payload) {
  const { hostname: host, port, pathname, search } = new URL(url);
  return transmit(http, { host, port, method, path: pathname + search, headers }, payload);
}

const send = (method, url, headers, payload) => sendPlain(method, url, { origin: ORIGIN, ...headers }, payload);

/* Ask whether a request with these headers may be sent; it must be so. */
export async function preflight(method, url, headerNames = []) {
  const asked = { "access-control-request-method": method };
  if (headerNames.length) asked["access-control-request-headers"] = headerNames.toSorted().join(",");
  const reply = await send("OPTIONS", url, asked);
  assert.ok(reply.status >= 200 && reply.status < 300, `${method} ${url}: ${reply.status}`);
  assertShared(reply, "the preflight");
  const methods = namesOf(reply.headers["access-control-allow-methods"]);
  assert.ok(PLAIN_METHODS.includes(method) || methods.includes(method.toLowerCase()), `${method} is not allowed`);
  const allowed = namesOf(reply.headers["access-control-allow-headers"]);
  for (const name of headerNames)
    assert.ok(allowed.includes(name) || (allowed.includes("*") && name !== "authorization"), `${name} is not allowed`);
}

/* → the reply, with the headers that the page may read */
export async function fetchAsPage(method, url, { headers = {}, payload } = {}) {
  const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
  const delicate = Object.entries(sent).filter(needsLeave).map(([name]) => name);
  if (delicate.length || !PLAIN_METHODS.includes(method)) await preflight(method, url, delicate);
  const reply = await send(method, url, payload ? { ...sent, "content-length": payload.length } : sent, payload);
  assertShared(reply, "the reply");
  const shown = [...PLAIN_REPLY_HEADERS, ...namesOf(reply.headers["access-control-expose-headers"])];
  return { ...reply, headers: Object.fromEntries(Object.entries(reply.headers).filter(([name]) => shown.includes(name))) };
}

/* An httpStack for tus-js-client, whose bodies are buffers. */
export const pageStack = {
  getName: () => "page",
  createRequest(method, url) {
    const headers = {};
    return {
      getMethod: () => method,
      getURL: () => url,
      setHeader: (name, value) => (headers[name] = value),
      getHeader: (name) => headers[name],
      setProgressHandler: () => {},
      abort: async () => {},
      getUnderlyingObject: () => null,
      async send(payload) {
        const reply = await fetchAsPage(method, url, { headers, payload });
        return {
          getStatus: () => reply.status,
          getHeader: (name) => reply.headers[name.toLowerCase()],
          getBody: () => reply.text,
          getUnderlyingObject: () => null,
        };
      },
    };
  },
};
