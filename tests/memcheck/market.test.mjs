/* A short life of a server, for valgrind (tools/memcheck): each kind of request, and what is refused,
 * cut off or left half done when it stops. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { closeLines, openLines, requestBytes } from "../lib/swarm.mjs";
import { Tus } from "../lib/tus.mjs";

async function uploadInPieces(worker, job, bytes) {
  const tus = new Tus(worker);
  const reservation = await worker.accept(job.id);
  const location = await tus.begin(reservation.id, bytes.length);
  const half = bytes.length >> 1;
  assert.equal((await tus.patch(location, 0, bytes.subarray(0, half))).status, 204);
  assert.equal((await tus.patch(location, half, bytes.subarray(half))).status, 204);
  return { id: reservation.submission_id };
}

async function leaveHalfDone(market) {
  const tus = new Tus(market.worker);
  const job = await market.job();
  const reservation = await market.worker.accept(job.id);
  const location = await tus.begin(reservation.id, 1000);
  const patch = await tus.openPatch(location, 0, 1000);
  patch.write("half");
  const body = requestBytes("POST", "/v1/jobs", { token: market.buyer.token, headers: { "content-length": 100 }, body: "{" });
  const lines = await openLines(market.server.base, 2);
  lines[0].send(body);
  lines[1].send("GET / HT");
  return [patch, ...lines];
}

test("a market from its first job to its last download", { timeout: 600_000 }, async () => {
  const market = await openMarket({ "idle-timeout": "2m" });
  let halfDone = [];
  try {
    const job = await market.job({ files_needed: 2, accepted_formats: ["image/jpeg", "audio/wav"], min_star_rating: 1 });
    const first = await market.submitAndScore(job, sample("photo.jpg"));
    assert.equal(first.status, "approved");
    const second = await market.newWorker();
    const pieces = await uploadInPieces(second, job, sample("speech.wav"));
    assert.equal((await market.scored(pieces, { worker: second })).status, "approved");

    const files = await until("both files are there", async () => {
      const rows = await market.files(job);
      return rows.length === 2 && rows;
    });
    for (const { download_url } of files) {
      const { pathname, search } = new URL(download_url);
      assert.equal((await market.buyer.get(pathname + search, { isChecked: false })).status, 200);
      assert.equal((await market.buyer.get(pathname + search, { isChecked: false, headers: { range: "bytes=0-9" } })).status, 206);
    }

    const key = await market.buyer.createKey();
    assert.equal((await market.buyer.request("POST", `/v1/api_keys/${key.id}/rotate`)).status, 200);
    const cancelled = await market.job();
    assert.equal((await market.buyer.request("POST", `/v1/jobs/${cancelled.id}/cancel`)).status, 200);
    assert.equal((await market.buyer.postJob({ price_per_file_cents: 0 })).status, 422);
    assert.equal((await market.buyer.postJob({}, { raw: "{" })).status, 400);
    assert.equal((await market.buyer.get("/v1/nowhere", { isChecked: false })).status, 404);
    assert.equal((await market.worker.putFile((await market.worker.accept((await market.job()).id)).id, "no picture")).status, 415);
    await market.server.advance(86_400);
    halfDone = await leaveHalfDone(market);
  } finally {
    /* SIGTERM meets what is half done; it ends when the clients do. */
    const stopped = market.stop();
    closeLines(halfDone);
    await stopped;
  }
});
