/* What both stores have in common: keys, ids, fingerprints, and what a new job is. */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { monotonicFactory } from "ulid";

const SQL = new URL("../../sql/", import.meta.url);
const SERVER_KEY = Buffer.alloc(32, 7); /* the same in every process of a run */
const YEAR_MS = 365 * 24 * 3600 * 1000;
export const FEE_PPM = 200000;
export const KEPT_MS = 24 * 3600 * 1000;
export const SCOPES_ALL = 255;
export const SCOPE_JOBS_READ = 1;
export const SCOPE_JOBS_WRITE = 2;

const ulid = monotonicFactory();
export const newId = (prefix) => `${prefix}_${ulid()}`;

/* Firsthand's own schema: one text for every database. */
export const schema = readdirSync(SQL)
  .filter((name) => /^\d{4}_\w+\.sql$/.test(name))
  .sort()
  .map((name) => readFileSync(new URL(name, SQL), "utf8"))
  .join("\n");

export const hashOf = (secret) => createHmac("sha256", SERVER_KEY).update(secret).digest("hex");

export function fingerprintOf(method, url, body) {
  return createHash("sha256").update(`${method}\n${url}\n`).update(body).digest();
}

/* Opaque, and bound to the listing that it came from. */
export function cursorOf(organisationId, jobId) {
  const mac = createHmac("sha256", SERVER_KEY).update(`jobs:${organisationId}:${jobId}`).digest();
  return Buffer.concat([Buffer.from(jobId), mac.subarray(0, 16)]).toString("base64url");
}

export function jobIdOf(organisationId, cursor) {
  const jobId = Buffer.from(cursor, "base64url").subarray(0, -16).toString();
  return cursorOf(organisationId, jobId) === cursor ? jobId : null;
}

export function newOrganisation(i, cents) {
  return {
    id: newId("org"), keyId: newId("key"), lotId: newId("lot"), transferId: newId("crtx"),
    name: `Bench ${i}`, email: `bench${i}@example.com`,
    secret: `fh_live_${randomBytes(24).toString("base64url")}`,
    cents, now: Date.now(), expires: Date.now() + YEAR_MS,
  };
}

/* The row of a job that is about to be made; null when its price does not fit. */
export function newJob(key, body) {
  const total = body.files_needed * body.price_per_file_cents;
  if (!Number.isSafeInteger(total)) return null;
  return {
    id: newId("job"), org_id: key.org_id, environment: key.environment, type: body.type,
    description: body.description, files_needed: body.files_needed,
    formats: body.accepted_formats.join(" "), price_cents: body.price_per_file_cents,
    fee_ppm: FEE_PPM,
    payout_cents: body.price_per_file_cents - Math.floor((body.price_per_file_cents * FEE_PPM) / 1e6),
    metadata: JSON.stringify(body.metadata ?? {}), title: body.title ?? null,
    scoring_criteria: body.scoring_criteria ?? null, worker_guidelines: body.worker_guidelines ?? null,
    min_stars: body.min_star_rating ?? 3, min_width: body.min_width ?? 0,
    min_height: body.min_height ?? 0,
    min_duration_ms: Math.round((body.min_duration_seconds ?? 0) * 1000),
    max_duration_ms: Math.round((body.max_duration_seconds ?? 0) * 1000),
    max_files_per_worker: body.max_files_per_worker ?? 0, created_ms: Date.now(), status: "open",
    files_approved: 0, files_pending: 0, slots_reserved: 0, escrow_cents: total,
    completed_ms: null, cancelled_ms: null,
  };
}

/* The changing part of a job as it was made: what a repeat of the request answers. */
export const asCreated = (row) => ({ ...row, status: "open", files_approved: 0, completed_ms: null, cancelled_ms: null });

const time = (ms) => (ms === null ? null : new Date(ms).toISOString());

/* A job's row as the API shows it. */
export function jobOf(row) {
  return {
    id: row.id, object: "job", organization_id: row.org_id, type: row.type,
    description: row.description, files_needed: row.files_needed,
    files_approved: row.files_approved, files_remaining: row.files_needed - row.files_approved,
    accepted_formats: row.formats.split(" "), price_per_file_cents: row.price_cents,
    platform_fee_pct: row.fee_ppm / 1e6, total_cost_cents: row.files_needed * row.price_cents,
    worker_payout_per_file_cents: row.payout_cents, status: row.status,
    metadata: JSON.parse(row.metadata), created_at: time(row.created_ms),
    completed_at: time(row.completed_ms), cancelled_at: time(row.cancelled_ms), title: row.title,
    worker_guidelines: row.worker_guidelines, min_star_rating: row.min_stars,
    min_width: row.min_width || null, min_height: row.min_height || null,
    min_duration_seconds: row.min_duration_ms ? row.min_duration_ms / 1000 : null,
    max_duration_seconds: row.max_duration_ms ? row.max_duration_ms / 1000 : null,
    scoring_criteria: row.scoring_criteria,
    max_files_per_worker: row.max_files_per_worker || null,
  };
}

/* What an answer may be refused with. */
export class Refusal extends Error {
  constructor(status, type, code) {
    super(code);
    Object.assign(this, { statusCode: status, type, code });
  }
}
