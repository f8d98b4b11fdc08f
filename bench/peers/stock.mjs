/* What both stores are filled with and looked at by, in their common SQL. */
import { SCOPES_ALL, hashOf } from "./rules.mjs";

export const JOB_COLUMNS = ["id", "org_id", "environment", "type", "description", "files_needed", "formats", "price_cents",
  "fee_ppm", "payout_cents", "metadata", "title", "scoring_criteria", "worker_guidelines", "min_stars", "min_width",
  "min_height", "min_duration_ms", "max_duration_ms", "max_files_per_worker", "created_ms", "status",
  "files_approved", "files_pending", "slots_reserved", "escrow_cents", "completed_ms", "cancelled_ms"];

/* An organisation with a key, and credit in one lot. */
export async function addOrganisation(run, o) {
  const rows = [
    ["organisations (id, name, email, created_ms)", [o.id, o.name, o.email, o.now]],
    ["balances (org_id, environment, balance_cents, held_cents, last_transfer_id, updated_ms)", [o.id, 0, o.cents, 0, o.transferId, o.now]],
    ["transfers (org_id, environment, id, kind, debit, credit, amount_cents, running_balance_cents, created_ms)",
      [o.id, 0, o.transferId, "bonus", "promotions", "available", o.cents, o.cents, o.now]],
    ["lots (id, org_id, environment, granted_cents, remaining_cents, expires_ms)", [o.lotId, o.id, 0, o.cents, o.cents, o.expires]],
    ["api_keys (id, org_id, environment, name, prefix, hint, hash, scopes, status, created_ms)",
      [o.keyId, o.id, 0, "bench", o.secret.slice(0, 12), o.secret.slice(-4), hashOf(o.secret), SCOPES_ALL, "active", o.now]],
  ];
  for (const [into, values] of rows)
    await run(`INSERT INTO ${into} VALUES (${values.map((_, i) => `$${i + 1}`)})`, values);
}

/* Organisations whose balance, escrow, lots and transfers disagree. */
export const BREACHES = `
  SELECT b.org_id FROM balances b WHERE b.held_cents <> (SELECT coalesce(sum(escrow_cents), 0) FROM jobs j WHERE j.org_id = b.org_id)
  OR b.balance_cents <> (SELECT coalesce(sum(remaining_cents), 0) FROM lots l WHERE l.org_id = b.org_id)
  OR b.balance_cents <> (SELECT sum(CASE credit WHEN 'available' THEN amount_cents ELSE -amount_cents END) FROM transfers t WHERE t.org_id = b.org_id)
  OR b.balance_cents <> (SELECT running_balance_cents FROM transfers t WHERE t.id = b.last_transfer_id)
  OR b.held_cents <> (SELECT coalesce(sum(p.cents), 0) FROM job_lots p JOIN jobs j ON j.id = p.job_id WHERE j.org_id = b.org_id)`;
