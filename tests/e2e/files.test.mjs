/* A job's files by their stars, and their links signed anew. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { assertRefused, openMarket } from "../lib/market.mjs";
import { sample, sha256 } from "../lib/samples.mjs";

const DAY_S = 86_400;
let market, job, files;

before(async () => {
  market = await openMarket();
  job = await market.job({ files_needed: 3, min_star_rating: 2 });
  for (const name of ["photo.jpg", "q4.jpg", "blurred.jpg"]) {
    const submission = await market.submitAndScore(job, sample(name));
    assert.equal(submission.status, "approved", `${name}: ${submission.ai_reasoning}`);
  }
  files = await market.files(job);
});
after(() => market?.stop());

const download = (client, file) => {
  const { pathname, search } = new URL(file.download_url);
  return client.get(pathname + search);
};
const refresh = (id, options, buyer = market.buyer) => buyer.post(`/v1/files/${id}/refresh_url`, undefined, options);

describe("min_score", () => {
  it("leaves the files with fewer stars out, page by page", async () => {
    const stars = new Set(files.map((file) => file.ai_star_rating));
    assert.ok(stars.size >= 2, "the samples have different stars");
    for (let score = 1; score <= 5; score++) {
      const expected = files.filter((file) => file.ai_star_rating >= score).map(({ id }) => id);
      const rows = await market.buyer.all(`/v1/jobs/${job.id}/files?min_score=${score}`, { limit: 1 });
      assert.deepEqual(rows.map(({ id }) => id), expected, `min_score ${score}`);
    }
  });

  it("is one to five", async () => {
    for (const score of ["0", "6", "x", "4.5", ""])
      assert.equal((await market.buyer.get(`/v1/jobs/${job.id}/files?min_score=${score}`)).status, 400, score);
  });
});

describe("annotations", () => {
  it("say what the scorer found, in the listing, the submission and the event alike", async () => {
    const submissions = await market.buyer.all(`/v1/jobs/${job.id}/submissions`);
    const events = await market.buyer.all("/v1/events?type=submission.approved");
    for (const { submission_id, ai_star_rating, annotations } of files) {
      assert.ok(Math.abs(annotations.quality - ai_star_rating) <= 2, JSON.stringify(annotations));
      assert.deepEqual(Object.keys(annotations.sub_scores).sort(), ["blocking", "exposure", "noise", "resolution", "sharp"]);
      assert.deepEqual([annotations.relevance, annotations.sound, annotations.frames_per_second], [null, null, null]);
      assert.deepEqual(submissions.find(({ id }) => id === submission_id).file.annotations, annotations);
      assert.deepEqual(events.find(({ data }) => data.id === submission_id).data.file.annotations, annotations);
    }
    const sharpness = (name) => files.find((file) => file.content_hash === sha256(sample(name))).annotations.sub_scores.sharp;
    assert.ok(sharpness("blurred.jpg") < sharpness("photo.jpg"));
  });

  it("tell of the sound and the frames of a video", async () => {
    const videos = await market.job({ files_needed: 1, accepted_formats: ["video/mp4"], min_star_rating: 1 });
    await market.submitAndScore(videos, sample("clip.mp4"));
    const [{ annotations }] = await market.files(videos);
    assert.ok(annotations.frames_per_second > 1);
    assert.ok(annotations.sound.sample_rate_hz >= 8000);
  });
});

describe("a link signed anew", () => {
  it("works for seven days from then, and the old one until its own end", async () => {
    const [old] = files;
    await market.server.advance(3 * DAY_S);
    const reply = await refresh(old.id);
    assert.equal(reply.status, 200, reply.text);
    const { download_url, download_url_expires_at, ...rest } = reply.json;
    const { download_url: oldUrl, download_url_expires_at: oldEnd, ...same } = old;
    assert.deepEqual(rest, same);
    assert.notEqual(download_url, oldUrl);
    assert.ok(Date.parse(download_url_expires_at) - Date.parse(oldEnd) >= 3 * DAY_S * 1000);
    await market.server.advance(5 * DAY_S);
    const stranger = market.server.client();
    assertRefused(await download(stranger, old), 403, "link_expired");
    const got = await download(stranger, reply.json);
    assert.equal(got.status, 200);
    assert.equal(sha256(got.bytes), old.content_hash);
  });

  it("is the same in a replay, which the store keeps sealed", async () => {
    const options = { headers: { "idempotency-key": randomUUID() } };
    const first = await refresh(files[1].id, options);
    await market.server.advance(60);
    const again = await refresh(files[1].id, options);
    assert.deepEqual([again.status, again.text, again.headers["idempotent-replayed"]], [200, first.text, "true"]);
  });

  it("is its organisation's alone", async () => {
    const other = market.server.client((await market.server.createOrg()).live_key);
    assertRefused(await refresh(files[0].id, {}, other), 404, "file");
    assertRefused(await refresh(files[0].id, {}, market.server.client(market.org.test_key)), 404, "file");
  });
});
