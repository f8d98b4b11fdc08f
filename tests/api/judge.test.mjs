/* The judge of replies itself: it passes what is right and finds what is wrong. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkReply, findOperation } from "../lib/contract.mjs";

const ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const REQUEST = `req_${ULID}`;

const HEADERS = {
  "x-request-id": REQUEST,
  "content-type": "application/json",
  "cache-control": "no-store",
  "x-ratelimit-limit": "10",
  "x-ratelimit-remaining": "9",
  "x-ratelimit-reset": "6",
};
const BALANCE = { balance_cents: 5, currency: "usd", updated_at: "2026-01-01T00:00:00.000Z" };
const REFUSAL = { type: "not_found", message: "There is no such job.", request_id: REQUEST, details: [{ message: "m", code: "job_not_found" }] };

const without = (headers, ...names) => Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));
const balance = (changes = {}, headers = HEADERS, status = 200) =>
  checkReply("GET", "/v1/billing/credits", status, headers, JSON.stringify({ ...BALANCE, ...changes }));
const refusal = (changes = {}, { status = 404, headers = HEADERS, target = `/v1/jobs/job_${ULID}`, method = "GET" } = {}) =>
  checkReply(method, target, status, headers, JSON.stringify({ error: { ...REFUSAL, ...changes } }));

describe("the judge passes", () => {
  it("a reply that keeps the contract", () => {
    assert.deepEqual(balance(), BALANCE);
    balance({ held_cents: 0, total_cents: 5 });
  });
  it("a refusal that keeps the contract", () => {
    refusal();
    refusal({ details: undefined });
  });
  it("a reply without a body", () => {
    checkReply("POST", `/v1/api_keys/key_${ULID}/revoke`, 204, without(HEADERS, "content-type", "cache-control"), "");
  });
  it("a HEAD request by the rules of GET", () => {
    checkReply("HEAD", "/v1/billing/credits", 200, HEADERS, "");
  });
  it("an unknown path as 404 and an unknown method as 405", () => {
    refusal({}, { target: "/v1/nothing" });
    refusal({ type: "invalid_request" }, { method: "DELETE", target: "/v1/jobs", status: 405, headers: { ...HEADERS, allow: "POST, GET, HEAD" } });
  });
  it("a reply without rate headers where the limit is off", () => {
    const headers = without(HEADERS, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset");
    checkReply("GET", "/v1/billing/credits", 200, headers, JSON.stringify(BALANCE), { hasRateLimit: false });
  });
});

describe("the judge finds", () => {
  const list = { object: "list", data: [], has_more: false, next_cursor: null };
  const key = { id: `key_${ULID}`, object: "api_key", name: "n", prefix: "fh_live_aaaa", hint: "aaaa", scopes: ["jobs:read"],
                environment: "live", status: "active", last_used_at: null, created_at: BALANCE.updated_at, expires_at: null };
  const keys = (changes) => checkReply("GET", "/v1/api_keys", 200, HEADERS, JSON.stringify({ ...list, data: [{ ...key, ...changes }] }));

  const wrong = {
    "an undeclared status": () => balance({}, HEADERS, 202),
    "an undeclared property": () => balance({ colour: "red" }),
    "an undeclared property in a row": () => keys({ secret: "x" }),
    "a property left out": () => balance({ currency: undefined }),
    "a property of another type": () => balance({ balance_cents: "5" }),
    "a real number for an integer": () => balance({ balance_cents: 5.5 }),
    "a value outside the enum": () => keys({ status: "gone" }),
    "a time without milliseconds": () => balance({ updated_at: "2026-01-01T00:00:00Z" }),
    "a time that is not in UTC": () => balance({ updated_at: "2026-01-01T00:00:00.000+00:00" }),
    "an id that is none": () => keys({ id: "key_1" }),
    "no X-Request-Id": () => balance({}, without(HEADERS, "x-request-id")),
    "a cacheable reply": () => balance({}, without(HEADERS, "cache-control")),
    "another media type": () => balance({}, { ...HEADERS, "content-type": "text/html" }),
    "no rate headers": () => balance({}, without(HEADERS, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")),
    "one rate header missing": () => balance({}, without(HEADERS, "x-ratelimit-reset")),
    "rate headers although the limit is off": () =>
      checkReply("GET", "/v1/billing/credits", 200, HEADERS, JSON.stringify(BALANCE), { hasRateLimit: false }),
    "something that is not JSON": () => checkReply("GET", "/v1/billing/credits", 200, HEADERS, "{"),
    "a body where there is none": () => checkReply("POST", `/v1/api_keys/key_${ULID}/revoke`, 204, HEADERS, "{}"),
    "a body after HEAD": () => checkReply("HEAD", "/v1/billing/credits", 200, HEADERS, "{}"),
    "another request's id": () => refusal({ request_id: `req_${ULID.replace("V", "W")}` }),
    "a type that does not fit the status": () => refusal({ type: "conflict" }),
    "a type that is none": () => refusal({ type: "sad" }),
    "a member beside the envelope": () => refusal({ stack: "at main" }),
    "an empty message": () => refusal({ message: "" }),
    "a detail without a code": () => refusal({ details: [{ message: "m" }] }),
    "a 422 that names nothing": () => refusal({ type: "validation_error", details: [] }, { method: "POST", target: "/v1/jobs", status: 422 }),
    "a 401 without WWW-Authenticate": () => refusal({ type: "authentication_error" }, { status: 401 }),
    "a 429 without Retry-After": () => refusal({ type: "rate_limit_exceeded" }, { status: 429 }),
    "a 405 with the wrong Allow": () =>
      refusal({ type: "invalid_request" }, { method: "DELETE", target: "/v1/jobs", status: 405, headers: { ...HEADERS, allow: "GET" } }),
    "a 405 for a path that does not exist": () =>
      refusal({ type: "invalid_request" }, { target: "/v1/nothing", status: 405, headers: { ...HEADERS, allow: "GET" } }),
    "a success on a path that does not exist": () => checkReply("GET", "/v1/nothing", 200, HEADERS, "{}"),
  };
  for (const [name, ask] of Object.entries(wrong)) it(name, () => assert.throws(ask, assert.AssertionError));
});

describe("finding an operation", () => {
  const idOf = (method, target) => findOperation(method, target).operation?.operationId;
  it("goes by method, path and template", () => {
    assert.equal(idOf("GET", "/v1/jobs?limit=1"), "listJobs");
    assert.equal(idOf("GET", "/v1/jobs/x"), "getJob");
    assert.equal(idOf("HEAD", "/v1/jobs/x"), "getJob");
    assert.equal(idOf("HEAD", "/worker/v1/uploads/x"), "getUploadOffset");
    assert.equal(idOf("DELETE", "/worker/v1/sessions/current"), "deleteWorkerSession");
  });
  it("finds nothing for an empty segment or another length", () => {
    for (const target of ["/v1/jobs/", "/v1/jobs/x/y/z", "/v1", "/"]) assert.deepEqual(findOperation("GET", target).allowed, []);
  });
});
