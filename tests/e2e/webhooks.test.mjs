/* Webhooks on their way: what is sent, signed how, when again, and when no more. Receivers are on
 * loopback, which webhook-allow permits here; time is the test clock's. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { HeldPort } from "../lib/held-port.mjs";
import { openMarket, until } from "../lib/market.mjs";
import { Receiver } from "../lib/receiver.mjs";
import { sample } from "../lib/samples.mjs";

const HANG_MS_MIN = 45_000;
const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const DAY_S = 24 * HOUR_S;
/* The waits before the second and every later attempt. */
const SCHEDULE_S = [MINUTE_S, 5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 8 * HOUR_S, 12 * HOUR_S, DAY_S, DAY_S];
const stripe = new Stripe("sk_test_none");

let market;
let receiver;
before(async () => {
  market = await openMarket({ "webhook-allow": "127.0.0.0/8" });
  receiver = await Receiver.open();
});
after(async () => {
  receiver?.close();
  await market?.stop();
});

async function ok(reply, status = 200) {
  const at = await reply;
  assert.equal(at.status, status, at.text);
  return at.json;
}

/* A client of an organisation of its own. */
async function newBuyer(on = market) {
  const org = await on.server.createOrg({ credits: 10_000 });
  return on.server.client(org.live_key);
}

/* Something happens: a job is posted and cancelled, of which endpoints are told at once. */
async function happen(buyer) {
  const job = await buyer.createJob();
  return ok(buyer.post(`/v1/jobs/${job.id}/cancel`));
}

const pathOf = (endpoint) => `/v1/webhook_endpoints/${endpoint.id}`;
const events = (buyer, query = "") => buyer.all(`/v1/webhook_events?${query}`);
const attempts = (buyer, event) => buyer.all(`/v1/webhook_events/${event.id}/attempts`);

/* The only event, once it is in that state after so many attempts. */
function settled(buyer, status, attemptCount) {
  return until(`an event is ${status} after ${attemptCount} attempts`, async () => {
    const [event] = await events(buyer);
    return event?.status === status && event.attempt_count === attemptCount && event;
  });
}

let paths = 0;
const newPath = (manner = "/ok") => `${manner}?${++paths}`;

/* The time at which the test clock stands, for libraries that compare with a clock of their own. */
const timeOf = (request) => Number(request.headers["webhook-timestamp"]);

function byStripe(request, secret) {
  const signature = request.headers["x-firsthand-signature"];
  return stripe.webhooks.constructEvent(request.text, signature, secret, 300, undefined, timeOf(request) * 1000);
}

function byStandard(request, secret) {
  const webhook = new Webhook(secret);
  const { now } = Date;
  Date.now = () => timeOf(request) * 1000;
  try {
    return webhook.verify(request.text, request.headers);
  } finally {
    Date.now = now;
  }
}

function assertSignedBy(request, secret) {
  assert.equal(byStripe(request, secret).id, request.json.id);
  assert.equal(byStandard(request, secret).id, request.json.id);
}

function assertNotSignedBy(request, secret) {
  assert.throws(() => byStripe(request, secret));
  assert.throws(() => byStandard(request, secret));
}

describe("a delivery", () => {
  it("is the event as the API returns it, once, with its id in both headers", async () => {
    const buyer = await newBuyer();
    const path = newPath();
    const endpoint = await buyer.createEndpoint({ url: receiver.url(path) });
    const job = await happen(buyer);
    const [request] = await receiver.received(path, 1);
    const event = await settled(buyer, "delivered", 1);
    assert.equal(request.headers["x-firsthand-event-id"], event.id);
    assert.equal(request.headers["webhook-id"], event.id);
    assert.equal(request.headers["content-type"], "application/json");
    assert.match(request.headers["user-agent"], /^Firsthand\//);
    const { id, object, type, api_version: version, created_at: created, data } = request.json;
    assert.deepEqual(Object.keys(request.json), ["id", "object", "type", "api_version", "created_at", "data"]);
    assert.deepEqual([id, object, type, version], [event.id, "event", "job.cancelled", "2026-03-18"]);
    assert.equal(created, event.created_at);
    assert.deepEqual(data, job);
    assert.equal(event.endpoint_id, endpoint.id);
    const [attempt, ...others] = await attempts(buyer, event);
    assert.deepEqual([attempt.number, attempt.http_status, attempt.error, attempt.reply], [1, 200, null, "thanks"]);
    assert.equal(others.length, 0);
    await market.server.advance(DAY_S);
    assert.equal(receiver.at(path).length, 1);
  });

  it("carries download links that work, signed anew at every attempt", async () => {
    let isUp = false;
    const mine = await Receiver.open({
      onRequest: (_, response) => !isUp && (response.writeHead(503).end(), true),
    });
    try {
      const buyer = await newBuyer();
      await buyer.createEndpoint({ url: mine.url("/links"), events: ["submission.approved"] });
      const job = await buyer.createJob({ files_needed: 1, accepted_formats: ["image/jpeg"] });
      await market.submitAndScore(job, sample("photo.jpg"));
      const [first] = await mine.received("/links", 1);
      await settled(buyer, "pending", 1);
      isUp = true;
      await market.server.advance(2 * MINUTE_S);
      const [, second] = await mine.received("/links", 2);
      const urls = [first, second].map((one) => one.json.data.file.download_url);
      assert.notEqual(urls[0], urls[1]);
      for (const url of urls) assert.equal((await fetch(url, { method: "HEAD" })).status, 200);
    } finally {
      mine.close();
    }
  });

  it("of a completed job comes after its last file is in the buyer's folder", async () => {
    const buyer = await newBuyer();
    const path = newPath();
    await buyer.createEndpoint({ url: receiver.url(path), events: ["job.completed"] });
    const job = await buyer.createJob({ files_needed: 1, accepted_formats: ["image/jpeg"] });
    await market.submitAndScore(job, sample("photo.jpg"));
    const [request] = await receiver.received(path, 1);
    assert.equal(request.json.data.status, "completed");
  });

  it("goes to an endpoint of the same environment only", async () => {
    const org = await market.server.createOrg({ credits: 10_000 });
    const [live, test] = [org.live_key, org.test_key].map((key) => market.server.client(key));
    const [livePath, testPath] = [newPath(), newPath()];
    await live.createEndpoint({ url: receiver.url(livePath) });
    await test.createEndpoint({ url: receiver.url(testPath) });
    await happen(live);
    await receiver.received(livePath, 1);
    await market.server.advance(1);
    assert.equal(receiver.at(testPath).length, 0);
  });
});

describe("signatures", () => {
  it("are verified by stripe and standardwebhooks before, during and after a rotation", async () => {
    const buyer = await newBuyer();
    const path = newPath();
    const endpoint = await buyer.createEndpoint({ url: receiver.url(path) });
    const told = async (count) => {
      await happen(buyer);
      return (await receiver.received(path, count)).at(-1);
    };
    const first = endpoint.signing_secret;
    assertSignedBy(await told(1), first);
    const { new_secret: second } = await ok(buyer.post(`${pathOf(endpoint)}/rotate_secret`));
    const during = await told(2);
    assertSignedBy(during, first);
    assertSignedBy(during, second);
    assert.equal(during.headers["webhook-signature"].split(" ").length, 2);
    await market.server.advance(DAY_S + 1);
    const later = await told(3);
    assertSignedBy(later, second);
    assertNotSignedBy(later, first);
  });

  it("do not fit another body, another secret or another time", async () => {
    const buyer = await newBuyer();
    const path = newPath();
    const { signing_secret: secret } = await buyer.createEndpoint({ url: receiver.url(path) });
    await happen(buyer);
    const [request] = await receiver.received(path, 1);
    assertSignedBy(request, secret);
    assertNotSignedBy({ ...request, text: request.text.replace("cancelled", "completed") }, secret);
    assertNotSignedBy(request, `whsec_${Buffer.alloc(32, 1).toString("base64")}`);
    const stale = { ...request.headers, "webhook-timestamp": String(timeOf(request) - 1) };
    assert.throws(() => byStandard({ ...request, headers: stale }, secret));
  });

  it("have the time of their attempt", async () => {
    const buyer = await newBuyer();
    const path = newPath("/broken");
    await buyer.createEndpoint({ url: receiver.url(path) });
    await happen(buyer);
    await receiver.received(path, 1);
    await settled(buyer, "pending", 1);
    await market.server.advance(2 * MINUTE_S);
    const [first, second] = await receiver.received(path, 2);
    assert.ok(timeOf(second) - timeOf(first) >= 50, "the second is later by its wait");
    assert.notEqual(first.headers["x-firsthand-signature"], second.headers["x-firsthand-signature"]);
    assert.equal(first.text, second.text);
  });
});

/* Advance to before the next attempt may come and see none, then to when it must have come. The clock
 * goes on by itself meanwhile, for which there is room. */
async function waitOut(server, path, waitS, count) {
  const roomS = Math.min(waitS * 0.6, 2 * MINUTE_S);
  await server.advance(Math.floor(waitS * 0.9 - roomS));
  assert.equal(receiver.at(path).length, count, `too early after ${waitS} s`);
  await server.advance(Math.ceil(waitS * 0.2 + roomS) + 4);
  assert.equal((await receiver.received(path, count + 1)).length, count + 1, `again after ${waitS} s, once`);
}

describe("the schedule", () => {
  it("is nine attempts over three and a half days, then the event has failed", async () => {
    const buyer = await newBuyer();
    const path = newPath("/broken");
    await buyer.createEndpoint({ url: receiver.url(path) });
    await happen(buyer);
    await receiver.received(path, 1);
    await settled(buyer, "pending", 1);
    for (const [index, waitS] of SCHEDULE_S.entries()) await waitOut(market.server, path, waitS, index + 1);
    const event = await settled(buyer, "failed", 9);
    assert.equal(event.next_attempt_at, null);
    const rows = await attempts(buyer, event);
    assert.deepEqual(rows.map((one) => one.number), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert.ok(rows.every((one) => one.http_status === 500 && one.reply === "no"));
    const startedMs = rows.map((one) => Date.parse(one.started_at)).reverse();
    for (const [i, waitS] of SCHEDULE_S.entries())
      assert.ok(startedMs[i + 1] - startedMs[i] >= waitS * 900, `attempt ${i + 2} after ${startedMs[i + 1] - startedMs[i]} ms`);
    await market.server.advance(7 * DAY_S);
    assert.equal(receiver.at(path).length, 9);
  });

  it("strict ends after six; a list is what it says", async () => {
    for (const [schedule, waits] of [["strict", SCHEDULE_S.slice(0, 5)], ["0,5m,10m", [5 * MINUTE_S, 10 * MINUTE_S]]]) {
      const other = await openMarket({ "webhook-allow": "127.0.0.0/8", "webhook-schedule": schedule });
      try {
        const buyer = await newBuyer(other);
        const path = newPath("/broken");
        await buyer.createEndpoint({ url: receiver.url(path) });
        await happen(buyer);
        await receiver.received(path, 1);
        await settled(buyer, "pending", 1);
        for (const [index, waitS] of waits.entries()) await waitOut(other.server, path, waitS, index + 1);
        await settled(buyer, "failed", waits.length + 1);
      } finally {
        await other.stop();
      }
    }
  });

  it("waits as long as Retry-After asks, when that is longer", async () => {
    const buyer = await newBuyer();
    const path = newPath("/later"); /* 7200 s */
    await buyer.createEndpoint({ url: receiver.url(path) });
    await happen(buyer);
    await receiver.received(path, 1);
    const event = await settled(buyer, "pending", 1);
    const [attempt] = await attempts(buyer, event);
    assert.deepEqual([attempt.http_status, attempt.reply], [429, "later?, please"]);
    await market.server.advance(7200 - 120);
    assert.equal(receiver.at(path).length, 1);
    await market.server.advance(180);
    await receiver.received(path, 2);
  });

  it("tries again after every kind of failure, and says which it was", async () => {
    const nobody = new HeldPort();
    const causes = [
      [receiver.url("/reset"), "connection_closed", null],
      [receiver.url("/close"), "connection_closed", null],
      [receiver.url("/metadata"), null, 302],
      [`http://127.0.0.1:${nobody.port}/`, "not_connected", null],
      [receiver.url("/").replace("http:", "https:"), "tls_failed", null],
      ["https://10.0.0.1/", "address_refused", null],
      ["http://93.184.216.34/", "address_refused", null],
      [`https://${"a".repeat(64)}.invalid/`, "name_unknown", null],
    ];
    for (const [url, error, status] of causes) {
      const buyer = await newBuyer();
      await buyer.createEndpoint({ url });
      await happen(buyer);
      const event = await settled(buyer, "pending", 1);
      const [attempt] = await attempts(buyer, event);
      assert.deepEqual([attempt.error, attempt.http_status], [error, status], url);
      assert.ok(event.next_attempt_at, url);
    }
    nobody.release();
  });
});

describe("an endpoint", () => {
  it("that answers 410 is disabled, its events are held, and enabling releases them", async () => {
    const buyer = await newBuyer();
    let isGone = true;
    const mine = await Receiver.open({ onRequest: (_, response) => isGone && (response.writeHead(410).end(), true) });
    try {
      const endpoint = await buyer.createEndpoint({ url: mine.url("/") });
      await happen(buyer);
      const disabled = await until("the endpoint is disabled", async () => {
        const now = await ok(buyer.get(pathOf(endpoint)));
        return now.status === "disabled" && now;
      });
      assert.equal(disabled.disabled_reason, "gone");
      await happen(buyer);
      await market.server.advance(10 * DAY_S);
      assert.equal(mine.requests.length, 1);
      assert.deepEqual((await events(buyer)).map((one) => one.status), ["pending", "pending"]);
      isGone = false;
      await ok(buyer.patch(pathOf(endpoint), { status: "active" }));
      await mine.received("/", 3);
      await until("both are delivered", async () => (await events(buyer, "status=delivered")).length === 2);
    } finally {
      mine.close();
    }
  });

  it("that answered 410 and is enabled while another request hangs hears of everything once that has ended", async () => {
    const buyer = await newBuyer();
    let first;
    const mine = await Receiver.open({
      onRequest: (_, response) => {
        if (mine.requests.length > 2) return false;
        if (first) response.writeHead(410).end();
        else first = response;
        return true;
      },
    });
    try {
      const endpoint = await buyer.createEndpoint({ url: mine.url("/") });
      await ok(buyer.patch(pathOf(endpoint), { status: "disabled" }));
      for (let i = 0; i < 2; i++) await happen(buyer);
      await ok(buyer.patch(pathOf(endpoint), { status: "active" }));
      await until("the endpoint is disabled", async () => (await ok(buyer.get(pathOf(endpoint)))).disabled_reason === "gone");
      await ok(buyer.patch(pathOf(endpoint), { status: "active" }));
      await happen(buyer);
      first.end();
      const areTold = async () => (await events(buyer, "status=delivered")).length === 3;
      await until("all are delivered, before anybody looks at them by habit", areTold, { msMax: 40_000 });
    } finally {
      mine.close();
    }
  });

  it("that fails for three days and twenty attempts is disabled, and the others are told", async () => {
    const buyer = await newBuyer();
    const [bad, good] = [newPath("/broken"), newPath()];
    const endpoint = await buyer.createEndpoint({ url: receiver.url(bad) });
    await buyer.createEndpoint({ url: receiver.url(good), events: ["endpoint.disabled"] });
    for (let i = 0; i < 3; i++) await happen(buyer);
    await receiver.received(bad, 3);
    await until("three attempts are written down", async () => (await events(buyer)).every((one) => one.attempt_count === 1));
    for (const waitS of SCHEDULE_S) {
      await market.server.advance(Math.ceil(waitS * 1.1) + 2);
      if ((await ok(buyer.get(pathOf(endpoint)))).status === "disabled") break;
    }
    const [told] = await receiver.received(good, 1);
    assert.equal(told.json.type, "endpoint.disabled");
    assert.equal(told.json.data.id, endpoint.id);
    assert.equal(told.json.data.disabled_reason, "failing");
    assert.ok(receiver.at(bad).length >= 20, `${receiver.at(bad).length} attempts`);
    const count = receiver.at(bad).length;
    await market.server.advance(10 * DAY_S);
    assert.equal(receiver.at(bad).length, count);
  });

  it("that fails is asked one thing at a time until it works again", async () => {
    const buyer = await newBuyer();
    const held = [];
    let isFailing = true, most = 0;
    const mine = await Receiver.open({ onRequest: (_, response) => {
      held.push(response);
      most = Math.max(most, held.length);
      return true;
    } });
    const answer = () => held.splice(0).forEach((response) => response.writeHead(isFailing ? 500 : 200).end());
    const attemptedAtLeast = (count) => until(`all were attempted ${count} times`, async () => {
      answer();
      return (await events(buyer)).every((one) => one.attempt_count >= count);
    });
    try {
      await buyer.createEndpoint({ url: mine.url("/") });
      for (let i = 0; i < 6; i++) await happen(buyer);
      await attemptedAtLeast(1);
      most = 0;
      const advanced = market.server.advance(2 * MINUTE_S);
      await attemptedAtLeast(2);
      await advanced;
      assert.equal(most, 1);
      isFailing = false;
      const [moved] = await Promise.all([market.server.advance(10 * MINUTE_S), attemptedAtLeast(3)]);
      assert.ok(moved);
    } finally {
      mine.close();
    }
  });

  it("that works again now and then is not disabled", async () => {
    const buyer = await newBuyer();
    let count = 0;
    const mine = await Receiver.open({ onRequest: (_, response) => ++count !== 8 && (response.writeHead(500).end(), true) });
    try {
      const endpoint = await buyer.createEndpoint({ url: mine.url("/") });
      for (let i = 0; i < 3; i++) await happen(buyer);
      await mine.received("/", 3);
      await until("three attempts are written down", async () => (await events(buyer)).every((one) => one.attempt_count === 1));
      for (const waitS of SCHEDULE_S) await market.server.advance(Math.ceil(waitS * 1.1) + 2);
      assert.ok(count >= 20);
      assert.equal((await ok(buyer.get(pathOf(endpoint)))).status, "active");
    } finally {
      mine.close();
    }
  });

  it("that was deleted hears no more and its events have failed", async () => {
    const buyer = await newBuyer();
    const path = newPath("/broken");
    const endpoint = await buyer.createEndpoint({ url: receiver.url(path) });
    await happen(buyer);
    await receiver.received(path, 1);
    await settled(buyer, "pending", 1);
    await ok(buyer.delete(pathOf(endpoint)), 204);
    await settled(buyer, "failed", 1);
    await market.server.advance(10 * DAY_S);
    assert.equal(receiver.at(path).length, 1);
  });

  it("hears a replayed event again, with the same id and its attempts from the start", async () => {
    const buyer = await newBuyer();
    const path = newPath();
    await buyer.createEndpoint({ url: receiver.url(path) });
    await happen(buyer);
    const event = await settled(buyer, "delivered", 1);
    await ok(buyer.post(`/v1/webhook_events/${event.id}/replay`), 202);
    const [first, second] = await receiver.received(path, 2);
    assert.equal(first.json.id, second.json.id);
    await settled(buyer, "delivered", 1);
    assert.deepEqual((await attempts(buyer, event)).map((one) => one.number), [2, 1]);
  });

  it("hears an event again that was replayed while it was under way", async () => {
    const buyer = await newBuyer();
    let answer;
    const mine = await Receiver.open({ onRequest: (_, response) => answer || ((answer = () => response.end()), true) && mine.requests.length === 1 });
    try {
      await buyer.createEndpoint({ url: mine.url("/") });
      await happen(buyer);
      await mine.received("/", 1);
      const [event] = await events(buyer);
      await ok(buyer.post(`/v1/webhook_events/${event.id}/replay`), 202);
      const release = answer, releasedMs = performance.now();
      answer = null;
      mine.onRequest = undefined;
      release();
      await mine.received("/", 2);
      assert.ok(performance.now() - releasedMs < HANG_MS_MIN, "it was found by nothing but the look of every minute");
      await settled(buyer, "delivered", 1);
      assert.deepEqual((await attempts(buyer, event)).map((one) => one.http_status), [200, 200]);
    } finally {
      mine.close();
    }
  });
});

describe("a receiver with TLS", () => {
  it("is told when its certificate is one's that webhook-ca names, and for its host", async () => {
    const folder = mkdtempSync(join(tmpdir(), "firsthand-ca-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    execFileSync("openssl", [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=receiver",
      "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert,
    ], { stdio: "pipe" });
    const other = await openMarket({ "webhook-allow": "127.0.0.0/8", "webhook-ca": cert });
    const mine = await Receiver.open({ host: "0.0.0.0", tls: { key: readFileSync(key), cert: readFileSync(cert) } });
    try {
      const [good, bad] = [await newBuyer(other), await newBuyer(other)];
      await good.createEndpoint({ url: mine.url("/good") });
      await bad.createEndpoint({ url: mine.url("/bad", "127.0.0.2") });
      for (let i = 0; i < 2; i++) await happen(good);
      await mine.received("/good", 2);
      await happen(bad);
      const event = await settled(bad, "pending", 1);
      assert.equal((await attempts(bad, event))[0].error, "tls_failed");
      assert.equal(mine.at("/bad").length, 0);
    } finally {
      mine.close();
      await other.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("an event that waits for its next attempt", () => {
  it("comes at its time, though another one of its endpoint went in between", { timeout: 240_000 }, async () => {
    const other = await openMarket({ "webhook-allow": "127.0.0.0/8", "webhook-schedule": "0,5s" });
    let answered = 0;
    const refuseTheFirst = (request, response) => ++answered === 1 && response.writeHead(503).end();
    const mine = await Receiver.open({ onRequest: refuseTheFirst });
    try {
      const buyer = await newBuyer(other);
      const [first, second] = [await buyer.createJob(), await buyer.createJob()];
      await buyer.createEndpoint({ url: mine.url("/") });
      const cancel = (job) => ok(buyer.post(`/v1/jobs/${job.id}/cancel`));
      await cancel(first);
      const [refused] = await mine.received("/", 1);
      await cancel(second);
      await mine.received("/", 2);
      const again = ({ json }) => json.id === refused.json.id;
      await until("nothing but the look of every minute finds it", () => mine.requests.filter(again).length === 2, { msMax: HANG_MS_MIN });
    } finally {
      mine.close();
      await other.stop();
    }
  });
});

describe("a stop", () => {
  it("waits for what is under way, and what it gave up is sent again", async () => {
    const other = await openMarket({ "webhook-allow": "127.0.0.0/8" });
    const mine = await Receiver.open();
    try {
      const buyer = await newBuyer(other);
      await buyer.createEndpoint({ url: mine.url("/hang") });
      await buyer.createEndpoint({ url: mine.url("/ok") });
      await happen(buyer);
      await mine.received("/hang", 1);
      await until("one is delivered", async () => (await events(buyer, "status=delivered")).length > 0);
      await other.server.restart();
      await mine.received("/hang", 2);
      const again = other.server.client(buyer.token);
      const rows = await events(again);
      assert.deepEqual(rows.map((one) => one.status).sort(), ["delivered", "pending"]);
      assert.equal(mine.at("/ok").length, 1);
    } finally {
      mine.close();
      await other.stop();
    }
  });
});
