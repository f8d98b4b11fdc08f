/* Rate limits: a bucket for each key, and one for each address that cannot say who it is. The limits'
 * timers use the test clock, so nothing here waits; but that clock runs on by itself, too. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { JOB } from "../lib/client.mjs";
import { start } from "../lib/server.mjs";

const LIMIT = 5;

const number = (reply, name) => Number(reply.headers[`x-ratelimit-${name}`]);

async function times(count, ask) {
  const replies = [];
  for (let i = 0; i < count; i++) replies.push(await ask(i));
  return replies;
}

/* A test that fails because it took so long that its bucket gained a request begins again. */
async function inTime(perMinute, refresh, run) {
  for (;;) {
    const fromMs = performance.now();
    try {
      return await run();
    } catch (e) {
      if (performance.now() - fromMs < 60_000 / perMinute) throw e;
    }
    await refresh();
  }
}

function assertLimited(reply) {
  assert.equal(reply.status, 429, reply.text);
  assert.equal(reply.json.error.type, "rate_limit_exceeded");
  assert.ok(Number(reply.headers["retry-after"]) >= 1);
}

describe("a key's rate", () => {
  let server, org, buyer;
  before(async () => {
    server = await start({ "rate-limit-per-minute": LIMIT, "auth-failures-per-minute": 0 });
  });
  after(() => server?.stop());
  const newBuyer = async () => {
    org = await server.createOrg({ credits: 10_000 });
    buyer = server.client(org.live_key);
  };
  beforeEach(newBuyer);
  const itInTime = (name, run) => it(name, () => inTime(LIMIT, newBuyer, run));

  const exhaust = (client) => times(LIMIT, () => client.get("/v1/organization/settings"));

  itInTime("is told on every reply and counts down", async () => {
    const replies = await exhaust(buyer);
    assert.deepEqual(replies.map(({ status }) => status), Array(LIMIT).fill(200));
    assert.deepEqual(replies.map((reply) => number(reply, "limit")), Array(LIMIT).fill(LIMIT));
    assert.deepEqual(replies.map((reply) => number(reply, "remaining")), [4, 3, 2, 1, 0]);
  });

  itInTime("refuses the next request, with the same headers", async () => {
    await exhaust(buyer);
    const reply = await buyer.get("/v1/organization/settings");
    assertLimited(reply);
    assert.equal(number(reply, "limit"), LIMIT);
    assert.equal(number(reply, "remaining"), 0);
  });

  itInTime("is good again after Retry-After", async () => {
    await exhaust(buyer);
    const refused = await buyer.get("/v1/jobs");
    assertLimited(refused);
    await server.advance(Number(refused.headers["retry-after"]));
    assert.equal((await buyer.get("/v1/jobs")).status, 200);
  });

  itInTime("is whole again after a minute, and no more than whole", async () => {
    await exhaust(buyer);
    await server.advance(600);
    const replies = await times(LIMIT + 1, () => buyer.get("/v1/jobs"));
    assert.deepEqual(replies.map(({ status }) => status), [...Array(LIMIT).fill(200), 429]);
  });

  itInTime("is each key's own", async () => {
    await exhaust(buyer);
    assertLimited(await buyer.get("/v1/jobs"));
    const other = await server.createKey({ org: org.organization_id });
    for (const key of [org.test_key, other.secret]) assert.equal((await server.client(key).get("/v1/jobs")).status, 200);
  });

  itInTime("counts what is refused for other reasons, too", async () => {
    await buyer.get("/v1/jobs/nothing");
    await buyer.post("/v1/jobs", JOB);
    await buyer.postJob({ files_needed: 0 });
    assert.equal(number(await buyer.get("/v1/jobs"), "remaining"), LIMIT - 4);
  });

  itInTime("comes before the scope", async () => {
    const { secret } = await server.createKey({ org: org.organization_id, scopes: ["jobs:read"] });
    const client = server.client(secret);
    await exhaust(client);
    assertLimited(await client.get("/v1/billing/credits"));
  });

  itInTime("refuses before anything is done", async () => {
    await exhaust(buyer);
    assertLimited(await buyer.postJob());
    await server.advance(60);
    assert.deepEqual((await buyer.get("/v1/jobs")).json.data, []);
  });

  itInTime("is not spent by those who have no good key", async () => {
    const wrong = `${org.live_key.slice(0, -1)}${org.live_key.endsWith("a") ? "b" : "a"}`;
    await times(LIMIT + 1, () => server.client(wrong).get("/v1/jobs"));
    assert.equal(number(await buyer.get("/v1/jobs"), "remaining"), LIMIT - 1);
  });

  itInTime("does not hold for those who need no key", async () => {
    const replies = await times(3 * LIMIT, () => server.client().get("/healthz"));
    assert.ok(replies.every(({ status }) => status === 200));
  });

  itInTime("lets as many through as there are, when all ask at once", async () => {
    const replies = await Promise.all(Array.from({ length: 4 * LIMIT }, () => buyer.get("/v1/jobs")));
    assert.equal(replies.filter(({ status }) => status === 200).length, LIMIT);
  });
});

describe("failed authentications", () => {
  const FAILURES = 3;
  let server, org;
  before(async () => {
    server = await start({ "auth-failures-per-minute": FAILURES, "trusted-proxy": "192.0.2.1" });
    org = await server.createOrg();
  });
  after(() => server?.stop());
  const forget = () => server.advance(120);
  beforeEach(forget);
  const itInTime = (name, run) => it(name, () => inTime(FAILURES, forget, run));

  const fail = () => server.client("fh_live_nonsense").get("/v1/jobs");

  itInTime("are limited for an address, and allowed again after Retry-After", async () => {
    const replies = await times(FAILURES, fail);
    assert.deepEqual(replies.map(({ status }) => status), Array(FAILURES).fill(401));
    const refused = await fail();
    assertLimited(refused);
    await server.advance(Number(refused.headers["retry-after"]));
    assert.equal((await fail()).status, 401);
  });

  itInTime("count without a key and with a worker's bad token, too", async () => {
    await server.client().get("/v1/jobs");
    await server.client("fh_wkr_nonsense").get("/worker/v1/jobs");
    await fail();
    assertLimited(await server.client().get("/v1/jobs"));
  });

  itInTime("are not spread over addresses that somebody else than the proxy makes up", async () => {
    for (let i = 0; i <= FAILURES; i++) {
      const reply = await server.client("fh_live_nonsense").get("/v1/jobs", { headers: { "x-forwarded-for": `198.51.100.${i}` } });
      if (i < FAILURES) assert.equal(reply.status, 401);
      else assertLimited(reply);
    }
  });

  itInTime("never limit a good key", async () => {
    await times(2 * FAILURES, fail);
    const replies = await times(2 * FAILURES, () => server.client(org.live_key).get("/v1/jobs"));
    assert.ok(replies.every(({ status }) => status === 200));
  });

  itInTime("do not count what asks for no key", async () => {
    await times(2 * FAILURES, () => server.client().get("/healthz"));
    assert.equal((await fail()).status, 401);
  });
});

describe("behind a trusted proxy", () => {
  it("the last hop counts, also where the proxy adds a line of its own to a forged one", async () => {
    const server = await start({ "auth-failures-per-minute": 2, "trusted-proxy": "127.0.0.1" });
    try {
      const from = (forged, hop) => server.client("nonsense").get("/v1/jobs", { headers: { "x-forwarded-for": [forged, hop] } });
      const replies = await times(3, (i) => from(`198.51.100.${i}`, "203.0.113.7"));
      assert.deepEqual(replies.map(({ status }) => status), [401, 401, 429]);
      assert.equal((await from("203.0.113.7", "203.0.113.8")).status, 401);
    } finally {
      await server.stop();
    }
  });
});

describe("with both limits off", () => {
  it("nobody is limited, and no reply speaks of it", async () => {
    const server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0 });
    try {
      const buyer = server.client((await server.createOrg()).live_key);
      const good = await Promise.all(Array.from({ length: 200 }, () => buyer.get("/v1/jobs")));
      assert.ok(good.every(({ status }) => status === 200));
      const bad = await Promise.all(Array.from({ length: 200 }, () => server.client("x").get("/v1/jobs")));
      assert.ok(bad.every(({ status }) => status === 401));
    } finally {
      await server.stop();
    }
  });
});
