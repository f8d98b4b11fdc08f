/* Submissions across the jobs of an organisation: what a key finds, and by which filters. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Market, assertRefused, openMarket } from "../lib/market.mjs";
import { pngImage } from "../lib/media.mjs";
import { NOBODY } from "../lib/requests.mjs";

const PNG = { accepted_formats: ["image/png"], files_needed: 3 };

let market;
let lenient, strict; /* jobs: one takes whatever passes the gates, the other next to nothing */
let sent; /* submissions as their job lists them, newest first */

before(async () => {
  market = await openMarket();
  lenient = await market.job({ ...PNG, min_star_rating: 1 });
  strict = await market.job({ ...PNG, min_star_rating: 5 });
  for (const [seed, job] of [lenient, strict, lenient, strict].entries()) {
    await market.submitAndScore(job, pngImage({ seed, width: 640, height: 480 }));
    await market.server.advance(60);
  }
  const [rejected] = await market.buyer.all(`/v1/jobs/${strict.id}/submissions`);
  const retry = await market.worker.post(`/worker/v1/submissions/${rejected.id}/retry`);
  assert.equal(retry.status, 201, retry.text);
  const ofJobs = await Promise.all([lenient, strict].map(({ id }) => market.buyer.all(`/v1/jobs/${id}/submissions`)));
  sent = ofJobs.flat().sort((a, b) => (a.id < b.id ? 1 : -1));
  assert.deepEqual(sent.map(({ status }) => status), ["retry_pending", "approved", "rejected", "approved"]);
});
after(() => market?.stop());

/* Links are signed at each reading, with the second of it. */
const plain = (row) => ({ ...row, file: row.file && { ...row.file, download_url: null, download_url_expires_at: null } });
const find = async (query, { limit = 100, client = market.buyer } = {}) =>
  (await client.all(`/v1/submissions${query && `?${query}`}`, { limit })).map(plain);
const expectKept = async (query, keep) => {
  const wanted = sent.filter(keep).map(plain);
  for (const limit of [100, 1]) assert.deepEqual(await find(query, { limit }), wanted, query);
  return wanted.length;
};

describe("the listing of submissions", () => {
  it("has those of every job, newest first, as the jobs' own listings give them", () => expectKept("", () => true));

  it("is empty for an organisation without any, and for its test keys", async () => {
    const other = await Market.open(market.server);
    for (const client of [other.buyer, market.server.client(market.org.test_key), market.server.client(other.org.test_key)])
      assert.deepEqual((await client.get("/v1/submissions")).json, { object: "list", data: [], has_more: false, next_cursor: null });
  });

  it("shows two organisations each their own", async () => {
    const other = await Market.open(market.server);
    const { id } = await other.submit(await other.job(PNG), pngImage({ seed: 90 }));
    assert.deepEqual((await find("", { client: other.buyer })).map((row) => row.id), [id]);
    await expectKept("", () => true);
  });

  it("goes on with its own cursor only", async () => {
    const { next_cursor: cursor } = (await market.buyer.get("/v1/submissions?limit=1")).json;
    const other = await Market.open(market.server);
    for (const client of [other.buyer, market.server.client(market.org.test_key)])
      assertRefused(await client.get(`/v1/submissions?cursor=${cursor}`), 400, "cursor");
    assertRefused(await market.buyer.get(`/v1/jobs/${lenient.id}/submissions?cursor=${cursor}`), 400, "cursor");
    const ofJob = (await market.buyer.get(`/v1/jobs/${lenient.id}/submissions?limit=1`)).json.next_cursor;
    assertRefused(await market.buyer.get(`/v1/submissions?cursor=${ofJob}`), 400, "cursor");
  });
});

describe("filters of submissions", () => {
  for (const status of ["approved", "rejected", "retry_pending", "pending_score"])
    it(`keep status ${status}`, () => expectKept(`status=${status}`, (row) => row.status === status));

  it("keep those of one job", async () => {
    for (const { id } of [lenient, strict]) assert.equal(await expectKept(`job_id=${id}`, (row) => row.job_id === id), 2);
  });

  it("keep what has at least so many stars", async () => {
    const most = Math.max(...sent.map((row) => row.ai_star_rating));
    assert.ok(await expectKept(`min_score=${most}`, (row) => row.ai_star_rating >= most));
    await expectKept("min_score=5", (row) => row.ai_star_rating === 5);
  });

  it("keep what was sent from an instant on, and before another", async () => {
    const [from, to] = [sent[2].created_at, sent[0].created_at];
    await expectKept(`start_date=${from}`, (row) => row.created_at >= from);
    await expectKept("start_date=1969-12-31T23:59:59Z", () => true);
    await expectKept(`end_date=${to}`, (row) => row.created_at < to);
    assert.equal(await expectKept(`start_date=${from}&end_date=${to}`, (row) => row.created_at >= from && row.created_at < to), 2);
    for (const none of ["start_date=9999-12-31T23:59:59Z", "end_date=1969-12-31T23:59:59Z", `start_date=${to}&end_date=${from}`])
      assert.deepEqual(await find(none), [], none);
  });

  it("combine", async () => {
    const query = `job_id=${lenient.id}&status=approved&min_score=1&start_date=${sent[1].created_at}`;
    assert.equal(await expectKept(query, (row) => row.id === sent[1].id), 1);
    assert.equal(await expectKept(`job_id=${strict.id}&status=approved`, () => false), 0);
  });

  it("do not find another's job, nor one that is none", async () => {
    const other = await Market.open(market.server);
    const theirs = await other.job();
    const test = await market.server.client(market.org.test_key).createJob();
    for (const id of [theirs.id, test.id, NOBODY.job_id, "x", ""])
      assertRefused(await market.buyer.get(`/v1/submissions?job_id=${id}`), 404, "job");
  });
});

describe("one submission", () => {
  it("is as the listing has it", async () => {
    for (const row of sent) assert.deepEqual(plain((await market.buyer.get(`/v1/submissions/${row.id}`)).json), plain(row));
  });

  it("brings its file once it is approved", async () => {
    const { file } = (await market.buyer.get(`/v1/submissions/${sent[1].id}`)).json;
    assert.deepEqual(file.submission_id, sent[1].id);
  });
});

describe("the summary of submissions", () => {
  const summary = async (query = "", client = market.buyer) => (await client.get(`/v1/submissions/summary${query && `?${query}`}`)).json;
  /* The same, counted here from the listing. */
  async function counted(query, keep) {
    const rows = sent.filter(keep), rated = rows.filter((row) => row.ai_star_rating !== null);
    const approved = rows.filter((row) => row.status === "approved");
    const count = (name, values) => Object.fromEntries(values.map((value) => [value, rows.filter((row) => row[name] === value).length]));
    const stars = rated.reduce((sum, row) => sum + row.ai_star_rating, 0);
    return {
      object: "submission_summary",
      total: rows.length,
      by_status: count("status", ["pending_score", "approved", "rejected", "retry_pending"]),
      by_stars: count("ai_star_rating", [1, 2, 3, 4, 5]),
      average_ai_star_rating: rated.length ? Math.round((1000 * stars) / rated.length) / 1000 : null,
      approved_bytes: approved.reduce((sum, row) => sum + row.file.size_bytes, 0),
      spent_cents: approved.length * lenient.price_per_file_cents,
      has_more: false,
      next_cursor: null,
    };
  }

  it("counts what the listing lists, under the same filters", async () => {
    const filters = {
      "": () => true,
      "status=approved": (row) => row.status === "approved",
      "status=pending_score": (row) => row.status === "pending_score",
      "min_score=5": (row) => row.ai_star_rating === 5,
      [`job_id=${strict.id}`]: (row) => row.job_id === strict.id,
      [`job_id=${strict.id}&status=rejected`]: (row) => row.job_id === strict.id && row.status === "rejected",
      [`start_date=${sent[1].created_at}`]: (row) => row.created_at >= sent[1].created_at,
      [`end_date=${sent[1].created_at}`]: (row) => row.created_at < sent[1].created_at,
    };
    for (const [query, keep] of Object.entries(filters)) assert.deepEqual(await summary(query), await counted(query, keep), query);
    assert.ok((await summary()).spent_cents > 0, "something was spent");
  });

  it("is empty for others, and for the other environment", async () => {
    const other = await Market.open(market.server);
    for (const client of [other.buyer, market.server.client(market.org.test_key)])
      assert.deepEqual(await summary("", client), await counted("", () => false));
  });

  it("knows no job of others", async () => {
    const other = await Market.open(market.server);
    assertRefused(await other.buyer.get(`/v1/submissions/summary?job_id=${strict.id}`), 404, "job");
  });

  it("goes on with its own cursor only", async () => {
    const { next_cursor: cursor } = (await market.buyer.get("/v1/submissions?limit=1")).json;
    assertRefused(await market.buyer.get(`/v1/submissions/summary?cursor=${cursor}`), 400, "cursor");
  });

  it("refuses filters that are none", async () => {
    for (const query of ["status=open", "min_score=0", "start_date=yesterday"])
      assert.equal((await market.buyer.get(`/v1/submissions/summary?${query}`)).status, 400, query);
  });

  it("is for keys that may read usage", async () => {
    const jobs = await market.buyer.createKey({ scopes: ["jobs:read"] }), usage = await market.buyer.createKey({ scopes: ["usage:read"] });
    assertRefused(await market.server.client(jobs.secret).get("/v1/submissions/summary"), 403, "scope_missing");
    assert.equal((await market.server.client(usage.secret).get("/v1/submissions/summary")).status, 200);
  });
});
