/* Webhook endpoints and events over HTTP: what is kept, listed, held and told again. Endpoints here
 * are disabled where an event has to stay as it is. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { assertRefused, inParallel, openMarket } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";

const URL_GOOD = "https://hooks.example.invalid/firsthand";
const DAY_S = 24 * 3600;
const ALL_TYPES = [
  "submission.scored", "submission.approved", "submission.rejected", "job.completed", "job.cancelled", "job.flagged",
  "credits.purchased", "credits.low_balance", "credits.auto_topped_up", "credits.expired", "credits.expiring_soon", "endpoint.disabled",
];

let market;
before(async () => { market = await openMarket(); });
after(() => market?.stop());

/* A client of an organisation of its own. */
async function newBuyer() {
  const org = await market.server.createOrg({ credits: 10_000 });
  return Object.assign(market.server.client(org.live_key), { org, test: market.server.client(org.test_key) });
}

async function ok(reply, status = 200) {
  const at = await reply;
  assert.equal(at.status, status, at.text);
  return at.json;
}

const pathOf = (endpoint) => `/v1/webhook_endpoints/${endpoint.id}`;

async function heldEndpoint(buyer, overrides) {
  const endpoint = await buyer.createEndpoint(overrides);
  return ok(buyer.patch(pathOf(endpoint), { status: "disabled" }));
}

/* Something happens: a job is posted and cancelled. → the job as it is then */
async function happen(buyer) {
  const job = await buyer.createJob();
  return ok(buyer.post(`/v1/jobs/${job.id}/cancel`));
}

const events = (buyer, query = "") => buyer.all(`/v1/webhook_events?${query}`);
const idsOf = (rows) => rows.map(({ id }) => id);

function assertFaulty(reply, status, field) {
  assertRefused(reply, status);
  assert.deepEqual(reply.json.error.details.map((one) => one.field), [field], reply.text);
}

describe("an endpoint's secret", () => {
  it("is shown when the endpoint is made, and never again", async () => {
    const buyer = await newBuyer();
    const { signing_secret: secret, ...endpoint } = await buyer.createEndpoint();
    assert.match(secret, /^whsec_[0-9A-Za-z+/]{43}=$/);
    assert.equal(Buffer.from(secret.slice(6), "base64").length, 32);
    assert.deepEqual(await ok(buyer.get(pathOf(endpoint))), endpoint);
    assert.deepEqual(await buyer.all("/v1/webhook_endpoints"), [endpoint]);
    const changed = await ok(buyer.patch(pathOf(endpoint), { description: "x" }));
    assert.equal("signing_secret" in changed, false);
  });

  it("is the same in the reply to the same request, for the key that asked only", async () => {
    const buyer = await newBuyer();
    const options = { headers: { "idempotency-key": randomUUID() } };
    const first = await ok(buyer.post("/v1/webhook_endpoints", { url: URL_GOOD }, options), 201);
    const again = await buyer.post("/v1/webhook_endpoints", { url: URL_GOOD }, options);
    assert.equal(again.headers["idempotent-replayed"], "true");
    assert.deepEqual(again.json, first);
    const { secret } = await buyer.createKey({ scopes: ["webhooks:write"] });
    const other = await market.server.client(secret).post("/v1/webhook_endpoints", { url: URL_GOOD }, options);
    assertRefused(other, 409, "idempotency_key_reused");
    assert.equal((await buyer.all("/v1/webhook_endpoints")).length, 1);
  });

  it("is another after a rotation (rotateWebhookSecret), and the old one ends a day later", async () => {
    const buyer = await newBuyer();
    const endpoint = await buyer.createEndpoint();
    const options = { headers: { "idempotency-key": randomUUID() } };
    const rotated = await ok(buyer.post(`${pathOf(endpoint)}/rotate_secret`, undefined, options));
    assert.match(rotated.new_secret, /^whsec_/);
    assert.notEqual(rotated.new_secret, endpoint.signing_secret);
    const leftMs = Date.parse(rotated.old_secret_invalidates_at) - Date.parse(endpoint.created_at);
    assert.ok(leftMs >= DAY_S * 1000 && leftMs < (DAY_S + 600) * 1000, `${leftMs}`);
    assert.deepEqual(await ok(buyer.post(`${pathOf(endpoint)}/rotate_secret`, undefined, options)), rotated);
    const { secret } = await buyer.createKey({ scopes: ["webhooks:write"] });
    const other = await market.server.client(secret).post(`${pathOf(endpoint)}/rotate_secret`, undefined, options);
    assertRefused(other, 409, "idempotency_key_reused");
    const shown = await buyer.get(pathOf(endpoint));
    assert.equal(shown.text.includes("whsec_"), false);
  });
});

describe("an endpoint", () => {
  it("hears of everything when nothing else is asked", async () => {
    const endpoint = await (await newBuyer()).createEndpoint();
    assert.deepEqual(endpoint.events, ALL_TYPES);
    assert.equal(endpoint.status, "active");
    assert.equal(endpoint.description, null);
    assert.equal(endpoint.disabled_reason, null);
    assert.equal(endpoint.updated_at, endpoint.created_at);
  });

  it("hears of what it asks for, each once", async () => {
    const buyer = await newBuyer();
    const endpoint = await buyer.createEndpoint({ events: ["job.cancelled", "credits.expired", "job.cancelled"] });
    assert.deepEqual(endpoint.events, ["job.cancelled", "credits.expired"]);
    const deaf = await buyer.createEndpoint({ events: ["credits.expired"] });
    await happen(buyer);
    assert.equal((await events(buyer, `endpoint_id=${endpoint.id}`)).length, 1);
    assert.equal((await events(buyer, `endpoint_id=${deaf.id}`)).length, 0);
  });

  const addresses = [
    "http://example.com/", "ftp://example.com/", "https://", "https:///path", "https://user@example.com/", "https://user:pass@example.com/",
    "example.com", "//example.com/", "javascript:alert(1)", "", "https://exa mple.com/", "file:///etc/passwd",
  ];
  for (const url of addresses)
    it(`is not made at ${JSON.stringify(url)}, nor moved there`, async () => {
      const buyer = await newBuyer();
      assertFaulty(await buyer.post("/v1/webhook_endpoints", { url }), 422, "url");
      const endpoint = await heldEndpoint(buyer);
      assertFaulty(await buyer.patch(pathOf(endpoint), { url }), 422, "url");
      assert.deepEqual(await ok(buyer.get(pathOf(endpoint))), endpoint);
    });

  it("is one of sixteen at most in each environment", async () => {
    const buyer = await newBuyer();
    const first = await buyer.createEndpoint();
    for (let i = 1; i < 16; i++) await buyer.createEndpoint();
    assertRefused(await buyer.post("/v1/webhook_endpoints", { url: URL_GOOD }), 409, "too_many_endpoints");
    await buyer.test.createEndpoint();
    await ok(buyer.delete(pathOf(first)), 204);
    await buyer.createEndpoint();
  });
});

describe("a change", () => {
  it("is of what is sent, and of nothing else", async () => {
    const buyer = await newBuyer();
    const { signing_secret: _, ...endpoint } = await buyer.createEndpoint({ description: "orders", events: ["job.completed"] });
    await market.server.advance(5);
    const steps = [{ url: "https://other.example.invalid/" }, { description: "bills" }, { events: ["job.cancelled", "job.flagged"] }, {}];
    let wanted = endpoint;
    for (const step of steps) {
      const changed = await ok(buyer.patch(pathOf(endpoint), step));
      assert.ok(changed.updated_at > endpoint.updated_at);
      wanted = { ...wanted, ...step, updated_at: changed.updated_at };
      assert.deepEqual(changed, wanted);
    }
    assert.deepEqual(await ok(buyer.get(pathOf(endpoint))), wanted);
  });

  it("clears a description with empty text", async () => {
    const buyer = await newBuyer();
    const endpoint = await buyer.createEndpoint({ description: "orders" });
    assert.equal((await ok(buyer.patch(pathOf(endpoint), { description: "" }))).description, null);
  });

  const refused = { status: "deleted", description: null, events: [], url: 5 };
  for (const [field, value] of Object.entries(refused))
    it(`is refused as a whole when ${field} is ${JSON.stringify(value)}`, async () => {
      const buyer = await newBuyer();
      const endpoint = await heldEndpoint(buyer);
      assertFaulty(await buyer.patch(pathOf(endpoint), { url: URL_GOOD, description: "x", [field]: value }), 422, field);
      assert.deepEqual(await ok(buyer.get(pathOf(endpoint))), endpoint);
    });

  it("names the type that is none", async () => {
    const reply = await (await newBuyer()).post("/v1/webhook_endpoints", { url: URL_GOOD, events: ["job.completed", "job.created"] });
    assertFaulty(reply, 422, "events[1]");
  });
});

describe("a disabled endpoint", () => {
  it("keeps its events until it is enabled", async () => {
    const buyer = await newBuyer();
    const endpoint = await heldEndpoint(buyer);
    assert.equal(endpoint.disabled_reason, "requested");
    await happen(buyer);
    const [held] = await events(buyer, "status=pending");
    assert.equal(held.attempt_count, 0);
    assert.equal(held.next_attempt_at, null);
    const enabled = await ok(buyer.patch(pathOf(endpoint), { status: "active" }));
    assert.deepEqual([enabled.status, enabled.disabled_reason], ["active", null]);
    const [released] = await events(buyer);
    assert.notEqual(released.next_attempt_at, null);
  });

  it("is told of to the others, once", async () => {
    const buyer = await newBuyer();
    const other = await heldEndpoint(buyer, { events: ["endpoint.disabled"] });
    const endpoint = await heldEndpoint(buyer);
    await ok(buyer.patch(pathOf(endpoint), { status: "disabled" }));
    const told = await events(buyer, "event_type=endpoint.disabled");
    assert.deepEqual(told.map((one) => [one.endpoint_id, one.data]), [[other.id, endpoint]]);
  });
});

describe("a deleted endpoint", () => {
  it("is gone, and its pending events have failed", async () => {
    const buyer = await newBuyer();
    const endpoint = await heldEndpoint(buyer);
    await happen(buyer);
    const [event] = await events(buyer);
    await ok(buyer.delete(pathOf(endpoint)), 204);
    assert.deepEqual(await buyer.all("/v1/webhook_endpoints"), []);
    for (const reply of [await buyer.get(pathOf(endpoint)), await buyer.delete(pathOf(endpoint)), await buyer.patch(pathOf(endpoint), {}),
                         await buyer.post(`${pathOf(endpoint)}/rotate_secret`)])
      assertRefused(reply, 404, "webhook_endpoint");
    assert.deepEqual(await events(buyer, "status=pending"), []);
    assert.deepEqual(idsOf(await events(buyer, `status=failed&endpoint_id=${endpoint.id}`)), [event.id]);
    const failed = await ok(buyer.get(`/v1/webhook_events/${event.id}`));
    assert.deepEqual([failed.status, failed.next_attempt_at], ["failed", null]);
    assertRefused(await buyer.post(`/v1/webhook_events/${event.id}/replay`), 409, "endpoint_deleted");
    await happen(buyer);
    assert.equal((await events(buyer)).length, 1);
  });
});

describe("an event", () => {
  it("has the resource as the API returned it then", async () => {
    const buyer = await newBuyer();
    const endpoint = await heldEndpoint(buyer);
    const job = await happen(buyer);
    const [event] = await events(buyer);
    assert.deepEqual(event.data, job);
    assert.equal(event.type, "job.cancelled");
    assert.equal(event.endpoint_id, endpoint.id);
    assert.deepEqual(await ok(buyer.get(`/v1/webhook_events/${event.id}`)), event);
    assert.deepEqual(await buyer.all(`/v1/webhook_events/${event.id}/attempts`), [], "listWebhookAttempts");
  });

  it("of a verdict has the submission, of a flag and of the last file the job, as the API returns them", async () => {
    const { buyer, worker } = market;
    const types = ["job.flagged", "submission.scored", "submission.rejected", "submission.approved", "job.completed"];
    const endpoint = await heldEndpoint(buyer, { events: types });
    const job = await market.job();
    await ok(worker.post(`/worker/v1/jobs/${job.id}/flag`, { reason: "Unclear." }), 201);
    const flagged = await market.getJob(job);
    const rejected = await market.submitAndScore(job, sample("blurred.jpg"));
    const approved = await market.submitAndScore(job, sample("photo-3.jpg"));
    const withoutLink = ({ file, ...rest }) => {
      const { download_url: url, download_url_expires_at: end, ...facts } = file ?? {};
      return { ...rest, file: file && { ...facts, path: url && new URL(url).pathname, expires: typeof end } };
    };
    const of = async ({ id }) => withoutLink(await ok(buyer.get(`/v1/submissions/${id}`)));
    const wanted = [
      ["job.flagged", flagged],
      ["submission.scored", await of(rejected)], ["submission.rejected", await of(rejected)],
      ["submission.scored", await of(approved)], ["submission.approved", await of(approved)],
      ["job.completed", await market.getJob(job)],
    ];
    const rows = (await events(buyer, `endpoint_id=${endpoint.id}`)).reverse();
    const found = rows.map(({ type, data }) => [type, data.object === "submission" ? withoutLink(data) : data]);
    assert.deepEqual(found, wanted);
    await ok(buyer.delete(pathOf(endpoint)), 204);
  });

  it("has a link to the file, signed when it is asked for", async () => {
    const { buyer } = market;
    const endpoint = await heldEndpoint(buyer, { events: ["submission.approved", "job.completed"] });
    const job = await market.job();
    await market.submitAndScore(job, sample("photo-2.jpg"));
    const [event] = await events(buyer, `event_type=submission.approved&endpoint_id=${endpoint.id}`);
    const [first] = await market.files(job);
    assert.equal(event.data.file.id, first.id);
    await market.server.advance(8 * DAY_S);
    const { pathname, search } = new URL((await ok(buyer.get(`/v1/webhook_events/${event.id}`))).data.file.download_url);
    assert.equal((await market.server.client().get(pathname + search)).status, 200);
    const stale = new URL(event.data.file.download_url);
    assertRefused(await market.server.client().get(stale.pathname + stale.search), 403, "link_expired");
    await ok(buyer.delete(pathOf(endpoint)), 204);
  });

  it("is of the environment that it happened in", async () => {
    const buyer = await newBuyer();
    await heldEndpoint(buyer);
    await heldEndpoint(buyer.test, { events: ["job.cancelled"] });
    const job = await happen(buyer.test);
    assert.deepEqual(await events(buyer), []);
    const [event] = await events(buyer.test);
    assert.equal(event.data.id, job.id);
    assertRefused(await buyer.get(`/v1/webhook_events/${event.id}`), 404, "webhook_event");
    assertRefused(await buyer.get(`/v1/events/${event.occurrence_id}`), 404, "occurrence");
  });
});

describe("the listing of webhook events", () => {
  let buyer, a, b;
  before(async () => {
    buyer = await newBuyer();
    a = await heldEndpoint(buyer, { events: ["job.cancelled"] });
    b = await heldEndpoint(buyer);
    for (let i = 0; i < 5; i++) await happen(buyer);
  });

  it("has one for each endpoint that is told, newest first", async () => {
    const rows = await events(buyer);
    assert.equal(rows.length, 10);
    assert.deepEqual(idsOf(rows), idsOf(rows).sort().reverse());
    assert.equal(new Set(rows.map((one) => one.occurrence_id)).size, 5);
  });

  it("keeps what its filters say", async () => {
    const all = await events(buyer);
    for (const limit of [100, 3]) {
      const ofA = await buyer.all(`/v1/webhook_events?endpoint_id=${a.id}&status=pending&event_type=job.cancelled`, { limit });
      assert.deepEqual(ofA, all.filter((one) => one.endpoint_id === a.id));
    }
    assert.deepEqual(await events(buyer, "status=delivered"), []);
    assert.deepEqual(await events(buyer, "event_type=job.completed"), []);
  });

  it("refuses a type or state that is none", async () => {
    assertFaulty(await buyer.get("/v1/webhook_events?event_type=job.created"), 400, "event_type");
    assertFaulty(await buyer.get("/v1/webhook_events?status=lost"), 400, "status");
  });

  it("is told again from a range of time, oldest first, of one endpoint", async () => {
    const rows = (await events(buyer, `endpoint_id=${b.id}`)).reverse();
    await market.server.advance(3600);
    const range = { since: rows[1].created_at, until: rows[4].created_at };
    const wanted = rows.filter((one) => one.created_at >= range.since && one.created_at < range.until).length;
    const reply = await ok(buyer.post(`${pathOf(b)}/replay`, range), 202);
    assert.deepEqual(reply, { object: "webhook_replay", endpoint_id: b.id, replayed_count: wanted, has_more: false, next_cursor: null });
    const failed = await ok(buyer.post(`${pathOf(b)}/replay`, { ...range, status: "failed" }), 202);
    assert.equal(failed.replayed_count, 0);
    const ancient = await ok(buyer.post(`${pathOf(b)}/replay`, { since: "0001-01-01T00:00:00Z", until: "1969-12-31T23:59:59Z" }), 202);
    assert.equal(ancient.replayed_count, 0);
  });

  it("refuses a range that is none, and a cursor of anything else", async () => {
    const range = { since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z" };
    assertFaulty(await buyer.post(`${pathOf(b)}/replay`, { ...range, until: range.since }), 422, "until");
    const { next_cursor: cursor } = (await buyer.get("/v1/webhook_events?limit=1")).json;
    assertFaulty(await buyer.post(`${pathOf(b)}/replay`, { ...range, cursor }), 400, "cursor");
  });
});

describe("a range of more than a thousand", () => {
  it("is told again call by call, each going on where the last one ended", async () => {
    const buyer = await newBuyer();
    const endpoint = await heldEndpoint(buyer);
    const deadline = new Date((await market.server.advance(1)) + 3_600_000).toISOString();
    await inParallel(Array(1001).fill({ files_needed: 1, price_per_file_cents: 1, deadline }), 32, (job) => buyer.createJob(job));
    const since = deadline;
    const until = new Date((await market.server.advance(7200)) + 3_600_000).toISOString();
    const first = await ok(buyer.post(`${pathOf(endpoint)}/replay`, { since, until }), 202);
    assert.deepEqual([first.replayed_count, first.has_more], [1000, true]);
    const rest = await ok(buyer.post(`${pathOf(endpoint)}/replay`, { since, until, cursor: first.next_cursor }), 202);
    assert.deepEqual([rest.replayed_count, rest.has_more, rest.next_cursor], [1, false, null]);
    assertFaulty(await buyer.post(`${pathOf(await heldEndpoint(buyer))}/replay`, { since, until, cursor: first.next_cursor }), 400, "cursor");
  });
});

describe("a replay", () => {
  it("makes the event pending again under its id", async () => {
    const buyer = await newBuyer();
    await heldEndpoint(buyer);
    await happen(buyer);
    const [event] = await events(buyer);
    assert.deepEqual(await ok(buyer.post(`/v1/webhook_events/${event.id}/replay`), 202), event);
  });
});

describe("what happened", () => {
  it("is listed though nobody is told (listOccurrences, getOccurrence)", async () => {
    const buyer = await newBuyer();
    const job = await happen(buyer);
    const [one] = await buyer.all("/v1/events");
    assert.deepEqual(one.data, job);
    assert.deepEqual(Object.keys(one), ["id", "object", "type", "api_version", "created_at", "data"]);
    assert.deepEqual(await ok(buyer.get(`/v1/events/${one.id}`)), one);
  });

  it("is followed by asking for what came after the newest seen", async () => {
    const buyer = await newBuyer();
    await happen(buyer);
    const [seen] = await buyer.all("/v1/events");
    assert.deepEqual(await buyer.all(`/v1/events?after=${seen.id}`), []);
    const jobs = [];
    for (let i = 0; i < 3; i++) jobs.unshift((await happen(buyer)).id);
    const rows = await buyer.all(`/v1/events?after=${seen.id}`, { limit: 1 });
    assert.deepEqual(rows.map(({ data }) => data.id), jobs);
  });

  it("may be of one type", async () => {
    const buyer = await newBuyer();
    await happen(buyer);
    await heldEndpoint(buyer);
    assert.deepEqual((await buyer.all("/v1/events?type=endpoint.disabled")).map(({ type }) => type), ["endpoint.disabled"]);
    assertFaulty(await buyer.get("/v1/events?type=job.created"), 400, "type");
    assertFaulty(await buyer.get("/v1/events?after=evt_x"), 400, "after");
  });
});

describe("an old event", () => {
  it("is dropped after thirty days, unless it is pending", async () => {
    const buyer = await newBuyer();
    await happen(buyer);
    await heldEndpoint(buyer);
    await happen(buyer);
    await market.server.advance(29 * DAY_S);
    await market.server.advance(3600);
    assert.equal((await buyer.all("/v1/events")).length, 3);
    await market.server.advance(2 * DAY_S);
    assert.deepEqual((await buyer.all("/v1/events")).map(({ type }) => type), ["job.cancelled"]);
    assert.equal((await events(buyer)).length, 1);
    await market.server.audit();
  });
});
