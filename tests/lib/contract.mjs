/* The contract as a judge of replies: every reply that a test sees is held against
 * api/openapi.json, more strictly than a client would. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const CONTRACT_PATH = `${REPOSITORY}api/openapi.json`;
export const contract = JSON.parse(readFileSync(CONTRACT_PATH, "utf8"));

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const REF_PREFIX = "#/components/schemas/";

/* --- operations --- */

function operationOf(path, method, description) {
  const security = description.security ?? contract.security ?? [];
  return {
    ...description,
    method: method.toUpperCase(),
    path,
    parameters: description.parameters ?? [],
    /* "key", "worker" or null */
    credential: security.length === 0 ? null : "WorkerAuth" in security[0] ? "worker" : "key",
    bodySchema: description.requestBody?.content?.["application/json"]?.schema ?? null,
  };
}

export const operations = Object.entries(contract.paths).flatMap(([path, methods]) =>
  METHODS.filter((method) => method in methods).map((method) =>
    operationOf(path, method, methods[method]),
  ),
);

export function operation(operationId) {
  const found = operations.find((one) => one.operationId === operationId);
  assert.ok(found, `the contract has no operation ${operationId}`);
  return found;
}

function segmentsOf(path) {
  return path.split("/").slice(1);
}

function pathMatches(template, segments) {
  const wanted = segmentsOf(template);
  if (wanted.length !== segments.length) return false;
  return wanted.every((part, i) =>
    part.startsWith("{") ? segments[i] !== "" : part === segments[i],
  );
}

/* A literal segment wins over a parameter, from the left. */
function literalsFirst(a, b) {
  const key = (path) => segmentsOf(path).map((part) => (part.startsWith("{") ? "1" : "0")).join("");
  return key(a).localeCompare(key(b));
}

/* The path of a document that a target falls under, or undefined. */
export function templateOf(paths, target) {
  const segments = segmentsOf(target.split("?")[0]);
  return Object.keys(paths)
    .filter((path) => pathMatches(path, segments))
    .sort(literalsFirst)[0];
}

/* The operation a request belongs to, and what the path knows. A path that exists without the
 * method gives { operation: null, allowed: […] }; a path that does not exist { allowed: [] }. */
export function findOperation(method, target) {
  const template = templateOf(contract.paths, target);
  if (template === undefined) return { operation: null, allowed: [] };
  const here = operations.filter((one) => one.path === template);
  const allowed = here.map((one) => one.method);
  if (allowed.includes("GET") && !allowed.includes("HEAD")) allowed.push("HEAD");
  const wanted = here.some((one) => one.method === method) || method !== "HEAD" ? method : "GET";
  return { operation: here.find((one) => one.method === wanted) ?? null, allowed };
}

/* A path with its parameters filled in; every one must be given. */
export function fillPath(template, values) {
  return template.replace(/\{([^}]+)\}/g, (_, name) => {
    assert.ok(name in values, `no value for {${name}} of ${template}`);
    return encodeURIComponent(values[name]);
  });
}

export function pathParameters(one) {
  return one.parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
}

/* The schema with its outermost $ref followed. */
export function resolve(schema, document = contract) {
  let at = schema;
  while (at?.$ref) {
    assert.ok(at.$ref.startsWith(REF_PREFIX), `unknown $ref ${at.$ref}`);
    at = document.components.schemas[at.$ref.slice(REF_PREFIX.length)];
    assert.ok(at, `dangling $ref ${schema.$ref}`);
  }
  return at;
}

/* --- schemas --- */

const URN = "urn:firsthand:contract";

/* References point into the bundle. With isStrict an object may only have what it declares. */
function bundled(schema, isStrict) {
  if (Array.isArray(schema)) return schema.map((one) => bundled(one, isStrict));
  if (schema === null || typeof schema !== "object") return schema;
  if (schema.$ref) return { $ref: `${URN}#/$defs/${schema.$ref.slice(REF_PREFIX.length)}` };
  const copy = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties" || key === "patternProperties") {
      copy[key] = Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, bundled(one, isStrict)]),
      );
    } else if (key === "items" || key === "anyOf") {
      copy[key] = bundled(value, isStrict);
    } else {
      copy[key] = value;
    }
  }
  const isClosed = isStrict && schema.properties && !schema.patternProperties;
  return isClosed ? { ...copy, additionalProperties: false } : copy;
}

function makeJudge(isStrict) {
  const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
  ajv.addVocabulary(["example"]);
  addFormats(ajv, ["uri"]);
  /* The house writes one form of a time only. */
  ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const $defs = Object.fromEntries(
    Object.entries(contract.components.schemas).map(([name, one]) => [name, bundled(one, isStrict)]),
  );
  ajv.addSchema({ $id: URN, $defs });
  const compiled = new Map();
  return (schema, value) => {
    if (!compiled.has(schema)) compiled.set(schema, ajv.compile(bundled(schema, isStrict)));
    const validate = compiled.get(schema);
    return validate(value)
      ? []
      : validate.errors.map((e) => `${e.instancePath || "/"} ${e.message} ${JSON.stringify(e.params)}`);
  };
}

const strictJudge = makeJudge(true);

/* What is wrong with a value under a schema of the contract, undeclared properties included. */
export function schemaFaults(schema, value) {
  return strictJudge(schema, value);
}

/* --- replies --- */

const TYPE_BY_STATUS = {
  400: "invalid_request",
  401: "authentication_error",
  402: "insufficient_credits",
  403: "authorization_error",
  404: "not_found",
  405: "invalid_request",
  409: "conflict",
  410: "not_found",
  412: "invalid_request",
  413: "invalid_request",
  415: "invalid_request",
  416: "invalid_request",
  422: "validation_error",
  429: "rate_limit_exceeded",
  460: "invalid_request",
  500: "internal_error",
  503: "internal_error",
};

const ID = /^[a-z]+_[0-9A-HJKMNP-TV-Z]{26}$/;
const ATTEMPT_ID = /^evt_[0-9A-HJKMNP-TV-Z]{26}\.\d{6,}$/; /* an event's, and its number */
const ERROR_SCHEMA = { $ref: `${REF_PREFIX}ErrorEnvelope` };
const RATE_HEADERS = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

/* Every id in a reply has a prefix and a ULID; but for attempts. metadata is the buyer's own. */
function checkIds(value, where) {
  if (value === null || typeof value !== "object") return;
  for (const [key, member] of Object.entries(value)) {
    if (key === "metadata") continue;
    if (key === "session_id" && String(member).startsWith("cs_")) continue; /* Stripe's */
    if ((key === "id" || key.endsWith("_id")) && typeof member === "string")
      assert.match(member, value.object === "webhook_attempt" ? ATTEMPT_ID : ID, `${where}: ${key} is not an id`);
    checkIds(member, where);
  }
}

function parseJson(bodyText, headers, where) {
  const mediaType = (headers["content-type"] ?? "").split(";")[0].trim();
  assert.equal(mediaType, "application/json", `${where}: Content-Type`);
  assert.equal(headers["cache-control"], "no-store", `${where}: Cache-Control of a JSON reply`);
  try {
    return JSON.parse(bodyText);
  } catch (e) {
    assert.fail(`${where}: not JSON (${e.message}): ${bodyText.slice(0, 200)}`);
  }
}

function checkErrorHeaders(status, headers, allowed, where) {
  if (status === 401)
    assert.match(headers["www-authenticate"] ?? "", /^Bearer\b/, `${where}: WWW-Authenticate`);
  if (status === 405) {
    const named = (headers.allow ?? "").split(",").map((one) => one.trim()).sort();
    assert.deepEqual(named, [...allowed].sort(), `${where}: Allow`);
  }
  if (status === 429)
    assert.match(headers["retry-after"] ?? "", /^[1-9]\d*$/, `${where}: Retry-After`);
}

function checkEnvelope(status, headers, json, where) {
  const faults = strictJudge(ERROR_SCHEMA, json);
  assert.deepEqual(faults, [], `${where}: not the error envelope: ${JSON.stringify(json)}`);
  const { error } = json;
  assert.equal(error.type, TYPE_BY_STATUS[status], `${where}: type does not fit the status`);
  assert.equal(error.request_id, headers["x-request-id"], `${where}: request_id`);
  assert.ok(error.message.length > 0, `${where}: the message is empty`);
  if (status === 422) assert.ok(error.details?.length > 0, `${where}: 422 names no fault`);
  for (const detail of error.details ?? [])
    assert.match(detail.code ?? "", /^[A-Za-z][A-Za-z0-9_]*$/, `${where}: detail without a code`);
  assert.ok((error.details ?? []).length <= 100, `${where}: more than 100 details`);
  checkMessage(error, where);
}

/* Who reads the message alone learns which field, what of it, and how many more. */
function checkMessage({ message, details = [] }, where) {
  const [first, ...others] = details;
  if (first?.field === undefined) return;
  const rest = others.length > 0 ? / \(and [1-9]\d* more\)$/ : /$/;
  assert.match(message, rest, `${where}: the message does not tell how many faults there are`);
  assert.equal(message.replace(rest, ""), `${first.field} ${first.message}`.slice(0, 360), `${where}: the message`);
}

/* Replies decided after authentication tell a key its rate; those decided before cannot. A 429 may be
 * either. */
function checkRateHeaders(one, status, headers, options, where) {
  const there = RATE_HEADERS.filter((name) => name in headers);
  if (there.length > 0) {
    assert.deepEqual(there, RATE_HEADERS, `${where}: some X-RateLimit-* but not all`);
    for (const name of RATE_HEADERS) assert.match(headers[name], /^\d+$/, `${where}: ${name}`);
  }
  if (one?.credential !== "key" || [401, 413, 415, 429, 500, 503].includes(status)) return;
  if (options.hasRateLimit === false)
    assert.deepEqual(there, [], `${where}: X-RateLimit-* although the limit is off`);
  else assert.deepEqual(there, RATE_HEADERS, `${where}: X-RateLimit-* of an authenticated reply`);
}

function checkBody(declared, method, status, headers, bodyText, where) {
  const mediaTypes = Object.keys(declared.content ?? {});
  if (mediaTypes.length === 0 || method === "HEAD") {
    assert.equal(bodyText, "", `${where}: there should be no body`);
    return undefined;
  }
  if (!mediaTypes.includes("application/json")) return undefined;
  const told = (headers["content-type"] ?? "").split(";")[0].trim();
  if (told !== "application/json" && mediaTypes.includes(told)) return undefined; /* a page, for a person */
  const json = parseJson(bodyText, headers, where);
  if (status >= 400) {
    checkEnvelope(status, headers, json, where);
  } else {
    const faults = strictJudge(declared.content["application/json"].schema, json);
    assert.deepEqual(faults, [], `${where}: outside the schema: ${bodyText.slice(0, 600)}`);
    if (json.openapi === undefined) checkIds(json, where);
  }
  return json;
}

/* Hold one reply against the contract; yields its JSON, if it has any. headers: names in lower
 * case. options.hasRateLimit: false when the server runs with its rate limit off. */
export function checkReply(method, target, status, headers, bodyText, options = {}) {
  const where = `${method} ${target} → ${status}`;
  const { operation: one, allowed } = findOperation(method, target);
  assert.match(headers["x-request-id"] ?? "", /^req_[0-9A-HJKMNP-TV-Z]{26}$/, `${where}: X-Request-Id`);
  checkRateHeaders(one, status, headers, options, where);
  checkErrorHeaders(status, headers, allowed, where);
  if (one === null) {
    const expected = allowed.length > 0 ? 405 : 404;
    assert.equal(status, expected, `${where}: the contract has no such operation`);
    return checkBody({ content: { "application/json": { schema: ERROR_SCHEMA } } }, method, status,
                     headers, bodyText, where);
  }
  const declared = one.responses[String(status)];
  assert.ok(declared, `${where}: ${one.operationId} does not declare this status: ${bodyText.slice(0, 400)}`);
  return checkBody(declared, method, status, headers, bodyText, where);
}
