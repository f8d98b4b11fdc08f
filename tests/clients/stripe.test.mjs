/* Card payments through Stripe: events signed by Stripe's own library, and a double of its API that
 * refuses what the real one would. Money is booked once, whatever is told, when, and how often. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { assertRefused, Market, openMarket, until } from "../lib/market.mjs";
import { PURCHASE, statement, StripeMarket } from "../lib/stripe-market.mjs";


let shop, stripe, market, server;

before(async () => {
  shop = await StripeMarket.open();
  ({ stripe, market, server } = shop);
});
after(() => shop?.close());

const withKey = (idempotencyKey) => ({ headers: { "idempotency-key": idempotencyKey } });
const isReplay = (reply) => reply.headers["idempotent-replayed"] === "true";
const advance = (seconds) => shop.advance(seconds);
const purchase = (...args) => shop.purchase(...args);
const send = (...args) => shop.send(...args);
const tell = (...args) => shop.tell(...args);
const logged = (payload) => shop.logged(payload);
const withCard = (options) => shop.withCard(options);

describe("a purchase", () => {
  it("asks Stripe for a session of that amount, and hands on where to pay", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { checkout_url, session_id } = await purchase(own.buyer, 2500);
    const session = stripe.session(session_id);
    assert.equal(checkout_url, session.url);
    assert.equal(session.amount_total, 2500);
    const { key, form } = stripe.asked.at(-1);
    assert.equal(key, form.client_reference_id, "the intent's id is the idempotency key");
    assert.deepEqual(await own.statement(), [], "nothing is credited before it is paid");
    const page = await shop.outside.get(new URL(form.success_url).pathname);
    assert.equal(page.status, 200);
    assert.match(page.text, /Not confirmed by the payment provider yet/);
    assert.ok(!/<form|local test checkout/.test(page.text), "nothing to press on our page");
    assertRefused(await shop.outside.request("POST", `${new URL(form.success_url).pathname}/pay`), 409, "checkout_elsewhere");
    assertRefused(await shop.outside.request("POST", `${new URL(form.success_url).pathname}/cancel`), 409, "checkout_elsewhere");
  });

  it("is the same for the same Idempotency-Key, and asks Stripe no more", async () => {
    const options = withKey(randomUUID());
    const first = await market.buyer.post(PURCHASE, { amount_cents: 1000 }, options);
    const asked = stripe.asked.length;
    const again = await market.buyer.post(PURCHASE, { amount_cents: 1000 }, options);
    assert.equal(again.text, first.text);
    assert.ok(isReplay(again) && !isReplay(first));
    assert.equal(stripe.asked.length, asked);
  });

  it("is one session for many clients at once with one key", async () => {
    const options = withKey(randomUUID());
    const before = stripe.sessions.length;
    const clients = Array.from({ length: 16 }, () => server.client(market.org.live_key));
    const replies = await Promise.all(clients.map(async (client) => {
      for (;;) {
        const reply = await client.post(PURCHASE, { amount_cents: 1000 }, options);
        if (reply.status !== 503) return reply; /* three questions at once */
        await advance(1);
      }
    }));
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1, "byte for byte");
    assert.equal(stripe.sessions.length, before + 1);
  });

  it("of the test environment never meets Stripe", async () => {
    const asked = stripe.asked.length;
    const { session_id } = await purchase(server.client(market.org.test_key));
    assert.match(session_id, /^pur_/);
    assert.equal(stripe.asked.length, asked);
  });
});

describe("while Stripe does not answer", () => {
  for (const outage of ["500", "429", "401", "reset", "nonsense"])
    it(`a purchase is 503, and repeated it asks for the same session: ${outage}`, async () => {
      const own = await Market.open(server, { credits: 0 });
      const options = withKey(randomUUID());
      const before = stripe.sessions.length;
      stripe.outage = outage;
      const reply = await own.buyer.post(PURCHASE, { amount_cents: 1000 }, options).finally(() => (stripe.outage = null));
      assertRefused(reply, 503, "provider_failed");
      assert.ok(!reply.text.includes(stripe.key.slice(8)), "nothing of the key");
      assertRefused(await own.buyer.post(PURCHASE, { amount_cents: 2500 }, options), 409, "idempotency_key_reused");
      const again = await own.buyer.post(PURCHASE, { amount_cents: 1000 }, options);
      assert.equal(again.status, 200, again.text);
      assert.equal(stripe.sessions.length, before + 1);
    });

  it("and the server is killed, the same key leads to the same session", async () => {
    const options = withKey(randomUUID());
    const first = await market.buyer.post(PURCHASE, { amount_cents: 1000 }, options);
    assert.equal(first.status, 200);
    const other = withKey(randomUUID());
    stripe.outage = "hang";
    const lost = market.buyer.post(PURCHASE, { amount_cents: 5000 }, other).then(() => "answered", () => "lost");
    await until("Stripe was asked", () => stripe.hanging.length > 0);
    await server.kill9();
    assert.equal(await lost, "lost");
    stripe.outage = null;
    stripe.release();
    await server.launch();
    shop.reconnect();
    const before = stripe.sessions.length;
    const reply = await market.buyer.post(PURCHASE, { amount_cents: 5000 }, other);
    assert.equal(reply.status, 200, reply.text);
    assert.equal(stripe.sessions.length, before + 1);
    assert.equal((await market.buyer.post(PURCHASE, { amount_cents: 1000 }, options)).text, first.text);
  });
});

describe("an event", () => {
  it("of Stripe's own generator is taken, and credits what was paid", async () => {
    const { own } = await withCard({ amount: 2500 });
    assert.deepEqual(await statement(own), [["purchase", 2500], ["bonus", 125]]);
  });

  const disguises = {
    "changed by a byte": (payload) => [payload.replace('"amount_total":1000', '"amount_total":9000'), stripe.sign(payload, at(0))],
    "signed with another secret": (payload) => [payload, stripe.sign(payload, { ...at(0), secret: "whsec_another" })],
    "signed with an empty secret": (payload) => [payload, stripe.sign(payload, { ...at(0), secret: "" })],
    "five minutes and a bit old": (payload) => [payload, stripe.sign(payload, at(-310))],
    "from the future": (payload) => [payload, stripe.sign(payload, at(400))],
    "with a newer time than was signed": (payload) => [payload, stripe.sign(payload, at(-400)).replace(/^t=\d+/, `t=${at(0).timestamp}`)],
    "with no v1": (payload) => [payload, stripe.sign(payload, at(0)).replace("v1=", "v0=")],
    "with no time": (payload) => [payload, stripe.sign(payload, at(0)).replace(/^t=\d+,/, "")],
    "with two times": (payload) => [payload, `t=${at(0).timestamp},${stripe.sign(payload, at(0))}`],
    "with half a signature": (payload) => [payload, stripe.sign(payload, at(0)).slice(0, -32)],
    "with nonsense": (payload) => [payload, "sorry"],
    "with an empty header": (payload) => [payload, ""],
    "with white space added": (payload) => [`${payload} `, stripe.sign(payload, at(0))],
  };
  const at = (seconds) => ({ timestamp: Math.floor(shop.nowMs / 1000) + seconds });
  for (const [what, disguise] of Object.entries(disguises))
    it(`is refused ${what}`, async () => {
      const own = await Market.open(server, { credits: 0 });
      const { session } = stripe.pay((await purchase(own.buyer)).session_id);
      const genuine = stripe.event("checkout.session.completed", session);
      await advance(1);
      const [payload, header] = disguise(genuine);
      assertRefused(await stripe.send(shop.outside, payload, { header }), 400);
      assert.deepEqual(await own.statement(), []);
      assert.equal((await send(genuine)).status, 200, "as it was it is taken");
      assert.deepEqual(await statement(own), [["purchase", 1000]]);
    });

  it("is refused without a signature", async () => {
    const reply = await shop.outside.request("POST", "/v1/stripe/webhook", { raw: stripe.event("customer.created", {}) });
    assertRefused(reply, 400, "required");
  });

  it("is taken by any one of several signatures, and minutes late", async () => {
    const payload = stripe.event("customer.created", { id: "cus_x" });
    await advance(1);
    const good = stripe.sign(payload, at(-240)), [time, v1] = good.split(",");
    const bad = `v1=${"0".repeat(64)}`;
    for (const header of [good, `${time},${bad},${v1}`, `${time},${v1},${bad}`, `${time},v0=00,${v1}`, `${time}, ${v1}`])
      assert.equal((await stripe.send(shop.outside, payload, { header })).status, 200, header);
  });

  it("that is signed but is none is refused", async () => {
    for (const payload of ["", "{", "[]", "null", "{}", '{"id":"evt_1"}', '{"id":"evt_1","type":"a"}', '{"id":1,"type":"a","data":{"object":{}}}', `{"id":"evt_1","type":"a","data":{"object":[]}}`])
      assertRefused(await send(payload), 400);
  });

  it("of a type that means nothing is taken and dropped", async () => {
    for (const type of ["customer.created", "invoice.paid", "checkout.session.completed.x", "payment_intent.created"])
      await tell(type, { id: "x", metadata: { purchase_id: "pur_01ARZ3NDEKTSV4RRFFQ69G5FAV" } });
  });

  it("of somebody else's payment is taken and dropped", async () => {
    for (const type of ["checkout.session.completed", "payment_intent.succeeded", "charge.refunded", "charge.dispute.created"]) {
      const payload = stripe.event(type, { id: "cs_other", payment_intent: "pi_other", payment_status: "paid", amount_total: 1000, currency: "usd", metadata: {} });
      assert.equal((await send(payload)).status, 200);
      assert.equal((await logged(payload)).outcome, "unknown_purchase");
    }
  });
});

describe("money", () => {
  const orders = {
    "completed, then the payment": ["session", "payment"],
    "the payment, then completed": ["payment", "session"],
    "all of it three times": ["session", "payment", "async", "session", "payment", "async", "session"],
    "async first": ["async", "payment", "session"],
  };
  for (const [what, order] of Object.entries(orders))
    it(`is booked once: ${what}`, async () => {
      const own = await Market.open(server, { credits: 0 });
      const paid = stripe.pay((await purchase(own.buyer, 5000)).session_id);
      const payloads = {
        session: stripe.event("checkout.session.completed", paid.session),
        async: stripe.event("checkout.session.async_payment_succeeded", paid.session),
        payment: stripe.event("payment_intent.succeeded", paid.payment),
      };
      for (const one of order) assert.equal((await send(payloads[one])).status, 200);
      assert.deepEqual(await statement(own), [["purchase", 5000], ["bonus", 500]]);
    });

  it("is booked once when the same event comes 32 times at once", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { session } = stripe.pay((await purchase(own.buyer)).session_id);
    const payload = stripe.event("checkout.session.completed", session);
    await advance(1);
    const replies = await Promise.all(Array.from({ length: 32 }, () => stripe.send(server.client(), payload, { nowMs: shop.nowMs })));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    assert.deepEqual(await statement(own), [["purchase", 1000]]);
  });

  it("waits until it has arrived: completed but unpaid credits nothing", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { session } = stripe.pay((await purchase(own.buyer)).session_id);
    await tell("checkout.session.completed", { ...session, payment_status: "unpaid" });
    assert.deepEqual(await own.statement(), []);
    await tell("checkout.session.async_payment_succeeded", session);
    assert.deepEqual(await statement(own), [["purchase", 1000]]);
  });

  const lies = {
    "another amount": { amount_total: 999 },
    "no amount": { amount_total: null },
    "another currency": { currency: "eur" },
    "another session": { id: "cs_test_another" },
    "no payment needed": { payment_status: "no_payment_required" },
  };
  for (const [what, change] of Object.entries(lies))
    it(`is not booked for ${what}`, async () => {
      const own = await Market.open(server, { credits: 0 });
      const { session } = stripe.pay((await purchase(own.buyer)).session_id);
      await tell("checkout.session.completed", { ...session, ...change });
      assert.deepEqual(await own.statement(), []);
    });

  it("of Stripe's other mode is none, and the operator is told", async () => {
    const own = await Market.open(server, { credits: 0 });
    const { session } = stripe.pay((await purchase(own.buyer)).session_id);
    const payload = stripe.event("checkout.session.completed", session, { livemode: true });
    assert.equal((await send(payload)).status, 200);
    assert.deepEqual(await own.statement(), []);
    const line = await logged(payload);
    assert.equal(line.level, "error");
    assert.equal(line.outcome, "disagrees");
  });

  for (const [type, heading] of [["checkout.session.expired", "Expired"], ["checkout.session.async_payment_failed", "Not paid"]])
    it(`does not come after ${type}, and when it does it is booked all the same`, async () => {
      const own = await Market.open(server, { credits: 0 });
      const { session_id } = await purchase(own.buyer);
      const link = new URL(stripe.asked.at(-1).form.success_url).pathname;
      await tell(type, stripe.session(session_id));
      assert.match((await shop.outside.get(link)).text, new RegExp(`<h1>${heading}</h1>`));
      const { session } = stripe.pay(session_id);
      await tell("checkout.session.completed", session);
      await tell(type, session);
      assert.deepEqual(await statement(own), [["purchase", 1000]]);
      assert.match((await shop.outside.get(link)).text, /<h1>Paid<\/h1>/);
    });
});

describe("money taken back", () => {
  for (const [type, what] of [["charge.refunded", "charge"], ["charge.dispute.created", "dispute"]])
    it(`freezes new live jobs until the operator lifts it: ${type}`, async () => {
      const { own, paid } = await withCard();
      const standing = await own.job();
      const payload = stripe.event(type, paid[what]);
      assert.equal((await send(payload)).status, 200);
      assertRefused(await own.buyer.postJob({ files_needed: 1 }), 403, "organization_frozen");
      assert.equal((await own.getJob(standing)).status, "open", "what is posted goes on");
      await server.client(own.org.test_key).createJob();
      const line = await logged(payload);
      assert.deepEqual([line.level, line.outcome, line.org], ["error", "frozen", own.org.organization_id]);
      assert.deepEqual((await statement(own)).map(([kind]) => kind), ["purchase", "deduction"], "balances are corrected by hand");
      const lifted = await server.admin("unfreeze-org", "--org", own.org.organization_id);
      assert.deepEqual(lifted, { organization_id: own.org.organization_id, freezes_lifted: 1 });
      assert.equal((await send(payload)).status, 200, "told again");
      assert.equal((await own.buyer.postJob({ files_needed: 1 })).status, 201, "it does not freeze again");
    });

  it("before its payment was told of freezes as soon as that is", async () => {
    const own = await Market.open(server, { credits: 0 });
    const paid = stripe.pay((await purchase(own.buyer)).session_id);
    const dispute = stripe.event("charge.dispute.created", paid.dispute);
    assert.equal((await send(dispute)).status, 200);
    assert.equal((await logged(dispute)).outcome, "unknown_purchase");
    await server.restart();
    shop.reconnect();
    own.reconnect();
    const completed = stripe.event("checkout.session.completed", paid.session);
    assert.equal((await send(completed)).status, 200);
    assert.deepEqual(await statement(own), [["purchase", 1000]], "the money is there, for the operator to take back");
    const line = await logged(completed);
    assert.deepEqual([line.level, line.outcome, line.org], ["error", "frozen", own.org.organization_id]);
    assertRefused(await own.buyer.postJob({ files_needed: 1 }), 403, "organization_frozen");
  });
});

describe("a server without Stripe", () => {
  it("takes no event, whatever it is signed with", async () => {
    const plain = await openMarket();
    try {
      for (const secret of ["", stripe.webhookSecret])
        assertRefused(await stripe.send(plain.server.client(), stripe.event("customer.created", {}), { secret }), 400, "bad_signature");
    } finally {
      await plain.stop();
    }
  });
});
