/* PostgreSQL by pg: a pool of connections a process, prepared statements, createJob in one round trip. */
import pg from "pg";
import { readFileSync } from "node:fs";
import { Refusal, asCreated, newId, schema } from "./rules.mjs";
import { BREACHES, JOB_COLUMNS, addOrganisation } from "./stock.mjs";

const CONNECTIONS = 8; /* a process */
const BALANCE_BELOW_ZERO = "23514"; /* the store's own CHECK */
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

const KEY = { name: "key", text: "SELECT id, org_id, environment, scopes, status, expires_ms FROM api_keys WHERE hash = $1" };
const JOB = { name: "job", text: "SELECT * FROM jobs WHERE id = $1 AND org_id = $2 AND environment = $3" };
const JOBS = { name: "jobs", text: "SELECT * FROM jobs WHERE org_id = $1 AND environment = $2 AND id < $3 ORDER BY id DESC LIMIT $4" };
const CREATE = {
  name: "create",
  text: `SELECT create_job(ROW(${JOB_COLUMNS.map((_, i) => `$${i + 8}`)})::asked_job, $1, $2, $3, $4, $5, $6, $7)`,
};

export async function openStore(directory) {
  const pool = new pg.Pool({ host: directory, user: "bench", database: "bench", max: CONNECTIONS });
  const ask = async (statement, values) => (await pool.query({ ...statement, values })).rows;

  async function createJob(key, job, { key: name, fingerprint }, { id, source, requestId }) {
    try {
      await ask(CREATE, [key.id, newId("crtx"), name, fingerprint, id, source, requestId,
        ...JOB_COLUMNS.map((column) => job[column])]);
      return { row: job, isReplay: false };
    } catch (error) {
      if (error.code === "FH409") throw new Refusal(409, "conflict", "idempotency_key_reused");
      if (error.code === BALANCE_BELOW_ZERO) throw new Refusal(402, "insufficient_credits", "insufficient_credits");
      if (error.code !== "FH200") throw error;
      const [row] = await ask(JOB, [error.message, key.org_id, key.environment]);
      return { row: asCreated(row), isReplay: true };
    }
  }

  return {
    migrate: async () => {
      await pool.query(schema);
      await pool.query(readFileSync(new URL("create_job.sql", import.meta.url), "utf8"));
    },
    close: () => pool.end(),
    findKey: async (hash) => (await ask(KEY, [hash]))[0],
    getJob: async (key, id) => (await ask(JOB, [id, key.org_id, key.environment]))[0],
    listJobs: (key, before, count) => ask(JOBS, [key.org_id, key.environment, before, count]),
    createJob,
    addOrganisation: (o) => addOrganisation((sql, values) => pool.query(sql, values), o),
    breaches: async () => (await pool.query(BREACHES)).rows,
  };
}
