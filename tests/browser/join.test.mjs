/* The page behind an invite link in a real browser: who was invited gets in, by it alone. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { text } from "node:stream/consumers";
import { after, afterEach, before, describe, it } from "node:test";
import { Browser, endAll, setOffline, hearRefusals, refusals } from "../lib/browser.mjs";
import { assertKeyboardReaches, assertLegible } from "../lib/legible.mjs";
import { until } from "../lib/market.mjs";
import { start } from "../lib/server.mjs";

const CONTROLS = 4;
const PASSWORD = "correct horse battery";

let server, browser, people = 0;
const origins = [];
before(async () => {
  server = await start();
  server.secrets.addPassword(PASSWORD);
  browser = await Browser.launch();
});
afterEach(() => browser?.clear());
after(() => endAll(() => browser?.close(server.base, ...origins), () => server?.stop()));

async function guest({ query = "" } = {}) {
  const { url } = await server.admin("invite-worker", "--name", "Ana", "--listen", new URL(server.base).host);
  const visitor = await browser.visitor();
  await visitor.page.goto(query || url);
  return { ...visitor, url };
}

async function fill(page, email = `ana${++people}@example.com`) {
  await page.getByLabel("Your name").fill("Ana Müller");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password, 10 characters or more").fill(PASSWORD);
}

/* Stands before the server, and loses the reply to the first POST. */
async function openForgetfulProxy() {
  let isLost = false;
  const proxy = http.createServer({ keepAlive: false }, async (request, response) => {
    const isPost = request.method === "POST";
    const { "content-type": type, "idempotency-key": key } = request.headers;
    const headers = { ...(type && { "content-type": type }), ...(key && { "idempotency-key": key }) };
    const reply = await fetch(server.base + request.url, { method: request.method, headers, body: isPost ? await text(request) : undefined });
    const bytes = Buffer.from(await reply.arrayBuffer());
    if (isPost && !isLost) {
      isLost = true;
      response.destroy();
      return;
    }
    response.writeHead(reply.status, { "content-type": reply.headers.get("content-type"), connection: "close" }).end(bytes);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  origins.push(`http://127.0.0.1:${proxy.address().port}`);
  return proxy;
}

const welcome = (page) => page.getByRole("heading", { name: "Welcome" });
const join = (page) => page.getByRole("button", { name: "Join" }).click();
const told = async (page, what) => {
  await page.getByRole("alert").filter({ hasText: what }).waitFor();
};

describe("somebody who was invited", () => {
  it("joins by the keyboard alone, and hears of it; the token is good", async () => {
    const { page, complaints } = await guest();
    assert.equal(await page.title(), "Join Firsthand");
    await assertKeyboardReaches(page, CONTROLS);
    for (let i = 1; i < CONTROLS; i++) await page.keyboard.press("Shift+Tab");
    for (const text of ["Ana Müller", `ana${++people}@example.com`, PASSWORD]) {
      await page.keyboard.type(text);
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await welcome(page).waitFor();
    await page.locator("h2:focus").waitFor();
    const token = await page.locator("#token").innerText();
    server.secrets.learn(token);
    assert.equal((await server.client(token).get("/worker/v1/jobs")).status, 200);
    assert.equal(await page.locator("#try").innerText(), `curl -s ${server.base}/worker/v1/jobs -H 'Authorization: Bearer ${token}'`);
    assert.equal(await page.locator("form").isVisible(), false);
    await assertLegible(page);
    assert.deepEqual(complaints, []);
  });

  it("is told what is wrong, and may try again", async () => {
    const { page, url } = await guest();
    await fill(page, "ana@example.com");
    await join(page);
    await welcome(page).waitFor();
    server.secrets.learn(await page.locator("#token").innerText());
    await page.goto(url);
    await fill(page);
    await join(page);
    await told(page, /invite/);
    const { page: other } = await guest();
    await fill(other, "ana@example.com");
    await join(other);
    await told(other, /address/);
    await assertLegible(other);
    await other.getByLabel("E-mail address").fill(`ana${++people}@example.com`);
    await join(other);
    await welcome(other).waitFor();
    server.secrets.learn(await other.locator("#token").innerText());
  });

  it("is told at once that the link is not whole", async () => {
    const { page, complaints } = await guest({ query: `${server.base}/join` });
    await told(page, "This link carries no invite: ask for the whole link.");
    await assertLegible(page);
    assert.deepEqual(complaints, []);
  });

  it("is told when there is no server to be reached", async () => {
    const { page } = await guest();
    await fill(page);
    await setOffline(page, true);
    await join(page);
    await told(page, "The server did not answer. Please try again.");
    await setOffline(page, false);
    await join(page);
    await welcome(page).waitFor();
    server.secrets.learn(await page.locator("#token").innerText());
  });

  it("gets in although the server's reply was lost on the way", async () => {
    const proxy = await openForgetfulProxy();
    try {
      const { page, url } = await guest();
      await page.goto(url.replace(server.base, origins.at(-1)));
      await fill(page);
      await join(page);
      await told(page, "The server did not answer. Please try again.");
      await join(page);
      await welcome(page).waitFor();
      const token = await page.locator("#token").innerText();
      server.secrets.learn(token);
      assert.equal((await server.client(token).get("/worker/v1/jobs")).status, 200);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

it("nobody else's script runs on the page", async () => {
  const { page, complaints } = await guest();
  await hearRefusals(page);
  await page.evaluate(() => {
    document.body.append(Object.assign(document.createElement("script"), { textContent: "document.title = 'ran'" }));
    document.querySelector("button").setAttribute("onclick", "document.title = 'ran'");
  });
  const refused = await refusals(page, 2);
  assert.deepEqual(refused, ["script-src-attr", "script-src-elem"]);
  assert.equal(await page.title(), "Join Firsthand");
  await until("it complained of each", () => complaints.length >= 2);
});
