/* A page of another origin sends files with tus-js-client, in a real browser whose network breaks: each
 * arrives whole, once. And what no such page may do. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { Browser, endAll, setOffline } from "../lib/browser.mjs";
import { JOB } from "../lib/client.mjs";
import { REPOSITORY } from "../lib/contract.mjs";
import { CutProxy } from "../lib/cut-proxy.mjs";
import { openMarket, until } from "../lib/market.mjs";
import { sample, sha256, withComment } from "../lib/samples.mjs";
import { Site } from "../lib/site.mjs";
import { metadata, Tus } from "../lib/tus.mjs";

const LIBRARY = join(REPOSITORY, "tests/node_modules/tus-js-client/dist/tus.min.js");
const MIB = 1 << 20;
const PAGE = `<!doctype html><html lang="en"><title>Send a file</title><link rel="icon" href="data:,"><main><input type="file" aria-label="A file"></main></html>`;

let market, server, browser, site, folder, files = 0;
before(async () => {
  market = await openMarket();
  server = market.server;
  folder = await mkdtemp(join(tmpdir(), "firsthand-test-"));
  site = await Site.open();
  site.pages["/"] = PAGE;
  browser = await Browser.launch();
});
const origins = [];
afterEach(() => browser?.clear());
after(() => endAll(
  () => browser?.close(server.base, site.origin, ...origins),
  () => site?.close(),
  () => market?.stop(),
  () => rm(folder, { recursive: true, force: true }),
));

/* A worker with a slot and a photo of several megabytes. */
async function slot() {
  const bytes = withComment(sample("photo.jpg"), `number ${++files}`);
  const path = join(folder, `street ${files}.jpg`);
  await writeFile(path, bytes);
  const worker = await market.newWorker();
  const job = await market.job();
  const { id: reservation, upload_url, submission_id } = await worker.accept(job.id);
  return { bytes, path, worker, reservation, upload_url, submission_id, token: worker.token };
}

/* Open the site and choose the file there; window.begin(options) makes the upload. */
async function openSite(page, { path, upload_url, token }) {
  await page.goto(site.origin);
  await page.addScriptTag({ path: LIBRARY });
  await page.setInputFiles("input", path);
  await page.evaluate(({ endpoint, authorization }) => {
    window.begin = (options) => {
      const [file] = document.querySelector("input").files;
      window.ended = new Promise((done) => {
        window.upload = new tus.Upload(file, {
          endpoint, headers: { Authorization: authorization }, metadata: { filename: file.name, filetype: file.type }, retryDelays: null,
          onSuccess: () => done("finished"), onError: (error) => done(String(error)), ...options,
        });
      });
    };
  }, { endpoint: upload_url, authorization: `Bearer ${token}` });
}

async function arrivedWhole({ bytes, path, worker, submission_id }) {
  const [row, ...others] = await worker.all("/worker/v1/uploads");
  assert.deepEqual(others, []);
  assert.deepEqual([row.state, row.offset_bytes, row.content_hash], ["finished", bytes.length, sha256(bytes)]);
  assert.equal(row.filename, basename(path));
  const submissions = await worker.all("/worker/v1/submissions");
  assert.deepEqual(submissions.map(({ id }) => id), [submission_id]);
}

describe("a page of another origin", () => {
  it("sends a file, and reads what became of it", async () => {
    const it = await slot();
    const { page, complaints } = await browser.visitor();
    await openSite(page, it);
    const ended = await page.evaluate(() => {
      let submission = null;
      begin({ onAfterResponse: (request, response) => (submission = response.getHeader("Firsthand-Submission-Id") ?? submission) });
      upload.start();
      return ended.then((how) => [how, submission]);
    });
    assert.deepEqual(ended, ["finished", it.submission_id]);
    await arrivedWhole(it);
    const shown = await page.evaluate(async ({ base, token, id }) => {
      const reply = await fetch(`${base}/worker/v1/submissions/${id}`, { headers: { Authorization: `Bearer ${token}` } });
      return [reply.status, (await reply.json()).id, reply.headers.get("x-request-id") !== null];
    }, { base: server.base, token: it.token, id: it.submission_id });
    assert.deepEqual(shown, [200, it.submission_id, true]);
    assert.deepEqual(complaints, []);
  });

  it("goes on where the connection was reset", async () => {
    const it = await slot();
    const { page } = await browser.visitor();
    const proxy = await CutProxy.listen(Number(new URL(server.base).port), Array(20).fill(3 * MIB));
    origins.push(`http://127.0.0.1:${proxy.port}`);
    try {
      await openSite(page, it);
      const location = await new Tus(it.worker).begin(it.reservation, it.bytes.length, { "upload-metadata": metadata({ filename: basename(it.path) }) });
      const ended = await page.evaluate((uploadUrl) => {
        /* By itself it waits for the browser to be online, which one with nothing but 127.0.0.1 never is. */
        begin({ uploadUrl, retryDelays: Array(20).fill(0), onShouldRetry: () => true });
        upload.start();
        return ended;
      }, origins.at(-1) + location);
      assert.equal(ended, "finished");
      assert.ok(proxy.cutsDone >= 1, "it was cut");
      await arrivedWhole(it);
    } finally {
      await proxy.close();
    }
  });

  it("goes on after it was offline", async () => {
    const it = await slot();
    const { page } = await browser.visitor();
    await openSite(page, it);
    await page.exposeFunction("goOffline", () => setOffline(page, true));
    const broken = await page.evaluate((chunkSize) => {
      let chunks = 0;
      begin({ chunkSize, onBeforeRequest: (request) => request.getMethod() === "PATCH" && ++chunks === 3 && goOffline() });
      upload.start();
      return ended;
    }, MIB);
    assert.match(broken, /failed to upload chunk/);
    const [{ offset_bytes }] = await it.worker.all("/worker/v1/uploads");
    assert.equal(offset_bytes, 2 * MIB);
    await setOffline(page, false);
    const ended = await page.evaluate(() => new Promise((done) => {
      Object.assign(upload.options, { onSuccess: () => done("finished"), onError: (error) => done(String(error)) });
      upload.start();
    }));
    assert.equal(ended, "finished");
    await arrivedWhole(it);
  });

  it("goes on after it was closed and opened again", async () => {
    const it = await slot();
    const { page } = await browser.visitor();
    await openSite(page, it);
    await page.evaluate((chunkSize) => new Promise((done, fail) => {
      let chunks = 0;
      const hold = () => new Promise(() => done());
      begin({ chunkSize, onError: fail, onBeforeRequest: (request) => request.getMethod() === "PATCH" && ++chunks === 3 && hold() });
      upload.start();
    }), MIB);
    await openSite(page, it);
    const ended = await page.evaluate(async () => {
      begin();
      const [earlier] = await upload.findPreviousUploads();
      const offsets = [];
      upload.options.onBeforeRequest = (request) => request.getMethod() === "PATCH" && offsets.push(request.getHeader("Upload-Offset"));
      upload.resumeFromPreviousUpload(earlier);
      upload.start();
      return [await ended, offsets];
    });
    assert.deepEqual(ended, ["finished", [String(2 * MIB)]]);
    await arrivedWhole(it);
  });
});

describe("no page of another origin", () => {
  /* Runs in the page. → "refused" when the browser lets it read nothing */
  const ask = ([url, options]) => fetch(url, options).then((reply) => reply.status, (error) => (error instanceof TypeError ? "refused" : String(error)));
  const stranger = async () => {
    const visitor = await browser.visitor();
    await visitor.page.goto(site.origin);
    return visitor;
  };

  it("does anything with a buyer's key", async () => {
    const { page, complaints } = await stranger();
    const headers = { authorization: `Bearer ${market.buyer.token}` };
    const body = JSON.stringify(JOB);
    const jobs = async () => (await market.buyer.all("/v1/jobs")).map(({ id }) => id);
    const before = await jobs();
    const calls = [
      ["/v1/jobs", { headers }],
      ["/v1/jobs", { method: "POST", body, headers: { ...headers, "content-type": "application/json", "idempotency-key": "page" } }],
      ["/v1/billing/credits", { headers }],
      ["/v1/api_keys", { headers }],
    ];
    for (const [path, options] of calls) assert.equal(await page.evaluate(ask, [server.base + path, options]), "refused", path);
    assert.deepEqual(await jobs(), before);
    await until("it complained of each", () => complaints.filter((text) => text.includes("CORS policy")).length >= calls.length);
  });

  it("reads what is there for everybody, or behind a link", async () => {
    const { page } = await stranger();
    const job = await market.job();
    await market.submitAndScore(job, sample("photo-3.jpg"));
    const [{ download_url }] = await market.files(job);
    for (const url of [`${server.base}/healthz`, `${server.base}/metrics`, `${server.base}/openapi.json`, `${server.base}/join`, download_url])
      assert.equal(await page.evaluate(ask, [url]), "refused", url);
  });

  it("uses the worker's API without the token", async () => {
    const { page } = await stranger();
    const url = `${server.base}/worker/v1/jobs`;
    assert.equal(await page.evaluate(ask, [url]), 401);
    const headers = { authorization: `Bearer ${market.worker.token}` };
    assert.equal(await page.evaluate(ask, [url, { headers }]), 200);
    assert.equal(await page.evaluate(ask, [url, { headers, credentials: "include" }]), "refused", "with what a browser adds by itself");
  });
});
