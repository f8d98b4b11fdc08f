/* SQLite by better-sqlite3: WAL, synchronous=FULL, prepared statements, one write transaction a job. */
import Database from "better-sqlite3";
import { KEPT_MS, Refusal, asCreated, newId, schema } from "./rules.mjs";
import { BREACHES, JOB_COLUMNS, addOrganisation } from "./stock.mjs";

const BUSY_MS_MAX = 5000;

function prepare(db) {
  return {
    key: db.prepare("SELECT id, org_id, environment, scopes, status, expires_ms FROM api_keys WHERE hash = ?"),
    job: db.prepare("SELECT * FROM jobs WHERE id = ? AND org_id = ? AND environment = ?"),
    jobs: db.prepare("SELECT * FROM jobs WHERE org_id = ? AND environment = ? AND id < ? ORDER BY id DESC LIMIT ?"),
    asked: db.prepare("SELECT fingerprint, resource_id FROM idempotency WHERE owner_id = ? AND environment = ?"
      + " AND operation = 'createJob' AND key = ? AND created_ms > ?"),
    addJob: db.prepare(`INSERT INTO jobs (${JOB_COLUMNS}) VALUES (${JOB_COLUMNS.map((name) => `@${name}`)})`),
    balance: db.prepare("UPDATE balances SET balance_cents = balance_cents - @cents, held_cents = held_cents + @cents,"
      + " last_transfer_id = @transfer, updated_ms = @now WHERE org_id = @org AND environment = @environment"
      + " AND balance_cents >= @cents RETURNING balance_cents"),
    transfer: db.prepare("INSERT INTO transfers (org_id, environment, id, kind, debit, credit, amount_cents,"
      + " running_balance_cents, job_id, once, description, created_ms) VALUES (@org, @environment, @id, 'deduction',"
      + " 'available', 'escrow', @cents, @running, @job, 'escrow:' || @job, 'Job posted', @now)"),
    due: db.prepare("SELECT 1 FROM lots WHERE org_id = ? AND environment = ? AND remaining_cents > 0 AND expires_ms <= ? LIMIT 1"),
    lot: db.prepare("SELECT id, remaining_cents, expires_ms FROM lots WHERE org_id = ? AND environment = ?"
      + " AND remaining_cents > 0 ORDER BY expires_ms, id LIMIT 1"),
    takeLot: db.prepare("UPDATE lots SET remaining_cents = remaining_cents - ? WHERE id = ?"),
    part: db.prepare("INSERT INTO job_lots (job_id, lot_id, cents, expires_ms) VALUES (?, ?, ?, ?)"),
    note: db.prepare("INSERT INTO audit_events (id, org_id, environment, action, object_id, actor, source, request_id)"
      + " VALUES (?, ?, ?, 'job.created', ?, ?, ?, ?)"),
    bind: db.prepare("INSERT INTO idempotency (owner_id, environment, operation, key, fingerprint, asker_id, status,"
      + " resource_id, is_sealed, created_ms) VALUES (@owner, @environment, 'createJob', @key, @fingerprint, @asker, 201,"
      + " @job, 0, @now) ON CONFLICT (owner_id, environment, operation, key) DO UPDATE SET fingerprint ="
      + " excluded.fingerprint, asker_id = excluded.asker_id, resource_id = excluded.resource_id, created_ms = excluded.created_ms"),
  };
}

export async function openStore(path) {
  const db = new Database(path, { timeout: BUSY_MS_MAX });
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.pragma("cache_size = -65536");
  let q = null;
  const statements = () => (q ??= prepare(db));

  function hold(key, job) {
    const { org_id: org, environment } = key, { balance, transfer, due, lot, takeLot, part } = statements();
    if (due.get(org, environment, job.created_ms)) throw new Error("an expired lot: not part of this benchmark");
    const id = newId("crtx"), cents = job.escrow_cents;
    const row = balance.get({ cents, transfer: id, now: job.created_ms, org, environment });
    if (!row) throw new Refusal(402, "insufficient_credits", "insufficient_credits");
    transfer.run({ org, environment, id, cents, running: row.balance_cents, job: job.id, now: job.created_ms });
    for (let missing = cents; missing > 0;) {
      const next = lot.get(org, environment), taken = Math.min(next.remaining_cents, missing);
      missing -= taken;
      takeLot.run(taken, next.id);
      part.run(job.id, next.id, taken, next.expires_ms);
    }
  }

  const createJob = db.transaction((key, job, { key: name, fingerprint }, origin) => {
    const q = statements();
    const asked = q.asked.get(key.org_id, key.environment, name, job.created_ms - KEPT_MS);
    if (asked) {
      if (!asked.fingerprint.equals(fingerprint)) throw new Refusal(409, "conflict", "idempotency_key_reused");
      return { row: asCreated(q.job.get(asked.resource_id, key.org_id, key.environment)), isReplay: true };
    }
    q.addJob.run(job);
    hold(key, job);
    q.note.run(origin.id, key.org_id, key.environment, job.id, key.id, origin.source, origin.requestId);
    q.bind.run({ owner: key.org_id, environment: key.environment, key: name, fingerprint, asker: key.id, job: job.id, now: job.created_ms });
    return { row: job, isReplay: false };
  });

  return {
    migrate: async () => db.exec(schema),
    close: async () => db.close(),
    findKey: (hash) => statements().key.get(hash),
    getJob: (key, id) => statements().job.get(id, key.org_id, key.environment),
    listJobs: (key, before, count) => statements().jobs.all(key.org_id, key.environment, before, count),
    createJob: (...asked) => createJob.immediate(...asked),
    addOrganisation: async (o) => addOrganisation((sql, values) => db.prepare(sql.replaceAll(/\$\d+/g, "?")).run(...values), o),
    breaches: async () => db.prepare(BREACHES).all(),
  };
}
