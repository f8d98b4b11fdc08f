/* Download links: their signature is the permission, for seven days; what they give is the file, or
 * any part of it. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assertRefused, openMarket } from "../lib/market.mjs";
import { sample, sha256 } from "../lib/samples.mjs";

const DAY_S = 24 * 60 * 60;

let market, server, anyone, job, file, bytes, target;

const listed = async () => (await market.files(job))[0];
const targetOf = (link, of = server) => {
  const url = new URL(link);
  assert.equal(url.origin, of.base);
  return url.pathname + url.search;
};
const get = (headers = {}, path = target) => anyone.get(path, { headers });

before(async () => {
  market = await openMarket();
  server = market.server;
  anyone = server.client();
  job = await market.job({ files_needed: 2 });
  bytes = sample("photo-2.jpg");
  await market.submitAndScore(job, bytes, {
    headers: { "content-disposition": 'attachment; filename="../../etc/pass\\"wd.jpg"' },
  });
  file = await listed();
  target = targetOf(file.download_url);
});
after(() => market?.stop());

describe("a link", () => {
  it("works without a key and gives the very bytes", async () => {
    const reply = await get();
    assert.equal(reply.status, 200, reply.text);
    assert.equal(sha256(reply.bytes), sha256(bytes));
    assert.equal(reply.headers["content-length"], String(bytes.length));
    assert.equal(reply.headers["content-type"], "image/jpeg");
    assert.equal(reply.headers.etag, `"${sha256(bytes)}"`);
    assert.equal(reply.headers["accept-ranges"], "bytes");
  });

  it("says to save, not to show or to sniff, under a safe name", async () => {
    const { headers } = await get();
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["content-security-policy"], "default-src 'none'; sandbox");
    assert.equal(headers["content-disposition"], `attachment; filename="${file.id}.jpg"`);
    assert.match(headers["cache-control"], /private/);
  });

  it("answers HEAD with the same headers and no body", async () => {
    const whole = await get();
    const head = await anyone.request("HEAD", target);
    assert.equal(head.status, 200);
    assert.equal(head.bytes.length, 0);
    for (const name of ["content-length", "content-type", "etag", "accept-ranges", "content-disposition", "x-content-type-options"])
      assert.equal(head.headers[name], whole.headers[name], name);
  });

  it("works for every good key and none, and does not care which", async () => {
    for (const token of [market.org.live_key, market.org.test_key, market.worker.token, "nonsense"])
      assert.equal((await server.client(token).get(target)).status, 200);
  });

  it("works over a restart", async () => {
    await server.restart();
    market.reconnect();
    anyone = server.client();
    assert.equal((await get()).status, 200);
  });
});

describe("a part of the file", () => {
  const size = () => bytes.length;
  const parts = [
    ["bytes=0-99", () => [0, 99]],
    ["bytes=0-0", () => [0, 0]],
    ["bytes=100-", () => [100, size() - 1]],
    ["bytes=-50", () => [size() - 50, size() - 1]],
    ["bytes=1000-1999", () => [1000, 1999]],
    ["bytes=100-99999999999", () => [100, size() - 1]],
    ["bytes=-99999999999", () => [0, size() - 1]],
    [() => `bytes=${size() - 1}-`, () => [size() - 1, size() - 1]],
  ];
  for (const [header, expected] of parts) {
    const range = () => (typeof header === "string" ? header : header());
    it(`${typeof header === "string" ? header : "the last byte"}: 206`, async () => {
      const [first, last] = expected();
      const reply = await get({ range: range() });
      assert.equal(reply.status, 206, reply.text.slice(0, 200));
      assert.equal(reply.headers["content-range"], `bytes ${first}-${last}/${size()}`);
      assert.equal(reply.headers["content-length"], String(last - first + 1));
      assert.ok(reply.bytes.equals(bytes.subarray(first, last + 1)), "the right bytes");
      const head = await anyone.request("HEAD", target, { headers: { range: range() } });
      assert.deepEqual([head.status, head.headers["content-length"]], [200, String(size())], "a range is for GET");
    });
  }

  for (const header of [() => `bytes=${size()}-`, () => `bytes=${size() + 5}-${size() + 9}`, () => "bytes=-0"])
    it(`${header.toString().slice(6)}: 416`, async () => {
      const reply = await get({ range: header() });
      assertRefused(reply, 416);
      assert.equal(reply.headers["content-range"], `bytes */${size()}`);
      assert.equal(reply.headers["cache-control"], "no-store");
      assert.equal((await anyone.request("HEAD", target, { headers: { range: header() } })).status, 200);
    });

  for (const range of ["bytes=5-1", "bytes=a-b", "bytes=", "bytes=-", "lines=0-5", "bytes=0-1,5-6", "bytes=--5", "bytes=1-2-3", "bytes=99999999999999999999-"])
    it(`${range}: ignored, or unsatisfiable, never wrong bytes`, async () => {
      const reply = await get({ range });
      if (reply.status === 416) return;
      assert.equal(reply.status, 200, reply.text.slice(0, 200));
      assert.equal(reply.bytes.length, size());
    });

  it("pieces put together are the file", async () => {
    const pieces = [];
    for (let at = 0; at < size(); at += 30_000) pieces.push((await get({ range: `bytes=${at}-${at + 29_999}` })).bytes);
    assert.equal(sha256(Buffer.concat(pieces)), sha256(bytes));
  });

  it("If-Range: the part when it is still the same file, else the whole", async () => {
    const etag = `"${sha256(bytes)}"`;
    assert.equal((await get({ range: "bytes=0-9", "if-range": etag })).status, 206);
    for (const other of ['"other"', `W/${etag}`, sha256(bytes), new Date(0).toUTCString(), new Date().toUTCString(), ""])
      assert.equal((await get({ range: "bytes=0-9", "if-range": other })).status, 200, other);
    assert.equal((await get({ range: "bytes=99999999-", "if-range": '"other"' })).status, 200);
  });
});

describe("If-None-Match", () => {
  const etag = () => `"${sha256(bytes)}"`;
  for (const [name, value, status] of [
    ["the tag", () => etag(), 304],
    ["the tag, weak", () => `W/${etag()}`, 304],
    ["the tag in a list", () => `"a", ${etag()}, "b"`, 304],
    ["*", () => "*", 304],
    ["another tag", () => '"a"', 200],
    ["the tag without quotes", () => sha256(bytes), 200],
  ])
    it(`${name}: ${status}`, async () => {
      const reply = await get({ "if-none-match": value() });
      assert.equal(reply.status, status);
      assert.equal(reply.headers.etag, etag());
      if (status === 304) {
        assert.equal(reply.bytes.length, 0);
        /* A cache would take another length for the file's. */
        assert.ok([undefined, String(bytes.length)].includes(reply.headers["content-length"]), reply.headers["content-length"]);
      }
      assert.equal((await anyone.request("HEAD", target, { headers: { "if-none-match": value() } })).status, status);
    });

  it("comes before Range", async () => {
    assert.equal((await get({ "if-none-match": etag(), range: "bytes=0-9" })).status, 304);
  });
});

describe("a link that was tampered with is refused", () => {
  const changed = (change) => {
    const url = new URL(file.download_url);
    change(url);
    return url.pathname + url.search;
  };
  const set = (name, value) => changed((url) => url.searchParams.set(name, value(url.searchParams.get(name))));

  it("another file's id", async () => {
    await market.submitAndScore(job, sample("photo-3.jpg"));
    const [newest] = await market.files(job);
    assert.notEqual(newest.id, file.id);
    assertRefused(await get({}, changed((url) => (url.pathname = `/files/${newest.id}`))), 403);
  });

  it("a later end", async () => {
    for (const more of [1, 60, 1_000_000]) assertRefused(await get({}, set("expires", (old) => Number(old) + more)), 403);
    assertRefused(await get({}, set("expires", (old) => `0${old}`)), 403);
    assertRefused(await get({}, set("key", (old) => `0${old}`)), 403);
    for (const form of [(old) => `+${old}`, (old) => `${old}.0`, () => "-1", () => "99999999999999999999"])
      assert.ok([400, 403].includes((await get({}, set("expires", form))).status));
  });

  it("any character of the signature", async () => {
    const { length } = new URL(file.download_url).searchParams.get("signature");
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (let at = 0; at < length; at++)
      for (const step of [1, 32]) {
        const other = set("signature", (old) => {
          const letter = alphabet[(alphabet.indexOf(old[at]) + step) % 64];
          return old.slice(0, at) + letter + old.slice(at + 1);
        });
        assertRefused(await get({}, other), 403);
      }
  });

  it("a signature cut, lengthened, empty or of another alphabet", async () => {
    for (const form of [(old) => old.slice(0, -1), (old) => `${old}A`, (old) => `${old}=`, () => "", () => "!", (old) => old.toLowerCase()])
      assert.ok([400, 403].includes((await get({}, set("signature", form))).status));
  });

  it("a part said twice, the forged one first or last", async () => {
    for (const [name, value] of [["expires", String(4_000_000_000)], ["key", "2"], ["signature", "A".repeat(43)]]) {
      const { pathname, search } = new URL(file.download_url);
      for (const query of [`?${name}=${value}&${search.slice(1)}`, `${search}&${name}=${value}`]) {
        const { status } = await get({}, pathname + query);
        assert.ok([400, 403].includes(status), `${query}: ${status}`);
      }
    }
  });

  it("another key's number", async () => {
    for (const number of ["2", "0", "-1", "999999999999", "x"])
      assert.ok([400, 403].includes((await get({}, set("key", () => number))).status), number);
  });

  it("parts left out", async () => {
    for (const name of ["expires", "key", "signature"]) {
      const reply = await get({}, changed((url) => url.searchParams.delete(name)));
      assert.ok([400, 403].includes(reply.status), `${name}: ${reply.status}`);
    }
  });

  it("a file that never was", async () => {
    for (const id of ["file_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nothing"])
      assert.ok([403, 404].includes((await get({}, changed((url) => (url.pathname = `/files/${id}`)))).status));
  });
});

describe("a link's time", () => {
  it("is signed anew by every listing, and the older one still works", async () => {
    const before = await listed();
    await server.advance(60);
    const after = await listed();
    const seconds = (one) => Date.parse(one.download_url_expires_at) / 1000;
    assert.ok(seconds(after) - seconds(before) >= 60, `${seconds(after) - seconds(before)} s`);
    assert.notEqual(after.download_url, before.download_url);
    for (const one of [before, after]) assert.equal((await get({}, targetOf(one.download_url))).status, 200);
  });

  it("is in the submission's file, too", async () => {
    const submissions = await market.buyer.all(`/v1/jobs/${job.id}/submissions`);
    for (const one of submissions) assert.equal((await get({}, targetOf(one.file.download_url))).status, 200);
  });

  it("ends after seven days, with 403; a new listing gives a new link", async () => {
    const link = await listed();
    const now = await server.advance(7 * DAY_S - 60);
    assert.ok(now < Date.parse(link.download_url_expires_at));
    assert.equal((await get({}, targetOf(link.download_url))).status, 200);
    await server.advance(61);
    assertRefused(await get({}, targetOf(link.download_url)), 403, "link_expired");
    assertRefused(await get({ range: "bytes=0-0" }, targetOf(link.download_url)), 403, "link_expired");
    assert.equal((await get({}, targetOf((await listed()).download_url))).status, 200);
  });
});

describe("when the bytes on the disk are not what was approved", () => {
  it("answers 500, never wrong bytes under the file's tag", async () => {
    const own = await openMarket();
    try {
      const ownJob = await own.job();
      const { id } = await own.submitAndScore(ownJob, sample("photo-2.jpg"));
      const path = join(own.server.dataDir, "blobs", `${id}.1`);
      const [{ download_url }] = await own.files(ownJob);
      const link = () => own.server.client().get(targetOf(download_url, own.server));
      assert.equal((await link()).status, 200);
      chmodSync(path, 0o600);
      truncateSync(path, 1000);
      assertRefused(await link(), 500, "internal");
      own.server.brokenChecks = ["files_have_their_bytes"];
    } finally {
      await own.stop();
    }
  });
});

describe("when the server key is rotated", () => {
  const newKey = (number) => `${number} ${randomBytes(32).toString("hex")}\n`;

  it("links of a key that is listed go on, those of one that was dropped end", async () => {
    const own = await openMarket();
    try {
      const keyPath = join(own.server.dataDir, "server.key");
      const first = readFileSync(keyPath, "utf8"), second = newKey(2);
      const rewrite = async (text) => {
        await own.server.halt();
        writeFileSync(keyPath, text);
        await own.server.restart();
        own.reconnect();
      };
      const link = (url) => own.server.client().get(new URL(url).pathname + new URL(url).search);
      const ownJob = await own.job();
      await own.submitAndScore(ownJob, sample("photo-2.jpg"));
      const old = (await own.files(ownJob))[0].download_url;
      const unused = (await own.server.createOrg()).live_key;

      await rewrite(second + first);
      assert.equal((await link(old)).status, 200);
      const fresh = (await own.files(ownJob))[0].download_url;
      assert.equal(new URL(fresh).searchParams.get("key"), "2");
      assert.equal((await link(fresh)).status, 200);
      assertRefused(await link(fresh.replace("key=2", "key=1")), 403, "link_invalid");

      await rewrite(second);
      assertRefused(await link(old), 403, "link_invalid");
      assert.equal((await link(fresh)).status, 200);
      assert.equal((await own.server.client(unused).get("/v1/jobs")).status, 401, "its hash is under the first key still");

      own.server.brokenChecks = ["audit_rows_are_chained", "audit_heads_are_chained"]; /* what was sealed under the first key */
    } finally {
      await own.stop();
    }
  });
});
