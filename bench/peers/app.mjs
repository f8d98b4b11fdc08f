/* The HTTP side: authentication, validation, idempotency, errors. A store answers
 * findKey(hash), getJob(key, id), listJobs(key, before, count) and
 * createJob(key, job, idempotency, origin). */
import Fastify from "fastify";
import { readFileSync } from "node:fs";
import { Refusal, SCOPE_JOBS_READ, SCOPE_JOBS_WRITE, cursorOf, fingerprintOf, hashOf, jobIdOf,
  jobOf, newId, newJob } from "./rules.mjs";

const contract = JSON.parse(readFileSync(new URL("../../api/openapi.json", import.meta.url), "utf8"));
const PAGE_ROWS = 20;

/* A schema of the contract with what it refers to in place, less what only documents. */
function resolved(schema) {
  if (Array.isArray(schema)) return schema.map(resolved);
  if (schema === null || typeof schema !== "object") return schema;
  if (schema.$ref) return resolved(contract.components.schemas[schema.$ref.split("/").pop()]);
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([name, value]) => !(name === "examples" || name === "example" || (name === "description" && typeof value === "string")))
      .map(([name, value]) => [name, resolved(value)]));
}

/* How a job is written: by a serialiser made for it. */
const text = { type: "string" }, count = { type: "integer" }, may = (schema) => ({ ...schema, nullable: true });
const JOB = {
  type: "object",
  properties: {
    id: text, object: text, organization_id: text, type: text, description: text, files_needed: count,
    files_approved: count, files_remaining: count, accepted_formats: { type: "array", items: text },
    price_per_file_cents: count, platform_fee_pct: { type: "number" }, total_cost_cents: count,
    worker_payout_per_file_cents: count, status: text,
    metadata: { type: "object", additionalProperties: true }, created_at: text,
    completed_at: may(text), cancelled_at: may(text), title: may(text), worker_guidelines: may(text),
    min_star_rating: count, min_width: may(count), min_height: may(count),
    min_duration_seconds: may({ type: "number" }), max_duration_seconds: may({ type: "number" }),
    scoring_criteria: may(text), max_files_per_worker: may(count),
  },
};
const LIST = {
  type: "object",
  properties: { object: text, data: { type: "array", items: JOB }, has_more: { type: "boolean" }, next_cursor: may(text) },
};

function admit(store, scope) {
  return async (request) => {
    const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "");
    const key = bearer && (await store.findKey(hashOf(bearer[1])));
    if (!key || key.status !== "active" || (key.expires_ms !== null && key.expires_ms <= Date.now()))
      throw new Refusal(401, "authentication_error", "bad_credentials");
    if (!(key.scopes & scope)) throw new Refusal(403, "authorization_error", "scope_missing");
    request.key = key;
  };
}

/* 1 to 255 visible characters, and what was sent with it. */
function idempotencyOf(request) {
  const key = request.headers["idempotency-key"];
  if (!/^[\x21-\x7e]{1,255}$/.test(key ?? "")) throw new Refusal(400, "invalid_request", "invalid_parameters");
  return { key, fingerprint: fingerprintOf("POST", request.url, request.rawBody) };
}

function addErrors(app) {
  app.setErrorHandler((error, request, reply) => {
    const [status, type, code] = error.validation
      ? error.validationContext === "body" ? [422, "validation_error", "body_invalid"] : [400, "invalid_request", "invalid_parameters"]
      : [error.statusCode ?? 500, error.type ?? (error.statusCode ? "invalid_request" : "internal_error"), error.code];
    reply.code(status).send({ error: { type, message: status < 500 ? error.message : "internal error", request_id: request.id, details: [{ code, message: error.message }] } });
  });
}

export function openApp(store) {
  const app = Fastify({ logger: false, genReqId: () => newId("req"), bodyLimit: 1 << 20,
    ajv: { customOptions: { strict: false, coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: true } } });
  app.decorateRequest("key", null);
  app.decorateRequest("rawBody", null);
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => {
    request.rawBody = body;
    try {
      done(null, JSON.parse(body));
    } catch {
      done(new Refusal(400, "invalid_request", "malformed_json"));
    }
  });
  app.addHook("onRequest", async (request, reply) => {
    reply.header("X-Request-Id", request.id).header("Cache-Control", "no-store");
  });
  addErrors(app);

  app.post("/v1/jobs", {
    onRequest: admit(store, SCOPE_JOBS_WRITE),
    schema: { body: resolved(contract.components.schemas.CreateJobRequest), response: { 201: JOB } },
  }, async (request, reply) => {
    const idempotency = idempotencyOf(request);
    const job = newJob(request.key, request.body);
    if (!job) throw new Refusal(422, "validation_error", "body_invalid");
    const { row, isReplay } = await store.createJob(request.key, job, idempotency,
      { id: newId("aud"), source: request.ip, requestId: request.id });
    if (isReplay) reply.header("Idempotent-Replayed", "true");
    reply.code(201);
    return jobOf(row);
  });

  app.get("/v1/jobs/:id", { onRequest: admit(store, SCOPE_JOBS_READ), schema: { response: { 200: JOB } } }, async (request) => {
    const row = await store.getJob(request.key, request.params.id);
    if (!row) throw new Refusal(404, "not_found", "job");
    return jobOf(row);
  });

  const query = { type: "object", properties: { limit: { type: "string", pattern: "^([1-9][0-9]?|100)$" }, cursor: { type: "string" } } };
  app.get("/v1/jobs", { onRequest: admit(store, SCOPE_JOBS_READ), schema: { querystring: query, response: { 200: LIST } } }, async (request) => {
    const limit = Number(request.query.limit ?? PAGE_ROWS);
    const before = request.query.cursor ? jobIdOf(request.key.org_id, request.query.cursor) : "job_~";
    if (!before) throw new Refusal(400, "invalid_request", "bad_cursor");
    const rows = await store.listJobs(request.key, before, limit + 1);
    const shown = rows.slice(0, limit);
    const next = rows.length > limit ? cursorOf(request.key.org_id, shown.at(-1).id) : null;
    return { object: "list", data: shown.map(jobOf), has_more: next !== null, next_cursor: next };
  });
  return app;
}
