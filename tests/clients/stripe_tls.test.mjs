/* Asking Stripe over HTTPS: a certificate that does not prove who answers is refused before anything
 * is said, nothing is credited or lost by it, and what was wanted is asked for again. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { Authority } from "../lib/authority.mjs";
import { assertRefused, Market } from "../lib/market.mjs";
import { start } from "../lib/server.mjs";
import { PURCHASE, statement, StripeMarket } from "../lib/stripe-market.mjs";

const HERE = "IP:127.0.0.1";
const LONG_AGO = { from: "20200101000000Z", to: "20210101000000Z" };
const NOT_YET = { from: "20980101000000Z", to: "20991231000000Z" };

let ours, theirs, good, shop, stripe;

before(async () => {
  [ours, theirs] = [new Authority(), new Authority("another authority")];
  good = ours.issue(HERE);
  shop = await StripeMarket.open({ "stripe-ca": ours.certPath }, { tls: good });
  stripe = shop.stripe;
});
after(async () => {
  await shop?.close();
  ours?.close();
  theirs?.close();
});

const withKey = (idempotencyKey) => ({ headers: { "idempotency-key": idempotencyKey } });

const impostors = {
  "of another name": () => ours.issue("DNS:api.stripe.com"),
  "of another address": () => ours.issue("IP:127.0.0.2"),
  "that has expired": () => ours.issue(HERE, LONG_AGO),
  "that does not hold yet": () => ours.issue(HERE, NOT_YET),
  "of an authority nobody named": () => theirs.issue(HERE),
};

/* Something failed while a certificate that will not do was presented. Nothing was said to it. */
async function beside(tls, act) {
  const [asked, connections] = [stripe.asked.length, stripe.connections];
  stripe.present(tls);
  await act().finally(() => stripe.present(good));
  assert.ok(stripe.connections > connections, "it was tried");
  assert.deepEqual([stripe.asked.length, stripe.broken], [asked, []], "no question left this server");
}

describe("over HTTPS", () => {
  it("a purchase is asked for, paid and credited", async () => {
    const { own } = await shop.withCard({ amount: 2500 });
    assert.deepEqual(await statement(own), [["purchase", 2500], ["bonus", 125]]);
  });
});

describe("a certificate is refused", () => {
  for (const [what, issue] of Object.entries(impostors))
    it(`${what}: a purchase is 503, and repeated it asks with the same key`, async () => {
      const own = await Market.open(shop.server, { credits: 0 });
      const options = withKey(randomUUID());
      await beside(issue(), async () => {
        for (let i = 0; i < 2; i++)
          assertRefused(await own.buyer.post(PURCHASE, { amount_cents: 2500 }, options), 503, "provider_failed");
      });
      assert.deepEqual(await own.statement(), []);
      const reply = await own.buyer.post(PURCHASE, { amount_cents: 2500 }, options);
      assert.equal(reply.status, 200, reply.text);
      const { key, form } = stripe.asked.at(-1);
      assert.equal(key, form.client_reference_id, "the intent of the first try");
      const paid = stripe.pay(reply.json.session_id);
      await shop.tell("checkout.session.completed", paid.session);
      assert.deepEqual(await statement(own), [["purchase", 2500], ["bonus", 125]]);
    });

  it("a top-up waits, counts no try, and asks with the same key", async () => {
    const own = await shop.toppedUp({ amount: 3000 });
    const from = stripe.asked.length;
    await beside(theirs.issue(HERE), async () => {
      await own.job({ files_needed: 1, price_per_file_cents: 200 });
      await shop.advance(1);
    });
    assert.equal((await own.balance()).balance, 800);
    await shop.advance(900);
    assert.deepEqual(shop.chargesOf(own, from).map(({ key }) => key.at(-1)), ["1"]);
    assert.equal((await own.balance()).balance, 3800);
  });
});

describe("stripe-ca", () => {
  it("is wanted for an authority of one's own: the system's do not know it", async () => {
    const stranger = await StripeMarket.open({}, { tls: good });
    try {
      assertRefused(await stranger.market.buyer.post(PURCHASE, { amount_cents: 1000 }), 503, "provider_failed");
      assert.ok(stranger.stripe.connections > 0);
      assert.equal(stranger.stripe.asked.length, 0);
    } finally {
      await stranger.close();
    }
  });

  it("that cannot be read refuses the start", async () => {
    await assert.rejects(start({ "stripe-ca": `${ours.certPath}.not` }), /ended \(\d\)/);
  });
});
