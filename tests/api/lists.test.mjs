/* Listings: order, pages, cursors, filters. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { operations, pathParameters, resolve } from "../lib/contract.mjs";
import { until } from "../lib/market.mjs";
import { NOBODY, listings, requestFor } from "../lib/requests.mjs";
import { start } from "../lib/server.mjs";

const JOBS = 45;
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

let server, org, buyer, worker, eventId;
let jobs = []; /* newest first */

before(async () => {
  server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0 });
  org = await server.createOrg({ credits: 1_000_000 });
  buyer = server.client(org.live_key);
  worker = server.client((await server.createWorker()).token);
  await buyer.createEndpoint();
  for (let i = 0; i < JOBS; i++) {
    jobs.unshift(await buyer.createJob({ type: i % 3 === 0 ? "feedback" : "data_collection", metadata: { i }, price_per_file_cents: 10 + (i % 7) }));
    if (i % 10 === 9) await server.advance(60);
  }
  for (const i of [4, 7, 20]) {
    const reply = await buyer.post(`/v1/jobs/${jobs[i].id}/cancel`);
    assert.equal(reply.status, 200, reply.text);
    jobs[i] = reply.json;
  }
  eventId = (await buyer.get("/v1/webhook_events")).json.data[0].id;
});
after(() => server?.stop());

const ids = (rows) => rows.map(({ id }) => id);
const clientFor = (one) => (one.credential === "key" ? buyer : worker);
const targetOf = (one) => requestFor(one, { job_id: jobs[0].id, event_id: eventId })[1].split("?")[0];
const page = async (query, client = buyer) => {
  const reply = await client.get(`/v1/jobs?${query}`);
  assert.equal(reply.status, 200, reply.text);
  return reply.json;
};
const idTime = (id) => [...id.split("_")[1].slice(0, 10)].reduce((ms, digit) => ms * 32 + DIGITS.indexOf(digit), 0);

function assertFault(reply, field, code) {
  assert.equal(reply.status, 400, reply.text);
  assert.deepEqual(reply.json.error.details.map((one) => [one.field, one.code]), [[field, code]]);
}

describe("a filter by time", () => {
  const isTime = (parameter) => parameter.in === "query" && resolve(parameter.schema).format === "date-time";
  const filters = operations.flatMap((one) => one.parameters.filter(isTime).map(({ name }) => [one, name]));
  const ancient = ["0000-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "1904-02-29T12:00:00.5-11:30", "1969-12-31t23:59:59.999z", "1970-01-01T00:00:00+01:00"];

  it("is there for jobs, submissions and the audit", () => {
    assert.equal(filters.length, 8);
  });

  for (const [one, name] of filters)
    it(`takes a time before 1970, when there was nothing: ${one.operationId}, ${name}`, async () => {
      const ask = (time) => buyer.get(`${targetOf(one)}?${name}=${encodeURIComponent(time)}`);
      const first = await ask("1970-01-01T00:00:00Z");
      for (const time of ancient) {
        const reply = await ask(time);
        assert.equal(reply.status, 200, `${time}: ${reply.text}`);
        assert.deepEqual(reply.json, first.json, time);
      }
    });
});

describe("a listing of jobs", () => {
  it("has every job, newest first, as getJob gives it", async () => {
    assert.deepEqual(await buyer.all("/v1/jobs"), jobs);
  });

  it("is ordered by id, and the id's time is created_at", async () => {
    const rows = await buyer.all("/v1/jobs");
    assert.deepEqual(ids(rows), ids(rows).sort().reverse());
    for (const { id, created_at } of rows) assert.equal(Date.parse(created_at), idTime(id), id);
  });

  it("has twenty rows when nothing else is asked", async () => {
    const first = await page("");
    assert.deepEqual(ids(first.data), ids(jobs.slice(0, 20)));
    assert.equal(first.has_more, true);
  });

  for (const limit of [1, 2, 7, 15, 44, 45, 46, 100])
    it(`is the same in pages of ${limit}`, async () => {
      let pages = 0;
      const rows = await buyer.all("/v1/jobs", { limit, onPage: () => void pages++ });
      assert.deepEqual(ids(rows), ids(jobs));
      assert.equal(pages, Math.ceil(JOBS / limit), "no page is empty or short before the last");
    });

  it("neither skips nor repeats when jobs are posted between pages", async () => {
    const extra = [];
    const rows = await buyer.all("/v1/jobs", {
      limit: 7,
      onPage: async () => { for (let i = 0; i < 3; i++) extra.unshift(await buyer.createJob({ files_needed: 1 })); },
    });
    assert.deepEqual(ids(rows), ids(jobs));
    jobs = [...extra, ...jobs];
    assert.deepEqual(ids(await buyer.all("/v1/jobs")), ids(jobs));
  });

  it("gives the same page for the same cursor again", async () => {
    const { next_cursor: cursor } = await page("limit=3");
    const query = `limit=3&cursor=${encodeURIComponent(cursor)}`;
    assert.deepEqual(await page(query), await page(query));
  });

  it("may change the page's size on the way", async () => {
    const { next_cursor: cursor } = await page("limit=3");
    const next = await page(`limit=5&cursor=${encodeURIComponent(cursor)}`);
    assert.deepEqual(ids(next.data), ids(jobs.slice(3, 8)));
  });

  it("takes the parameters that it does not know for nothing", async () => {
    assert.deepEqual(ids((await page("limit=2&colour=red&sort=oldest")).data), ids(jobs.slice(0, 2)));
  });

  it("is empty where there is nothing", async () => {
    const nobody = server.client((await server.createOrg()).live_key);
    assert.deepEqual(await page("", nobody), { object: "list", data: [], has_more: false, next_cursor: null });
  });

  it("survives a restart in the middle", async () => {
    const { next_cursor: cursor } = await page("limit=10");
    await server.restart();
    buyer = server.client(org.live_key);
    worker = server.client((await server.createWorker()).token);
    const next = await page(`limit=10&cursor=${encodeURIComponent(cursor)}`);
    assert.deepEqual(ids(next.data), ids(jobs.slice(10, 20)));
  });
});

describe("filters of jobs", () => {
  const expect = async (query, keep) => {
    const wanted = ids(jobs.filter(keep));
    for (const limit of [100, 4]) assert.deepEqual(ids(await buyer.all(`/v1/jobs?${query}`, { limit })), wanted);
    return wanted.length;
  };

  for (const status of ["open", "in_progress", "completed", "cancelled"])
    it(`keep status ${status}`, () => expect(`status=${status}`, (job) => job.status === status));
  for (const type of ["feedback", "data_collection"])
    it(`keep type ${type}`, () => expect(`type=${type}`, (job) => job.type === type));

  it("keep what was created from an instant on, that instant included", async () => {
    for (const i of [0, 9, 10, 44]) {
      const at = jobs[i].created_at;
      assert.ok((await expect(`created_after=${at}`, (job) => job.created_at >= at)) > 0);
    }
  });

  it("keep what was created before an instant, that instant excluded", async () => {
    for (const i of [0, 9, 10, jobs.length - 1]) {
      const at = jobs[i].created_at;
      await expect(`created_before=${at}`, (job) => job.created_at < at);
    }
  });

  it("read an instant in any time zone and fraction", async () => {
    const ms = Date.parse(jobs[12].created_at);
    const there = new Date(ms + 2 * 3_600_000).toISOString().replace("Z", "+02:00");
    await expect(`created_after=${encodeURIComponent(there)}`, (job) => Date.parse(job.created_at) >= ms);
    const second = new Date(Math.ceil(ms / 1000) * 1000);
    await expect(`created_after=${second.toISOString().replace(".000Z", "Z")}`, (job) => Date.parse(job.created_at) >= second.getTime());
  });

  it("combine", async () => {
    const [from, to] = [jobs[40].created_at, jobs[8].created_at];
    const count = await expect(`status=open&type=feedback&created_after=${from}&created_before=${to}`, (job) =>
      job.status === "open" && job.type === "feedback" && job.created_at >= from && job.created_at < to);
    assert.ok(count > 0);
  });

  it("may exclude each other, or all", async () => {
    const [from, to] = [jobs[0].created_at, jobs[20].created_at];
    assert.deepEqual((await page(`created_after=${from}&created_before=${to}`)).data, []);
    assert.deepEqual((await page("created_after=2200-01-01T00:00:00Z")).data, []);
    assert.deepEqual((await page("created_before=1970-01-01T00:00:00Z")).data, []);
    assert.deepEqual((await page("created_before=1969-12-31T23:59:59Z")).data, []);
    await expect("created_after=1969-12-31T23:59:59Z", () => true);
    await expect("created_before=9999-12-31T23:59:59Z", () => true);
  });

  const bad = [
    ["status=done", "status", "enum"], ["status=OPEN", "status", "enum"], ["status=", "status", "enum"], ["status=open%20", "status", "enum"],
    ["type=photo", "type", "enum"], ["created_after=yesterday", "created_after", "format"], ["created_before=2026-02-30T00:00:00Z", "created_before", "format"],
    ["created_after=2026-01-01", "created_after", "format"], ["created_after=", "created_after", "format"], ["status=open&status=open", "status", "duplicate"],
  ];
  for (const [query, field, code] of bad)
    it(`are refused when they mean nothing: ${query}`, async () => {
      assertFault(await buyer.get(`/v1/jobs?${query}`), field, code);
    });

  it("are refused all at once", async () => {
    const reply = await buyer.get("/v1/jobs?limit=0&created_after=x&created_before=y");
    assert.equal(reply.status, 400);
    assert.deepEqual(reply.json.error.details.map(({ field }) => field).sort(), ["created_after", "created_before", "limit"]);
  });
});

describe("rows that are long", () => {
  it("make a page end before it is too large to send, and none is left out", async () => {
    const own = server.client((await server.createOrg()).test_key);
    await own.createEndpoint();
    const long = [];
    for (let i = 0; i < 6; i++) {
      long.unshift(await own.createJob({ files_needed: 1, metadata: { sandbox_scenario: "stall", i, text: "x".repeat(1_000_000) } }));
      assert.equal((await own.post(`/v1/jobs/${long[0].id}/cancel`)).status, 200);
    }
    for (const path of ["/v1/jobs", "/v1/jobs?status=cancelled", "/v1/events", "/v1/webhook_events"]) {
      const pages = [];
      const rows = await own.all(path, { onPage: ({ data }) => void pages.push(data.length) });
      assert.deepEqual(rows.map((row) => (row.data ?? row).id), ids(long), path);
      assert.ok(pages.length > 1 && pages[0] > 1, `${path}: ${pages}`);
    }
  });

  it("of one buyer do not keep a worker's feed from the others", async () => {
    const own = server.client((await server.createOrg({ credits: 1000 })).live_key);
    const text = (length) => "\u0001".repeat(length);
    const long = [];
    for (let i = 0; i < 101; i++)
      long.unshift(await own.createJob({ files_needed: 1, price_per_file_cents: 1, title: text(100), description: text(5000), worker_guidelines: text(2000) }));
    for (const path of ["/worker/v1/jobs", "/worker/v1/jobs?sort=best_paid"]) {
      const rows = await worker.all(path);
      assert.deepEqual(ids(rows).filter((id) => ids(long).includes(id)), ids(long), path);
      assert.ok(ids(rows).includes(jobs[0].id), path);
    }
    assert.deepEqual(ids(await own.all("/v1/jobs")), ids(long));
    for (const { id } of long) assert.equal((await own.post(`/v1/jobs/${id}/cancel`)).status, 200);
  });
});

describe("a filter that keeps little", () => {
  const SCAN = 10_000;
  const sql = (text) => execFileSync("sqlite3", ["-cmd", ".timeout 60000", join(server.dataDir, "store.db"), text], { encoding: "utf8" }).trim();

  /* Copies of a job that rise from it; whose books are nobody's, so that they go before the audit. */
  function copy(job, count) {
    const columns = sql("SELECT group_concat(name) FROM pragma_table_info('jobs') WHERE name <> 'id'");
    const numbers = `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
    const prefix = job.id.slice(0, 15);
    sql(`${numbers} INSERT INTO jobs (id, ${columns}) SELECT '${prefix}' || printf('%015d', i), ${columns} FROM jobs, n WHERE id = '${job.id}'`);
    return () => sql(`DELETE FROM jobs WHERE id GLOB '${prefix}*' AND id <> '${job.id}'`);
  }

  it("looks at 10,000 rows, then tells what it found and that there may be more", async () => {
    const own = server.client((await server.createOrg({ credits: 1000 })).live_key);
    const wanted = await own.createJob({ files_needed: 1, type: "feedback" });
    await server.advance(1);
    const other = await own.createJob({ files_needed: 1 });
    assert.equal((await own.post(`/v1/jobs/${other.id}/cancel`)).status, 200);
    const remove = copy(other, SCAN - 1);
    try {
      const first = await page("type=feedback&limit=5", own);
      assert.deepEqual([first.data, first.has_more], [[], true]);
      const next = await page(`type=feedback&limit=5&cursor=${encodeURIComponent(first.next_cursor)}`, own);
      assert.deepEqual([next.data, next.has_more], [[wanted], false]);
    } finally {
      remove();
      await own.post(`/v1/jobs/${wanted.id}/cancel`); /* out of the workers' feed */
    }
  });
});

describe("every listing", () => {
  it("is covered here", () => assert.ok(listings.length >= 10, `${listings.length}`));

  const limits = [["0", "minimum"], ["-1", "minimum"], ["101", "maximum"], ["99999999999999999999", "type"], ["1.5", "type"], ["ten", "type"], ["", "type"], ["5x", "type"], ["0x5", "type"], ["%2B5", "type"], ["1e1", "type"]];
  for (const one of listings) {
    it(`refuses a limit that is none: ${one.operationId}`, async () => {
      for (const [limit, code] of limits) assertFault(await clientFor(one).get(`${targetOf(one)}?limit=${limit}`), "limit", code);
      assertFault(await clientFor(one).get(`${targetOf(one)}?limit=5&limit=5`), "limit", "duplicate");
    });

    it(`takes every limit from 1 to 100: ${one.operationId}`, async () => {
      for (const limit of [1, 100]) assert.equal((await clientFor(one).get(`${targetOf(one)}?limit=${limit}`)).status, 200);
    });

    it(`refuses a cursor that is none: ${one.operationId}`, async () => {
      for (const cursor of ["x", "AAAA", "0", "%00", "%F0%9F%98%80", "../..", "a".repeat(2000), NOBODY.job_id, "%7B%7D"]) {
        const reply = await clientFor(one).get(`${targetOf(one)}?cursor=${cursor}`);
        assert.equal(reply.status, 400, `${cursor}: ${reply.text}`);
      }
    });

    it(`is in id order, and the same in pages of one: ${one.operationId}`, async () => {
      if (one.operationId === "getWorkerFeed") return; /* may be sorted by pay: see below */
      const read = async (limit) => ids(await clientFor(one).all(targetOf(one), { limit }));
      const { rows, singly } = await until("nothing was added while it was read", async () => {
        const [before_, inOnes, after_] = [await read(100), await read(1), await read(100)];
        return isDeepStrictEqual(before_, after_) && { rows: after_, singly: inOnes };
      });
      assert.deepEqual(rows, [...rows].sort().reverse());
      assert.deepEqual(singly, rows);
    });
  }

  it("of something that does not exist is 404", async () => {
    for (const one of listings.filter((other) => pathParameters(other).length > 0))
      assert.equal((await clientFor(one).request(...requestFor(one))).status, 404, one.operationId);
  });
});

describe("a cursor", () => {
  let cursor;
  before(async () => { cursor = (await page("limit=3")).next_cursor; });
  const refused = async (client, target) => {
    const reply = await client.get(`${target}?cursor=${encodeURIComponent(cursor)}`);
    assert.equal(reply.status, 400, reply.text);
  };

  it("is not good when it is changed anywhere", async () => {
    for (let i = 0; i < cursor.length; i += 3) {
      const changed = cursor.slice(0, i) + (cursor[i] === "A" ? "B" : "A") + cursor.slice(i + 1);
      assert.equal((await buyer.get(`/v1/jobs?cursor=${encodeURIComponent(changed)}`)).status, 400, changed);
    }
    for (const changed of [cursor.slice(0, -1), `${cursor}A`, cursor + cursor])
      assert.equal((await buyer.get(`/v1/jobs?cursor=${encodeURIComponent(changed)}`)).status, 400, changed);
  });

  it("is good for no other listing", async () => {
    for (const one of listings.filter(({ operationId }) => operationId !== "listJobs"))
      await refused(clientFor(one), targetOf(one));
  });

  it("is good for no other organisation and no other environment", async () => {
    await refused(server.client((await server.createOrg()).live_key), "/v1/jobs");
    await refused(server.client(org.test_key), "/v1/jobs");
  });

  it("does not show what it is made of", () => {
    assert.match(cursor, /^[A-Za-z0-9_-]+$/, "safe in a query as it is");
  });
});

describe("the listing of transactions", () => {
  it("chains from row to row and ends at the balance", async () => {
    const rows = await buyer.all("/v1/billing/transactions", { limit: 9 });
    const { balance_cents } = (await buyer.get("/v1/billing/credits")).json;
    assert.equal(rows[0].running_balance_cents, balance_cents);
    rows.forEach((row, i) => assert.equal(row.running_balance_cents, (rows[i + 1]?.running_balance_cents ?? 0) + row.amount_cents));
    assert.ok(rows.length >= JOBS + 4);
  });

  const types = resolve({ $ref: "#/components/schemas/CreditTransaction" }).properties.type.anyOf.map((one) => one.const);
  for (const type of types)
    it(`may be of one type: ${type}`, async () => {
      const all = await buyer.all("/v1/billing/transactions");
      assert.deepEqual(await buyer.all(`/v1/billing/transactions?type=${type}`, { limit: 2 }), all.filter((one) => one.type === type));
    });

  it("refuses a type that is none", async () => {
    assertFault(await buyer.get("/v1/billing/transactions?type=gift"), "type", "enum");
  });
});

describe("the worker's feed", () => {
  it("has every open job, newest first", async () => {
    const rows = await worker.all("/worker/v1/jobs", { limit: 8 });
    const open = jobs.filter(({ status }) => status === "open");
    assert.deepEqual(ids(rows), ids(open));
    assert.ok(rows.every(({ may_accept, slots_open }) => may_accept && slots_open > 0));
  });

  it("has the best paid first when asked, each once", async () => {
    const newest = await worker.all("/worker/v1/jobs?sort=newest");
    const best = await worker.all("/worker/v1/jobs?sort=best_paid", { limit: 8 });
    assert.deepEqual(ids(best).sort(), ids(newest).sort());
    best.slice(1).forEach((row, i) => assert.ok(row.payout_cents <= best[i].payout_cents));
  });

  it("does not go on with the other order's cursor", async () => {
    const { next_cursor: cursor } = (await worker.get("/worker/v1/jobs?limit=2&sort=newest")).json;
    assert.equal((await worker.get(`/worker/v1/jobs?sort=best_paid&cursor=${encodeURIComponent(cursor)}`)).status, 400);
  });

  it("refuses an order that is none", async () => {
    assertFault(await worker.get("/worker/v1/jobs?sort=worst"), "sort", "enum");
  });
});
