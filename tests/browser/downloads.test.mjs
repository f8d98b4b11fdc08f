/* A link to a file in a real browser, with files that are pages too: it is saved as it is and runs nowhere. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { Browser, endAll } from "../lib/browser.mjs";
import { assertRefused, inParallel, openMarket, until } from "../lib/market.mjs";
import { pngImage } from "../lib/media.mjs";
import { sample, sha256, withComment } from "../lib/samples.mjs";
import { Site } from "../lib/site.mjs";

let market, server, browser, site, files;

/* A page that says so to the site when it runs, whatever an HTML parser is amid before it. */
const hostile = (name) => `'">--></title></style></script><!doctype html><script>
  fetch("${site.origin}/ran-${name}", { mode: "no-cors" });
</script><svg xmlns="http://www.w3.org/2000/svg" onload="fetch('${site.origin}/ran-${name}-svg', { mode: 'no-cors' })"></svg>`;
const behind = (bytes, page) => Buffer.concat([bytes, Buffer.from(page)]);

/* One of each kind of media, with a page in it. */
const POLYGLOTS = [
  ["image/jpeg", "jpg", (page) => withComment(sample("photo-2.jpg"), page)],
  ["image/png", "png", (page) => behind(pngImage(), page)],
  ["audio/mpeg", "mp3", (page) => behind(sample("speech.mp3"), page)],
  ["video/mp4", "mp4", (page) => behind(sample("faststart.mp4"), page)],
];

async function deliver(job, [type, extension, make]) {
  const bytes = make(hostile(extension));
  const headers = { "content-type": "text/html", "content-disposition": 'attachment; filename="prize.html"' };
  const { status } = await market.submitAndScore(job, bytes, { worker: await market.newWorker(), headers });
  assert.equal(status, "approved", type);
  return { type, extension, bytes };
}

before(async () => {
  market = await openMarket();
  server = market.server;
  site = await Site.open();
  site.pages["/"] = `<!doctype html><link rel="icon" href="data:,"><title>A page</title>`;
  browser = await Browser.launch();
  const job = await market.job({ files_needed: POLYGLOTS.length, accepted_formats: POLYGLOTS.map(([type]) => type), min_star_rating: 1 });
  const sent = await inParallel(POLYGLOTS, 2, (one) => deliver(job, one));
  const links = await market.files(job);
  files = sent.map((one) => ({ ...one, ...links.find(({ content_hash }) => content_hash === sha256(one.bytes)) }));
});
after(() => endAll(
  () => browser?.close(server.base, site.origin),
  () => site?.close(),
  () => market?.stop(),
));

const ran = () => site.asked.filter((path) => path.startsWith("/ran"));

/* Do something that opens the file's link; it has to be saved, whole, under the server's own name. */
async function assertSaved(page, file, open) {
  const [download] = await Promise.all([page.waitForEvent("download"), open()]);
  assert.equal(download.suggestedFilename(), `${file.id}.${file.extension}`);
  assert.equal(sha256(await readFile(await download.path())), sha256(file.bytes), "to the last byte");
}

/* Put an element on the page. → which event came: load or error */
const put = (page, name, attributes) =>
  page.evaluate(([tag, all]) => new Promise((done) => {
    const element = Object.assign(document.createElement(tag), all);
    for (const type of ["load", "error"]) element.addEventListener(type, () => done(type));
    document.body.append(element);
  }), [name, attributes]);

it("the files would run if they were served as pages", async () => {
  const { page } = await browser.visitor();
  for (const { extension, bytes } of files) {
    site.pages["/page"] = { type: "text/html; charset=windows-1252", bytes };
    await page.goto(`${site.origin}/page`, { waitUntil: "commit" });
    for (const mark of [`/ran-${extension}`, `/ran-${extension}-svg`]) await until(mark, () => ran().includes(mark));
  }
  await browser.clear();
  site.asked.length = 0;
});

describe("a file that is a page, too", () => {
  let page;
  before(async () => {
    ({ page } = await browser.visitor());
  });
  after(() => browser.clear());

  const ofAll = (hold) => async () => {
    await page.goto(site.origin);
    for (const file of files) await hold(file);
    assert.deepEqual(ran(), []);
  };

  it("is saved when its link is opened", ofAll(async (file) => {
    await assertSaved(page, file, () => assert.rejects(page.goto(file.download_url), /Download is starting/));
    assert.equal(page.url(), `${site.origin}/`);
  }));

  it("is saved when its link is followed", ofAll(async (file) => {
    await page.setContent(`<a href="${file.download_url}">A prize</a>`);
    await assertSaved(page, file, () => page.getByRole("link").click());
  }));

  it("is saved when a page of the server leads to it", ofAll(async (file) => {
    await page.goto(`${server.base}/join`);
    await assertSaved(page, file, () => page.evaluate((url) => void (location.href = url), file.download_url));
    assert.equal(page.url(), `${server.base}/join`);
  }));

  for (const [tag, attribute] of [["iframe", "src"], ["object", "data"], ["embed", "src"]])
    it(`is saved when a page of another origin has it as ${tag}`, ofAll(async (file) => {
      const attributes = { [attribute]: file.download_url, type: "text/html" };
      await assertSaved(page, file, () => page.evaluate(([name, all]) => document.body.append(Object.assign(document.createElement(name), all)), [tag, attributes]));
    }));

  it("is no script, no module and no style", ofAll(async ({ download_url }) => {
    assert.equal(await put(page, "script", { src: download_url }), "error");
    assert.equal(await put(page, "script", { src: download_url, type: "module" }), "error");
    assert.equal(await put(page, "link", { href: download_url, rel: "stylesheet" }), "error");
  }));
});

it("where a viewer shows a file as a page after all, the server's policy alone lets nothing run", async () => {
  const [{ download_url, bytes }] = files;
  const { pathname, search } = new URL(download_url);
  const { headers } = await server.client().request("HEAD", pathname + search);
  site.pages["/viewer"] = { type: "text/html; charset=windows-1252", policy: headers["content-security-policy"], bytes };
  const { page, complaints } = await browser.visitor();
  await page.goto(`${site.origin}/viewer`, { waitUntil: "commit" });
  await until("it complained", () => complaints.some((text) => text.includes("Blocked script execution")));
  assert.equal(await page.evaluate(() => self.origin), "null", "of no origin");
  assert.deepEqual(ran(), []);
});

it("a file that is nothing but a page is not taken", async () => {
  const job = await market.job({ accepted_formats: POLYGLOTS.map(([type]) => type) });
  const { id } = await market.worker.accept(job.id);
  const pages = [`<svg xmlns="http://www.w3.org/2000/svg"><script>${"run();".repeat(20)}</script></svg>`, hostile("html"), `<!doctype html>${hostile("html")}`];
  for (const text of pages)
    for (const contentType of ["image/svg+xml", "text/html", "image/jpeg"])
      assertRefused(await market.worker.putFile(id, Buffer.from(text), { contentType }), 415);
});
