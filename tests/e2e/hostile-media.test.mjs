/* Files made to break what looks at them, through the whole server and the real sandbox: whatever
 * comes, the server stays up, and every submission ends with stars and a reason, or at the door.
 *
 *   FIRSTHAND_HOSTILE_SEED=7 node --test tests/e2e/hostile-media.test.mjs
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Random } from "../fault/random.mjs";
import { assertRefused, codeOf, inParallel, openMarket, until } from "../lib/market.mjs";
import { box, jpegClaiming, pngOf, riff, stretched, withChunks, zeros } from "../lib/hostile.mjs";
import { GOOD, repeated, sample, withComment } from "../lib/samples.mjs";

/* One small good file a format, so that there is time for many damaged ones. */
const SMALL = Object.freeze([
  { type: "image/jpeg", name: "photo-10.jpg" },
  { type: "image/png", name: "photo.png" },
  { type: "image/webp", name: "lossy.webp" },
  { type: "audio/mpeg", name: "speech.mp3" },
  { type: "audio/wav", name: "speech.wav" },
  { type: "audio/mp4", name: "speech.m4a" },
  { type: "video/mp4", name: "faststart.mp4" },
  { type: "video/quicktime", name: "clip.mov" },
]);
const BACK_OFF_S_MAX = 40; /* of the fifth try: 32 s */

const seed = Number(process.env.FIRSTHAND_HOSTILE_SEED ?? 1);
const random = new Random(seed);
const openings = new Map(); /* type → { job, worker }, made when first asked for */
let market;

before(async () => {
  market = await openMarket({ "score-workers": 4 }, { credits: 1_000_000 });
});
after(() => market?.stop());

/* A job for one type that takes whatever no gate stops, and a worker for it. */
async function openingFor(type) {
  if (!openings.has(type)) {
    const job = market.job({ accepted_formats: [type], files_needed: 1000, price_per_file_cents: 1, min_star_rating: 1 });
    openings.set(type, Promise.all([job, market.newWorker()]).then(([made, worker]) => ({ job: made, worker })));
  }
  return openings.get(type);
}

const postponed = (id) =>
  market.server.logLines.filter((line) => line.includes("score_postponed")).map((line) => JSON.parse(line))
    .filter(({ subject }) => subject === id);

/* Send a file. → the reply of the upload */
async function send({ type, bytes }) {
  const { job, worker } = await openingFor(type);
  const reservation = await worker.accept(job.id);
  const reply = await worker.putFile(reservation.id, bytes);
  if (reply.status !== 201) await worker.delete(`/worker/v1/reservations/${reservation.id}`);
  return reply;
}

function assertDecided(submission, what) {
  assert.match(submission.status, /^(approved|rejected)$/, what);
  assert.ok(submission.ai_star_rating >= 1 && submission.ai_star_rating <= 5, what);
  assert.match(submission.ai_reasoning ?? "", /^[A-Z].*\.$/s, `${what}: a reason`);
  assert.equal(submission.status === "approved", submission.payout_cents === 1, what);
}

/* Send files ({ what, type, bytes }), those of one type one after the other. Each must be refused at
 * the door as of no type that the job takes, or come to its stars at the first try.
 * → name → submission, or null */
async function judge(files) {
  const results = new Map();
  await inParallel(groups(files), 4, async (some) => {
    for (const file of some) {
      const reply = await send(file);
      if (reply.status !== 201) {
        assert.equal(reply.status, 415, `${file.what}: ${reply.text}`);
        assert.equal(codeOf(reply), "unsupported_format", file.what);
      }
      results.set(file.what, reply.status === 201 ? { ...file, sent: reply.json } : null);
    }
  });
  for (const [what, result] of results) {
    if (!result) continue;
    const { worker } = await openingFor(result.type);
    const submission = await until(`${what} (seed ${seed}) is decided`, async () => {
      assert.deepEqual(postponed(result.sent.id), [], `${what} (seed ${seed}) could not be scored`);
      const { json } = await worker.get(`/worker/v1/submissions/${result.sent.id}`);
      return json.status !== "pending_score" && json;
    });
    assertDecided(submission, what);
    results.set(what, submission);
  }
  return results;
}

function groups(files) {
  const types = [...new Set(files.map(({ type }) => type))];
  return types.map((type) => files.filter((file) => file.type === type));
}

async function judgeOne(type, bytes) {
  return (await judge([{ what: "the file", type, bytes }])).get("the file");
}

function assertUseless(submission, what, pattern = /./) {
  assert.equal(submission.status, "rejected", `${what}: ${submission.ai_reasoning}`);
  assert.equal(submission.ai_star_rating, 1, `${what}: ${submission.ai_reasoning}`);
  assert.equal(submission.may_retry, false, what);
  assert.match(submission.ai_reasoning, pattern, what);
}

describe("a file that is cut short", () => {
  /* An image without its end is corrupt. Of sound and video nine tenths must be there. */
  for (const { type, name } of [...SMALL, { type: "video/mp4", name: "fragmented.mp4" }])
    it(`${name}, at every sixteenth: one star; the whole is approved`, async () => {
      const whole = sample(name);
      const cut = (sixteenths) => whole.subarray(0, Math.floor((whole.length * sixteenths) / 16));
      const files = Array.from({ length: 15 }, (_, i) => ({ what: `${name} ${i + 1}/16`, type, bytes: cut(i + 1) }));
      const results = await judge([...files, { what: "whole", type, bytes: whole }]);
      const best = results.get("whole");
      assert.equal(best.status, "approved", best.ai_reasoning);
      for (const [i, { what }] of files.entries()) {
        const isNearlyWhole = i + 1 === 15 && !type.startsWith("image/");
        if (isNearlyWhole) assert.ok(results.get(what).ai_star_rating <= best.ai_star_rating, what);
        else assertUseless(results.get(what), what, /cut short|damaged|not what it claims|neither/);
      }
    });

  for (const { type, name } of SMALL)
    it(`${name}, in its first bytes: refused or one star`, async () => {
      const lengths = [1, 4, 11, 12, 16, 32, 63, 64, 65];
      const files = lengths.map((length) => ({ what: `${name}, ${length} bytes`, type, bytes: sample(name).subarray(0, length) }));
      for (const [what, submission] of await judge(files)) if (submission) assertUseless(submission, what);
    });

  it("to nothing at all: refused, and the slot is kept", async () => {
    for (const { type, name } of SMALL) {
      const { job, worker } = await openingFor(type);
      const reservation = await worker.accept(job.id);
      assertRefused(await worker.putFile(reservation.id, sample("empty.bin")), 415, "unsupported_format");
      const reply = await worker.putFile(reservation.id, Buffer.concat([sample(name), Buffer.from("end")]));
      assert.equal(reply.status, 201, reply.text);
    }
  });
});

describe("bits that were turned over", () => {
  for (const { type, name } of SMALL)
    it(`${name}: some, many, all over or in its head (seed ${seed})`, async () => {
      const flipped = (flips, within) => {
        const bytes = Buffer.from(sample(name));
        for (let i = 0; i < flips; i++) bytes[random.int(16, within)] ^= 1 << random.int(0, 7);
        return bytes;
      };
      const { length } = sample(name);
      const files = [[1, 300], [4, 300], [16, 1000], [1, length], [8, length], [64, length], [1000, length]].map(
        ([flips, within]) => ({ what: `${name}, ${flips} of the first ${within}`, type, bytes: flipped(flips, within - 1) }));
      await judge(files);
    });

  for (const { type, name } of SMALL)
    it(`${name}: a good head and then chance (seed ${seed})`, async () => {
      const files = [16, 64, 1024].map((kept) => {
        const bytes = Buffer.from(sample(name));
        for (let i = kept; i < bytes.length; i++) bytes[i] = random.int(0, 255);
        return { what: `${name}, ${kept} bytes kept`, type, bytes };
      });
      /* Any bytes are samples of a WAV; any bits are pixels to WebP's coder. */
      const isForgiving = type === "audio/wav" || type === "image/webp";
      for (const [what, submission] of await judge(files)) if (submission && !isForgiving) assertUseless(submission, what);
    });

  it("a ftyp and then chance", async () => {
    assertUseless(await judgeOne("video/mp4", sample("random.mp4")), "random.mp4", /damaged|not what it claims/);
  });
});

describe("a bomb", () => {
  it("of 900 million pixels in 110 kB is refused before it is unpacked", async () => {
    assertUseless(await judgeOne("image/png", sample("bomb.png")), "bomb.png", /pixels/);
  });

  it("whose pixels are few enough and whose bytes are too many is put off, then rejected with the reason", async () => {
    const bytes = pngOf({ width: 8000, height: 8000, depth: 16, colour: 6, data: zeros(8000 * (1 + 8000 * 8)) });
    assert.ok(bytes.length < 3_000_000, `${bytes.length} bytes that unpack to half a gigabyte`);
    const { worker } = await openingFor("image/png");
    const sent = (await send({ type: "image/png", bytes })).json;
    const look = async () => (await worker.get(`/worker/v1/submissions/${sent.id}`)).json;
    for (let tries = 1; (await look()).status === "pending_score"; tries++) {
      assert.ok(tries <= 5, "it is given up after five tries");
      await until(`try ${tries} ends`, async () => postponed(sent.id).length >= tries || (await look()).status !== "pending_score");
      if (tries === 1) await judgeOne("image/jpeg", withComment(sample("photo-10.jpg"), "others pass"));
      await market.server.advance(BACK_OFF_S_MAX);
    }
    const submission = await look();
    assert.deepEqual([submission.status, submission.ai_star_rating], ["rejected", 2], submission.ai_reasoning);
    assert.match(submission.ai_reasoning, /could not be examined in 5 tries \(.*memory limit of 512 MB.*\)/);
    assert.equal(postponed(sent.id).length, 4);
  });

  const FTYP = box("ftyp", Buffer.from("isom\0\0\x02\0isommp41", "latin1"));

  const bombs = {
    "a JPEG that claims 65535x65535": ["image/jpeg", () => jpegClaiming(sample("photo-10.jpg"), 65535, 65535)],
    "a JPEG that claims 8000x8000": ["image/jpeg", () => jpegClaiming(sample("photo-10.jpg"), 8000, 8000)],
    "a JPEG that claims 0x0": ["image/jpeg", () => jpegClaiming(sample("photo-10.jpg"), 0, 0)],
    "a JPEG with 1000 comments": ["image/jpeg", () => Array.from({ length: 1000 }).reduce((jpeg, _, i) => withComment(jpeg, `${i}`), sample("photo-10.jpg"))],
    "a PNG that claims 2147483647x1": ["image/png", () => pngOf({ width: 0x7fffffff, height: 1, depth: 8, colour: 0, data: zeros(1000) })],
    "a PNG that claims more than it holds": ["image/png", () => pngOf({ width: 4000, height: 4000, depth: 8, colour: 2, data: zeros(1000) })],
    "a PNG with 100 MB of packed text": ["image/png", () => withChunks(sample("photo.png"), [["zTXt", Buffer.concat([Buffer.from("Comment\0\0"), zeros(100 << 20)])]])],
    "a PNG with 100 MB of packed colour profile": ["image/png", () => withChunks(sample("photo.png"), [["iCCP", Buffer.concat([Buffer.from("x\0\0"), zeros(100 << 20)])]])],
    "a PNG of 20000 empty chunks": ["image/png", () => withChunks(sample("photo.png"), Array(20_000).fill(["tEXt", Buffer.alloc(0)]))],
    "a PNG that says it moves, 10000 frames": ["image/png", () => withChunks(sample("photo.png"), [["acTL", Buffer.from([0, 0, 0x27, 0x10, 0, 0, 0, 0])]])],
    "a WAV of 4 GB, in words": ["audio/wav", () => stretched(sample("speech.wav"), 0xffffffff)],
    "a WAV of 65535 channels": ["audio/wav", () => patched(sample("speech.wav"), 22, "writeUInt16LE", 65535)],
    "a WAV of no channel": ["audio/wav", () => patched(sample("speech.wav"), 22, "writeUInt16LE", 0)],
    "a WAV at 4 GHz": ["audio/wav", () => patched(sample("speech.wav"), 24, "writeUInt32LE", 0xffffffff)],
    "a WAV at 0 Hz": ["audio/wav", () => patched(sample("speech.wav"), 24, "writeUInt32LE", 0)],
    "a WAV of 65535 bits": ["audio/wav", () => patched(sample("speech.wav"), 34, "writeUInt16LE", 65535)],
    "a WAV in an unknown coding": ["audio/wav", () => patched(sample("speech.wav"), 20, "writeUInt16LE", 0x7777)],
    "a WAV of a minute and a half": ["audio/wav", () => repeated(sample("speech.wav"), 16)],
    "an MP3 behind 256 MB of tag, in words": ["audio/mpeg", () => Buffer.concat([Buffer.from("ID3\x04\0\0\x7f\x7f\x7f\x7f", "latin1"), sample("speech.mp3")])],
    "an MP3 that is all sync words": ["audio/mpeg", () => Buffer.alloc(200_000, Buffer.from([0xff, 0xfb, 0x90, 0x64]))],
    "an MP4 of boxes in boxes": ["video/mp4", () => nested(5000)],
    "an MP4 with a box of 2^63 bytes": ["video/mp4", () => Buffer.concat([FTYP, Buffer.from("00000001" + "6d6f6f76" + "7fffffffffffffff", "hex"), sample("faststart.mp4")])],
    "an MP4 with a box of no bytes": ["video/mp4", () => Buffer.concat([FTYP, Buffer.from("00000004" + "6d6f6f76", "hex"), sample("faststart.mp4")])],
    "an MP4 of 4 thousand million samples": ["video/mp4", () => samplesClaimed(sample("faststart.mp4"), 0xffffffff)],
    "a MOV of 16 million samples": ["video/quicktime", () => samplesClaimed(sample("clip.mov"), 0xffffff)],
  };
  function patched(wav, offset, write, value) {
    const bytes = Buffer.from(wav);
    bytes[write](value, offset);
    return bytes;
  }

  function nested(depth) {
    let bytes = Buffer.alloc(0);
    for (let i = 0; i < depth; i++) bytes = box(["moov", "trak", "mdia", "minf"][i % 4], bytes);
    return Buffer.concat([FTYP, bytes]);
  }

  /* Every table of sizes says it is longer than it is. */
  function samplesClaimed(movie, count) {
    const bytes = Buffer.from(movie);
    for (let at = bytes.indexOf("stsz"); at >= 0; at = bytes.indexOf("stsz", at + 1)) bytes.writeUInt32BE(count, at + 12);
    return bytes;
  }

  for (const [what, [type, make]] of Object.entries(bombs))
    it(`${what} comes to its stars`, async () => {
      await judge([{ what, type, bytes: make() }]);
    });
});

describe("a file that is two things", () => {
  const SCRIPT = "<html><script>alert(document.cookie)</script><?php system('id'); ?>";

  it("is what it begins with, and is handed out as that alone", async () => {
    for (const [type, bytes] of [
      ["image/jpeg", sample("polyglot.jpg")],
      ["image/jpeg", withComment(sample("photo-9.jpg"), `--><!--*/ ${SCRIPT}`)],
      ["image/jpeg", Buffer.concat([sample("photo-8.jpg"), Buffer.from("PK\x05\x06".padEnd(22, "\0"), "latin1")])],
      ["image/png", Buffer.concat([sample("photo.png"), Buffer.from(SCRIPT)])],
      ["image/webp", Buffer.concat([sample("lossless.webp"), sample("speech.mp3")])],
      ["video/mp4", Buffer.concat([sample("fragmented.mp4"), box("free", Buffer.from(SCRIPT))])],
    ]) {
      const submission = await judgeOne(type, bytes);
      assert.equal(submission.content_type, type);
      assert.equal(submission.status, "approved", submission.ai_reasoning);
      const { job } = await openingFor(type);
      const file = (await market.files(job)).find(({ submission_id }) => submission_id === submission.id);
      const link = new URL(file.download_url);
      const reply = await market.server.client().get(link.pathname + link.search);
      assert.equal(reply.headers["content-type"], type);
      assert.equal(reply.headers["x-content-type-options"], "nosniff");
      assert.match(reply.headers["content-disposition"], /^attachment/);
    }
  });

  it("is refused or useless when its beginning lies", async () => {
    const of = (type, what, bytes) => ({ type, what, bytes });
    const results = await judge([
      of("image/webp", "a WebP that holds a WAV", riff("WEBP", sample("speech.wav").subarray(12))),
      of("audio/wav", "a WAV that holds a WebP", riff("WAVE", sample("lossy.webp").subarray(12))),
      of("image/png", "a PNG that holds a JPEG", Buffer.concat([sample("photo.png").subarray(0, 8), sample("photo-10.jpg")])),
      of("image/jpeg", "a JPEG that holds a PNG", Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), sample("photo.png")])),
      of("audio/mpeg", "an MP3 that holds a video", Buffer.concat([Buffer.from("ID3\x04\0\0\0\0\0\0", "latin1"), sample("faststart.mp4")])),
      of("video/mp4", "an MP4 that holds a JPEG", Buffer.concat([box("ftyp", Buffer.from("isom\0\0\x02\0isom", "latin1")), box("mdat", sample("photo-10.jpg"))])),
      of("audio/mp4", "an M4A that holds a WAV", Buffer.concat([box("ftyp", Buffer.from("M4A \0\0\x02\0M4A ", "latin1")), sample("speech.wav")])),
    ]);
    for (const [what, submission] of results) if (submission) assertUseless(submission, what);
  });

  it("is refused when it is none of the eight", async () => {
    const texts = ["<!DOCTYPE html><img src=x>", '<svg xmlns="http://www.w3.org/2000/svg"/>', "%PDF-1.7\n", "GIF89a\x01\0\x01\0",
                   "PK\x03\x04", "\x7fELF\x02\x01\x01", "#!/bin/sh\nid\n", "MZ\x90\0", "OggS\0\x02", "#EXTM3U\nfile:///etc/passwd\n",
                   "ffconcat version 1.0\nfile /etc/passwd\n", "RIFF\0\0\0\0AVI ", "\0\0\0\x18ftypheic\0\0\0\0"];
    for (const text of texts)
      for (const { type } of [GOOD[0], GOOD[6]]) {
        const reply = await send({ type, bytes: Buffer.from(text.padEnd(2000, "\0"), "latin1") });
        assertRefused(reply, 415, "unsupported_format");
      }
  });

  it("is refused when it is a good file of another type, whatever its name says", async () => {
    /* Of at most 1 MiB, which the server reads on so that the refusal is seen. */
    for (const [type, name] of [["image/jpeg", "frozen.mp4"], ["image/jpeg", "photo.png"], ["video/mp4", "photo-2.jpg"],
                                ["audio/wav", "speech.mp3"], ["image/png", "lossy.webp"]]) {
      const { job, worker } = await openingFor(type);
      const reservation = await worker.accept(job.id);
      const headers = { "content-disposition": `attachment; filename="file.${type.split("/")[1]}"` };
      assertRefused(await worker.putFile(reservation.id, sample(name), { contentType: type, headers }), 415, "unsupported_format");
      await worker.delete(`/worker/v1/reservations/${reservation.id}`);
    }
  });
});

describe("after all that", () => {
  it("the server is the one that was started, ready, and still scores", async () => {
    assert.equal(market.server.child.exitCode, null);
    assert.equal(market.server.logLines.filter((line) => line.includes('"event":"started"')).length, 1);
    assert.equal((await market.server.client().get("/readyz")).status, 200);
    const good = await judgeOne("image/jpeg", sample("photo-2.jpg"));
    assert.ok(good.ai_star_rating >= 4, good.ai_reasoning);
  });

  it("no file met a wall of the sandbox but the one that was made to", () => {
    const lines = market.server.logLines.map((line) => JSON.parse(line));
    const killed = lines.filter(({ event }) => event === "score_postponed");
    assert.equal(new Set(killed.map(({ subject }) => subject)).size, 1, JSON.stringify(killed));
    assert.deepEqual(lines.filter(({ level }) => level === "error"), []);
  });

  it("the money agrees with what was approved", async () => {
    for (const opening of openings.values()) {
      const { job, worker } = await opening;
      const approved = (await market.buyer.all(`/v1/jobs/${job.id}/submissions`)).filter(({ status }) => status === "approved");
      assert.equal((await market.getJob(job)).files_approved, approved.length);
      assert.equal((await market.earnings(worker)).balance_cents, approved.length);
    }
  });
});
