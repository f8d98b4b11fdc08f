/* The sandbox: what simulated workers make of a test job, in every scenario, whatever happens to the
 * server meanwhile, and that none of it touches the live world. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assertRefused, codeOf, Market, openMarket, until } from "../lib/market.mjs";
import { sample, sha256 } from "../lib/samples.mjs";
import { start } from "../lib/server.mjs";

const DELAY_S = 10 * 60; /* more than any test takes: only the clock moves on that far */
const DAY_S = 24 * 60 * 60;
const GRACE_S = 10 * 60;
const FILL_MS_MAX = 120_000;

const FORMATS = {
  "image/png": { extension: "png", codecs: ["png"] },
  "image/jpeg": { extension: "jpg", codecs: ["mjpeg"] },
  "image/webp": { extension: "webp", codecs: ["webp"] },
  "audio/mpeg": { extension: "mp3", codecs: ["mp3"] },
  "audio/wav": { extension: "wav", codecs: ["pcm_s16le"] },
  "audio/mp4": { extension: "m4a", codecs: ["aac"] },
  "video/mp4": { extension: "mp4", codecs: ["h264", "aac"] },
  "video/quicktime": { extension: "mov", codecs: ["h264", "aac"] },
};

/* A market whose buyer has the test key; `live` is the same organization's other client. */
async function openSandbox(settings) {
  const market = await openMarket({ "sandbox-delay": `${DELAY_S}s`, ...settings });
  market.live = market.buyer;
  market.buyer = market.server.client(market.org.test_key);
  return market;
}

const scenarioJob = (market, scenario, overrides = {}) =>
  market.job({ files_needed: 4, metadata: { sandbox_scenario: scenario }, ...overrides });

const submissionsOf = async (market, job) => (await market.buyer.all(`/v1/jobs/${job.id}/submissions`)).reverse();
const filesOf = async (market, job) => (await market.files(job)).reverse();
const hashesOf = async (market, job) => (await filesOf(market, job)).map(({ content_hash }) => content_hash);

async function filled(market, overrides) {
  const job = await market.job(overrides);
  await market.server.advance(DELAY_S + 1);
  return completed(market, job);
}

const completed = (market, job) =>
  until(`${job.id} is completed`, async () => {
    const now = await market.getJob(job);
    return now.status === "completed" && now;
  }, { msMax: FILL_MS_MAX });

/* The job once it has so many files: a busy machine may take longer than the clock's reply waits. */
const withFiles = (market, job, count) =>
  until(`${job.id} has ${count} files`, async () => {
    const now = await market.getJob(job);
    return now.files_approved >= count && now;
  }, { msMax: FILL_MS_MAX });

function download(market, file, options) {
  const url = new URL(file.download_url);
  return market.server.client().get(`${url.pathname}${url.search}`, options);
}

/* What a stranger's decoder makes of it. */
function decode(path) {
  const args = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path];
  execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-xerror", "-i", path, "-f", "null", "-"]);
  return execFileSync("ffprobe", args, { encoding: "utf8" }).trim().split("\n");
}

describe("a test job", () => {
  let market;
  before(async () => {
    market = await openSandbox();
  });
  after(() => market?.stop());

  it("is filled when its delay is over, not before", async () => {
    const job = await market.job({ files_needed: 3 });
    assert.equal(job.status, "open");
    await market.server.advance(DELAY_S - 60);
    assert.equal((await market.getJob(job)).status, "open");
    await market.server.advance(60);
    const done = await completed(market, job);
    assert.deepEqual([done.status, done.files_approved, done.files_remaining], ["completed", 3, 0]);
    assert.ok(Date.parse(done.completed_at) >= Date.parse(job.created_at) + DELAY_S * 1000);
  });

  it("gets a sound file of its own bytes in each format it accepts, four stars each", async () => {
    const formats = Object.keys(FORMATS);
    const job = await filled(market, { files_needed: 2 * formats.length, accepted_formats: formats });
    const files = await filesOf(market, job);
    assert.deepEqual(files.map((file) => file.content_type), [...formats, ...formats]);
    assert.equal(new Set(files.map((file) => file.content_hash)).size, files.length);
    for (const file of files) {
      const { extension, codecs } = FORMATS[file.content_type];
      const reply = await download(market, file);
      assert.equal(reply.status, 200);
      assert.equal(reply.headers["content-type"], file.content_type);
      assert.equal(reply.headers.etag, `"${file.content_hash}"`);
      assert.match(reply.headers["content-disposition"], new RegExp(`"${file.id}\\.${extension}"$`));
      assert.equal(sha256(reply.bytes), file.content_hash);
      assert.equal(reply.bytes.length, file.size_bytes);
      assert.ok(file.size_bytes <= 16 * 1024);
      assert.equal(file.ai_star_rating, 4);
      assert.equal(file.annotations, null, "nobody examined it");
      const path = join(market.server.dataDir, `sample.${extension}`);
      writeFileSync(path, reply.bytes);
      assert.deepEqual(decode(path), codecs);
    }
  });

  it("has its submissions, its money and its folder as a live one would", async () => {
    const { balance, held } = await market.balance();
    const job = await market.job({ files_needed: 2, price_per_file_cents: 100 });
    assert.deepEqual(await market.balance(), { balance: balance - 200, held: held + 200 });
    await market.server.advance(DELAY_S + 1);
    await completed(market, job);
    assert.deepEqual(await market.balance(), { balance: balance - 200, held });
    const mine = (await market.statement()).filter(([, , id]) => id === job.id);
    assert.deepEqual(mine, [["deduction", -200, job.id]]);
    const rows = await submissionsOf(market, job);
    assert.deepEqual(rows.map((row) => [row.status, row.ai_star_rating]), [["approved", 4], ["approved", 4]]);
    for (const row of rows) assert.match(row.ai_reasoning, /^Sandbox: .*nobody examined it/);
    const lines = await market.manifest(job, 2);
    assert.deepEqual(lines.map(({ sha256: hash }) => hash).sort(), rows.map(({ file }) => file.content_hash).sort());
    const delivered = await market.delivered(job, `${rows[0].file.id}.jpg`);
    assert.equal(sha256(delivered.bytes), rows[0].file.content_hash);
  });

  it("causes the events that a live one would", async () => {
    const job = await filled(market, { files_needed: 2 });
    const rows = await submissionsOf(market, job);
    const told = (await market.buyer.all("/v1/events")).reverse().map(({ type, data }) => [type, data.id]);
    const about = new Set([job.id, ...rows.map(({ id }) => id)]);
    assert.deepEqual(told.filter(([, id]) => about.has(id)), [
      ["submission.scored", rows[0].id], ["submission.approved", rows[0].id],
      ["submission.scored", rows[1].id], ["submission.approved", rows[1].id],
      ["job.completed", job.id],
    ]);
    assert.deepEqual(await market.live.all("/v1/events"), []);
  });

  it("that asks for five stars gets files of five", async () => {
    const job = await filled(market, { files_needed: 2, min_star_rating: 5 });
    assert.deepEqual((await filesOf(market, job)).map((file) => file.ai_star_rating), [5, 5]);
  });

  it("posted again, by anybody, gets the same files; another job gets others", async () => {
    const asked = { files_needed: 6, accepted_formats: ["image/png", "audio/wav"], metadata: { a: 1, b: "two" } };
    const first = await hashesOf(market, await filled(market, asked));
    const other = new Market(market.server);
    other.org = await market.server.createOrg();
    other.buyer = market.server.client(other.org.test_key);
    assert.deepEqual(await hashesOf(other, await filled(other, asked)), first);
    const changed = await hashesOf(market, await filled(market, { ...asked, description: "Other things." }));
    assert.equal(new Set([...first, ...changed]).size, 12);
  });

  it("of a thousand files is full after one step of the clock", async () => {
    const job = await market.job({ files_needed: 1000, price_per_file_cents: 1 });
    await market.server.advance(DELAY_S + 1);
    await completed(market, job);
    assert.equal(new Set(await hashesOf(market, job)).size, 1000);
  });
});

describe("the scenario", () => {
  let market;
  before(async () => {
    market = await openSandbox();
  });
  after(() => market?.stop());

  const verdicts = async (job) =>
    (await submissionsOf(market, job)).map((row) => `${row.status} ${row.ai_star_rating}`);

  it("default, and any that nobody knows, approves all", async () => {
    for (const metadata of [{}, { sandbox_scenario: "default" }, { sandbox_scenario: "Mixed" }, { sandbox_scenario: 1 }]) {
      const job = await filled(market, { files_needed: 2, metadata });
      assert.deepEqual(await verdicts(job), ["approved 4", "approved 4"]);
      assert.deepEqual(job.metadata, metadata);
    }
  });

  it("mixed rejects some, with reasons, and replaces them", async () => {
    const job = await scenarioJob(market, "mixed");
    await market.server.advance(DELAY_S + 1);
    const done = await completed(market, job);
    assert.equal(done.files_approved, 4);
    assert.deepEqual(await verdicts(job), [
      "rejected 2", "approved 4", "approved 4", "rejected 1", "approved 4", "approved 4",
    ]);
    const rejected = (await submissionsOf(market, job)).filter((row) => row.status === "rejected");
    for (const row of rejected) {
      assert.equal(row.file, null);
      assert.match(row.ai_reasoning, /as if it were (blurred|blank)/);
    }
    assert.equal((await filesOf(market, job)).length, 4);
  });

  it("slow gives a file each delay", async () => {
    const job = await scenarioJob(market, "slow", { files_needed: 3 });
    for (const expected of [["in_progress", 1], ["in_progress", 2], ["completed", 3]]) {
      await market.server.advance(DELAY_S);
      const now = await withFiles(market, job, expected[1]);
      assert.deepEqual([now.status, now.files_approved], expected);
    }
  });

  it("stall gives half and waits to be cancelled", async () => {
    const { balance } = await market.balance();
    const job = await scenarioJob(market, "stall", { files_needed: 5 });
    await market.server.advance(DELAY_S + 1);
    await withFiles(market, job, 2);
    await market.server.advance(30 * DAY_S);
    const now = await market.getJob(job);
    assert.deepEqual([now.status, now.files_approved], ["in_progress", 2]);
    assert.equal((await market.buyer.post(`/v1/jobs/${job.id}/cancel`)).status, 200);
    assert.equal((await market.balance()).balance, balance - 2 * job.price_per_file_cents);
  });

  it("flagged tells of it once, and goes on", async () => {
    const job = await scenarioJob(market, "flagged", { files_needed: 60 });
    await market.server.advance(DELAY_S + 1);
    const done = await completed(market, job);
    assert.equal(done.flags_count, 1);
    assert.match(done.flag_reason, /^Sandbox: /);
    const told = await market.buyer.all("/v1/events?type=job.flagged");
    assert.deepEqual(told.map(({ data }) => [data.id, data.status, data.files_approved]), [[job.id, "open", 0]]);
  });
});

describe("a test job in the middle of being filled", () => {
  /* → whether some files are there and not all: it may be quicker than this test */
  const isUnderWay = async (market, job) => {
    const now = await until("some files are there", async () => {
      const seen = await market.getJob(job);
      return seen.files_approved > 0 && seen;
    }, { everyMs: 5 });
    return now.status !== "completed";
  };

  it("that is cancelled gets no more, and the rest of its money back", async () => {
    const market = await openSandbox();
    try {
      const { job, reply, balance } = await until("one is cancelled in time", async () => {
        const { balance } = await market.balance();
        const job = await market.job({ files_needed: 10_000, price_per_file_cents: 2 });
        const moved = market.server.advance(DELAY_S + 1);
        await isUnderWay(market, job);
        const reply = await market.buyer.post(`/v1/jobs/${job.id}/cancel`);
        await moved;
        return reply.status === 200 && { job, reply, balance };
      });
      assert.equal(reply.json.status, "cancelled");
      const now = await market.getJob(job);
      assert.equal(now.files_approved, reply.json.files_approved, "nothing came after the cancel");
      assert.equal(now.files_approved % 50, 0, "fifty a commit");
      assert.deepEqual(await market.balance(), { balance: balance - 2 * now.files_approved, held: 0 });
      assert.equal((await submissionsOf(market, job)).length, now.files_approved);
    } finally {
      await market.stop();
    }
  });

  it("goes on where it was when the server is killed, once and again", async () => {
    const market = await openSandbox();
    try {
      const job = await market.job({ files_needed: 3000, price_per_file_cents: 1, metadata: { sandbox_scenario: "mixed" } });
      market.server.advance(DELAY_S + 1).catch(() => {}); /* its reply dies with the server */
      for (let kills = 0; kills < 3; kills++) {
        await isUnderWay(market, job); /* or over: to be killed then may do no harm either */
        await market.server.kill9();
        await market.server.audit();
        await market.server.launch();
        market.reconnect();
      }
      const done = await completed(market, job);
      assert.equal(done.files_approved, 3000);
      const rows = await submissionsOf(market, job);
      assert.equal(rows.length, 4500, "a third of them rejected, none twice");
      assert.equal(new Set(rows.flatMap(({ file }) => (file ? [file.content_hash] : []))).size, 3000);
    } finally {
      await market.stop();
    }
  });

  it("whose deadline passes is cancelled with what it has", async () => {
    const market = await openSandbox();
    try {
      const { balance } = await market.balance();
      const deadline = new Date(Date.now() + 2.5 * DELAY_S * 1000).toISOString();
      const job = await scenarioJob(market, "slow", { files_needed: 5, deadline });
      for (let i = 1; i <= 4; i++) {
        await market.server.advance(DELAY_S);
        await withFiles(market, job, Math.min(i, 2));
      }
      const now = await market.getJob(job);
      assert.deepEqual([now.status, now.files_approved], ["cancelled", 2]);
      assert.equal((await market.balance()).balance, balance - 2 * job.price_per_file_cents);
    } finally {
      await market.stop();
    }
  });

  it("gets what came due while the server was away", async () => {
    const market = await openSandbox();
    try {
      const job = await market.job({ files_needed: 3 });
      await market.server.restart({ tasks: "off" });
      market.reconnect();
      await market.server.advance(DELAY_S + 1);
      assert.equal((await market.getJob(job)).status, "open");
      await market.server.restart({ tasks: "on" });
      market.reconnect();
      await completed(market, job);
    } finally {
      await market.stop();
    }
  });
});

describe("without a test clock", () => {
  it("a delay of nothing fills jobs at once", async () => {
    const server = await start({ "test-clock": "off", "sandbox-delay": "0" });
    const market = new Market(server);
    try {
      market.org = await server.createOrg();
      market.buyer = server.client(market.org.test_key);
      await completed(market, await market.job({ files_needed: 2 }));
    } finally {
      await server.stop();
    }
  });
});

describe("the live world", () => {
  let market;
  let testJob;
  let liveJob;
  let before_;
  before(async () => {
    market = await openSandbox();
    liveJob = await market.live.createJob({ files_needed: 2, accepted_formats: ["image/jpeg"] });
    before_ = (await market.live.get("/v1/billing/credits")).json;
    testJob = await filled(market, { files_needed: 20, max_files_per_worker: 3 });
  });
  after(() => market?.stop());

  it("keeps its balance and its transactions", async () => {
    assert.deepEqual((await market.live.get("/v1/billing/credits")).json, before_);
    const rows = await market.live.all("/v1/billing/transactions");
    assert.deepEqual(rows.map(({ type }) => type), ["deduction", "bonus"]);
  });

  it("sees neither the job nor its files and submissions", async () => {
    assert.deepEqual((await market.live.all("/v1/jobs")).map(({ id }) => id), [liveJob.id]);
    assert.deepEqual(await market.live.all("/v1/submissions"), []);
    for (const path of ["", "/files", "/submissions"])
      assertRefused(await market.live.get(`/v1/jobs/${testJob.id}${path}`), 404, "job");
  });

  it("leaves its jobs to people, and pays them alone", async () => {
    assert.deepEqual((await market.worker.all("/worker/v1/jobs")).map(({ id }) => id), [liveJob.id]);
    assertRefused(await market.worker.request("POST", `/worker/v1/jobs/${testJob.id}/accept`), 404, "job");
    const { balance_cents } = await market.earnings();
    assert.equal(balance_cents, 0);
    assert.deepEqual(await market.worker.all("/worker/v1/submissions"), []);
    await market.server.advance(10 * DELAY_S);
    assert.equal((await market.live.get(`/v1/jobs/${liveJob.id}`)).json.status, "open");
  });

  it("has no account that a simulated worker could be signed in to", async () => {
    for (const n of [0, 6]) {
      const email = `simulated:${market.org.organization_id}:${n}`;
      const reply = await market.server.client().post("/worker/v1/sessions", { email, password: "password-1" });
      assert.ok([401, 422].includes(reply.status), codeOf(reply));
    }
  });
});

describe("a sandbox file", () => {
  let market;
  before(async () => {
    market = await openSandbox();
  });
  after(() => market?.stop());

  it("is gone after a week: its row stays, its link says so, its bytes go; a live one stays", async () => {
    const { server } = market;
    const liveJob = await market.live.createJob({ files_needed: 1, accepted_formats: ["image/jpeg"] });
    const submission = await market.submitAndScore(liveJob, sample("photo-2.jpg"));
    const job = await filled(market, { files_needed: 2 });
    const folder = market.deliveredFolder(job);
    const names = (await filesOf(market, job)).map(({ id }) => `${id}.jpg`);
    await market.manifest(job, 2);
    await server.advance(7 * DAY_S - 120);
    let files = await filesOf(market, job);
    assert.equal((await download(market, files[0])).status, 200);
    await server.advance(120);
    files = await filesOf(market, job);
    assert.equal(files.length, 2);
    for (const file of files) {
      assertRefused(await download(market, file), 410, "file_expired");
      assertRefused(await download(market, file, { headers: { "if-none-match": `"${file.content_hash}"` } }), 410, "file_expired");
    }
    await server.audit();
    await server.advance(GRACE_S + 1);
    assert.deepEqual(names.filter((name) => existsSync(join(folder, name))), []);
    assert.deepEqual(readdirSync(join(server.dataDir, "blobs")), [`${submission.id}.1`]);
    assert.equal((await readFile(join(folder, "manifest.jsonl"), "utf8")).trimEnd().split("\n").length, 2);
    assertRefused(await download(market, files[0]), 410, "file_expired");
    const [live] = await market.live.all(`/v1/jobs/${liveJob.id}/files`);
    assert.equal((await download(market, live)).status, 200);
    assert.deepEqual(await hashesOf(market, await filled(market, { files_needed: 2 })), files.map((f) => f.content_hash));
  });
});
