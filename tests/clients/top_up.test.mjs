/* Automatic top-ups by the saved card, through the double of Stripe: when a charge is asked for, how
 * often, and what keeps one from being made. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertRefused, Market, until } from "../lib/market.mjs";
import { statement, StripeMarket } from "../lib/stripe-market.mjs";

const HOUR_S = 3600;
const DECLINED = "insufficient_funds";
const DAILY_MAX = 10;

let shop, stripe;

before(async () => {
  shop = await StripeMarket.open();
  stripe = shop.stripe;
});
after(() => shop?.close());

const setTopUp = async (own, isOn) => {
  const reply = await own.buyer.patch("/v1/organization/settings", { auto_top_up_enabled: isOn });
  assert.equal(reply.status, 200, reply.text);
};
const isEnabled = async (own) => (await own.buyer.get("/v1/organization/settings")).json.auto_top_up_enabled;
const spend = (own, cents = 200) => own.job({ files_needed: 1, price_per_file_cents: cents });
const told = async (own, type) => (await own.buyer.all("/v1/events")).filter((event) => event.type === type);

describe("auto top-up", () => {
  it("charges the saved card when a job leaves the balance below the threshold", async () => {
    const own = await shop.toppedUp();
    const from = stripe.asked.length;
    await spend(own, 100);
    await shop.advance(1);
    assert.equal(shop.chargesOf(own, from).length, 0, "900 is not below 900");
    await spend(own, 100);
    await shop.advance(1);
    const [{ form, key }, ...more] = shop.chargesOf(own, from);
    assert.deepEqual(more, []);
    assert.deepEqual([form.amount, form.payment_method, key], ["2500", own.card, `${form["metadata[purchase_id]"]}-1`]);
    assert.deepEqual(await statement(own), [["purchase", 1000], ["deduction", -100], ["deduction", -100], ["purchase", 2500], ["bonus", 125]]);
    await shop.tell("payment_intent.succeeded", stripe.payments.at(-1));
    assert.equal((await own.balance()).balance, 3425, "the event of it books nothing more");
  });

  it("is one at a time, however many jobs are posted meanwhile", async () => {
    const own = await shop.toppedUp();
    const from = stripe.asked.length;
    stripe.outage = "hang";
    await Promise.all(Array.from({ length: 8 }, () => spend(own, 50)));
    await spend(own, 60);
    await until("Stripe was asked", () => stripe.hanging.length > 0);
    await Promise.all(Array.from({ length: 4 }, () => spend(own, 10)));
    assert.equal(stripe.hanging.length, 1);
    stripe.outage = null;
    stripe.release();
    await until("the charge was asked for again", async () => {
      await shop.advance(60);
      return (await own.balance()).balance > 1000;
    });
    assert.equal(new Set(shop.chargesOf(own, from).map(({ key }) => key)).size, 1, "one charge, asked for with one key");
    assert.equal((await statement(own)).filter(([kind]) => kind === "purchase").length, 2);
  });

  it("ends after three declined tries, an hour apart, and is switched off", async () => {
    const own = await shop.toppedUp();
    const from = stripe.asked.length;
    stripe.charges = [DECLINED, DECLINED, DECLINED];
    await spend(own);
    await shop.advance(1);
    for (let tries = 1; tries <= 3; tries++) {
      assert.deepEqual(shop.chargesOf(own, from).map(({ key }) => key.at(-1)), ["1", "2", "3"].slice(0, tries));
      assert.equal(await isEnabled(own), tries < 3);
      await shop.advance(HOUR_S - 120);
      assert.equal(shop.chargesOf(own, from).length, tries, "not before the hour is over");
      await shop.advance(180);
    }
    await spend(own, 10);
    await shop.advance(2 * HOUR_S);
    assert.equal(shop.chargesOf(own, from).length, 3);
    assert.deepEqual((await statement(own)).map(([kind]) => kind), ["purchase", "deduction", "deduction"]);
    const falls = await told(own, "credits.low_balance");
    assert.deepEqual(falls.map(({ data }) => data.auto_top_up_disabled ?? false), [true, false], "switched off; and the first fall below");
    const body = { auto_top_up_enabled: true };
    assert.equal((await own.buyer.patch("/v1/organization/settings", body)).status, 200, "switched on again it begins anew");
    await shop.advance(1);
    assert.equal((await statement(own)).at(-1)[0], "bonus");
  });

  it("succeeds at the second try", async () => {
    const own = await shop.toppedUp({ amount: 3000 });
    stripe.charges = [DECLINED];
    await spend(own);
    await shop.advance(1);
    await shop.advance(HOUR_S);
    assert.deepEqual((await statement(own)).at(-1), ["purchase", 3000]);
    assert.equal(await isEnabled(own), true);
  });

  for (const outage of ["500", "429", "401"])
    it(`counts no try while Stripe answers ${outage}, and asks with the same key`, async () => {
      const own = await shop.toppedUp();
      const from = stripe.asked.length;
      stripe.outage = outage;
      await spend(own);
      for (let i = 0; i < 6; i++) await shop.advance(900);
      stripe.outage = null;
      await shop.advance(900);
      assert.deepEqual(shop.chargesOf(own, from).map(({ key }) => key.at(-1)), ["1"]);
      assert.equal((await own.balance()).balance, 1000 - 200 + 2625);
    });

  it("that is taken back freezes new live jobs, though no event told of it before", async () => {
    const own = await shop.toppedUp();
    await spend(own);
    await shop.advance(1);
    assert.equal((await own.balance()).balance, 800 + 2625);
    const { id, amount } = stripe.payments.at(-1);
    await shop.tell("charge.dispute.created", { id: "dp_1", object: "dispute", payment_intent: id, amount, currency: "usd", metadata: {} });
    assertRefused(await own.buyer.postJob({ files_needed: 1 }), 403, "organization_frozen");
  });

  it("is given up, not charged twice, when Stripe is away for a day", async () => {
    const own = await shop.toppedUp();
    const from = stripe.asked.length;
    stripe.outage = "500";
    await spend(own);
    await shop.advance(23 * HOUR_S);
    stripe.outage = null;
    await shop.advance(HOUR_S);
    assert.equal(shop.chargesOf(own, from).length, 0);
    assert.equal(await isEnabled(own), true, "it was not the card's fault");
    await spend(own, 10);
    await shop.advance(1);
    assert.equal(shop.chargesOf(own, from).length, 1, "the next job begins another");
  });

  it("waits for the event when the charge is processing", async () => {
    const own = await shop.toppedUp();
    stripe.charges = ["processing"];
    await spend(own);
    await shop.advance(1);
    const payment = stripe.payments.at(-1);
    assert.equal((await own.balance()).balance, 800);
    await spend(own, 10);
    await shop.advance(2 * HOUR_S);
    assert.equal(stripe.payments.at(-1), payment, "no second one meanwhile");
    await shop.tell("payment_intent.succeeded", { ...payment, status: "succeeded", amount_received: 2500 });
    assert.equal((await own.balance()).balance, 790 + 2625);
  });

  it("tries again when a processing charge fails in the end", async () => {
    const own = await shop.toppedUp();
    stripe.charges = ["processing"];
    await spend(own);
    await shop.advance(1);
    const payment = stripe.payments.at(-1);
    await shop.tell("payment_intent.payment_failed", { ...payment, status: "requires_payment_method" });
    await shop.tell("payment_intent.payment_failed", { ...payment, status: "requires_payment_method" });
    await shop.advance(HOUR_S - 120);
    assert.equal(stripe.asked.at(-1).key.at(-1), "1", "not before the hour is over");
    await shop.advance(180);
    assert.equal(stripe.asked.at(-1).key.at(-1), "2");
    assert.equal((await own.balance()).balance, 800 + 2625);
  });

  for (const [what, changes] of Object.entries({
    "another amount": { amount_received: 2499 },
    "another currency": { currency: "eur" },
    "money of the other mode": { livemode: true },
  }))
    it(`credits nothing for ${what}, and asks no second time`, async () => {
      const own = await shop.toppedUp();
      const from = stripe.asked.length;
      stripe.charges = [changes];
      await spend(own);
      await shop.advance(2 * HOUR_S);
      assert.equal(shop.chargesOf(own, from).length, 1);
      assert.equal((await own.balance()).balance, 800);
      await until("the log tells of it", () => shop.server.logLines.some((line) => line.includes("top_up_disagrees") && line.includes(own.org.organization_id)));
    });

  for (const answer of ["processing", DECLINED])
    it(`is credited by the event that overtakes the answer: ${answer}`, async () => {
      const own = await shop.toppedUp();
      const from = stripe.asked.length;
      stripe.charges = [answer];
      const overtaken = new Promise((done) => {
        stripe.beforeAnswer = () => {
          const payload = stripe.event("payment_intent.succeeded", { ...stripe.payments.at(-1), status: "succeeded", amount_received: 2500 });
          return stripe.send(shop.outside, payload, { nowMs: shop.nowMs }).then(done);
        };
      });
      await spend(own);
      assert.equal((await overtaken).status, 200);
      await shop.advance(2 * HOUR_S);
      assert.equal((await own.balance()).balance, 800 + 2625);
      assert.equal(shop.chargesOf(own, from).length, 1);
    });

  it("charges nobody without a saved card", async () => {
    const own = await Market.open(shop.server, { credits: 1000 });
    await own.buyer.patch("/v1/organization/settings", { auto_top_up_enabled: true, auto_top_up_threshold_cents: 5000, auto_top_up_amount_cents: 2500 });
    const asked = stripe.asked.length;
    await spend(own);
    await shop.advance(1);
    assert.equal(stripe.asked.length, asked);
  });

  it("leaves the next checkout to the same customer", async () => {
    const own = await shop.toppedUp();
    await shop.purchase(own.buyer);
    assert.equal(stripe.asked.at(-1).form.customer, own.customer);
  });
});

/* A fall below the threshold whose first charge was declined. */
async function declinedOnce() {
  const own = await shop.toppedUp({ amount: 3000 });
  own.from = stripe.asked.length;
  stripe.charges = [DECLINED];
  await spend(own);
  await shop.advance(1);
  assert.equal(shop.chargesOf(own, own.from).length, 1);
  return own;
}

describe("a declined charge is not asked for again", () => {
  it("when auto top-up was switched off meanwhile; switched on again it begins anew", async () => {
    const own = await declinedOnce();
    await setTopUp(own, false);
    await shop.advance(HOUR_S);
    await shop.advance(HOUR_S);
    assert.equal(shop.chargesOf(own, own.from).length, 1);
    await setTopUp(own, true);
    await shop.advance(1);
    const charges = shop.chargesOf(own, own.from);
    assert.equal(charges.length, 2);
    assert.ok(charges[1].key.endsWith("-1"), "another top-up, its first try");
    assert.deepEqual((await statement(own)).at(-1), ["purchase", 3000]);
  });

  it("when credit was bought by hand meanwhile, and the next fall begins another", async () => {
    const own = await declinedOnce();
    const paid = stripe.pay((await shop.purchase(own.buyer)).session_id);
    await shop.tell("checkout.session.completed", paid.session);
    await shop.advance(HOUR_S);
    await shop.advance(HOUR_S);
    assert.equal(shop.chargesOf(own, own.from).length, 1);
    assert.equal((await own.balance()).balance, 1800);
    await spend(own, 1000);
    await shop.advance(1);
    assert.deepEqual((await statement(own)).at(-1), ["purchase", 3000]);
  });

  it("when a payment was disputed meanwhile", async () => {
    const own = await declinedOnce();
    await shop.tell("charge.dispute.created", own.paid.dispute);
    await shop.advance(HOUR_S);
    await shop.advance(HOUR_S);
    assert.equal(shop.chargesOf(own, own.from).length, 1);
  });
});

describe("a frozen organization", () => {
  it("is not charged when its credit expires", async () => {
    const own = await shop.toppedUp({ threshold: 500 });
    const from = stripe.asked.length;
    await shop.tell("charge.dispute.created", own.paid.dispute);
    await shop.advance(366 * 24 * HOUR_S);
    assert.equal((await own.balance()).balance, 0);
    assert.equal(shop.chargesOf(own, from).length, 0);
    await shop.server.admin("unfreeze-org", "--org", own.org.organization_id);
    await setTopUp(own, true);
    await shop.advance(1);
    assert.equal(shop.chargesOf(own, from).length, 1, "lifted and wanted, it is");
  });
});

describe("an endless chain of top-ups", () => {
  it(`ends after ${DAILY_MAX} in 24 hours; the fall is told, and the next day it goes on`, async () => {
    const own = await shop.toppedUp({ threshold: 900, amount: 1000 });
    const from = stripe.asked.length;
    for (let i = 0; i <= DAILY_MAX; i++) {
      await spend(own, 1000);
      await shop.advance(1);
    }
    assert.equal(shop.chargesOf(own, from).length, DAILY_MAX);
    assert.equal((await own.balance()).balance, 0);
    assert.equal(await isEnabled(own), true);
    assert.equal((await told(own, "credits.auto_topped_up")).length, DAILY_MAX);
    const last = (await told(own, "credits.low_balance"))[0];
    assert.equal(last.data.balance_cents, 0);
    await shop.advance(23 * HOUR_S);
    await setTopUp(own, true);
    await shop.advance(1);
    assert.equal(shop.chargesOf(own, from).length, DAILY_MAX, "not before the day is over");
    await shop.advance(HOUR_S);
    await setTopUp(own, true);
    await shop.advance(1);
    assert.equal(shop.chargesOf(own, from).length, DAILY_MAX + 1);
    assert.equal((await own.balance()).balance, 1000);
  });

  it("goes on where top-up-daily-max is 0", async () => {
    const endless = await StripeMarket.open({ "top-up-daily-max": 0 });
    try {
      const own = await endless.toppedUp({ threshold: 900, amount: 1000 });
      for (let i = 0; i < DAILY_MAX + 2; i++) {
        await spend(own, 1000);
        await endless.advance(1);
      }
      assert.equal((await own.balance()).balance, 1000);
    } finally {
      await endless.close();
    }
  });
});
