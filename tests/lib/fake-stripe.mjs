/* Stripe, as far as this server knows it: an HTTP server that refuses whatever the real one would,
 * keeps what was asked, answers a repeated Idempotency-Key as it did the first time, and signs
 * events with Stripe's own library. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import Stripe from "stripe";

const library = new Stripe("sk_test_unused");
const letters = (count) => randomBytes(count).toString("hex").slice(0, count);

const CHECKOUT_FIELDS = {
  mode: /^payment$/,
  "line_items[0][quantity]": /^1$/,
  "line_items[0][price_data][currency]": /^usd$/,
  "line_items[0][price_data][unit_amount]": /^[1-9]\d*$/,
  "line_items[0][price_data][product_data][name]": /^.+$/,
  client_reference_id: /^pur_[0-9A-HJKMNP-TV-Z]{26}$/,
  "metadata[purchase_id]": /^pur_[0-9A-HJKMNP-TV-Z]{26}$/,
  "payment_intent_data[metadata][purchase_id]": /^pur_[0-9A-HJKMNP-TV-Z]{26}$/,
  "payment_intent_data[setup_future_usage]": /^off_session$/,
  success_url: /^https?:\/\/.+$/,
  cancel_url: /^https?:\/\/.+$/,
};
const CHARGE_FIELDS = {
  amount: /^[1-9]\d*$/,
  currency: /^usd$/,
  customer: /^cus_\w+$/,
  payment_method: /^pm_\w+$/,
  off_session: /^true$/,
  confirm: /^true$/,
  "metadata[purchase_id]": /^pur_[0-9A-HJKMNP-TV-Z]{26}$/,
};

function refusal(status, type, code, more = {}) {
  return { status, body: { error: { type, code, message: `refused: ${code}`, ...more } } };
}

export class FakeStripe {
  constructor() {
    this.key = `sk_test_${letters(48)}`;
    this.webhookSecret = `whsec_${letters(48)}`;
    this.asked = []; /* { path, key, form } of every request that was well-formed */
    this.broken = []; /* what was wrong with the others */
    this.sessions = [];
    this.payments = [];
    this.answers = new Map(); /* Idempotency-Key → { form, reply } */
    this.outage = null; /* null, or how the next requests fail: "500", "reset", "nonsense", "hang" */
    this.charges = []; /* what comes of the next charges; "succeeded" when empty. An object: so, but for what it has */
    this.beforeAnswer = null; /* async: what happens between a request and the next answer */
    this.hanging = [];
  }

  /* tls: key and cert, to be asked over HTTPS; present() puts others in their place. */
  static async open({ tls } = {}) {
    const stripe = new FakeStripe();
    const serve = (request, response) => stripe.#serve(request, response);
    stripe.server = tls ? https.createServer(tls, serve) : http.createServer(serve);
    stripe.connections = 0;
    stripe.server.on("connection", () => stripe.connections++);
    stripe.server.listen(0, "127.0.0.1");
    await once(stripe.server, "listening");
    stripe.url = `${tls ? "https" : "http"}://127.0.0.1:${stripe.server.address().port}`;
    return stripe;
  }

  /* With another certificate from now on. */
  present(tls) {
    this.server.setSecureContext(tls);
  }

  /* Settings of a server that asks this one. */
  get settings() {
    return { "stripe-key": this.key, "stripe-webhook-secret": this.webhookSecret, "stripe-api-url": this.url };
  }

  async close() {
    this.release();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
    assert.deepEqual(this.broken, [], "the server asked what Stripe would refuse");
  }

  release() {
    for (const response of this.hanging.splice(0)) response.destroy();
  }

  async #serve(request, response) {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const outage = this.outage;
    if (outage === "hang") return this.hanging.push(response);
    if (outage === "reset") return request.socket.destroy();
    if (outage === "nonsense") return response.writeHead(200).end("<html>");
    const { status, body } = outage ? refusal(Number(outage), "api_error", "lock_timeout") : this.#answer(request, Buffer.concat(pieces).toString());
    const meanwhile = this.beforeAnswer;
    this.beforeAnswer = null;
    await meanwhile?.();
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }

  #answer(request, text) {
    const problem = this.#problemOf(request, text);
    if (problem) {
      this.broken.push(problem);
      return refusal(400, "invalid_request_error", problem);
    }
    const key = request.headers["idempotency-key"];
    const form = Object.fromEntries(new URLSearchParams(text));
    this.asked.push({ path: request.url, key, form });
    const before = this.answers.get(key);
    if (before) return before.text === text ? before.reply : refusal(400, "idempotency_error", "idempotency_key_in_use");
    const reply = request.url === "/v1/checkout/sessions" ? this.#checkout(form) : this.#charge(form);
    this.answers.set(key, { text, reply });
    return reply;
  }

  #problemOf({ method, url, headers }, text) {
    const expected = { "/v1/checkout/sessions": CHECKOUT_FIELDS, "/v1/payment_intents": CHARGE_FIELDS }[url];
    if (method !== "POST" || !expected) return `${method} ${url}`;
    if (headers.authorization !== `Bearer ${this.key}`) return "authorization";
    if (headers["content-type"] !== "application/x-www-form-urlencoded") return "content-type";
    if (!/^\d{4}-\d\d-\d\d/.test(headers["stripe-version"] ?? "")) return "stripe-version";
    if (!/^pur_[0-9A-HJKMNP-TV-Z]{26}(-[1-9])?$/.test(headers["idempotency-key"] ?? "")) return "idempotency-key";
    const form = [...new URLSearchParams(text)];
    const fields = { ...expected };
    if (url === "/v1/checkout/sessions") Object.assign(fields, form.some(([name]) => name === "customer") ? { customer: /^cus_\w+$/ } : { customer_creation: /^always$/ });
    if (new Set(form.map(([name]) => name)).size !== form.length) return "a field twice";
    for (const [name, value] of form) if (!fields[name]?.test(value)) return `${name}=${value}`;
    const missing = Object.keys(fields).find((name) => !form.some(([one]) => one === name));
    return missing ? `${missing} is missing` : null;
  }

  #checkout(form) {
    const id = `cs_test_${letters(58)}`;
    const session = {
      id, object: "checkout.session", livemode: false, mode: "payment", status: "open", payment_status: "unpaid",
      amount_total: Number(form["line_items[0][price_data][unit_amount]"]), currency: "usd",
      client_reference_id: form.client_reference_id, metadata: { purchase_id: form["metadata[purchase_id]"] },
      customer: form.customer ?? `cus_${letters(14)}`, payment_intent: null,
      url: `https://checkout.stripe.invalid/c/pay/${id}#fid`,
    };
    this.sessions.push(session);
    return { status: 200, body: session };
  }

  #charge(form) {
    const next = this.charges.shift() ?? "succeeded";
    const [outcome, changes] = typeof next === "string" ? [next, {}] : ["succeeded", next];
    const isDone = outcome === "succeeded";
    const payment = {
      id: `pi_${letters(24)}`, object: "payment_intent", livemode: false, amount: Number(form.amount),
      amount_received: isDone ? Number(form.amount) : 0, currency: "usd", customer: form.customer,
      payment_method: form.payment_method, metadata: { purchase_id: form["metadata[purchase_id]"] },
      status: isDone || outcome === "processing" ? outcome : "requires_payment_method", ...changes,
    };
    this.payments.push(payment);
    if (isDone || outcome === "processing") return { status: 200, body: payment };
    return refusal(402, "card_error", "card_declined", { decline_code: outcome, payment_intent: payment });
  }

  session(id) {
    const session = this.sessions.find((one) => one.id === id);
    assert.ok(session, `no session ${id} was made`);
    return session;
  }

  /* Somebody pays on Stripe's page. → the objects as events tell of them */
  pay(id, changes = {}) {
    const session = this.session(id);
    const payment = {
      id: `pi_${letters(24)}`, object: "payment_intent", livemode: false, amount: session.amount_total,
      amount_received: session.amount_total, currency: "usd", customer: session.customer, status: "succeeded",
      payment_method: `pm_${letters(24)}`, metadata: { ...session.metadata },
    };
    const charge = {
      id: `ch_${letters(24)}`, object: "charge", livemode: false, amount: payment.amount, amount_refunded: payment.amount,
      currency: "usd", payment_intent: payment.id, refunded: true, metadata: { ...session.metadata },
    };
    const dispute = { id: `dp_${letters(24)}`, object: "dispute", livemode: false, charge: charge.id, payment_intent: payment.id, amount: payment.amount, currency: "usd", metadata: {} };
    Object.assign(session, { status: "complete", payment_status: "paid", payment_intent: payment.id });
    return { session: { ...session, ...changes }, payment, charge, dispute };
  }

  /* The text of an event. */
  event(type, object, changes = {}) {
    return JSON.stringify({
      id: `evt_${letters(24)}`, object: "event", api_version: "2024-06-20", created: 1_767_225_600, livemode: false, type,
      data: { object }, pending_webhooks: 1, request: null, ...changes,
    });
  }

  /* Stripe-Signature for a text, by Stripe's own generator. */
  sign(payload, { secret = this.webhookSecret, timestamp = Math.floor(Date.now() / 1000) } = {}) {
    return library.webhooks.generateTestHeaderString({ payload, secret, timestamp });
  }

  /* Deliver an event as Stripe does. nowMs: the server's. → the reply */
  async send(client, payload, { header, nowMs = Date.now(), ...options } = {}) {
    const signature = header ?? this.sign(payload, { timestamp: Math.floor(nowMs / 1000), ...options });
    return client.request("POST", "/v1/stripe/webhook", {
      raw: payload, headers: { "content-type": "application/json; charset=utf-8", "stripe-signature": signature },
    });
  }
}
