/* From the first line to the last: starting, signals, stopping with work under way, restarting, and
 * losing the processes that do the work. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { kill9, mediaChildOf, zygoteOf } from "../fault/processes.mjs";
import { assertRefused, openMarket, until } from "../lib/market.mjs";
import { repeated, sample, sha256 } from "../lib/samples.mjs";
import { binaryPath, start } from "../lib/server.mjs";

let folder;
let count = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "firsthand-lifecycle-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `path-${++count}`);
const linesOf = (path) => readFileSync(path, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const events = (server, event) => server.logLines.map((line) => JSON.parse(line)).filter((one) => one.event === event);

function isAlive(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/* Is a new connection still taken? */
function connects(base) {
  const { hostname, port } = new URL(base);
  return new Promise((done) => {
    const socket = net.connect({ host: hostname.replace(/[[\]]/g, ""), port });
    socket.on("error", () => done(false));
    socket.on("connect", () => {
      socket.destroy();
      done(true);
    });
  });
}

/* An upload that sends half and then waits. → { finish(), reply: a promise of { status, text } } */
async function halfUpload(market, bytes) {
  const job = await market.job();
  const reservation = await market.worker.accept(job.id);
  const half = bytes.length >> 1;
  const request = http.request(`${market.server.base}/worker/v1/reservations/${reservation.id}/file`, {
    method: "PUT",
    agent: false,
    headers: { authorization: `Bearer ${market.worker.token}`, "content-type": "image/jpeg", "content-length": bytes.length },
  });
  const reply = new Promise((done, fail) => {
    request.on("error", fail);
    request.on("response", (response) => {
      let text = "";
      response.on("data", (piece) => (text += piece));
      response.on("end", () => done({ status: response.statusCode, text, headers: response.headers }));
      response.on("error", fail);
    });
  });
  reply.catch(() => {});
  const bytesBefore = partBytes(market.server);
  request.write(bytes.subarray(0, half));
  await until("bytes of the first half are on disk", () => partBytes(market.server) > bytesBefore);
  return { job, reservation, reply, finish: () => request.end(bytes.subarray(half)) };
}

/* How much of unfinished uploads lies on disk. */
function partBytes(server) {
  const path = join(server.dataDir, "uploads");
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

describe("starting", () => {
  /* Everything that serve writes to stdout, from start to SIGTERM. */
  async function stdoutOf(...settings) {
    const child = spawn(binaryPath(), ["serve", "--data-dir", newPath(), ...settings], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.on("data", (piece) => (text += piece));
    const ended = once(child, "exit");
    await until("a line comes", () => text.includes("\n") || child.exitCode !== null);
    const isServing = await connects(text.slice("listening on ".length).trim());
    child.kill("SIGTERM");
    const [code] = await ended;
    return { text, code, isServing };
  }

  it("says where it listens on its first line, and nothing else on stdout", async () => {
    const { text, code, isServing } = await stdoutOf("--listen", "127.0.0.1:0");
    assert.equal(code, 0);
    const [, port] = /^listening on http:\/\/127\.0\.0\.1:(\d+)\n$/.exec(text) ?? assert.fail(text);
    assert.notEqual(port, "0");
    assert.ok(isServing, "it serves once the line is there");
  });

  for (const [listen, shown] of [["[::1]:0", "\\[::1\\]"], ["127.0.0.2:0", "127\\.0\\.0\\.2"]])
    it(`serves ${listen} as well, test clock included`, async () => {
      const { text, code, isServing } = await stdoutOf("--listen", listen, "--test-clock", "on");
      assert.deepEqual([code, isServing], [0, true]);
      assert.match(text, new RegExp(`^listening on http://${shown}:[1-9]\\d*\\n$`));
    });

  it("logs its start: version, address, sandbox, and a warning about the test clock", async () => {
    const server = await start();
    const [line] = events(server, "started");
    await server.stop();
    assert.match(line.version, /^\d+\.\d+\.\d+$/);
    assert.match(line.listen, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(line.media_sandbox, /seccomp.*rlimits/);
    assert.equal(line.warning, "test clock is on");
  });
});

describe("alive and ready", () => {
  let market;
  before(async () => {
    market = await openMarket({ "test-clock": "off" });
  });
  after(() => market?.stop());

  for (const path of ["/healthz", "/readyz"])
    it(`${path} answers anybody`, async () => {
      for (const client of [market.server.client(), market.server.client("nonsense"), market.buyer]) {
        const reply = await client.get(path);
        assert.deepEqual([reply.status, reply.json], [200, { status: "ok" }]);
      }
      assert.equal((await market.server.client().request("HEAD", path)).status, 200);
      assertRefused(await market.server.client().post(path, {}), 405);
    });

  it("without the test clock there is nothing at /test/clock/advance", async () => {
    for (const client of [market.server.client(), market.buyer, market.worker])
      assertRefused(await client.post("/test/clock/advance", { seconds: 1 }), 404, "route_not_found");
    assert.equal(events(market.server, "started")[0].warning, undefined);
  });
});

describe("SIGTERM", () => {
  let market;
  before(async () => {
    market = await openMarket({}, { credits: 1_000_000 });
  });
  after(() => market?.stop());

  async function again(settings) {
    await market.server.restart(settings);
    market.reconnect();
  }

  for (const signal of ["SIGTERM", "SIGINT"])
    it(`${signal} takes no newcomers, finishes an upload under way, and exits 0`, async () => {
      const { server } = market;
      const bytes = sample(signal === "SIGTERM" ? "photo-2.jpg" : "photo-3.jpg");
      const upload = await halfUpload(market, bytes);
      server.child.kill(signal);
      await until("newcomers are refused", async () => !(await connects(server.base)));
      assert.equal(server.child.exitCode, null, "it waits");
      upload.finish();
      const reply = await upload.reply;
      assert.equal(reply.status, 201, reply.text);
      assert.equal(reply.headers.connection, "close");
      assert.deepEqual(await server.exited, { code: 0, signal: null });
      assert.equal(events(server, "stopping").length, 1);
      server.child = null;
      await server.audit();
      server.logLines.length = 0;
      await again();
      const submission = await market.scored(JSON.parse(reply.text));
      assert.equal(submission.status, "approved", submission.ai_reasoning);
      assert.equal((await market.files(upload.job))[0].content_hash, sha256(bytes));
    });

  it("does not wait for connections that are idle", async () => {
    const { hostname, port } = new URL(market.server.base);
    const sockets = Array.from({ length: 5 }, () => net.connect({ host: hostname, port }));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    sockets[0].write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(sockets[0], "data");
    const closed = Promise.all(sockets.map((socket) => once(socket.on("error", () => {}).resume(), "close")));
    await market.server.halt();
    await closed;
    await again();
  });

  it("does not wait longer than drain-timeout; the cut upload can be sent again", async () => {
    await again({ "drain-timeout": "200ms" });
    const upload = await halfUpload(market, sample("photo-4.jpg"));
    await market.server.halt();
    await assert.rejects(upload.reply);
    await again({ "drain-timeout": "30s" });
    const reply = await market.worker.putFile(upload.reservation.id, sample("photo-4.jpg"));
    assert.equal(reply.status, 201, reply.text);
    assert.equal((await market.scored(reply.json)).status, "approved");
  });

  it("leaves no process behind, and a store without a log to replay", async () => {
    const { server } = market;
    const zygote = zygoteOf(server.child.pid);
    assert.ok(zygote, "there is a zygote");
    await server.halt();
    assert.ok(!isAlive(zygote), "the zygote ended");
    const wal = join(server.dataDir, "store.db-wal");
    assert.ok(!existsSync(wal) || statSync(wal).size === 0, "checkpointed");
    await again();
  });
});

describe("SIGHUP", () => {
  it("reopens the log file after it was moved", async () => {
    const path = newPath();
    const server = await start({ "log-file": path });
    const moved = `${path}.1`;
    try {
      await server.client().get("/healthz");
      const inode = statSync(path).ino;
      renameSync(path, moved);
      await server.client().get("/readyz");
      server.child.kill("SIGHUP");
      await until("a new file is there", () => existsSync(path));
      const before = linesOf(moved).length;
      await until("lines go to the new file", async () => {
        await server.client().get("/openapi.json");
        return linesOf(path).length > 0;
      });
      assert.equal(statSync(moved).ino, inode);
      const old = linesOf(moved).filter(({ event }) => event === "request").map((line) => line.path);
      assert.deepEqual(old.filter((one) => one !== "/openapi.json"), ["/healthz", "/readyz"]);
      assert.ok(linesOf(moved).length - before <= 1, "the old file is left alone");
      assert.ok(linesOf(path).some((line) => line.path === "/openapi.json"));
      assert.equal((statSync(path).mode & 0o777) & 0o027, 0, "not for others to read or write");
      assert.deepEqual(server.logLines, [], "nothing goes to stderr");
    } finally {
      await server.stop();
    }
    assert.ok(linesOf(path).some(({ event }) => event === "stopping"), "the last line is in it");
  });

  it("without a log file changes nothing", async () => {
    const server = await start();
    for (let i = 0; i < 3; i++) server.child.kill("SIGHUP");
    assert.equal((await server.client().get("/healthz")).status, 200);
    await server.stop();
  });
});

describe("a restart", () => {
  it("keeps everything: jobs, files, money, keys, sessions, links, replays, the clock", async () => {
    const market = await openMarket({}, { credits: 10_000 });
    try {
      const job = await market.job({ files_needed: 3, metadata: { order: 7, "ключ": null } });
      await market.submitAndScore(job, sample("photo-5.jpg"));
      await market.submitAndScore(job, sample("blurred.jpg"));
      await market.worker.accept(job.id);
      const first = await market.buyer.postJob({}, { idempotencyKey: "kept-over-a-restart" });
      assert.equal(first.status, 201, first.text);
      await market.job({ files_needed: 2 }).then((one) => market.buyer.post(`/v1/jobs/${one.id}/cancel`));
      const now = await market.server.advance(90);
      await market.manifest(job, 1);
      const link = new URL((await market.files(job))[0].download_url);

      const look = async () => {
        const seen = {};
        for (const path of ["/v1/jobs", `/v1/jobs/${job.id}`, `/v1/jobs/${job.id}/files`, `/v1/jobs/${job.id}/submissions`,
                            "/v1/billing/credits", "/v1/billing/transactions", "/v1/organization/settings"])
          seen[path] = (await market.buyer.get(path)).json;
        for (const path of ["jobs", "reservations", "uploads", "submissions", "earnings"])
          seen[path] = (await market.worker.get(`/worker/v1/${path}`)).json;
        const keys = (await market.buyer.get("/v1/api_keys")).json.data;
        seen.keys = keys.map(({ last_used_at: _, ...key }) => key);
        /* Links are signed anew by every listing. */
        return JSON.parse(JSON.stringify(seen), (name, value) => (name.startsWith("download_url") ? undefined : value));
      };
      const before = await look();
      for (const end of ["halt", "kill9"]) {
        await market.server[end]();
        await market.server.launch();
        market.reconnect();
        assert.deepEqual(await look(), before, end);
        const again = await market.buyer.postJob({}, { idempotencyKey: "kept-over-a-restart" });
        assert.deepEqual([again.status, again.text, again.headers["idempotent-replayed"]], [201, first.text, "true"]);
        const download = await market.server.client().get(link.pathname + link.search);
        assert.equal(sha256(download.bytes), sha256(sample("photo-5.jpg")));
      }
      assert.ok((await market.server.advance(1)) > now, "the test clock did not go back");
      const invite = await market.server.admin("invite-worker");
      assert.ok(Date.parse(invite.expires_at) >= now + 7 * 86_400_000, "commands see the same time");
    } finally {
      await market.stop();
    }
  });
});

describe("losing the processes that examine", () => {
  const PRICE = 100;
  let market;
  before(async () => {
    market = await openMarket({}, { credits: 1_000_000 });
  });
  after(() => market?.stop());

  /* A long recording whose examination has begun. */
  async function examining() {
    const job = await market.job({ accepted_formats: ["audio/wav"], price_per_file_cents: PRICE });
    const worker = await market.newWorker();
    const sent = await market.submit(job, repeated(sample("speech.wav"), 30), { worker });
    await until("its examination has begun", () => mediaChildOf(market.server.child.pid), { everyMs: 1 });
    return { job, worker, sent };
  }

  async function assertDoneOnce({ job, worker, sent }) {
    const submission = await market.scored(sent, { worker });
    assert.equal(submission.status, "approved", submission.ai_reasoning);
    assert.equal(submission.attempt, 1);
    await market.manifest(job, 1);
    await market.server.advance(3600);
    const earned = await market.earnings(worker);
    assert.deepEqual(earned.data.map((row) => row.submission_id), [sent.id], "paid once");
    assert.equal(earned.balance_cents, 80);
    assert.equal((await market.files(job)).length, 1);
    assert.equal((await market.manifest(job, 1)).length, 1, "delivered once");
    const scored = events(market.server, "scored").filter((line) => line.submission === sent.id);
    assert.equal(scored.length, 1, "scored once");
  }

  it("a killed zygote: the file is scored once, after a back-off, by a new one", async () => {
    const work = await examining();
    const { server } = market;
    const zygote = zygoteOf(server.child.pid);
    assert.ok(kill9(zygote));
    await until("the task is put off", () => events(server, "score_postponed").length > 0);
    const pending = (await work.worker.get(`/worker/v1/submissions/${work.sent.id}`)).json;
    assert.deepEqual([pending.status, pending.ai_star_rating], ["pending_score", null]);
    const [line] = events(server, "score_postponed");
    assert.deepEqual([line.subject, line.failures, line.slug], [work.sent.id, 1, "zygote_lost"]);
    await server.advance(2);
    await assertDoneOnce(work);
    assert.notEqual(zygoteOf(server.child.pid), zygote);
  });

  it("a killed child: the same", async () => {
    const work = await examining();
    const { server } = market;
    const zygote = zygoteOf(server.child.pid);
    assert.ok(kill9(mediaChildOf(server.child.pid)));
    await until("the task is put off", () => events(server, "score_postponed").some((line) => line.subject === work.sent.id));
    await server.advance(2);
    await assertDoneOnce(work);
    assert.equal(zygoteOf(server.child.pid), zygote, "the zygote lives");
  });

  it("an idle zygote that was killed is replaced by the next file", async () => {
    assert.ok(kill9(zygoteOf(market.server.child.pid)));
    const submission = await market.submit(await market.job(), sample("photo-6.jpg"));
    const isDone = async () => (await market.worker.get(`/worker/v1/submissions/${submission.id}`)).json.status === "approved";
    await until("it is scored or put off", async () =>
      (await isDone()) || events(market.server, "score_postponed").some((line) => line.subject === submission.id));
    await market.server.advance(2);
    await until("it is scored", isDone);
  });

  it("a killed server: its processes end with it; the file is scored and paid once", async () => {
    const work = await examining();
    const { server } = market;
    const orphans = [zygoteOf(server.child.pid), mediaChildOf(server.child.pid)].filter(Boolean);
    await server.kill9();
    for (const pid of orphans) await until(`process ${pid} ends`, () => !isAlive(pid));
    await server.audit();
    server.logLines.length = 0;
    await server.launch();
    market.reconnect();
    work.worker = server.client(work.worker.token);
    await assertDoneOnce(work);
    assert.equal(events(server, "tasks_taken_over")[0]?.count, 1);
  });

  it("SIGTERM while a file is examined: nothing is lost, nothing done twice", async () => {
    const work = await examining();
    const { server } = market;
    server.logLines.length = 0;
    await server.restart();
    market.reconnect();
    work.worker = server.client(work.worker.token);
    await assertDoneOnce(work);
  });
});

describe("--tasks off", () => {
  it("takes work and leaves it to wait; a node with tasks does it", async () => {
    const market = await openMarket({ tasks: "off" });
    try {
      const job = await market.job();
      const sent = await market.submit(job, sample("photo-7.jpg"));
      await market.server.advance(24 * 3600);
      const waiting = (await market.worker.get(`/worker/v1/submissions/${sent.id}`)).json;
      assert.deepEqual([waiting.status, waiting.ai_star_rating, waiting.scored_at], ["pending_score", null, null]);
      assert.deepEqual(await market.files(job), []);
      assert.equal(events(market.server, "scored").length, 0);
      await market.server.restart({ tasks: "on" });
      market.reconnect();
      assert.equal((await market.scored(sent)).status, "approved");
      await market.manifest(job, 1);
    } finally {
      await market.stop();
    }
  });
});
