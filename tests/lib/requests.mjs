/* Requests for any operation of the contract, so that tests can be generated from it. */
import { randomUUID } from "node:crypto";
import { JOB } from "./client.mjs";
import { fillPath, operations, pathParameters, resolve } from "./contract.mjs";
import { pngImage } from "./media.mjs";

const ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/* Well-formed ids of things that do not exist. */
export const NOBODY = Object.freeze({
  job_id: `job_${ULID}`,
  key_id: `key_${ULID}`,
  reservation_id: `rsv_${ULID}`,
  reservation: `rsv_${ULID}`,
  upload_id: `upl_${ULID}`,
  submission_id: `sub_${ULID}`,
  file_id: `file_${ULID}`,
  checkout_token: `fh_pay_${ULID}_${"A".repeat(43)}`,
  endpoint_id: `whe_${ULID}`,
  event_id: `evt_${ULID}`,
  occurrence_id: `occ_${ULID}`,
});

/* A good body for every operation that takes JSON. */
export const BODIES = Object.freeze({
  createJob: { ...JOB, scoring_ignore: ["noise"] },
  rateJob: { rating: 4 },
  signUp: { name: "Buyer", email: "buyer@example.com" },
  createApiKey: { name: "a key", scopes: ["jobs:read"], environment: "live" },
  purchaseCredits: { amount_cents: 1000 },
  createWebhookEndpoint: { url: "https://hooks.example.invalid/firsthand", events: ["job.completed"] },
  updateWebhookEndpoint: { description: "another", events: ["job.completed"] },
  replayWebhookEvents: { since: "2026-01-01T00:00:00Z", until: "2200-01-01T00:00:00Z" },
  updateOrganizationSettings: { auto_top_up_enabled: false },
  joinWithInvite: { invite: "nothing", name: "Wanda", email: "wanda@example.com", password: "correct horse" },
  createWorkerSession: { email: "wanda@example.com", password: "correct horse" },
  acceptJob: { lat: 0, lng: 0 },
  retrySubmission: { lat: 0, lng: 0 },
  flagJob: { reason: "It asks for faces." },
  advanceTestClock: { seconds: 1 },
});

const TUS = { "tus-resumable": "1.0.0" };
const STREAMS = {
  createUpload: () => ({ headers: { ...TUS, "upload-length": "100" } }),
  getUploadOffset: () => ({ headers: TUS }),
  terminateUpload: () => ({ headers: TUS }),
  appendUpload: () => ({
    headers: { ...TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream" },
    raw: Buffer.from("0123456789"),
  }),
  receiveStripeEvent: () => ({ headers: { "stripe-signature": "t=1,v1=00", "content-type": "application/json" }, raw: Buffer.from("{}") }),
  putReservationFile: () => ({ headers: { "content-type": "image/png" }, raw: pngImage({ seed: 1 }) }),
};

/* Does a parameter or property of that name say which object is meant? */
function isIdName(name) {
  return name in NOBODY || /(^|_)ids?$/.test(name);
}

/* The target and options of a complete request for an operation. ids: name of the path or query
 * parameter → value; required ones that are not given name nobody. */
export function requestFor(one, ids = {}, options = {}) {
  const known = { ...NOBODY, ...ids };
  const query = one.parameters
    .filter((parameter) => parameter.in === "query" && (parameter.required || (isIdName(parameter.name) && parameter.name in ids)))
    .map(({ name }) => `${name}=${encodeURIComponent(known[name])}`);
  const target = fillPath(one.path, known) + (query.length > 0 ? `?${query.join("&")}` : "");
  const stream = STREAMS[one.operationId]?.() ?? {};
  const headers = { ...stream.headers };
  if (one["x-idempotent"]) headers["idempotency-key"] = randomUUID();
  const body = one.bodySchema ? BODIES[one.operationId] : undefined;
  return [one.method, target, { body, ...stream, ...options, headers: { ...headers, ...options.headers } }];
}

/* Names of parameters that are ids: all in the path, and those of the query. */
export function idParameters(one) {
  const inQuery = one.parameters.filter(({ name, required, ...at }) => at.in === "query" && (required || isIdName(name)));
  return [...pathParameters(one), ...inQuery.map(({ name }) => name)];
}

function propertyNames(schema) {
  const at = schema ? resolve(schema) : {};
  const inner = [...Object.values(at.properties ?? {}), ...(at.items ? [at.items] : [])];
  return [...Object.keys(at.properties ?? {}), ...inner.flatMap(propertyNames)];
}

/* Names by which an operation's body could say which object is meant. */
export function bodyIds(one) {
  return propertyNames(one.bodySchema).filter(isIdName);
}

function isList(one) {
  const schema = one.responses["200"]?.content?.["application/json"]?.schema;
  const properties = schema ? resolve(schema).properties : undefined;
  return one.method === "GET" && properties?.data?.type === "array" && "has_more" in properties;
}

export const listings = operations.filter(isList);
