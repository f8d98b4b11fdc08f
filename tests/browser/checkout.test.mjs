/* The built-in checkout page in a real browser: what a payer sees and does, and that it is paid once. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { Browser, endAll, hearRefusals, refusals } from "../lib/browser.mjs";
import { assertKeyboardReaches, assertLegible } from "../lib/legible.mjs";
import { Market, openMarket, until } from "../lib/market.mjs";
import { Site } from "../lib/site.mjs";

const PURCHASE = "/v1/billing/credits/purchase";
const DAY_S = 24 * 60 * 60;
const HOSTILE_NAME = `Söhne & Töchter <img src=x onerror="document.title='ran'"><script>document.title='ran'</script>`;
const PAID = [["purchase", 2500, null], ["bonus", 125, null]];

let market, strict, server, browser, strangers;
before(async () => {
  market = await openMarket({ "checkout-credits-live": "on" }, { credits: 0 });
  strict = await openMarket({}, { credits: 0 });
  server = market.server;
  strangers = await Site.open();
  browser = await Browser.launch();
});
afterEach(() => browser?.clear());
after(() => endAll(
  () => browser?.close(server.base, strict.server.base, strangers.origin),
  () => strangers?.close(),
  () => strict?.stop(),
  () => market?.stop(),
));

async function ask(client, amount = 2500) {
  const reply = await client.post(PURCHASE, { amount_cents: amount });
  assert.equal(reply.status, 200, reply.text);
  return reply.json.checkout_url;
}

/* Somebody opens the page of a purchase of an organization of its own. */
async function payer({ name, amount, ...options } = {}) {
  const org = await server.createOrg({ name });
  const buyer = server.client(org.live_key);
  const url = await ask(buyer, amount);
  const visitor = await browser.visitor(options);
  await visitor.page.goto(url);
  return { ...visitor, org, url, buyer };
}

/* The money of one buyer, as a market tells it. */
async function statementOf({ buyer }) {
  const own = new Market(server);
  own.buyer = buyer;
  return own.statement();
}

/* What is on the page, as it is read. */
async function read(page) {
  const texts = (selector) => page.locator(selector).allInnerTexts();
  const [names, values] = [await texts("dt"), await texts("dd")];
  return {
    title: await page.title(),
    heading: await page.locator("h1").innerText(),
    status: await page.getByRole("status").innerText(),
    facts: Object.fromEntries(names.map((name, at) => [name, values[at]])),
    buttons: await texts("button"),
  };
}

async function assertEnds(page, heading, status) {
  await page.getByRole("heading", { name: heading, exact: true }).waitFor();
  const shown = await read(page);
  assert.equal(shown.title, `${heading} · Firsthand checkout`);
  assert.match(shown.status, status);
  assert.deepEqual(shown.buttons, []);
}

const assertPaid = (page) => assertEnds(page, "Paid", /^Paid\. The credit is on the organization's balance\.$/);
const press = (page, name) => page.getByRole("button", { name }).click();

describe("a payer", () => {
  it("reads what is paid, and who pays whatever its name is, pays, and comes back to the page; the balance grows once", async () => {
    const payment = await payer({ name: HOSTILE_NAME });
    const { page, complaints, url } = payment;
    const { facts, ...shown } = await read(page);
    assert.match(facts.Session, /^pur_/);
    assert.deepEqual({ ...facts, Session: "" }, {
      Organization: HOSTILE_NAME, Environment: "live", Amount: "$25.00", "Bonus credit": "$1.25", "Credit in total": "$26.25", Session: "",
    });
    assert.deepEqual(shown, { title: "Buy credit · Firsthand checkout", heading: "Buy credit", status: "Not paid yet.", buttons: ["Pay $25.00", "Cancel"] });
    assert.match(await page.locator(".notice").innerText(), /^This is a local test checkout\. No card is asked for and no money moves/);
    await press(page, "Pay $25.00");
    await assertPaid(page);
    assert.equal(page.url(), url);
    assert.deepEqual(await statementOf(payment), PAID);
    assert.deepEqual(complaints, []);
  });

  it("pays nothing more by going back, reloading or pressing the button of another tab", async () => {
    const payment = await payer();
    const { page, context, complaints, url } = payment;
    const other = await context.newPage();
    await other.goto(url);
    await press(page, "Pay $25.00");
    await assertPaid(page);
    await press(other, "Pay $25.00");
    await assertPaid(other);
    await page.reload();
    await assertPaid(page);
    await page.goBack();
    await page.goto(url);
    await assertPaid(page);
    assert.deepEqual(await statementOf(payment), PAID);
    assert.deepEqual(complaints, []);
  });

  it("cancels, and is told so; what was cancelled is not paid from another tab either", async () => {
    const payment = await payer();
    const { page, context, complaints, url } = payment;
    const other = await context.newPage();
    await other.goto(url);
    await press(page, "Cancel");
    await assertEnds(page, "Cancelled", /^Cancelled\. Nothing was paid\.$/);
    await press(other, "Pay $25.00");
    await assertEnds(other, "Cancelled", /Nothing was paid/);
    assert.deepEqual(await statementOf(payment), []);
    assert.deepEqual(complaints, []);
  });

  it("can do it with the keyboard alone, and sees where he is", async () => {
    const payment = await payer();
    const { page, complaints } = payment;
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.reload();
      await assertKeyboardReaches(page, 2);
    }
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await assertPaid(page);
    assert.deepEqual(await statementOf(payment), PAID);
    assert.deepEqual(complaints, []);
  });

  it("is told when it is too late", async () => {
    const payment = await payer();
    await server.advance(DAY_S);
    await press(payment.page, "Pay $25.00");
    await assertEnds(payment.page, "Expired", /^Expired\. Start a new purchase/);
    assert.deepEqual(await statementOf(payment), []);
    assert.deepEqual(payment.complaints, []);
  });

  it("is told that a link leads nowhere", async () => {
    const { page } = await browser.visitor();
    const reply = await page.goto((await ask(market.buyer)).slice(0, -1));
    assert.equal(reply.status(), 404);
    assert.equal(await page.locator("h1").innerText(), "No such checkout");
    assert.match(await page.locator("main").innerText(), /Nothing was paid here\./);
    await assertLegible(page);
  });
});

describe("the page", () => {
  it("is legible in every state, at every width, light and dark", async () => {
    const { page, buyer, org, complaints } = await payer({ name: "Straßenverkehrsschilderbeobachtungsangelegenheiten".repeat(2), amount: 25_000 });
    await assertLegible(page);
    await press(page, "Pay $250.00");
    await assertPaid(page);
    await assertLegible(page);
    await page.goto(await ask(server.client(org.test_key)));
    await assertPaid(page);
    await assertLegible(page);
    await page.goto(await ask(buyer));
    await press(page, "Cancel");
    await assertLegible(page);
    assert.deepEqual(complaints, []);
  });

  it("says in words that nobody may pay on it", async () => {
    const { page, complaints } = await browser.visitor();
    await page.goto(await ask(strict.buyer));
    const { status, buttons } = await read(page);
    assert.match(status, /^This server has no payment provider/);
    assert.deepEqual(buttons, ["Cancel"]);
    await assertLegible(page);
    assert.deepEqual(complaints, []);
  });

  it("lets no script run and sends nothing to another site, whatever gets into it", async () => {
    const { page, complaints } = await payer();
    await hearRefusals(page);
    await page.evaluate((origin) => {
      for (const attributes of [{ textContent: "document.title = 'ran'" }, { src: `${origin}/script.js` }])
        document.body.append(Object.assign(document.createElement("script"), attributes));
      const [form] = document.forms;
      form.action = `${origin}/steal`;
      form.querySelector("button").setAttribute("onclick", "document.title = 'ran'");
      form.querySelector("button").click();
    }, strangers.origin);
    assert.deepEqual(await refusals(page, 4), ["form-action", "script-src-attr", "script-src-elem", "script-src-elem"]);
    assert.equal(await page.evaluate(() => document.title), "Buy credit · Firsthand checkout");
    assert.deepEqual(strangers.asked, []);
    await until("it complained of each", () => complaints.length >= 4);
  });

  it("is in no frame of another site", async () => {
    const { page, complaints } = await browser.visitor();
    strangers.pages["/bait"] = `<!doctype html><title>Win a prize</title><iframe src="${await ask(market.buyer)}"></iframe>`;
    await page.goto(`${strangers.origin}/bait`);
    await until("it complained", () => complaints.some((text) => text.includes("frame-ancestors 'none'")));
    assert.equal(await page.frames()[1].locator("button").count(), 0);
  });
});
