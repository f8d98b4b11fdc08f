/* `firsthand score`: what it prints of a file is what the server stored of it, for the same job. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openMarket } from "../lib/market.mjs";
import { sample, samplePath } from "../lib/samples.mjs";
import { binaryPath, run } from "../lib/server.mjs";

let market, folder;

before(async () => {
  market = await openMarket();
  folder = market.server.dataDir;
});
after(() => market?.stop());

function jobFile(job) {
  const path = join(folder, "job.json");
  writeFileSync(path, typeof job === "string" ? job : JSON.stringify(job));
  return path;
}

async function score(name, ...flags) {
  const { code, stdout, stderr } = await run(["score", samplePath(name), ...flags]);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  return stdout;
}

const storedRecord = ({ id }) =>
  execFileSync("sqlite3", [join(folder, "store.db"), `SELECT score_record FROM submissions WHERE id = '${id}'`], { encoding: "utf8" }).trim();

describe("score prints what the server says", () => {
  const IMAGES = { accepted_formats: ["image/jpeg", "image/png"] };
  const cases = [
    ["photo.jpg", IMAGES],
    ["photo.jpg", { ...IMAGES, min_width: 5000 }],
    ["blurred.jpg", { ...IMAGES, min_star_rating: 1, min_width: 100, min_height: 100 }],
    ["blurred.jpg", { ...IMAGES, scoring_ignore: ["sharp", "naturalness"] }],
    ["truncated.jpg", IMAGES],
    ["blank.png", IMAGES],
    ["speech.m4a", { accepted_formats: ["audio/mp4", "video/mp4"], max_duration_seconds: 1.5 }],
    ["clip.mp4", { accepted_formats: ["video/mp4"], min_duration_seconds: 0.25 }],
  ];
  for (const [name, asked] of cases)
    it(`of ${name} for ${JSON.stringify(asked)}`, async () => {
      const job = await market.job({ ...asked, files_needed: 1 });
      const stored = await market.submitAndScore(job, sample(name));
      const said = JSON.parse(await score(name, "--job", jobFile(job)));
      assert.deepEqual([said.status, said.ai_star_rating, said.ai_reasoning], [stored.status, stored.ai_star_rating, stored.ai_reasoning]);
      assert.equal(JSON.stringify(said.record), JSON.stringify(JSON.parse(storedRecord(stored))));
      if (stored.status === "approved") assert.deepEqual(said.annotations, (await market.files(job))[0].annotations);
      /* The same from what the buyer posted, on stdin, letter for letter. */
      const again = execFileSync(binaryPath(), ["score", samplePath(name), "--job", "-"], { input: JSON.stringify(asked), encoding: "utf8" });
      assert.equal(again, await score(name, "--job", jobFile(job)));
    });

  it("without a job, as for one that asks for nothing, and touches no store", async () => {
    const nowhere = join(folder, "nowhere");
    const said = JSON.parse(await score("photo-2.jpg", "--data-dir", nowhere));
    assert.deepEqual([said.status, said.record.gate, said.record.limits.formats], ["approved", null, []]);
    assert.equal(existsSync(nowhere), false);
  });
});

describe("score refuses", () => {
  for (const [name, args, wanted, pattern] of [
    ["no file", () => [], 2, /needs a FILE/],
    ["a file that is not there", () => [join(folder, "none.jpg")], 1, /No such file/],
    ["a folder", () => [folder], 1, /directory/],
    ["a file of another type than the job's", () => [samplePath("photo.jpg"), "--job", jobFile({ accepted_formats: ["image/png"] })], 1, /unsupported_format/],
    ["a file of no type", () => [samplePath("words.txt")], 1, /unsupported_format/],
    ["a job that is none", () => [samplePath("photo.jpg"), "--job", jobFile("[]")], 1, /bad_job/],
    ["a job that is no JSON", () => [samplePath("photo.jpg"), "--job", jobFile("{")], 1, /malformed_json/],
    ["a job with unknown formats", () => [samplePath("photo.jpg"), "--job", jobFile({ accepted_formats: ["image/gif"] })], 1, /accepted_formats/],
    ["a job with no formats", () => [samplePath("photo.jpg"), "--job", jobFile({ accepted_formats: [] })], 1, /accepted_formats/],
    ["a job with six stars", () => [samplePath("photo.jpg"), "--job", jobFile({ min_star_rating: 6 })], 1, /min_star_rating/],
    ["a width in text", () => [samplePath("photo.jpg"), "--job", jobFile({ min_width: "10" })], 1, /min_width/],
    ["a sub-score that none may switch off", () => [samplePath("photo.jpg"), "--job", jobFile({ scoring_ignore: ["black"] })], 1, /scoring_ignore/],
    ["half a pixel", () => [samplePath("photo.jpg"), "--job", jobFile({ min_height: 1.5 })], 1, /min_height/],
    ["an unknown flag", () => [samplePath("photo.jpg"), "--colour", "red"], 2, /unknown flag --colour/],
    ["a second file", () => [samplePath("photo.jpg"), samplePath("photo.jpg")], 2, /expected a --flag/],
  ])
    it(name, async () => {
      const { code, stdout, stderr } = await run(["score", ...args()]);
      assert.match(stderr, /^firsthand: [^\n]+\n$/);
      assert.match(stderr, pattern);
      assert.deepEqual([code, stdout], [wanted, ""]);
    });
});
