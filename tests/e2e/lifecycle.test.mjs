/* A server's life: starting, stopping, being killed, and what must have survived each time. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { readFile, rename, rm, stat } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isAlive, kill9, mediaChildOf, zygoteOf } from "../fault/processes.mjs";
import { assertRefused, openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { run, start } from "../lib/server.mjs";
import { partSizes } from "../lib/tus.mjs";

const DAY_S = 24 * 60 * 60;
const MINUTE = 60;

function hasOpen(pid, path) {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => readlinkSync(join(folder, fd)) === path);
  } catch {
    return false; /* closed meanwhile */
  }
}

async function assertWillNotStart(dataDir, pattern) {
  const { code, stdout, stderr } = await run(["serve", "--listen", "127.0.0.1:0", "--data-dir", dataDir]);
  assert.deepEqual([code, stdout], [1, ""], stderr);
  assert.match(stderr, pattern);
  assert.equal(stderr.trimEnd().split("\n").length, 1, "one line");
}

describe("a data directory", () => {
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  it("serves one server at a time", async () => {
    await assertWillNotStart(market.server.dataDir, /data_dir_in_use/);
    assert.equal((await market.buyer.get("/v1/jobs")).status, 200, "the first serves on");
  });

  it("whose lock is let go while a server waits for it is served by that one", async () => {
    const { server } = market;
    await server.halt();
    const lock = join(server.dataDir, "lock");
    /* It waits for a second. → whether the lock was let go within that */
    const launchedInTime = async () => {
      const holder = spawn("flock", [lock, "sh", "-c", "echo held; read line"], { stdio: ["pipe", "pipe", "inherit"] });
      await once(holder.stdout, "data");
      const launched = server.launch().then(() => true, (e) => {
        assert.match(e.message, /data_dir_in_use/);
        server.child = null;
        return false;
      });
      await until("a server has the lock open, or had", () => server.child === null || hasOpen(server.child.pid, lock));
      holder.stdin.end("go\n");
      await once(holder, "exit");
      return launched;
    };
    await until("a server that waits is let in", launchedInTime);
    assert.equal((await market.buyer.get("/v1/jobs")).status, 200);
  });

  it("with a past does not start without its key, and is whole when that is back", async () => {
    const { server } = market;
    await market.job();
    await server.halt();
    const key = join(server.dataDir, "server.key");
    await rename(key, `${key}.away`);
    try {
      await assertWillNotStart(server.dataDir, /server\.key/);
      for (const args of [["audit"], ["admin", "create-worker", "--name", "W", "--email", "w@example.com"]]) {
        const { code, stdout } = await run([...args, "--data-dir", server.dataDir]);
        assert.deepEqual([code, stdout], [1, ""]);
      }
      await assert.rejects(readFile(key), { code: "ENOENT" });
    } finally {
      await rename(`${key}.away`, key);
    }
    await server.launch();
    market.reconnect();
    assert.equal((await market.buyer.all("/v1/jobs")).length, 1);
  });

  it("belongs to nobody else: the key can be read by its owner only", async () => {
    const { mode } = await stat(join(market.server.dataDir, "server.key"));
    assert.equal((mode & 0o777).toString(8), "600");
  });

  it("is free again as soon as the server is killed", async () => {
    await market.server.kill9();
    await market.server.launch();
    market.reconnect();
    assert.equal((await market.buyer.get("/v1/jobs")).status, 200);
  });
});

describe("a restart", () => {
  it("keeps jobs, money, keys, sessions, files, links and the clock", async () => {
    const market = await openMarket();
    const { server } = market;
    try {
      const job = await market.job({ files_needed: 2, metadata: { z: 1, a: "two" } });
      await market.submitAndScore(job, sample("photo-2.jpg"));
      const now = await server.advance(3 * DAY_S);
      const view = async () => ({
        job: await market.getJob(job),
        transactions: await market.transactions(),
        balance: await market.balance(),
        keys: (await market.buyer.all("/v1/api_keys")).map(({ last_used_at, ...key }) => key),
        earnings: await market.earnings(),
        submissions: await market.worker.all("/worker/v1/submissions"),
        manifest: await market.manifest(job, 1),
      });
      const [file] = await market.files(job);
      const before = await view();
      await server.restart();
      market.reconnect();
      assert.deepEqual(await view(), before);
      const link = new URL(file.download_url);
      assert.equal((await server.client().get(link.pathname + link.search)).status, 200);
      assert.ok((await server.advance(1)) >= now + 1000, "the clock goes on where it was");
    } finally {
      await market.stop();
    }
  });

  it("goes on with what was to be scored", async () => {
    const market = await openMarket({ tasks: "off" });
    try {
      const job = await market.job();
      const sent = await market.submit(job, sample("photo-2.jpg"));
      await market.server.advance(DAY_S);
      const pending = (await market.worker.get(`/worker/v1/submissions/${sent.id}`)).json;
      assert.deepEqual([pending.status, pending.ai_star_rating], ["pending_score", null], "tasks are off: nobody judges");
      assert.equal((await market.worker.get(`/worker/v1/jobs/${job.id}`)).json.slots_open, 0);
      await market.server.restart({ tasks: "on" });
      market.reconnect();
      assert.equal((await market.scored(sent)).status, "approved");
    } finally {
      await market.stop();
    }
  });
});

describe("SIGTERM", () => {
  it("lets an upload that is under way finish, takes no new one, and exits 0", async () => {
    const market = await openMarket({ "drain-timeout": "5m" });
    const { server } = market;
    const bytes = sample("photo.jpg");
    try {
      const reservation = await market.worker.accept((await market.job()).id);
      const half = Math.floor(bytes.length / 2);
      const request = http.request(`${server.base}/worker/v1/reservations/${reservation.id}/file`, {
        method: "PUT",
        headers: { authorization: `Bearer ${market.worker.token}`, "content-type": "image/jpeg", "content-length": bytes.length },
      });
      const answered = once(request, "response");
      await new Promise((done) => request.write(bytes.subarray(0, half), done));
      await until("some of it is on the disk", () => partSizes(server.dataDir).some((size) => size > 0));
      server.child.kill("SIGTERM");
      await until("it says that it stops", () => server.logLines.some((line) => line.includes('"event":"stopping"')));
      await until("nobody new is let in", () =>
        new Promise((done) => {
          const probe = http.get(`${server.base}/healthz`, { agent: false }, (reply) => {
            reply.resume();
            done(reply.statusCode === 503);
          });
          probe.on("error", () => done(true));
        }),
      );
      request.end(bytes.subarray(half));
      const [response] = await answered;
      const pieces = await response.toArray();
      assert.equal(response.statusCode, 201, Buffer.concat(pieces).toString());
      const submission = JSON.parse(Buffer.concat(pieces));
      const { code, signal } = await server.exited;
      assert.deepEqual([code, signal], [0, null]);
      for (const client of server.clients) client.close();
      server.child = null;

      await server.launch();
      market.reconnect();
      assert.equal((await market.scored(submission)).status, "approved", "what was acknowledged is there");
    } finally {
      await market.stop();
    }
  });

  it("with nothing under way ends at once, and its children with it", async () => {
    const server = await start();
    const zygote = zygoteOf(server.child.pid);
    assert.ok(zygote);
    await server.halt();
    await until("the zygote has ended", () => !isAlive(zygote));
    await server.stop();
  });
});

describe("while a file is examined", () => {
  let market, clip;
  before(async () => {
    market = await openMarket({ "score-workers": 1 }, { credits: 100_000 });
    /* In a sanitized build a short one takes as long. */
    const isSanitized = JSON.parse((await run(["version"])).stdout).media_sandbox.includes("sanitized");
    clip = sample(isSanitized ? "clip.mp4" : "long.mp4");
  });
  after(() => market?.stop());

  /* A clip that takes seconds to examine, sent, and now under examination; another if nobody looked in time. */
  const underExamination = () =>
    until("a child is seen to examine one", async () => {
      const job = await market.job({ accepted_formats: ["video/mp4"], min_star_rating: 1, price_per_file_cents: 100 });
      const sent = await market.submit(job, clip);
      const isPending = async () => (await market.worker.get(`/worker/v1/submissions/${sent.id}`)).json.status === "pending_score";
      await until("a child examines it, or did", async () => mediaChildOf(market.server.child.pid) || !(await isPending()), { everyMs: 2 });
      return (await isPending()) && mediaChildOf(market.server.child.pid) && { job, sent };
    });

  async function assertScoredOnce({ job, sent }) {
    const submission = await market.scored(sent);
    assert.equal(submission.status, "approved", submission.ai_reasoning);
    assert.equal(submission.payout_cents, 80);
    const rows = (await market.earnings()).data.filter(({ submission_id }) => submission_id === sent.id);
    assert.deepEqual(rows.map(({ amount_cents }) => amount_cents), [80]);
    assert.equal((await market.files(job)).length, 1);
    assert.equal((await market.manifest(job, 1)).length, 1);
    await market.server.audit();
  }

  it("the zygote is killed: the file is examined again, once the back-off is over", async () => {
    const one = await underExamination();
    const zygote = zygoteOf(market.server.child.pid);
    process.kill(zygote, "SIGKILL");
    await until("the failure is in the log", () => market.server.logLines.some((line) => line.includes('"score_postponed"') && line.includes(one.sent.id)));
    const postponed = (await market.worker.get(`/worker/v1/submissions/${one.sent.id}`)).json;
    assert.equal(postponed.status, "pending_score", "nothing is rejected because something was broken");
    await market.server.advance(MINUTE);
    await assertScoredOnce(one);
    assert.notEqual(zygoteOf(market.server.child.pid), zygote);
  });

  it("the child is killed: the same", async () => {
    const one = await until("one is killed", async () => {
      const seen = await underExamination();
      return kill9(mediaChildOf(market.server.child.pid)) && seen;
    });
    await until("the failure is in the log", () => market.server.logLines.some((line) => line.includes('"score_postponed"') && line.includes(one.sent.id)));
    await market.server.advance(MINUTE);
    await assertScoredOnce(one);
  });

  it("the server is killed: its children end, and after the restart the file is scored and paid once", async () => {
    const one = await underExamination();
    const pids = [zygoteOf(market.server.child.pid), mediaChildOf(market.server.child.pid)];
    await market.server.kill9();
    for (const pid of pids) await until(`process ${pid} has ended`, () => !isAlive(pid));
    await market.server.launch();
    market.reconnect();
    await assertScoredOnce(one);
    await market.server.restart();
    market.reconnect();
    await market.server.advance(60 * MINUTE);
    await assertScoredOnce(one);
  });

  it("SIGTERM comes: exit 0, and the file is scored afterwards", async () => {
    const one = await underExamination();
    await market.server.restart();
    market.reconnect();
    await assertScoredOnce(one);
  });
});

describe("workers come in by invitation", () => {
  let server;
  before(async () => {
    server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0 });
  });
  after(() => server?.stop());

  const PASSWORD = "correct horse battery";
  const invite = async () => new URL((await server.admin("invite-worker")).url).searchParams.get("invite");
  const joinWith = (token, overrides = {}) =>
    server.client().post("/worker/v1/join", { invite: token, name: "Wanda", email: `${randomUUID()}@example.com`, password: PASSWORD, ...overrides });
  const signIn = (email, password) => server.client().post("/worker/v1/sessions", { email, password });
  const isIn = async (token) => (await server.client(token).get("/worker/v1/jobs")).status === 200;

  it("once a link: the account works at once, a second use is refused", async () => {
    const token = await invite();
    const joined = await joinWith(token);
    assert.equal(joined.status, 201, joined.text);
    assert.match(joined.json.token, /^fh_wkr_/);
    assert.ok(await isIn(joined.json.token));
    assertRefused(await joinWith(token), 409, "invite_used");
  });

  it("once a link also when two use it at the same time", async () => {
    const token = await invite();
    const replies = await Promise.all([joinWith(token), joinWith(token)]);
    assert.deepEqual(replies.map(({ status }) => status).sort(), [201, 409]);
  });

  it("within a week", async () => {
    const token = await invite();
    const late = await invite();
    await server.advance(7 * DAY_S - MINUTE);
    assert.equal((await joinWith(token)).status, 201);
    await server.advance(MINUTE);
    assertRefused(await joinWith(late), 409, "invite_expired");
  });

  it("with a link that there is, and an account that can be", async () => {
    assertRefused(await joinWith("fh_inv_nothing"), 404);
    const token = await invite();
    assertRefused(await joinWith(token, { password: "too short" }), 422);
    assertRefused(await joinWith(token, { email: "nobody" }), 422);
    assertRefused(await joinWith(token, { name: "" }), 422);
    const email = "taken@example.com";
    assert.equal((await joinWith(token, { email })).status, 201, "what was refused did not use it up");
    assertRefused(await joinWith(await invite(), { email: "Taken@Example.com" }), 409, "email_taken");
  });

  it("and sign in with their password, however they write their address", async () => {
    const email = "signs.in@example.com";
    const joined = await joinWith(await invite(), { email });
    const session = await signIn("Signs.In@example.com", PASSWORD);
    assert.equal(session.status, 201, session.text);
    assert.equal(session.json.worker_id, joined.json.worker_id);
    assert.notEqual(session.json.token, joined.json.token);
    for (const [address, password] of [[email, "wrong horse battery"], [email, `${PASSWORD} `], ["nobody@example.com", PASSWORD]])
      assertRefused(await signIn(address, password), 401, "bad_credentials");
  });

  it("and out: that session ends, the other stays", async () => {
    const email = "signs.out@example.com";
    const first = (await joinWith(await invite(), { email })).json.token;
    const second = (await signIn(email, PASSWORD)).json.token;
    assert.equal((await server.client(first).delete("/worker/v1/sessions/current")).status, 204);
    assert.ok(!(await isIn(first)));
    assert.ok(await isIn(second));
  });

  it("and stay in for 90 days from the last use", async () => {
    const { token } = (await joinWith(await invite())).json;
    for (let i = 0; i < 3; i++) {
      await server.advance(60 * DAY_S);
      assert.ok(await isIn(token), `used ${60 * i} days ago`);
    }
    await server.advance(91 * DAY_S);
    assertRefused(await server.client(token).get("/worker/v1/jobs"), 401);
  });

  it("nobody signs in to an account that has no password", async () => {
    await server.admin("create-worker", "--name", "Token", "--email", "token@example.com");
    for (const password of ["x", "null", "undefined", " ".repeat(10)]) assertRefused(await signIn("token@example.com", password), 401);
  });
});

describe("what a server says of itself", () => {
  it("the test clock is not there when it is off", async () => {
    const server = await start({ "test-clock": "off" });
    try {
      assertRefused(await server.client().post("/test/clock/advance", { seconds: 1 }), 404, "route_not_found");
      for (const method of ["GET", "DELETE"]) {
        const { status, text } = await server.client().request(method, "/test/clock/advance", { isChecked: false });
        assert.deepEqual([status, JSON.parse(text).error.details[0].code], [404, "route_not_found"], method);
      }
      for (const path of ["/healthz", "/readyz"]) {
        const { status, json } = await server.client().get(path);
        assert.deepEqual([status, json], [200, { status: "ok" }]);
      }
    } finally {
      await server.stop();
    }
  });

  it("every log line is JSON, and none holds a secret", async () => {
    const market = await openMarket({ "log-level": "debug" });
    const { server } = market;
    try {
      const password = "a password nobody may read";
      const invitation = new URL((await server.admin("invite-worker")).url).searchParams.get("invite");
      const email = "logged@example.com";
      const joined = await server.client().post("/worker/v1/join", { invite: invitation, name: "L", email, password });
      const session = await server.client().post("/worker/v1/sessions", { email, password });
      await server.client().post("/worker/v1/sessions", { email, password: `${password}!` });
      const key = await market.buyer.createKey();
      const rotated = (await market.buyer.post(`/v1/api_keys/${key.id}/rotate`)).json.new_key.secret;
      const job = await market.job({ description: "A description that is nobody's business." });
      await market.submitAndScore(job, sample("photo-2.jpg"));
      const [file] = await market.files(job);
      const link = new URL(file.download_url);
      await server.client().get(link.pathname + link.search);
      await server.client(`${market.org.live_key}x`).get("/v1/jobs");
      await server.client().get("/v1/nothing\u00e9%22%0a", { isChecked: false }).catch(() => {});
      await server.halt();

      const secrets = {
        live: market.org.live_key, test: market.org.test_key, worker: market.worker.token, invitation, password, created: key.secret, rotated,
        joined: joined.json.token, session: session.json.token, signature: link.searchParams.get("signature"), body: "nobody's business",
      };
      assert.ok(server.logLines.length > 10);
      for (const line of server.logLines) {
        const { time, level, event } = JSON.parse(line);
        assert.match(time, /^\d{4}-\d\d-\d\dT.*Z$/);
        assert.ok(["debug", "info", "warning", "error"].includes(level), line);
        assert.match(event, /^[a-z_]+$/);
        for (const [name, secret] of Object.entries(secrets)) assert.ok(!line.includes(secret), `${name} is in: ${line}`);
      }
      const requests = server.logLines.map((line) => JSON.parse(line)).filter(({ event }) => event === "request");
      assert.ok(requests.some(({ operation, status }) => operation === "createJob" && status === 201));
    } finally {
      await market.stop();
    }
  });

  it("SIGHUP opens the log file anew", async () => {
    const path = join(tmpdir(), `firsthand-test-${randomUUID()}.log`);
    const server = await start({ "log-file": path });
    try {
      await server.client().get("/healthz");
      await rename(path, `${path}.1`);
      server.child.kill("SIGHUP");
      await until("new lines are in the new file", async () => {
        await server.client().get("/healthz");
        return (await readFile(path, "utf8").catch(() => "")).includes("healthz");
      });
      assert.ok((await readFile(`${path}.1`, "utf8")).includes('"started"'));
    } finally {
      await server.stop();
      for (const one of [path, `${path}.1`]) await rm(one, { force: true });
    }
  });
});
