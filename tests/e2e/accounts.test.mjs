/* Workers' accounts over HTTP: invites, joining, signing in and out, how long a session lasts. Every
 * secret that is issued here must be found nowhere again: not in the log, not in the store. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assertRefused, inParallel, Market, openMarket } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";

const DAY_S = 24 * 3600;
const PASSWORD = "correct horse battery";

let market;
let count = 0;
const secrets = new Map(); /* secret → what it is */

const keep = (what, secret) => {
  assert.ok(secret.length >= 10, `${what} is a secret worth the name`);
  secrets.set(secret, what);
  return secret;
};

before(async () => {
  market = await openMarket({ "log-level": "debug" }, { credits: 10_000 });
  keep("a live key", market.org.live_key);
  keep("a test key", market.org.test_key);
  keep("a worker's token", market.worker.token);
  keep("the server key", readFileSync(join(market.server.dataDir, "server.key"), "utf8").split(" ")[1].trim());
});

/* The last that is done to the server is to look at what it wrote. */
after(async () => {
  if (!market) return;
  await market.server.halt();
  try {
    assertLogIsClean();
    assertStoreIsClean();
  } finally {
    await market.stop();
  }
});

function assertLogIsClean() {
  const { logLines } = market.server;
  assert.ok(logLines.length > 100, "there is a log to look at");
  for (const text of logLines) {
    const line = JSON.parse(text);
    assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(line.level, /^(debug|info|warning|error)$/);
    assert.match(line.event, /^[a-z_]+$/);
    for (const [secret, what] of secrets) assert.ok(!text.includes(secret), `the log shows ${what}: ${text}`);
  }
}

function assertStoreIsClean() {
  const names = readdirSync(market.server.dataDir).filter((name) => name.startsWith("store.db"));
  assert.ok(names.length > 0);
  for (const name of names) {
    const bytes = readFileSync(join(market.server.dataDir, name));
    for (const [secret, what] of secrets) assert.ok(!bytes.includes(secret), `${name} holds ${what} in clear`);
  }
}

/* --- steps --- */

const anybody = () => market.server.client();

async function newInvite() {
  const { url } = await market.server.admin("invite-worker");
  return keep("an invite", new URL(url).searchParams.get("invite"));
}

function joinWith(invite, overrides = {}) {
  const body = { invite, name: "Wanda", email: `wanda${++count}@example.com`, password: PASSWORD, ...overrides };
  keep("a password", body.password);
  return anybody().post("/worker/v1/join", body);
}

/* A worker who joined. → { email, token, client } */
async function newAccount(password = PASSWORD) {
  const email = `member${++count}@example.com`;
  const reply = await joinWith(await newInvite(), { email, password });
  assert.equal(reply.status, 201, reply.text);
  const token = keep("a session token", reply.json.token);
  return { email, token, workerId: reply.json.worker_id, client: market.server.client(token), reply };
}

function signIn(email, password = PASSWORD) {
  return anybody().post("/worker/v1/sessions", { email, password });
}

const isIn = async (client) => (await client.get("/worker/v1/jobs?limit=1")).status === 200;

const daysUntil = (time, nowMs) => (Date.parse(time) - nowMs) / 1000 / DAY_S;

/* --- tests --- */

describe("an invite", () => {
  it("opens a page that keeps the link to itself", async () => {
    const reply = await anybody().get(`/join?invite=${await newInvite()}`);
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["referrer-policy"], "no-referrer");
  });

  it("makes one account, whose token works at once for a whole job", async () => {
    const nowMs = await market.server.advance(1);
    const { client, reply, workerId } = await newAccount();
    assert.deepEqual(Object.keys(reply.json).sort(), ["expires_at", "object", "token", "worker_id"]);
    assert.match(reply.json.token, /^fh_wkr_[0-9A-Za-z]{38}$/);
    assert.match(workerId, /^wkr_/);
    assert.ok(Math.abs(daysUntil(reply.json.expires_at, nowMs) - 90) < 0.01, reply.json.expires_at);
    const job = await market.job();
    assert.equal((await market.submitAndScore(job, sample("photo-2.jpg"), { worker: client })).status, "approved");
    assert.equal((await market.earnings(client)).balance_cents, 40);
  });

  it("takes a name of a hundred characters, in any script", async () => {
    for (const name of ["中".repeat(100), "😀".repeat(100)])
      assert.equal((await joinWith(await newInvite(), { name })).status, 201, name);
  });

  it("is used up by that", async () => {
    const invite = await newInvite();
    assert.equal((await joinWith(invite)).status, 201);
    assertRefused(await joinWith(invite), 409, "invite_used");
  });

  it("is used once, however many ask at the same time", async () => {
    const invite = await newInvite();
    const replies = await inParallel(Array.from({ length: 8 }), 8, async () => {
      for (;;) {
        const reply = await joinWith(invite); /* two passwords at once, then 503 */
        if (reply.status !== 503) return reply;
      }
    });
    assert.deepEqual(replies.map(({ status }) => status).sort(), [201, ...Array(7).fill(409)]);
    for (const reply of replies) if (reply.status === 201) keep("a session token", reply.json.token);
  });

  it("outlives a join that was refused", async () => {
    const invite = await newInvite();
    const { email } = await newAccount();
    for (const [fault, status, code] of [
      [{ email }, 409, "email_taken"],
      [{ email: email.toUpperCase() }, 409, "email_taken"],
      [{ email: "nowhere" }, 422, "format"],
      [{ name: "" }, 422, "minLength"],
    ])
      assertRefused(await joinWith(invite, fault), status, code);
    const short = await anybody().post("/worker/v1/join", { invite, name: "W", email: "w@example.com", password: "too short" });
    assertRefused(short, 422, "minLength");
    assert.equal((await joinWith(invite)).status, 201);
  });

  it("lasts seven days to the second", async () => {
    const [early, late] = [await newInvite(), await newInvite()];
    await market.server.advance(7 * DAY_S - 60);
    assert.equal((await joinWith(early)).status, 201);
    await market.server.advance(60);
    assertRefused(await joinWith(late), 409, "invite_expired");
  });

  it("that nobody made is not there, whatever it looks like", async () => {
    const good = await newInvite();
    const other = good.slice(0, -1) + (good.endsWith("a") ? "b" : "a");
    for (const invite of [other, "fh_inv_", "x", market.org.live_key, "'; DROP TABLE invites; --", "é".repeat(200)])
      assertRefused(await joinWith(invite), 404, "invite");
  });
});

describe("signing in", () => {
  it("gives another session beside the first", async () => {
    const { email, client, workerId } = await newAccount();
    const reply = await signIn(email);
    assert.equal(reply.status, 201, reply.text);
    assert.equal(reply.json.worker_id, workerId);
    const second = market.server.client(keep("a session token", reply.json.token));
    assert.notEqual(second.token, client.token);
    assert.ok((await isIn(client)) && (await isIn(second)));
  });

  it("knows the address however it is written, and the password only as it is", async () => {
    const password = keep("a password", "pässwörd 🐎 stäple");
    const { email } = await newAccount(password);
    for (const written of [email, email.toUpperCase()]) {
      const reply = await signIn(written, password);
      assert.equal(reply.status, 201, reply.text);
      keep("a session token", reply.json.token);
    }
    for (const wrong of [password.toUpperCase(), `${password} `, password.slice(0, -1), password.normalize("NFD")])
      assertRefused(await signIn(email, keep("a wrong password", wrong)), 401);
  });

  it("answers alike to a wrong password, an unknown address and an account without a password", async () => {
    const { email } = await newAccount();
    const byHand = "by-hand@example.com";
    keep("a worker's token", (await market.server.createWorker({ email: byHand })).token);
    const answers = [];
    for (const [who, password] of [[email, "wrong password"], ["nobody@example.com", "wrong password"],
                                   [byHand, "wrong password"], [byHand, "$argon2id$"], ["no address", "wrong password"]]) {
      const reply = await signIn(who, password);
      assertRefused(reply, 401);
      const { request_id: _, ...error } = reply.json.error;
      const { "x-request-id": __, date: ___, ...headers } = reply.headers;
      answers.push({ error, headers });
    }
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
  });

  it("wrongly is limited by address, a good session is not", async () => {
    await market.server.restart({ "auth-failures-per-minute": "3" });
    market.reconnect();
    const { email, client } = await newAccount();
    /* Three, and one more for every third of a minute that they take. */
    let wrong = 0, reply;
    const startedMs = performance.now();
    while ((reply = await signIn(email, "wrong password")).status === 401) wrong++;
    assert.equal(reply.status, 429, reply.text);
    const gained = Math.floor((performance.now() - startedMs) / 20_000);
    assert.ok(wrong >= 3 && wrong <= 3 + gained, `${wrong} were told that they were wrong`);
    assert.ok(await isIn(client));
    await market.server.advance(60);
    const right = await signIn(email);
    assert.equal(right.status, 201, right.text);
    keep("a session token", right.json.token);
    await market.server.restart({ "auth-failures-per-minute": "0" });
    market.reconnect();
  });
});

describe("a session", () => {
  it("ends when it signs out, and only it", async () => {
    const { email, client } = await newAccount();
    const other = market.server.client(keep("a session token", (await signIn(email)).json.token));
    assert.equal((await client.delete("/worker/v1/sessions/current")).status, 204);
    assertRefused(await client.get("/worker/v1/jobs"), 401);
    assertRefused(await client.delete("/worker/v1/sessions/current"), 401);
    assert.ok(await isIn(other));
  });

  it("lasts 90 days from its last use, also over a restart", async () => {
    const { client, token } = await newAccount();
    for (let i = 0; i < 3; i++) {
      await market.server.advance(89 * DAY_S);
      assert.ok(await isIn(client), `day ${89 * (i + 1)}`);
    }
    await market.server.advance(60);
    await market.server.restart();
    market.reconnect();
    const again = market.server.client(token);
    await market.server.advance(89 * DAY_S);
    assert.ok(await isIn(again), "89 days after its last use");
    await market.server.advance(90 * DAY_S);
    assertRefused(await again.get("/worker/v1/jobs"), 401);
    assertRefused(await again.delete("/worker/v1/sessions/current"), 401);
  });

  it("that is never used ends after 90 days", async () => {
    const { client, email } = await newAccount();
    await market.server.advance(90 * DAY_S);
    assertRefused(await client.get("/worker/v1/jobs"), 401);
    const reply = await signIn(email);
    assert.equal(reply.status, 201, "the account is still there");
    keep("a session token", reply.json.token);
  });

  it("of a worker made by the operator does not end", async () => {
    await market.server.advance(1000 * DAY_S);
    assert.ok(await isIn(market.worker));
  });

  it("is of no use to a buyer's routes, nor a key to a worker's", async () => {
    assertRefused(await market.server.client(market.worker.token).get("/v1/jobs"), 401);
    assertRefused(await market.server.client(market.org.live_key).get("/worker/v1/jobs"), 401);
  });
});

describe("a secret where it does not belong", () => {
  it("is refused, and not repeated", async () => {
    const { token, email } = await newAccount();
    const key = market.org.live_key;
    const tries = [
      ["GET", `/v1/jobs?api_key=${key}`, {}],
      ["GET", "/v1/jobs", { headers: { authorization: `Basic ${key}` } }],
      ["GET", "/v1/jobs", { headers: { authorization: key } }],
      ["GET", "/v1/jobs", { headers: { authorization: `Bearer ${key}x` } }],
      ["GET", "/v1/jobs", { headers: { authorization: `Bearer ${token}` } }],
      ["GET", `/v1/jobs?cursor=${key}`, { headers: { authorization: `Bearer ${key}` } }],
      ["GET", `/v1/jobs?status=${token}`, { headers: { authorization: `Bearer ${key}` } }],
      ["POST", "/worker/v1/sessions", { raw: `{"email":"${email}","password":"${PASSWORD}"` }],
      ["POST", "/worker/v1/sessions", { raw: `{"email":"${email}","password":"${PASSWORD}","password":"${PASSWORD}"}` }],
      ["POST", "/worker/v1/sessions", { body: { email, password: [PASSWORD] } }],
      ["POST", "/worker/v1/sessions", { raw: `email=${email}&password=${PASSWORD}`, headers: { "content-type": "text/plain" } }],
      ["POST", "/worker/v1/join", { body: { invite: [token], name: PASSWORD, email: PASSWORD, password: PASSWORD } }],
    ];
    for (const [method, target, options] of tries) {
      const reply = await anybody().request(method, target, options);
      assert.ok(reply.status >= 400 && reply.status < 500, `${method} ${target}: ${reply.status}`);
      for (const secret of [key, token, PASSWORD]) assert.ok(!reply.text.includes(secret), `it says ${secret}: ${reply.text}`);
    }
  });

  it("made over HTTP is not kept either: keys, rotated keys, download links", async () => {
    const own = await Market.open(market.server, { credits: 100 });
    keep("a live key", own.org.live_key);
    const made = await own.buyer.createKey({ scopes: ["jobs:read", "keys:manage"] });
    keep("a made key", made.secret);
    const rotated = await own.buyer.post(`/v1/api_keys/${made.id}/rotate`, undefined, { headers: { "idempotency-key": "rotate-once" } });
    assert.equal(rotated.status, 200, rotated.text);
    keep("a rotated key", rotated.json.new_key.secret);
    const job = await own.job();
    await own.submitAndScore(job, sample("photo-3.jpg"));
    const { download_url } = (await own.files(job))[0];
    const link = new URL(download_url);
    assert.equal((await anybody().get(link.pathname + link.search)).status, 200);
    for (const [name, value] of link.searchParams) if (value.length >= 20) keep(`a link's ${name}`, value);
    assert.ok([...secrets.values()].some((what) => what.startsWith("a link's")), "the link is signed");
  });
});
