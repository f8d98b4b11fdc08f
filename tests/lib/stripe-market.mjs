/* A market whose credit is bought through the double of Stripe: purchases, what Stripe tells of
 * them, and organizations with a saved card. */
import assert from "node:assert/strict";
import { FakeStripe } from "./fake-stripe.mjs";
import { Market, openMarket, until } from "./market.mjs";

export const PURCHASE = "/v1/billing/credits/purchase";

export const statement = async (own) => (await own.statement()).map(([type, cents]) => [type, cents]);

export class StripeMarket {
  static async open(settings = {}, { tls } = {}) {
    const shop = new StripeMarket();
    shop.nowMs = Date.now();
    shop.stripe = await FakeStripe.open({ tls });
    try {
      shop.market = await openMarket({ ...shop.stripe.settings, ...settings }, { credits: 0 });
    } catch (e) {
      await shop.stripe.close();
      throw e;
    }
    shop.server = shop.market.server;
    shop.server.secrets.addProvider("the Stripe key", shop.stripe.key);
    shop.server.secrets.addProvider("the Stripe webhook secret", shop.stripe.webhookSecret);
    shop.outside = shop.server.client();
    return shop;
  }

  async close() {
    await this.market.stop();
    await this.stripe.close();
  }

  /* After the server was launched again. */
  reconnect() {
    this.market.reconnect();
    this.outside = this.server.client();
  }

  async advance(seconds) {
    this.nowMs = await this.server.advance(seconds);
  }

  async purchase(client, amount = 1000, options) {
    const reply = await client.post(PURCHASE, { amount_cents: amount }, options);
    assert.equal(reply.status, 200, reply.text);
    return reply.json;
  }

  /* The server's clock runs with the machine's, ahead by what it was advanced. */
  async send(payload, options) {
    await this.advance(1);
    return this.stripe.send(this.outside, payload, { nowMs: this.nowMs, ...options });
  }

  async tell(type, object, changes) {
    const reply = await this.send(this.stripe.event(type, object, changes));
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(reply.json, { received: true });
  }

  /* The line in which the server says what it made of an event. */
  logged(payload) {
    const { id } = JSON.parse(payload);
    return until(`${id} is in the log`, () => {
      const line = this.server.logLines.findLast((one) => one.includes(`"${id}"`));
      return line && JSON.parse(line);
    });
  }

  /* An organization with a paid checkout and its card saved. */
  async withCard({ amount = 1000 } = {}) {
    const own = await Market.open(this.server, { credits: 0 });
    const { session_id } = await this.purchase(own.buyer, amount);
    const paid = this.stripe.pay(session_id);
    await this.tell("checkout.session.completed", paid.session);
    await this.tell("payment_intent.succeeded", paid.payment);
    own.customer = paid.payment.customer;
    own.card = paid.payment.payment_method;
    return { own, paid };
  }

  /* One that is topped up below a threshold. */
  async toppedUp({ threshold = 900, amount = 2500 } = {}) {
    const { own, paid } = await this.withCard();
    const body = { auto_top_up_enabled: true, auto_top_up_threshold_cents: threshold, auto_top_up_amount_cents: amount };
    assert.equal((await own.buyer.patch("/v1/organization/settings", body)).status, 200);
    own.paid = paid;
    return own;
  }

  /* What an organization's card was charged since so many questions. */
  chargesOf(own, from) {
    return this.stripe.asked.slice(from).filter(({ path, form }) => path === "/v1/payment_intents" && form.customer === own.customer);
  }
}
