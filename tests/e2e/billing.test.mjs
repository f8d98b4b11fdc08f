/* Buying credit on this server's own page: what is shown, who may pay, and that credit is booked
 * once. tests/clients/stripe.test.mjs has the card processor. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { schemaFaults } from "../lib/contract.mjs";
import { assertRefused, Market, openMarket, until } from "../lib/market.mjs";
import { start } from "../lib/server.mjs";

const PURCHASE = "/v1/billing/credits/purchase";
const PACKS = [[1000, 0], [2500, 125], [5000, 500], [10_000, 1500], [25_000, 5000]];
const TEST_GRANT = 10_000_000;
const CLIENTS = 64;

let market, server;
before(async () => {
  market = await openMarket({ "checkout-credits-live": "on" }, { credits: 0 });
  server = market.server;
});
after(() => market?.stop());

const withKey = (idempotencyKey) => ({ headers: { "idempotency-key": idempotencyKey } });
const isReplay = (reply) => reply.headers["idempotent-replayed"] === "true";

async function purchase(client, amount = 1000, options) {
  const reply = await client.post(PURCHASE, { amount_cents: amount }, options);
  assert.equal(reply.status, 200, reply.text);
  return reply.json;
}

const pathOf = (url) => new URL(url).pathname;

/* A page as a person reads it: text, and the buttons with where they lead. */
async function read(client, url) {
  const reply = await client.get(pathOf(url));
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.headers["content-type"], "text/html; charset=utf-8");
  const forms = [...reply.text.matchAll(/<form method="post" action="([^"]+)"><button[^>]*>([^<]+)<\/button><\/form>/g)];
  const facts = [...reply.text.matchAll(/<dt[^>]*>([^<]+)<\/dt><dd[^>]*>([^<]*)<\/dd>/g)];
  return {
    headers: reply.headers,
    html: reply.text,
    heading: /<h1>([^<]+)<\/h1>/.exec(reply.text)[1],
    status: /<p role="status">([^<]+)<\/p>/.exec(reply.text)[1],
    facts: Object.fromEntries(facts.map(([, name, value]) => [name, value])),
    buttons: Object.fromEntries(forms.map(([, action, label]) => [label, new URL(action, url).pathname])),
  };
}

/* Press a button as a browser does, and follow where it leads. */
async function press(client, url, label) {
  const page = await read(client, url);
  assert.ok(page.buttons[label], `no button "${label}" among ${Object.keys(page.buttons)}`);
  const reply = await client.request("POST", page.buttons[label], { raw: "", headers: { "content-type": "application/x-www-form-urlencoded" } });
  assert.equal(reply.status, 303, reply.text);
  const next = new URL(reply.headers.location, new URL(page.buttons[label], url));
  assert.equal(next.pathname, pathOf(url), "back to the page");
  return read(client, next.href);
}

describe("a purchase in the test environment", () => {
  for (const [amount, bonus] of PACKS)
    it(`of ${amount} is there at once, with a bonus of ${bonus}`, async () => {
      const own = await Market.open(server);
      const test = server.client(own.org.test_key);
      const { checkout_url } = await purchase(test, amount);
      const rows = (await test.all("/v1/billing/transactions")).reverse().map(({ type, amount_cents }) => [type, amount_cents]);
      assert.deepEqual(rows, [["free_tier", TEST_GRANT], ["purchase", amount], ...(bonus ? [["bonus", bonus]] : [])]);
      assert.equal((await test.get("/v1/billing/credits")).json.balance_cents, TEST_GRANT + amount + bonus);
      assert.equal((await own.balance()).balance, 100_000, "the live balance is another");
      const page = await read(server.client(), checkout_url);
      assert.equal(page.heading, "Paid");
      assert.deepEqual(page.buttons, {});
    });

  it("makes lots that expire in twelve months", async () => {
    const own = await Market.open(server);
    const test = server.client(own.org.test_key);
    await purchase(test, 2500);
    const grants = (await test.all("/v1/billing/transactions")).filter(({ type }) => type !== "free_tier");
    for (const { created_at, expires_at } of grants) {
      const year = new Date(created_at);
      year.setUTCFullYear(year.getUTCFullYear() + 1);
      assert.equal(expires_at, year.toISOString());
    }
  });
});

describe("the built-in page", () => {
  it("says plainly what it is and what is bought", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { checkout_url, session_id } = await purchase(own.buyer, 10_000);
    const page = await read(server.client(), checkout_url);
    assert.match(page.html, /This is a local test checkout\./);
    const name = page.facts.Organization;
    assert.match(name, /^Buyer \d+$/);
    assert.deepEqual(page.facts, {
      Organization: name, Environment: "live", Amount: "$100.00", "Bonus credit": "$15.00", "Credit in total": "$115.00", Session: session_id,
    });
    assert.deepEqual(Object.keys(page.buttons), ["Pay $100.00", "Cancel"]);
    assert.equal((await own.balance()).balance, 0, "to look is not to pay");
  });

  it("can be read by everybody: language, title, viewport, headings and a status", async () => {
    const { checkout_url } = await purchase(market.buyer);
    const { html } = await read(server.client(), checkout_url);
    for (const wanted of [/<html lang="en">/, /<title>Buy credit · Firsthand checkout<\/title>/, /name="viewport"/, /<main>/, /role="status"/])
      assert.match(html, wanted);
    assert.ok(!/\{\{|<script|<img|onclick/.test(html), "nothing is left over, nothing runs");
  });

  it("lets no other site in: no frame, no script, no referrer, no cache", async () => {
    const { checkout_url } = await purchase(market.buyer);
    const { headers } = await read(server.client(), checkout_url);
    assert.match(headers["content-security-policy"], /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["referrer-policy"], "no-referrer");
    assert.equal(headers["cache-control"], "no-store");
  });

  it("shows an organization's name as it is, and runs none of it", async () => {
    const name = `<script>alert('"1"')</script> & Söhne`;
    const org = await server.createOrg({ name });
    const { checkout_url } = await purchase(server.client(org.test_key));
    const { html } = await read(server.client(), checkout_url);
    assert.ok(html.includes("&lt;script&gt;alert(&#39;&quot;1&quot;&#39;)&lt;/script&gt; &amp; Söhne"));
    assert.ok(!html.includes("<script"));
  });

  it("credits what is paid, once, however often the button is pressed", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { checkout_url } = await purchase(own.buyer, 2500);
    const person = server.client();
    const pay = (await read(person, checkout_url)).buttons["Pay $25.00"];
    const page = await press(person, checkout_url, "Pay $25.00");
    assert.equal(page.heading, "Paid");
    assert.deepEqual(page.buttons, {});
    const again = await Promise.all(Array.from({ length: 8 }, () => person.request("POST", pay)));
    assert.deepEqual([...new Set(again.map(({ status }) => status))], [303]);
    assert.deepEqual(await own.statement(), [["purchase", 2500, null], ["bonus", 125, null]]);
  });

  it("credits once when it is pressed by many at the same time", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { checkout_url } = await purchase(own.buyer, 1000);
    const clients = Array.from({ length: CLIENTS }, () => server.client());
    const replies = await Promise.all(clients.map((client) => client.request("POST", `${pathOf(checkout_url)}/pay`)));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [303]);
    assert.deepEqual(await own.statement(), [["purchase", 1000, null]]);
  });

  it("is cancelled for good", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { checkout_url } = await purchase(own.buyer);
    const person = server.client();
    assert.equal((await press(person, checkout_url, "Cancel")).heading, "Cancelled");
    assert.equal((await person.request("POST", `${pathOf(checkout_url)}/cancel`)).status, 303, "again changes nothing");
    assertRefused(await person.request("POST", `${pathOf(checkout_url)}/pay`), 409, "checkout_closed");
    assert.deepEqual(await own.statement(), []);
  });

  it("is not cancelled once it is paid", async () => {
    const { checkout_url } = await purchase(market.buyer);
    await press(server.client(), checkout_url, "Pay $10.00");
    assertRefused(await server.client().request("POST", `${pathOf(checkout_url)}/cancel`), 409, "checkout_closed");
    assert.equal((await read(server.client(), checkout_url)).heading, "Paid");
  });

  it("expires after 24 hours", async () => {
    const own = await Market.open(server, { credits: 0 });
    const first = await purchase(own.buyer);
    await server.advance(24 * 3600 - 60);
    assert.equal((await read(server.client(), first.checkout_url)).heading, "Buy credit");
    await server.advance(60);
    const page = await read(server.client(), first.checkout_url);
    assert.equal(page.heading, "Expired");
    assert.deepEqual(page.buttons, {});
    assertRefused(await server.client().request("POST", `${pathOf(first.checkout_url)}/pay`), 409, "checkout_closed");
    assert.deepEqual(await own.statement(), []);
  });

  it("shows a person who presses too late, or may not, how it stands; a program is refused", async () => {
    const asPerson = { raw: "", headers: { accept: "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "content-type": "application/x-www-form-urlencoded" } };
    const { checkout_url } = await purchase(market.buyer);
    const [path, person] = [pathOf(checkout_url), server.client()];
    assert.equal((await person.request("POST", `${path}/cancel`, asPerson)).status, 303);
    const late = await person.request("POST", `${path}/pay`, asPerson);
    assert.deepEqual([late.status, late.headers.location], [303, `../${path.split("/").at(-1)}`]);
    assert.equal((await read(person, checkout_url)).heading, "Cancelled");
    assertRefused(await person.request("POST", `${path}/pay`, { raw: "", headers: { accept: "application/json" } }), 409, "checkout_closed");
    for (const [method, end] of [["GET", ""], ["POST", "/pay"], ["POST", "/cancel"]]) {
      const nothing = await person.request(method, `${path.slice(0, -1)}${end}`, { headers: asPerson.headers });
      assert.deepEqual([nothing.status, nothing.headers["content-type"]], [404, "text/html; charset=utf-8"]);
      assert.match(nothing.text, /<h1>No such checkout<\/h1>/);
      assert.match(nothing.headers["content-security-policy"], /default-src 'none'/);
      assertRefused(await person.request(method, `${path.slice(0, -1)}${end}`), 404, "checkout");
    }
  });

  it("is found by nobody who only knows the session", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { checkout_url, session_id } = await purchase(own.buyer);
    const { checkout_url: other } = await purchase(own.buyer);
    const path = pathOf(checkout_url);
    const token = path.split("/").at(-1), signature = token.slice(-43);
    const flipped = [...signature].map((letter, at) => signature.slice(0, at) + (letter === "A" ? "B" : "A") + signature.slice(at + 1));
    const forged = [
      session_id, session_id.replace("pur_", "fh_pay_"), token.slice(0, -1), `${token}A`, token.slice(0, -44), token.toLowerCase(),
      token.slice(0, -43) + pathOf(other).slice(-43), `fh_pay_${"0".repeat(26)}_${signature}`, ...flipped.map((one) => token.slice(0, -43) + one),
    ];
    const person = server.client();
    for (const one of forged)
      for (const [method, end] of [["GET", ""], ["POST", "/pay"], ["POST", "/cancel"]])
        assertRefused(await person.request(method, `/checkout/${one}${end}`), 404, "checkout");
    assert.equal((await read(person, checkout_url)).heading, "Buy credit");
  });
});

describe("live credit without a provider", () => {
  it("is not to be had when the operator has not said so", async () => {
    const strict = await openMarket({}, { credits: 0 });
    try {
      const { checkout_url } = await purchase(strict.buyer, 5000);
      const person = strict.server.client();
      const page = await read(person, checkout_url);
      assert.match(page.status, /no payment provider/);
      assert.deepEqual(Object.keys(page.buttons), ["Cancel"]);
      assertRefused(await person.request("POST", `${pathOf(checkout_url)}/pay`), 403, "checkout_credits_off");
      assert.deepEqual(await strict.statement(), []);
      const test = strict.server.client(strict.org.test_key);
      await purchase(test, 5000);
      assert.equal((await test.get("/v1/billing/credits")).json.balance_cents, TEST_GRANT + 5500, "test credit is");
    } finally {
      await strict.stop();
    }
  });

  it("survives a restart: the page, and that it is paid", async () => {
    const own = await Market.open(server, { credits: 0 });
    const [open, paid] = [await purchase(own.buyer, 1000), await purchase(own.buyer, 2500)];
    await press(server.client(), paid.checkout_url, "Pay $25.00");
    await server.kill9();
    await server.launch();
    own.reconnect();
    market.reconnect();
    assert.equal((await read(server.client(), open.checkout_url)).heading, "Buy credit");
    assert.equal((await read(server.client(), paid.checkout_url)).heading, "Paid");
    assert.deepEqual(await own.statement(), [["purchase", 2500, null], ["bonus", 125, null]]);
  });
});

describe("what is asked", () => {
  it("is one of the packs", async () => {
    for (const amount of [0, 1, 999, 1001, -1000, 1000.5, "1000", null, 250_000, [1000]]) {
      const reply = await market.buyer.post(PURCHASE, { amount_cents: amount });
      assertRefused(reply, 422);
      assert.equal(reply.json.error.details[0].field, "amount_cents");
    }
    assertRefused(await market.buyer.post(PURCHASE, {}), 422, "required");
    assert.equal((await market.buyer.request("POST", PURCHASE, { raw: '{"amount_cents":1000.0}' })).status, 200, "1000.0 is 1000");
  });

  it("is one purchase for 64 clients with one Idempotency-Key", async () => {
    const own = await Market.open(server, { credits: 0 });
    const clients = Array.from({ length: CLIENTS }, () => server.client(own.org.test_key));
    const options = withKey(randomUUID());
    const replies = await Promise.all(clients.map((client) => client.post(PURCHASE, { amount_cents: 1000 }, options)));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1, "byte for byte the same");
    assert.equal(replies.filter(isReplay).length, CLIENTS - 1);
    assert.equal((await clients[0].get("/v1/billing/credits")).json.balance_cents, TEST_GRANT + 1000);
  });

  it("with a key used for another amount is refused, and the first still stands", async () => {
    const options = withKey(randomUUID());
    const first = await market.buyer.post(PURCHASE, { amount_cents: 1000 }, options);
    assertRefused(await market.buyer.post(PURCHASE, { amount_cents: 2500 }, options), 409, "idempotency_key_reused");
    const again = await market.buyer.post(PURCHASE, { amount_cents: 1000 }, options);
    assert.equal(again.text, first.text);
    assert.ok(isReplay(again) && !isReplay(first));
  });

  it("with a key of another organization is another purchase", async () => {
    const options = withKey(randomUUID());
    const own = await Market.open(server, { credits: 0 });
    const sessions = [];
    for (const client of [market.buyer, own.buyer, server.client(market.org.test_key)]) sessions.push((await purchase(client, 1000, options)).session_id);
    assert.equal(new Set(sessions).size, 3);
  });
});

describe("what is told", () => {
  const told = async (client, type) => (await client.all("/v1/events")).filter((event) => event.type === type);
  const inSchema = (name, data) => assert.deepEqual(schemaFaults({ $ref: `#/components/schemas/${name}` }, data), []);

  it("of a purchase is its transaction, once", async () => {
    const own = await Market.open(server);
    const test = server.client(own.org.test_key);
    await purchase(test, 2500);
    const [event, ...more] = await told(test, "credits.purchased");
    assert.deepEqual(more, []);
    const rows = await test.all("/v1/billing/transactions?type=purchase");
    assert.deepEqual(event.data, rows[0]);
    inSchema("CreditTransaction", event.data);
    assert.deepEqual(await told(own.buyer, "credits.purchased"), [], "the live world hears nothing of it");
  });

  it("of a low balance is the balance, once per fall below the line", async () => {
    const own = await Market.open(server, { credits: 1100 });
    await own.job({ price_per_file_cents: 50 });
    assert.deepEqual(await told(own.buyer, "credits.low_balance"), []);
    await own.job({ price_per_file_cents: 100 });
    const [event, ...more] = await told(own.buyer, "credits.low_balance");
    assert.deepEqual(more, []);
    assert.deepEqual(event.data, (await own.buyer.get("/v1/billing/credits")).json);
    await own.job({ price_per_file_cents: 100 });
    assert.equal((await told(own.buyer, "credits.low_balance")).length, 1);
    const { checkout_url } = await purchase(own.buyer, 1000);
    await press(server.client(), checkout_url, "Pay $10.00");
    await own.job({ price_per_file_cents: 1000 });
    assert.equal((await told(own.buyer, "credits.low_balance")).length, 2);
  });

  it("of a top-up is its transaction", async () => {
    const own = await Market.open(server);
    const test = server.client(own.org.test_key);
    await test.patch("/v1/organization/settings", { auto_top_up_enabled: true, auto_top_up_threshold_cents: TEST_GRANT + 1, auto_top_up_amount_cents: 700 });
    await server.advance(1);
    const [event] = await until("it is topped up", async () => {
      const all = await told(test, "credits.auto_topped_up");
      return all.length > 0 && all;
    });
    assert.deepEqual(event.data, (await test.all("/v1/billing/transactions"))[0]);
    assert.equal(event.data.description, "Automatic top-up");
  });

  it("of credit that expires is the grant, 30 days before, and the expiration, at its end", async () => {
    const year = await openMarket({ "event-retention": 0 }, { credits: 500 });
    try {
      await year.job({ price_per_file_cents: 120 });
      const [grant] = (await year.transactions()).filter(({ type }) => type === "bonus");
      const now = await year.server.advance(1);
      const left = (Date.parse(grant.expires_at) - now) / 1000;
      await year.server.advance(Math.floor(left - 30 * 24 * 3600) - 60);
      assert.deepEqual(await told(year.buyer, "credits.expiring_soon"), []);
      await year.server.advance(120);
      await year.server.advance(60);
      const [soon, ...more] = await told(year.buyer, "credits.expiring_soon");
      assert.deepEqual(more, []);
      assert.deepEqual(soon.data, { ...grant, remaining_cents: 380 });
      inSchema("CreditTransaction", soon.data);
      await year.server.advance(30 * 24 * 3600);
      const [expired, ...others] = await told(year.buyer, "credits.expired");
      assert.deepEqual(others, []);
      assert.deepEqual(expired.data, (await year.transactions()).at(-1));
      assert.deepEqual([expired.data.type, expired.data.amount_cents], ["expiration", -380]);
    } finally {
      await year.stop();
    }
  });
});

describe("auto top-up in the test environment", () => {
  const settings = (client, body) => client.patch("/v1/organization/settings", body);

  it("brings play money as soon as a job leaves the balance below the threshold, one at a time", async () => {
    const own = await Market.open(server);
    const test = server.client(own.org.test_key);
    assert.equal((await settings(test, { auto_top_up_enabled: true, auto_top_up_threshold_cents: TEST_GRANT, auto_top_up_amount_cents: 3000 })).status, 200);
    await Promise.all(Array.from({ length: 5 }, () => test.createJob({ files_needed: 1, price_per_file_cents: 10 })));
    await server.advance(1);
    const read = async () => (await test.all("/v1/billing/transactions")).reverse().map(({ type, amount_cents }) => [type, amount_cents]);
    const rows = await until("it is topped up", async () => {
      const all = await read();
      return all.some(([type]) => type === "purchase") && all;
    });
    const topUps = rows.filter(([type]) => type === "purchase");
    assert.ok(topUps.length >= 1 && topUps.length <= 5, JSON.stringify(rows));
    assert.deepEqual(topUps[0], ["purchase", 3000], "no pack, no bonus");
    assert.equal(rows.filter(([type]) => type === "bonus").length, 0);
  });

  it("begins when it is switched on below the threshold", async () => {
    const own = await Market.open(server);
    const test = server.client(own.org.test_key);
    await settings(test, { auto_top_up_enabled: true, auto_top_up_threshold_cents: TEST_GRANT + 1, auto_top_up_amount_cents: 2500 });
    await server.advance(1);
    const balance = async () => (await test.get("/v1/billing/credits")).json.balance_cents;
    await until("it is topped up", async () => (await balance()) > TEST_GRANT);
    assert.equal(await balance(), TEST_GRANT + 2625, "a pack's amount brings its bonus");
  });

  it("charges nobody for live credit without a provider", async () => {
    const own = await Market.open(server, { credits: 5000 });
    await settings(own.buyer, { auto_top_up_enabled: true, auto_top_up_threshold_cents: 5000, auto_top_up_amount_cents: 2500 });
    await own.job({ price_per_file_cents: 100 });
    await server.advance(1);
    assert.deepEqual((await own.statement()).map(([type]) => type), ["bonus", "deduction"]);
  });
});

describe("a POST without a credential", () => {
  const DAY_S = 24 * 3600;
  const person = (n) => ({ name: "Wanda", email: `idem${n}@example.com`, password: "correct horse" });
  const newInvite = async () => new URL((await server.admin("invite-worker")).url).searchParams.get("invite");

  it("joins once for 16 clients with one Idempotency-Key, and all have the same token", async () => {
    const body = { invite: await newInvite(), ...person(1) };
    const options = withKey(randomUUID());
    const replies = await Promise.all(Array.from({ length: 16 }, async () => {
      const client = server.client();
      for (;;) {
        const reply = await client.post("/worker/v1/join", body, options);
        if (reply.status !== 503) return reply; /* two passwords at once */
      }
    }));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1);
    assert.equal(replies.filter(isReplay).length, 15);
    assert.equal((await server.client(replies[0].json.token).get("/worker/v1/jobs")).status, 200);
  });

  it("shows nobody else's token: not with another password, not without the invite", async () => {
    const body = { invite: await newInvite(), ...person(2) };
    const options = withKey("guessable");
    const first = await server.client().post("/worker/v1/join", body, options);
    assert.equal(first.status, 201, first.text);
    assertRefused(await server.client().post("/worker/v1/join", { ...body, password: "another horse" }, options), 409, "idempotency_key_reused");
    assertRefused(await server.client().post("/worker/v1/join", { ...body, invite: "fh_inv_nothing" }, options), 404, "invite");
    const other = await server.client().post("/worker/v1/join", { invite: await newInvite(), ...person(3) }, options);
    assert.equal(other.status, 201, "the same key of another invite is another key");
    assert.notEqual(other.json.token, first.json.token);
    assertRefused(await server.client().post("/worker/v1/join", body), 409, "invite_used");
  });

  it("signs in once, and again only to who has the password", async () => {
    const account = person(4);
    await server.client().post("/worker/v1/join", { invite: await newInvite(), ...account });
    const body = { email: account.email, password: account.password };
    const options = withKey("guessable");
    const first = await server.client().post("/worker/v1/sessions", body, options);
    assert.equal(first.status, 201, first.text);
    const again = await server.client().post("/worker/v1/sessions", body, options);
    assert.equal(again.text, first.text);
    assert.ok(isReplay(again));
    assertRefused(await server.client().post("/worker/v1/sessions", { ...body, password: "wrong horse" }, options), 401, "bad_credentials");
    await server.advance(DAY_S + 1);
    const later = await server.client().post("/worker/v1/sessions", body, options);
    assert.equal(later.status, 201);
    assert.notEqual(later.json.token, first.json.token);
  });
});

describe("settings that do not fit", () => {
  it("refuse the start", async () => {
    const fitting = { "stripe-key": "sk_test_x", "stripe-webhook-secret": "whsec_x" };
    for (const settings of [
      { "stripe-key": "sk_test_x" }, { "stripe-webhook-secret": "whsec_x" }, { ...fitting, "stripe-api-url": "http://api.example.com" },
      { ...fitting, "stripe-api-url": "api.stripe.com" }, { ...fitting, "stripe-key": "sk_test x" },
    ])
      await assert.rejects(start(settings), /ended \(2\)/, JSON.stringify(settings));
  });
});
