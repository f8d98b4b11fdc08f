/* /metrics: who may read it, that every scraper can, and that its figures are those of what happened. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { metricsOf, parseExposition, valueOf } from "../lib/exposition.mjs";
import { assertRefused, openMarket, until } from "../lib/market.mjs";
import { Receiver } from "../lib/receiver.mjs";
import { sample } from "../lib/samples.mjs";
import { run, start } from "../lib/server.mjs";

const REQUEST = "firsthand_http_request_duration_seconds";

describe("the exposition format's reader", () => {
  const HEAD = "# HELP a_total b\n# TYPE a_total counter\n";
  const HISTOGRAM = "# HELP h b\n# TYPE h histogram\n";

  it("takes what is well-formed", () => {
    const families = parseExposition(`${HEAD}a_total{x="1\\"\\\\\\n"} 7\na_total 1.5\n`);
    assert.equal(valueOf(families, "a_total", { x: '1"\\\n' }), 7);
    assert.equal(valueOf(families, "a_total"), 1.5);
    parseExposition(`${HISTOGRAM}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n`);
  });

  const BROKEN = {
    "no end": `${HEAD}a_total 1`,
    "a sample without a head": "a_total 1\n",
    "a sample of another family": `${HEAD}b_total 1\n`,
    "a head without samples": HEAD,
    "two heads": `${HEAD}a_total 1\n${HEAD}a_total{x="1"} 1\n`,
    "a counter that is not called so": "# HELP a b\n# TYPE a counter\na 1\n",
    "a negative counter": `${HEAD}a_total -1\n`,
    "no value": `${HEAD}a_total \n`,
    "a value that is none": `${HEAD}a_total x\n`,
    "an open label": `${HEAD}a_total{x="1} 1\n`,
    "a bare quote in a label": `${HEAD}a_total{x="1"2"} 1\n`,
    "a bad escape": `${HEAD}a_total{x="\\t"} 1\n`,
    "a dangling comma": `${HEAD}a_total{x="1",} 1\n`,
    "a label twice": `${HEAD}a_total{x="1",x="2"} 1\n`,
    "a series twice": `${HEAD}a_total{x="1"} 1\na_total{x="1"} 1\n`,
    "an empty line": `${HEAD}\na_total 1\n`,
    "falling buckets": `${HISTOGRAM}h_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n`,
    "falling bounds": `${HISTOGRAM}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n`,
    "no last bucket": `${HISTOGRAM}h_bucket{le="1"} 1\nh_bucket{le="2"} 2\nh_sum 3\nh_count 2\n`,
    "a count that is not the last bucket's": `${HISTOGRAM}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 3\n`,
    "no sum": `${HISTOGRAM}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_count 2\n`,
  };
  for (const [what, text] of Object.entries(BROKEN))
    it(`refuses ${what}`, () => assert.throws(() => parseExposition(text), assert.AssertionError));
});

describe("/metrics", () => {
  let market;
  before(async () => {
    market = await openMarket({ "webhook-allow": "127.0.0.0/8" });
  });
  after(() => market?.stop());

  it("is text that every scraper reads", async () => {
    const reply = await market.server.client().get("/metrics");
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    const families = parseExposition(reply.text);
    assert.ok(families.size > 20, `${families.size} families`);
    for (const { name } of families.values()) assert.match(name, /^(firsthand|process)_/);
    const version = (await run(["version"])).stdout;
    const [build] = families.get("firsthand_build_info").samples;
    assert.ok(version.includes(build.labels.version), version);
  });

  it("counts requests by operation and class of status", async () => {
    const asked = { operation: "getJob", status: "2xx" }, missed = { operation: "getJob", status: "4xx" };
    const unknown = { operation: "none", status: "4xx" };
    const job = await market.job();
    const before_ = await metricsOf(market.server);
    for (let i = 0; i < 3; i++) await market.getJob(job);
    for (let i = 0; i < 2; i++) await market.buyer.get("/v1/jobs/job_none");
    await market.buyer.get("/nowhere");
    const grown = (families, labels) =>
      valueOf(families, `${REQUEST}_count`, labels) - valueOf(before_, `${REQUEST}_count`, labels);
    await until("all are counted", async () => {
      const now = await metricsOf(market.server);
      return grown(now, asked) === 3 && grown(now, missed) === 2 && grown(now, unknown) === 1;
    });
  });

  it("counts attempts to tell endpoints, by their outcome", async () => {
    const receiver = await Receiver.open();
    try {
      const [good, bad] = await Promise.all(["/ok?1", "/broken?2"].map((path) => market.buyer.post("/v1/webhook_endpoints", { url: receiver.url(path) })));
      assert.deepEqual([good.status, bad.status], [201, 201], good.text);
      const job = await market.job();
      await market.buyer.post(`/v1/jobs/${job.id}/cancel`);
      const count = (families, outcome) => valueOf(families, "firsthand_webhook_attempt_duration_seconds_count", { outcome });
      await until("both attempts have ended", async () => {
        const families = await metricsOf(market.server);
        return count(families, "delivered") === 1 && count(families, "failed") >= 1 && valueOf(families, "firsthand_webhook_attempts_in_flight") === 0;
      });
      for (const { json } of [good, bad]) await market.buyer.delete(`/v1/webhook_endpoints/${json.id}`);
    } finally {
      receiver.close();
    }
  });

  it("counts what is written, scored, paid for and delivered", async () => {
    const was = await metricsOf(market.server);
    const scored = await market.submitAndScore(await market.job(), sample("photo-8.jpg"));
    const grown = (families, name, labels) => valueOf(families, name, labels) - valueOf(was, name, labels);
    const done = (kind) => ({ kind, outcome: "done" });
    /* A file may be delivered before the end of its scoring is counted. */
    await until("both tasks have ended", async () => {
      const families = await metricsOf(market.server);
      const isOver = (kind) => grown(families, "firsthand_task_duration_seconds_count", done(kind)) === 1 && valueOf(families, "firsthand_tasks", { kind }) === 0;
      return ["score", "deliver"].every(isOver);
    });
    const now = await metricsOf(market.server); /* all of it read after they ended */
    assert.equal(grown(now, "firsthand_scores_total", { stars: String(scored.ai_star_rating) }), 1);
    assert.equal(grown(now, "firsthand_files_delivered_total"), 1);
    assert.ok(grown(now, "firsthand_files_delivered_bytes_total") > 0);
    const commits = grown(now, "firsthand_writer_commits_total");
    assert.ok(commits >= 4, `${commits} commits`);
    await until("as many commits are counted as are measured", async () => {
      const families = await metricsOf(market.server); /* each may hold half a commit, as "was" may */
      const counts = ["commits_total", "commit_duration_seconds_count", "batch_jobs_count"]
        .map((name) => valueOf(families, `firsthand_writer_${name}`));
      return new Set(counts).size === 1;
    });
    assert.ok(valueOf(now, "firsthand_store_wal_bytes") > 0);
    assert.ok(valueOf(now, "process_resident_memory_bytes") > 1 << 20);
    assert.ok(valueOf(now, "process_open_fds") > 10);
    assert.ok(Math.abs(valueOf(now, "process_start_time_seconds") - Date.now() / 1000) < 3600);
  });

  it("knows of connections and of requests under way", async () => {
    const now = await until("only the one that asks is under way", async () => {
      const families = await metricsOf(market.server); /* a reply is read before its end is counted */
      return valueOf(families, "firsthand_http_requests_in_flight") === 1 && families;
    });
    assert.ok(valueOf(now, "firsthand_http_connections") >= 1);
  });

  it("is not for those who come through a proxy", async () => {
    for (const name of ["x-forwarded-for", "forwarded"]) {
      const reply = await market.server.client().get("/metrics", { headers: { [name]: "for=127.0.0.1" } });
      assertRefused(reply, 403, "operator_only");
    }
  });
});

describe("/metrics with an operator's token", () => {
  const TOKEN = "an operator's token, long enough";
  let server;
  before(async () => {
    server = await start({ "operator-token": TOKEN, "auth-failures-per-minute": "5" });
  });
  after(() => server?.stop());

  const ask = (headers) => server.client().get("/metrics", { headers });

  it("is for its bearer, wherever he comes from", async () => {
    assert.equal((await ask({ authorization: `Bearer ${TOKEN}` })).status, 200);
    assert.equal((await ask({ authorization: `bearer ${TOKEN}`, "x-forwarded-for": "192.0.2.1" })).status, 200);
  });

  it("is for nobody else, and guessing is limited", async () => {
    const org = await server.createOrg();
    assertRefused(await ask({}), 401, "credentials_missing");
    const wrong = [org.live_key, `${TOKEN}x`, TOKEN.slice(1), TOKEN.slice(0, -1), "x"];
    for (const guess of wrong) assertRefused(await ask({ authorization: `Bearer ${guess}` }), 401, "bad_credentials");
    assertRefused(await ask({ authorization: "Bearer y" }), 429, "too_many_failures");
    assert.equal((await ask({ authorization: `Bearer ${TOKEN}` })).status, 200);
  });

  it("is no API key", async () => {
    const reply = await server.client(TOKEN).get("/v1/jobs", { headers: { authorization: `Bearer ${TOKEN}` } });
    assert.ok([401, 429].includes(reply.status));
  });

  it("is shown masked", async () => {
    const { stdout } = await run(["config", "--operator-token", TOKEN]);
    assert.equal(JSON.parse(stdout)["operator-token"], "***");
  });
});

describe("/readyz", () => {
  it("is 200 while the store has its migrations, else 503, and counted as such", async () => {
    const server = await start();
    const failures = async () => valueOf(await metricsOf(server), `${REQUEST}_count`, { operation: "readyz", status: "5xx" });
    const sql = (text) => execFileSync("sqlite3", ["-cmd", ".timeout 20000", join(server.dataDir, "store.db"), text]);
    const ready = () => server.client().get("/readyz");
    try {
      assert.deepEqual((await ready()).json, { status: "ok" });
      sql("CREATE TABLE aside AS SELECT * FROM schema_migrations; DELETE FROM schema_migrations;");
      assertRefused(await ready(), 503, "store_unreachable");
      assert.equal((await server.client().get("/healthz")).status, 200, "alive all the same");
      sql("INSERT INTO schema_migrations SELECT * FROM aside; DROP TABLE aside;");
      assert.equal((await ready()).status, 200);
      await until("it is counted", async () => (await failures()) === 1);
    } finally {
      await server.stop();
    }
  });
});
