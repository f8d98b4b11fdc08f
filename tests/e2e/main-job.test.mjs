/* The main job, from the post to the folder: files are judged by what they are, what passes is
 * delivered and paid to the cent, what does not costs nothing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assertRefused, Market, openMarket, until } from "../lib/market.mjs";
import { firstSeconds, GOOD, sample, sha256, withComment, withOrientation } from "../lib/samples.mjs";
import { Tus, partSizes } from "../lib/tus.mjs";

const PRICE = 37; /* a fee of a fifth is 7.4 cents: 7, and 30 for the worker */
const PAYOUT = 30;

let market;
before(async () => {
  market = await openMarket({}, { credits: 1_000_000 });
});
after(() => market?.stop());

const named = (filename) => ({ headers: { "content-disposition": `attachment; filename="${filename}"` } });

function assertRejected(submission, stars) {
  assert.equal(submission.status, "rejected", submission.ai_reasoning);
  assert.equal(submission.ai_star_rating, stars, submission.ai_reasoning);
  assert.equal(submission.payout_cents, null);
}

/* The reasoning is sentences that name a figure. */
function assertReasoning(text) {
  assert.match(text, /\d/, text);
  assert.match(text, /^[A-Z].*\.$/s, text);
  assert.ok(text.length <= 1000, text);
}

describe("a good file of each format", () => {
  for (const { name, type, extension, width = null, height = null, seconds = null } of GOOD)
    it(`${type} is approved, delivered and paid`, async () => {
      const bytes = sample(name);
      const job = await market.job({ accepted_formats: [type], price_per_file_cents: PRICE });
      assert.equal(job.status, "open");
      const sent = await market.submit(job, bytes, named(`holiday.${extension}`));
      assert.equal(sent.size_bytes, bytes.length);

      const submission = await market.scored(sent);
      assert.equal(submission.status, "approved", submission.ai_reasoning);
      assert.ok(submission.ai_star_rating >= 4, submission.ai_reasoning);
      assertReasoning(submission.ai_reasoning);
      assert.equal(submission.content_type, type);
      assert.equal(submission.payout_cents, PAYOUT);
      assert.equal((await market.getJob(job)).status, "completed");

      const [file, ...others] = await market.files(job);
      assert.deepEqual(others, []);
      assert.equal(file.submission_id, submission.id);
      assert.equal(file.content_type, type);
      assert.equal(file.size_bytes, bytes.length);
      assert.equal(file.original_filename, `holiday.${extension}`);
      assert.equal(file.content_hash, sha256(bytes));
      assert.equal(file.ai_star_rating, submission.ai_star_rating);
      assert.deepEqual([file.width, file.height], [width, height]);
      if (seconds === null) assert.equal(file.duration_seconds, null);
      else assert.ok(Math.abs(file.duration_seconds - seconds) < 0.1, `lasts ${file.duration_seconds}`);

      const [line, ...rest] = await market.manifest(job, 1);
      assert.deepEqual(rest, []);
      const { id, sha256: hash, type: said, size, stars, created_at } = line;
      assert.deepEqual({ id, hash, said, size, stars, created_at }, {
        id: file.id, hash: sha256(bytes), said: type, size: bytes.length,
        stars: submission.ai_star_rating, created_at: file.created_at,
      });
      const copy = await market.delivered(job, `${file.id}.${extension}`);
      assert.equal(sha256(copy.bytes), sha256(bytes));
      assert.equal(copy.mode, "444");
    });
});

describe("a picture's size is as shown", () => {
  it("of a photo held upside down: not swapped", async () => {
    const submission = await market.submitAndScore(await market.job(), sample("oriented.jpg"));
    assert.deepEqual([submission.width, submission.height], [4000, 3000]);
  });

  for (const [orientation, isSwapped] of [[1, false], [2, false], [3, false], [4, false], [5, true], [6, true], [7, true], [8, true]])
    it(`of EXIF orientation ${orientation}: ${isSwapped ? "" : "not "}swapped`, async () => {
      const bytes = withOrientation(sample("photo-8.jpg"), orientation);
      const submission = await market.submitAndScore(await market.job(), bytes);
      assert.deepEqual([submission.width, submission.height], isSwapped ? [300, 451] : [451, 300]);
    });

  it("of a video turned by its track: swapped", async () => {
    const job = await market.job({ accepted_formats: ["video/quicktime"] });
    const submission = await market.submitAndScore(job, sample("upright.mov"));
    assert.deepEqual([submission.width, submission.height], [360, 640]);
  });
});

describe("a job's way", () => {
  it("goes from open to in_progress with the first approval and to completed with the last", async () => {
    const job = await market.job({ files_needed: 2 });
    assert.deepEqual([job.status, job.files_remaining, job.completed_at], ["open", 2, null]);
    await market.submitAndScore(job, sample("photo-2.jpg"));
    const half = await market.getJob(job);
    assert.deepEqual([half.status, half.files_approved, half.files_remaining, half.completed_at], ["in_progress", 1, 1, null]);
    const last = await market.submitAndScore(job, sample("photo-3.jpg"));
    const whole = await market.getJob(job);
    assert.deepEqual([whole.status, whole.files_approved, whole.files_remaining], ["completed", 2, 0]);
    assert.equal(whole.completed_at, last.scored_at);
    assert.equal(whole.cancelled_at, null);
  });

  it("ends for workers when it is completed", async () => {
    const job = await market.job();
    await market.submitAndScore(job, sample("photo-4.jpg"));
    assertRefused(await market.worker.post(`/worker/v1/jobs/${job.id}/accept`), 409, "job_closed");
    const seen = (await market.worker.get(`/worker/v1/jobs/${job.id}`)).json;
    assert.deepEqual([seen.status, seen.slots_open, seen.may_accept, seen.may_not_reason], ["completed", 0, false, "job_closed"]);
    assert.ok(!(await market.worker.all("/worker/v1/jobs")).some(({ id }) => id === job.id), "it left the feed");
  });

  it("leaves the buyer files and submissions that agree", async () => {
    const job = await market.job({ files_needed: 3 });
    for (const name of ["photo-2.jpg", "blurred.jpg", "photo-3.jpg"]) await market.submitAndScore(job, sample(name));
    const files = await market.files(job);
    const submissions = await market.buyer.all(`/v1/jobs/${job.id}/submissions`);
    assert.deepEqual(submissions.map(({ status }) => status), ["approved", "rejected", "approved"]);
    assert.deepEqual(submissions.map(({ file }) => file?.id).filter(Boolean), files.map(({ id }) => id));
    assert.deepEqual(files.map(({ submission_id }) => submission_id), [submissions[0].id, submissions[2].id]);
    assert.equal((await market.manifest(job, 2)).length, 2);
  });
});

describe("the money of a job", () => {
  it("is held at the post, paid at approval, and exact to the cent", async () => {
    const own = await Market.open(market.server, { credits: 1000 });
    const worker = await market.newWorker();
    const job = await own.job({ files_needed: 2, price_per_file_cents: PRICE });
    assert.equal(job.total_cost_cents, 2 * PRICE);
    assert.equal(job.worker_payout_per_file_cents, PAYOUT);
    assert.equal(job.platform_fee_pct, 0.2);
    assert.deepEqual(await own.balance(), { balance: 1000 - 2 * PRICE, held: 2 * PRICE });
    await own.submitAndScore(job, sample("photo-5.jpg"), { worker });
    assert.deepEqual(await own.balance(), { balance: 1000 - 2 * PRICE, held: PRICE });
    await own.submitAndScore(job, sample("photo-6.jpg"), { worker });
    assert.deepEqual(await own.balance(), { balance: 1000 - 2 * PRICE, held: 0 });
    assert.deepEqual(await own.statement(), [["bonus", 1000, null], ["deduction", -2 * PRICE, job.id]]);

    const earned = await own.earnings(worker);
    assert.equal(earned.balance_cents, 2 * PAYOUT);
    assert.deepEqual(earned.data.map(({ amount_cents, job_id }) => [amount_cents, job_id]), [[PAYOUT, job.id], [PAYOUT, job.id]]);
    const approved = (await own.files(job)).map(({ submission_id }) => submission_id);
    assert.deepEqual(earned.data.map(({ submission_id }) => submission_id), approved);
  });

  it("does not move for a rejected file, whose slot is free at once", async () => {
    const own = await Market.open(market.server, { credits: 1000 });
    const worker = await market.newWorker();
    const job = await own.job({ price_per_file_cents: PRICE });
    await own.submitAndScore(job, sample("truncated.jpg"), { worker });
    assert.deepEqual(await own.balance(), { balance: 1000 - PRICE, held: PRICE });
    assert.equal((await own.earnings(worker)).balance_cents, 0);
    assert.equal((await worker.get(`/worker/v1/jobs/${job.id}`)).json.slots_open, 1);
    assert.equal((await own.getJob(job)).status, "open");
  });
});

describe("a file that is not good enough", () => {
  it("blurred: two stars, rejected, and may be tried again", async () => {
    const submission = await market.submitAndScore(await market.job(), sample("blurred.jpg"));
    assertRejected(submission, 2);
    assert.match(submission.ai_reasoning, /blurred \(sharpness \d/);
    assertReasoning(submission.ai_reasoning);
    assert.equal(submission.may_retry, true);
  });

  for (const name of ["truncated.jpg", "truncated.png", "truncated.webp"])
    it(`${name}: one star, and no second try`, async () => {
      const type = GOOD.find(({ extension }) => name.endsWith(extension)).type;
      const submission = await market.submitAndScore(await market.job({ accepted_formats: [type] }), sample(name));
      assertRejected(submission, 1);
      assert.equal(submission.may_retry, false);
      assertRefused(await market.worker.post(`/worker/v1/submissions/${submission.id}/retry`), 409, "not_retryable");
    });

  for (const [name, type, reason] of [
    ["blank.png", "image/png", /next to nothing to see/],
    ["silent.wav", "audio/wav", /next to nothing to hear/],
    ["black.mp4", "video/mp4", /next to nothing to see/],
    ["headless.mp4", "video/mp4", /damaged|cut short|not what it claims/],
    ["random.mp4", "video/mp4", /damaged|cut short|not what it claims/],
  ])
    it(`${name}: one star, with the reason`, async () => {
      const submission = await market.submitAndScore(await market.job({ accepted_formats: [type] }), sample(name));
      assertRejected(submission, 1);
      assert.match(submission.ai_reasoning, reason);
    });
});

describe("what a file is", () => {
  it("is decided by its content, whatever name and header say", async () => {
    const job = await market.job({ accepted_formats: ["video/mp4", "image/jpeg"] });
    const submission = await market.submitAndScore(job, sample("clip-named.jpg"), {
      headers: { "content-type": "image/jpeg", "content-disposition": 'attachment; filename="holiday.jpg"' },
    });
    assert.equal(submission.status, "approved", submission.ai_reasoning);
    assert.equal(submission.content_type, "video/mp4");
    const [file] = await market.files(job);
    assert.deepEqual([file.content_type, file.original_filename], ["video/mp4", "holiday.jpg"]);
    await market.manifest(job, 1);
    assert.equal((await market.delivered(job, `${file.id}.mp4`)).bytes.length, file.size_bytes);
  });

  for (const [name, type] of [["clip-named.jpg", "image/jpeg"], ["words.txt", "image/jpeg"], ["photo.png", "image/jpeg"], ["speech.wav", "audio/mpeg"]])
    it(`is refused when the job does not take it (${name} for ${type}), and the slot is kept`, async () => {
      const job = await market.job({ accepted_formats: [type] });
      const reservation = await market.worker.accept(job.id);
      const refused = await market.worker.putFile(reservation.id, sample(name), { contentType: type });
      assertRefused(refused, 415, "unsupported_format");
      const good = sample(type === "audio/mpeg" ? "speech.mp3" : "photo-2.jpg");
      const reply = await market.worker.putFile(reservation.id, good);
      assert.equal(reply.status, 201, reply.text);
      assert.equal((await market.scored(reply.json)).status, "approved");
    });
});

describe("the same bytes again", () => {
  it("in one job are a duplicate, whoever sends them", async () => {
    const job = await market.job({ files_needed: 3 });
    await market.submitAndScore(job, sample("photo-7.jpg"));
    for (const worker of [market.worker, await market.newWorker()]) {
      const again = await market.submitAndScore(job, sample("photo-7.jpg"), { worker });
      assertRejected(again, 1);
      assert.match(again.ai_reasoning, /exact bytes were sent to this job before/);
      assert.equal(again.may_retry, false);
    }
    assert.equal((await market.getJob(job)).files_approved, 1);
    assert.equal((await market.worker.get(`/worker/v1/jobs/${job.id}`)).json.slots_open, 2);
  });

  it("are a duplicate also of what was rejected", async () => {
    const job = await market.job();
    assertRejected(await market.submitAndScore(job, sample("blurred.jpg")), 2);
    assertRejected(await market.submitAndScore(job, sample("blurred.jpg")), 1);
  });

  it("for the same slot are the same submission; other bytes are refused", async () => {
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    const first = await market.worker.putFile(reservation.id, sample("photo-9.jpg"));
    assert.equal(first.status, 201, first.text);
    const again = await market.worker.putFile(reservation.id, sample("photo-9.jpg"));
    assert.equal(again.status, 200, again.text);
    assert.equal(again.json.id, first.json.id);
    assertRefused(await market.worker.putFile(reservation.id, sample("photo-10.jpg")), 409, "reservation_used");
    await market.scored(first.json);
  });

  it("in another job are a file like any", async () => {
    for (const job of [await market.job(), await market.job()])
      assert.equal((await market.submitAndScore(job, sample("photo-11.jpg"))).status, "approved");
  });
});

describe("a second try", () => {
  const retry = (submission) => market.worker.post(`/worker/v1/submissions/${submission.id}/retry`);
  const look = async (submission) => (await market.worker.get(`/worker/v1/submissions/${submission.id}`)).json;

  async function rejectedWithTwo(overrides) {
    const job = await market.job(overrides);
    const submission = await market.submitAndScore(job, withComment(sample("blurred.jpg"), job.id));
    assertRejected(submission, 2);
    return { job, submission };
  }

  it("is the same submission, and can be approved", async () => {
    const { job, submission } = await rejectedWithTwo();
    const reply = await retry(submission);
    assert.equal(reply.status, 201, reply.text);
    assert.equal(reply.json.submission_id, submission.id);
    assert.equal((await look(submission)).status, "retry_pending");
    assert.equal((await market.worker.get(`/worker/v1/jobs/${job.id}`)).json.slots_open, 0, "it takes a slot");
    const sent = await market.worker.putFile(reply.json.id, sample("photo-2.jpg"));
    assert.deepEqual([sent.status, sent.json.id, sent.json.attempt], [201, submission.id, 2]);
    const second = await market.scored(sent.json);
    assert.equal(second.status, "approved", second.ai_reasoning);
    assert.equal((await market.buyer.all(`/v1/jobs/${job.id}/submissions`)).length, 1);
    assert.equal((await market.files(job))[0].content_hash, sha256(sample("photo-2.jpg")));
  });

  it("comes once", async () => {
    const { submission } = await rejectedWithTwo();
    const reservation = (await retry(submission)).json;
    assertRefused(await retry(submission), 409, "not_retryable");
    const sent = await market.worker.putFile(reservation.id, sample("blurred.jpg"));
    const second = await market.scored(sent.json);
    assertRejected(second, 2);
    assert.equal(second.may_retry, false);
    assertRefused(await retry(submission), 409, "not_retryable");
  });

  it("with unchanged bytes is a duplicate", async () => {
    const { job, submission } = await rejectedWithTwo();
    const reservation = (await retry(submission)).json;
    const sent = await market.worker.putFile(reservation.id, withComment(sample("blurred.jpg"), job.id));
    assertRejected(await market.scored(sent.json), 1);
  });

  it("needs a free slot", async () => {
    const { job, submission } = await rejectedWithTwo();
    const other = await market.newWorker();
    const taken = await other.accept(job.id);
    assertRefused(await retry(submission), 409, "job_full");
    await other.delete(`/worker/v1/reservations/${taken.id}`);
    assert.equal((await retry(submission)).status, 201);
  });

  it("that is not used leaves the first stars and reasoning", async () => {
    const { submission } = await rejectedWithTwo();
    assert.equal((await retry(submission)).status, 201);
    await market.server.advance(31 * 60);
    const after = await look(submission);
    assert.deepEqual(
      [after.status, after.attempt, after.ai_star_rating, after.ai_reasoning, after.scored_at],
      ["rejected", 1, 2, submission.ai_reasoning, submission.scored_at],
    );
  });

  /* The file of a try that has ended is still on its way when another has taken its place. */
  let lateCount = 0;
  const ends = {
    "was given back": async ({ id }) => assert.equal((await market.worker.delete(`/worker/v1/reservations/${id}`)).status, 204),
    "has lapsed": () => market.server.advance(31 * 60),
  };
  for (const [how, end] of Object.entries(ends))
    for (const whole of [true, false])
      it(`is one file, whatever arrives late for one that ${how}, ${whole ? "in one request" : "in pieces"}`, async () => {
        const { job, submission } = await rejectedWithTwo({ files_needed: 3 });
        const late = withComment(sample("photo-3.jpg"), "late".repeat(++lateCount)); /* of a size of its own */
        const half = late.length >> 1;
        const tus = new Tus(market.worker);
        const first = (await retry(submission)).json;
        const sending = whole
          ? await tus.openPut(first.id, late.length, "image/jpeg")
          : await tus.openPatch(await tus.begin(first.id, late.length), 0, late.length);
        sending.write(late.subarray(0, half));
        await until("half of it is on disk", () => partSizes(market.server.dataDir).includes(half));
        await end(first);
        const second = (await retry(submission)).json;
        const sent = await market.worker.putFile(second.id, sample("photo-2.jpg"));
        assert.deepEqual([sent.status, sent.json.attempt], [201, 2]);
        sending.write(late.subarray(half));
        assert.match(await sending.reply(), /^HTTP\/1\.1 409 [^]*"reservation_expired"/);
        sending.close();
        assert.equal(sha256(readFileSync(join(market.server.dataDir, "blobs", `${submission.id}.2`))), sha256(sample("photo-2.jpg")));
        assert.equal((await market.scored(sent.json)).status, "approved");
        assert.deepEqual((await market.files(job)).map(({ content_hash }) => content_hash), [sha256(sample("photo-2.jpg"))]);
      });

  it("is another worker's never", async () => {
    const { submission } = await rejectedWithTwo();
    const other = await market.newWorker();
    assertRefused(await other.post(`/worker/v1/submissions/${submission.id}/retry`), 404);
  });
});

describe("what the job asks for", () => {
  const judge = async (overrides, bytes) => market.submitAndScore(await market.job(overrides), bytes);

  it("min_star_rating 2 takes a blurred picture", async () => {
    const submission = await judge({ min_star_rating: 2 }, sample("blurred.jpg"));
    assert.deepEqual([submission.status, submission.ai_star_rating], ["approved", 2]);
  });

  it("min_star_rating 1 does not take what a gate stopped", async () => {
    assertRejected(await judge({ min_star_rating: 1 }, sample("truncated.jpg")), 1);
  });

  it("min_star_rating above what the file got rejects it", async () => {
    const got = await judge({ min_star_rating: 1 }, sample("q4.jpg"));
    assert.equal(got.status, "approved");
    assert.ok(got.ai_star_rating < 5, "the sample has a flaw");
    const asked = await judge({ min_star_rating: got.ai_star_rating + 1 }, sample("q4.jpg"));
    assertRejected(asked, got.ai_star_rating);
  });

  it("min_width and min_height are met at the very pixel", async () => {
    const taken = await judge({ accepted_formats: ["image/png"], min_width: 600, min_height: 400 }, sample("photo.png"));
    assert.equal(taken.status, "approved", taken.ai_reasoning);
    for (const overrides of [{ min_width: 601 }, { min_height: 401 }]) {
      const refused = await judge({ accepted_formats: ["image/png"], ...overrides }, sample("photo.png"));
      assertRejected(refused, 1);
      assert.match(refused.ai_reasoning, /600x400/);
    }
  });

  it("min_width is of the picture as shown", async () => {
    const turned = withOrientation(sample("photo-8.jpg"), 6); /* 300 x 451 */
    assertRejected(await judge({ min_width: 400 }, turned), 1);
    assert.equal((await judge({ min_height: 400 }, turned)).status, "approved");
  });

  it("min_duration_seconds rejects what is shorter", async () => {
    const wav = { accepted_formats: ["audio/wav"] };
    const taken = await judge({ ...wav, min_duration_seconds: 5 }, sample("speech.wav"));
    assert.equal(taken.status, "approved", taken.ai_reasoning);
    const refused = await judge({ ...wav, min_duration_seconds: 5 }, firstSeconds(sample("speech.wav"), 3));
    assertRejected(refused, 1);
    assert.match(refused.ai_reasoning, /lasts 3\.0 s .* at least 5\.0 s/);
  });

  it("max_duration_seconds costs stars and says so", async () => {
    const wav = { accepted_formats: ["audio/wav"], min_star_rating: 1 };
    const free = await judge(wav, sample("speech.wav"));
    const capped = await judge({ ...wav, max_duration_seconds: 2 }, sample("speech.wav"));
    assert.ok(capped.ai_star_rating < free.ai_star_rating, `${capped.ai_star_rating} stars`);
    assert.match(capped.ai_reasoning, /at most 2\.0 s/);
  });
});
