/* Waiting for the end of a job: Prefer: wait=N on GET /v1/jobs/{job_id}. Time is the test clock's. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { metricsOf, valueOf } from "../lib/exposition.mjs";
import { gauge } from "../lib/gauge.mjs";
import { openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";

const PER_KEY = 1000;
const HANG_MS_MIN = 45_000; /* who is answered so late was answered by nothing but a real minute */

const pathOf = (job) => `/v1/jobs/${job.id}`;

/* Ask to wait. → a promise of the reply, and whether it is there yet */
function ask(client, job, prefer = "wait=60", headers = {}) {
  const poll = { isAnswered: false, askedMs: performance.now() };
  poll.reply = client.get(pathOf(job), { headers: { prefer, ...headers } }).finally(() => {
    poll.isAnswered = true;
  });
  poll.reply.catch(() => {}); /* some are meant to break */
  return poll;
}

const waitersOf = async (server) => valueOf(await metricsOf(server), "firsthand_long_polls");

/* All of them wait, neither answered nor on their way. */
function waiting(server, count) {
  return until(`${count} wait`, async () => (await waitersOf(server)) === count);
}

/* applied: what Preference-Applied says; null = it is not there. */
async function assertAnswer(poll, status, applied = "wait=60") {
  const reply = await poll.reply;
  assert.ok(performance.now() - poll.askedMs < HANG_MS_MIN, "nothing woke it");
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.json.status, status);
  assert.equal(reply.headers["preference-applied"], applied ?? undefined);
  return reply;
}

/* prism, where it stands in between, has connections of its own. */
const hasProxy = "FIRSTHAND_PRISM_DOCUMENT" in process.env && "counts connections to the server";

describe("a long poll", () => {
  let market, server;
  before(async () => {
    market = await openMarket({ "rate-limit-per-minute": "0" });
    server = market.server;
  });
  after(() => market?.stop());

  const cancel = async (job) => {
    const reply = await market.buyer.post(`${pathOf(job)}/cancel`);
    assert.equal(reply.status, 200, reply.text);
  };

  it("is answered when the job is cancelled", async () => {
    const [job, other] = [await market.job(), await market.job()];
    const polls = [ask(market.buyer, job), ask(market.buyer, job), ask(market.buyer, other)];
    await waiting(server, 3);
    await cancel(job);
    await assertAnswer(polls[0], "cancelled");
    await assertAnswer(polls[1], "cancelled");
    assert.ok(!polls[2].isAnswered, "it waits for another job");
    await cancel(other);
    await assertAnswer(polls[2], "cancelled");
    await waiting(server, 0);
  });

  it("is answered when the job is completed, and not by anything before", async () => {
    const job = await market.job({ files_needed: 2 });
    const poll = ask(market.buyer, job);
    await waiting(server, 1);
    await market.submitAndScore(job, sample("photo-8.jpg"));
    assert.equal((await market.getJob(job)).status, "in_progress");
    assert.ok(!poll.isAnswered);
    await market.submitAndScore(job, sample("photo-6.jpg"));
    const reply = await assertAnswer(poll, "completed");
    assert.equal(reply.json.files_approved, 2);
    assert.ok(reply.json.completed_at);
  });

  it("is answered at once when the job has ended already", async () => {
    const job = await market.job();
    await cancel(job);
    await assertAnswer(ask(market.buyer, job), "cancelled");
    await assertAnswer(ask(market.buyer, job, "wait=7"), "cancelled", "wait=7");
  });

  it("is answered when its time is up, with what is so then", async () => {
    const job = await market.job();
    const [short, long] = [ask(market.buyer, job, "wait=10"), ask(market.buyer, job, "wait=50")];
    await waiting(server, 2);
    await server.advance(10);
    await assertAnswer(short, "open", "wait=10");
    assert.ok(!long.isAnswered);
    await server.advance(40);
    await assertAnswer(long, "open", "wait=50");
    await waiting(server, 0);
  });

  it("waits no longer than a minute", async () => {
    const job = await market.job();
    const wishes = ["wait=61", "wait=3600", "wait=99999999999999999999999"];
    const polls = wishes.map((prefer) => ask(market.buyer, job, prefer));
    await waiting(server, polls.length);
    await server.advance(60);
    for (const poll of polls) await assertAnswer(poll, "open");
  });

  it("is one among other preferences, in one header or several", async () => {
    const job = await market.job();
    const wishes = [
      "respond-async, wait=60", "wait=60; a=b, handling=lenient", 'x="a, wait=1", WAIT = "60"',
      ["return=minimal", "wait=60"], ["wait=60, wait=5", "wait=6"],
    ];
    const polls = wishes.map((prefer) => ask(market.buyer, job, prefer));
    await waiting(server, polls.length);
    await cancel(job);
    for (const poll of polls) await assertAnswer(poll, "cancelled");
  });

  it("is no long poll when the wish is malformed, or none", async () => {
    const job = await market.job();
    const wishes = ["wait=0", "wait", "wait=", "wait=-5", "wait=1.5", "wait=5s", "wait=abc, wait=5", 'x="wait=5', "", ",,"];
    for (const prefer of wishes) await assertAnswer(ask(market.buyer, job, prefer), "open", null);
    const head = await market.buyer.request("HEAD", pathOf(job), { headers: { prefer: "wait=60" } });
    assert.equal(head.status, 200);
    const list = await market.buyer.get("/v1/jobs", { headers: { prefer: "wait=60" } });
    assert.equal(list.headers["preference-applied"], undefined);
  });

  it("waits for nothing that its key may not see", async () => {
    const job = await market.job();
    const stranger = server.client((await server.createOrg()).live_key);
    for (const client of [stranger, server.client(market.org.test_key)])
      assert.equal((await ask(client, job).reply).status, 404);
    assert.equal((await ask(server.client(), job).reply).status, 401);
  });

  it("is refused at its end when the key was revoked meanwhile", async () => {
    const job = await market.job();
    const key = await market.buyer.createKey({ scopes: ["jobs:read"] });
    const poll = ask(server.client(key.secret), job);
    await waiting(server, 1);
    assert.equal((await market.buyer.post(`/v1/api_keys/${key.id}/revoke`)).status, 204);
    await cancel(job);
    assert.equal((await poll.reply).status, 401);
  });

  it("has the headers of any reply, and its connection serves on", { skip: hasProxy }, async () => {
    const job = await market.job();
    const client = server.client(market.buyer.token);
    client.agent.maxSockets = 1;
    const ports = new Set();
    client.agent.on("free", (socket) => ports.add(socket.localPort));
    for (const seconds of [5, 6, 7]) {
      const poll = ask(client, job, `wait=${seconds}`);
      await waiting(server, 1);
      await server.advance(seconds);
      await assertAnswer(poll, "open", `wait=${seconds}`);
      await client.get(pathOf(job));
    }
    assert.equal(ports.size, 1, "one connection for all");
  });

  it("waits also when its job is too large to be answered in one piece", async () => {
    const job = await market.job({ metadata: { blob: "x".repeat(100_000) } });
    const poll = ask(market.buyer, job);
    await waiting(server, 1);
    await cancel(job);
    const reply = await assertAnswer(poll, "cancelled");
    assert.equal(reply.json.metadata.blob.length, 100_000);
  });

  it("of a client that has gone is gone by its deadline", { skip: hasProxy }, async () => {
    const job = await market.job();
    const descriptors = () => gauge(server.child.pid).descriptors;
    const client = server.client(market.buyer.token);
    const polls = Array.from({ length: 50 }, () => ask(client, job));
    await waiting(server, 50);
    const held = descriptors();
    client.agent.destroy();
    await Promise.allSettled(polls.map((poll) => poll.reply));
    assert.equal(await waitersOf(server), 50, "nobody has noticed");
    await server.advance(60);
    await waiting(server, 0);
    await until("their descriptors are closed", () => descriptors() <= held - 40); /* others come and go */
  });

  it("is written to the log once, when it is answered", async () => {
    const job = await market.job();
    const poll = ask(market.buyer, job);
    await waiting(server, 1);
    const linesOf = () => server.logLines.filter((line) => line.includes(`"path":"${pathOf(job)}"`));
    assert.equal(linesOf().length, 0);
    await server.advance(60);
    const reply = await assertAnswer(poll, "open");
    await until("it is logged", () => linesOf().length > 0);
    const [line, ...others] = linesOf().map(JSON.parse);
    assert.equal(others.length, 0);
    assert.equal(line.id, reply.headers["x-request-id"]);
    assert.deepEqual([line.operation, line.status, line.org], ["getJob", 200, market.org.organization_id]);
  });
});

describe("places of long polls", () => {
  it(`are ${PER_KEY} for a key; beyond, the answer comes at once`, async () => {
    const market = await openMarket({ "rate-limit-per-minute": "0", "waiters-max": PER_KEY + 10 });
    try {
      const job = await market.job();
      const polls = Array.from({ length: PER_KEY }, () => ask(market.buyer, job));
      await waiting(market.server, PER_KEY);
      await assertAnswer(ask(market.buyer, job), "open", null);
      const key = await market.buyer.createKey({ scopes: ["jobs:read"] });
      const another = market.server.client(key.secret);
      const others = Array.from({ length: 10 }, () => ask(another, job));
      await waiting(market.server, PER_KEY + 10);
      await assertAnswer(ask(another, job), "open", null);
      const refused = valueOf(await metricsOf(market.server), "firsthand_long_polls_refused_total");
      assert.equal(refused, 2);
      await market.buyer.post(`${pathOf(job)}/cancel`);
      for (const poll of [...polls, ...others]) await assertAnswer(poll, "cancelled");
      await waiting(market.server, 0);
      await assertAnswer(ask(market.buyer, job), "cancelled");
    } finally {
      await market.stop();
    }
  });
});

describe("a server that stops", () => {
  it("answers those that wait, and ends", async () => {
    const market = await openMarket();
    const job = await market.job();
    const polls = Array.from({ length: 20 }, () => ask(market.buyer, job));
    await waiting(market.server, 20);
    const halted = market.server.closed;
    market.server.child.kill("SIGTERM");
    for (const poll of polls) await assertAnswer(poll, "open");
    await halted;
    await market.server.restart();
    market.reconnect();
    assert.equal((await market.getJob(job)).status, "open");
    await market.stop();
  });
});

describe("a long poll of a server where nothing else happens", () => {
  let market;
  before(async () => {
    market = await openMarket({ "rate-limit-per-minute": "1000" });
  });
  after(() => market?.stop());

  it("is answered when its time is up by itself", { timeout: 60_000 }, async () => {
    await assertAnswer(ask(market.buyer, await market.job(), "wait=1"), "open", "wait=1");
  });

  it("tells the rate limit, as any reply does", async () => {
    const job = await market.job();
    const before_ = await market.buyer.get(pathOf(job));
    const poll = ask(market.buyer, job, "wait=10");
    await waiting(market.server, 1);
    await market.server.advance(10);
    const { headers } = await assertAnswer(poll, "open", "wait=10");
    assert.equal(headers["x-ratelimit-limit"], "1000");
    const spent = Number(before_.headers["x-ratelimit-remaining"]) - Number(headers["x-ratelimit-remaining"]);
    assert.equal(spent, 1, "as it was when it asked");
  });

  it("is a request under way only while it is answered", async () => {
    const inFlight = async () => valueOf(await metricsOf(market.server), "firsthand_http_requests_in_flight");
    const job = await market.job();
    const poll = ask(market.buyer, job, "wait=10");
    await waiting(market.server, 1);
    await until("only the one that asks is under way", async () => (await inFlight()) === 1);
    await market.server.advance(10);
    await assertAnswer(poll, "open", "wait=10");
    await until("it is over", async () => (await inFlight()) === 1);
  });
});
