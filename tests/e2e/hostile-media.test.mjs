/* Files made to hurt: the server stays up, each submission ends approved or rejected, nobody is paid
 * for one that could not be examined, and the books are right. Only in a build with a whole sandbox. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { deflateSync } from "node:zlib";
import { box, jpegClaiming, pngOf, riff, stretched, withChunks, zeros } from "../lib/hostile.mjs";
import { inParallel, openMarket, until } from "../lib/market.mjs";
import { pngFile } from "../lib/media.mjs";
import { sample } from "../lib/samples.mjs";
import { run } from "../lib/server.mjs";

const LANES = 4;
const FINAL_MS_MAX = 600_000;
const BACK_OFF_S = 600;

const { media_sandbox: sandbox } = JSON.parse((await run(["version"])).stdout);
const skip = sandbox.startsWith("seccomp") ? false : `the sandbox of this build is not whole: ${sandbox}`;

/* A small good file of each format. */
const SMALL = [
  ["photo-8.jpg", "image/jpeg"], ["photo.png", "image/png"], ["lossy.webp", "image/webp"],
  ["speech.mp3", "audio/mpeg"], ["speech.wav", "audio/wav"], ["speech.m4a", "audio/mp4"],
  ["faststart.mp4", "video/mp4"], ["clip.mov", "video/quicktime"],
];
const FORMATS = SMALL.map(([, type]) => type);

/* Pseudo-random numbers, the same in every run. */
function generator(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function randomBytes(count, seed) {
  const random = generator(seed);
  return Buffer.from(Array.from({ length: count }, () => random(256)));
}

/* Bits flipped behind the first 64 bytes, which decide what a file is. */
function withFlips(bytes, count, seed) {
  const copy = Buffer.from(bytes);
  const random = generator(seed);
  for (let i = 0; i < count; i++) copy[64 + random(copy.length - 64)] ^= 1 << random(8);
  return copy;
}

function patched(bytes, atom, offset, value) {
  const at = bytes.indexOf(atom, 0, "latin1");
  assert.ok(at > 0, `no ${atom}`);
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(value >>> 0, at + 4 + offset);
  return copy;
}

/* So many boxes, each in another. */
function nested(depth) {
  let bytes = box("free", Buffer.alloc(0));
  for (let i = 0; i < depth; i++) bytes = box(i % 2 ? "moov" : "trak", bytes);
  return bytes;
}

const ftyp = (brand) => Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from(`ftyp${brand}\0\0\0\0isom${brand}`, "latin1")]);

/* A black PNG, packed; bits: of one pixel. */
function blackPng(width, height, { depth, colour, bits }) {
  const packed = deflateSync(Buffer.alloc(height * (1 + Math.ceil((width * bits) / 8))), { level: 1 });
  return pngFile({ width, height, depth, colour, packed });
}

/* Its decoder needs more memory than a child may have, each time. */
const unexaminable = () => blackPng(7000, 7000, { depth: 16, colour: 6, bits: 64 });

describe("a file that cannot be examined", { skip }, () => {
  let market, job, submission;
  const failures = () => market.server.logLines.filter((line) => line.includes('"score_postponed"') && line.includes(submission.id)).length;
  const look = async () => (await market.worker.get(`/worker/v1/submissions/${submission.id}`)).json;

  /* Let the back-off pass until it was tried so often. */
  const tried = (times) =>
    until(`it was tried ${times} times`, async () => {
      if (failures() >= times) return true;
      await market.server.advance(BACK_OFF_S);
      return false;
    }, { everyMs: 100 });

  before(async () => {
    market = await openMarket({}, { credits: 1000 });
    job = await market.job({ files_needed: 5, accepted_formats: FORMATS, min_star_rating: 1 });
    submission = await market.submit(job, unexaminable());
  });
  after(() => market?.stop());

  it("waits while nothing else passes either: the machine may be at fault", async () => {
    await tried(6);
    assert.deepEqual([(await look()).status, (await look()).ai_star_rating], ["pending_score", null]);
    assert.deepEqual(await market.balance(), { balance: 750, held: 250 });
  });

  it("is rejected with two stars once others pass, with the limit as the reason", async () => {
    assert.equal((await market.submitAndScore(job, sample("photo-8.jpg"))).status, "approved");
    await until("it is judged", async () => {
      await market.server.advance(BACK_OFF_S);
      return (await look()).status !== "pending_score";
    }, { everyMs: 100 });
    const { status, ai_star_rating, ai_reasoning, may_retry, payout_cents } = await look();
    assert.deepEqual([status, ai_star_rating, may_retry, payout_cents], ["rejected", 2, true, null]);
    assert.match(ai_reasoning, /could not be examined .*512 MB/);
    assert.equal((await market.worker.get(`/worker/v1/jobs/${job.id}`)).json.slots_open, 4);
  });
});

describe("hostile media", { skip }, () => {
  let market, job;
  before(async () => {
    market = await openMarket({ "media-cpu-seconds": 5 }, { credits: 1_000_000 });
    job = await market.job({ files_needed: 2000, accepted_formats: FORMATS, price_per_file_cents: 10 });
  });
  after(() => market?.stop());

  /* Send one; null when its first bytes told already that it is of no accepted type. */
  async function send({ name, bytes, headers }, worker) {
    const reservation = await worker.accept(job.id);
    const reply = await worker.putFile(reservation.id, bytes, { headers });
    if (reply.status === 201) return { name, id: reply.json.id };
    assert.equal(reply.status, 415, `${name}: ${reply.text}`);
    assert.equal((await worker.delete(`/worker/v1/reservations/${reservation.id}`)).status, 204);
    return null;
  }

  /* Send all, wait until every one is judged, whatever back-off that takes. → name → submission */
  async function judge(files) {
    const workers = await Promise.all(Array.from({ length: LANES }, () => market.newWorker()));
    const sent = (await Promise.all(workers.map(async (worker, lane) => {
      const own = files.filter((_, i) => i % LANES === lane);
      const results = [];
      for (const file of own) results.push(await send(file, worker));
      return results.filter(Boolean).map((one) => ({ ...one, worker }));
    }))).flat();
    const judged = new Map();
    await until("every file is judged", async () => {
      await inParallel(sent.filter(({ name }) => !judged.has(name)), LANES, async ({ name, id, worker }) => {
        const { json } = await worker.get(`/worker/v1/submissions/${id}`);
        if (json.status !== "pending_score") judged.set(name, json);
      });
      if (judged.size === sent.length) return true;
      const isPostponed = market.server.logLines.some((line) => line.includes('"score_postponed"'));
      if (isPostponed) await market.server.advance(BACK_OFF_S);
      return false;
    }, { msMax: FINAL_MS_MAX, everyMs: 100 });
    await assertSound(judged);
    return judged;
  }

  async function assertSound(judged) {
    assert.equal(market.server.child.exitCode, null, "the server is up");
    assert.equal((await market.server.client().get("/readyz")).status, 200);
    for (const [name, submission] of judged) {
      assert.ok(["approved", "rejected"].includes(submission.status), `${name}: ${submission.status}`);
      assert.ok(submission.ai_star_rating >= 1, name);
      assert.match(submission.ai_reasoning, /\.$/, name);
      assert.equal(submission.payout_cents, submission.status === "approved" ? 8 : null, name);
    }
    const { files_approved } = await market.getJob(job);
    assert.equal((await market.files(job)).length, files_approved);
    await market.server.audit();
  }

  /* A good file goes through afterwards as ever: nothing is stuck. */
  async function assertWorks(seed) {
    const bytes = Buffer.concat([sample("photo-8.jpg"), Buffer.from(`behind the end ${seed}`)]);
    const { [0]: [, submission] } = [...(await judge([{ name: "good", bytes }]))];
    assert.equal(submission.status, "approved", submission.ai_reasoning);
  }

  for (const [name, type] of SMALL)
    it(`${name} cut at each sixteenth is judged`, async () => {
      const bytes = sample(name);
      const cuts = Array.from({ length: 15 }, (_, i) => ({
        name: `${name} ${i + 1}/16`, bytes: bytes.subarray(0, Math.floor((bytes.length * (i + 1)) / 16)),
      }));
      const judged = await judge(cuts);
      assert.equal(judged.size, cuts.length, "its head tells what it is");
      if (type.startsWith("image/"))
        for (const [cut, submission] of judged) assert.deepEqual([submission.status, submission.ai_star_rating], ["rejected", 1], cut);
    });

  for (const [name] of SMALL)
    it(`${name} with flipped bits is judged`, async () => {
      const bytes = sample(name);
      await judge([1, 4, 32, 256, 4096].map((count, i) => ({ name: `${name} ${count} bits`, bytes: withFlips(bytes, count, 1000 + i) })));
    });

  it("noise under the right head is judged, and never good", async () => {
    const heads = SMALL.map(([name]) => [name, sample(name).subarray(0, 64)]);
    for (const brand of ["isom", "mp42", "M4A ", "qt  ", "avif"]) heads.push([`ftyp ${brand}`, ftyp(brand)]);
    const judged = await judge(heads.map(([name, head], i) => ({ name, bytes: Buffer.concat([head, randomBytes(50_000, i)]) })));
    assert.ok(judged.size >= 8);
    for (const [name, submission] of judged) assert.equal(submission.status, "rejected", `${name}: ${submission.ai_reasoning}`);
  });

  /* Each of the eight with the next one behind it, and with what other programs would run. */
  it("files that are two things at once are what their head says", async () => {
    const tails = [["zip", "PK\x05\x06".padEnd(22, "\0")], ["html", "<script>alert(1)</script>"], ["shell", "\n#!/bin/sh\nexit 1\n"]];
    const files = SMALL.flatMap(([name, type], i) => {
      const [nextName] = SMALL[(i + 3) % SMALL.length];
      return [[nextName, sample(nextName)], ...tails].map(([tail, bytes]) => ({ name: `${name}+${tail}`, type, bytes: Buffer.concat([sample(name), Buffer.from(bytes)]) }));
    });
    const judged = await judge(files);
    for (const { name, type } of files) assert.equal(judged.get(name).content_type, type, name);
    await judge([{ name: "polyglot.jpg", bytes: sample("polyglot.jpg") }]);
  });

  it("files that begin as something else are not taken for what is inside", async () => {
    const heads = ["<!DOCTYPE html>", "%PDF-1.7\n", "PK\x03\x04", "#!/bin/sh\n", "GIF89a", "\0"];
    const files = SMALL.map(([name], i) => ({ name, bytes: Buffer.concat([Buffer.from(heads[i % heads.length], "latin1"), sample(name)]) }));
    assert.equal((await judge(files)).size, 0, "each is refused by its first bytes");
  });

  it("files with another's name and type are what they hold", async () => {
    const files = SMALL.map(([name, type], i) => {
      const [otherName, otherType] = SMALL[(i + 1) % SMALL.length];
      const headers = { "content-type": otherType, "content-disposition": `attachment; filename="${otherName}"` };
      return { name: `${name} as ${otherName}`, type, headers, otherName, bytes: Buffer.concat([sample(name), Buffer.from("renamed")]) };
    });
    const judged = await judge(files);
    for (const { name, type, otherName } of files) {
      const { content_type, original_filename } = judged.get(name);
      assert.deepEqual([content_type, original_filename], [type, otherName], name);
    }
  });

  it("small files that say they are huge, one of each format", async () => {
    const mp4 = sample("faststart.mp4");
    const mov = sample("clip.mov");
    const vp8x = Buffer.from("VP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0", "latin1"); /* 16384 by 16384 */
    const xing = Buffer.from(sample("speech.mp3"));
    const frames = Math.max(xing.indexOf("Xing"), xing.indexOf("Info"));
    assert.ok(frames > 0, "the MP3 has a head that counts its frames");
    xing.writeUInt32BE(0x7fffffff, frames + 8);
    const judged = await judge([
      { name: "65500x65500 jpeg", bytes: jpegClaiming(sample("photo-8.jpg"), 65_500, 65_500) },
      { name: "16384x16384 webp", bytes: riff("WEBP", Buffer.concat([vp8x, sample("lossy.webp").subarray(12)])) },
      { name: "png text that unpacks to 1 GB", bytes: withChunks(pngOf({ width: 8, height: 8, depth: 8, colour: 0, data: deflateSync(Buffer.alloc(72)) }), [["zTXt", Buffer.concat([Buffer.from("a\0\0"), zeros(1 << 30)])]]) },
      { name: "png profile that unpacks to 1 GB", bytes: withChunks(sample("palette.png"), [["iCCP", Buffer.concat([Buffer.from("a\0\0"), zeros(1 << 30)])]]) },
      { name: "wav of 4 GB", bytes: stretched(sample("speech.wav"), 0xfffffff0) },
      { name: "mp3 of years", bytes: xing },
      { name: "m4a of years", bytes: patched(sample("speech.m4a"), "mdhd", 16, 0x7fffffff) },
      { name: "mp4 of years", bytes: patched(mp4, "mdhd", 16, 0x7fffffff) },
      { name: "mp4 65535x65535", bytes: patched(mp4, "avc1", 24, 0xffffffff) },
      { name: "mov 65535x65535", bytes: patched(mov, "avc1", 24, 0xffffffff) },
      { name: "mov of boxes in boxes", bytes: Buffer.concat([mov.subarray(0, 32), nested(4000)]) },
    ]);
    for (const name of ["65500x65500 jpeg", "16384x16384 webp"]) assert.equal(judged.get(name).status, "rejected", name);
    await assertWorks("the huge ones");
  });

  it("a picture of 900 million pixels is refused by its size", async () => {
    const judged = await judge([{ name: "bomb", bytes: sample("bomb.png") }]);
    const submission = judged.get("bomb");
    assert.deepEqual([submission.status, submission.ai_star_rating], ["rejected", 1]);
    assert.match(submission.ai_reasoning, /more pixels than can be examined/);
    await assertWorks("the bomb");
  });

  it("pictures just under that limit are judged", async () => {
    await judge([
      { name: "8192x8192 gray", bytes: blackPng(8192, 8192, { depth: 8, colour: 0, bits: 8 }) },
      { name: "8000x8000 rgba", bytes: blackPng(8000, 8000, { depth: 8, colour: 6, bits: 32 }) },
      { name: "1x60000000 bits", bytes: pngFile({ width: 1, height: 60_000_000, depth: 1, colour: 0, packed: deflateSync(Buffer.alloc(1000)) }) },
    ]);
    await assertWorks("the large ones");
  });

  it("a picture that says less than it holds, or more", async () => {
    const packed = deflateSync(Buffer.alloc(50_000_000));
    await judge([
      { name: "too much", bytes: pngFile({ width: 10, height: 10, depth: 8, colour: 0, packed }) },
      { name: "too little", bytes: pngFile({ width: 5000, height: 5000, depth: 8, colour: 2, packed: deflateSync(Buffer.alloc(10)) }) },
      { name: "nothing", bytes: pngFile({ width: 0, height: 0, depth: 8, colour: 0, packed: Buffer.alloc(0) }) },
    ]);
  });

  it("indexes that lie", async () => {
    const mp4 = sample("faststart.mp4");
    const lies = [];
    for (const value of [0, 1, 0x7fffffff, 0xffffffff]) {
      lies.push({ name: `stsz count ${value}`, bytes: patched(mp4, "stsz", 8, value) });
      lies.push({ name: `stts count ${value}`, bytes: patched(mp4, "stts", 4, value) });
      lies.push({ name: `stsc count ${value}`, bytes: patched(mp4, "stsc", 4, value) });
      lies.push({ name: `stco count ${value}`, bytes: patched(mp4, "stco", 4, value) });
      lies.push({ name: `mdhd timescale ${value}`, bytes: patched(mp4, "mdhd", 12, value) });
      lies.push({ name: `moov size ${value}`, bytes: patched(mp4, "moov", -8, value) });
    }
    await judge(lies);
  });

  it("sound that lies about its length, rate and channels", async () => {
    const wav = sample("speech.wav");
    const at = (offset, write) => {
      const copy = Buffer.from(wav);
      write(copy, offset);
      return copy;
    };
    const data = wav.indexOf("data", 12, "latin1");
    const id3 = Buffer.concat([Buffer.from("ID3\x04\0\0", "latin1"), Buffer.from([0x7f, 0x7f, 0x7f, 0x7f]), sample("speech.mp3")]);
    await judge([
      { name: "endless data", bytes: at(data + 4, (copy, o) => copy.writeUInt32LE(0xffffffff, o)) },
      { name: "no data", bytes: at(data + 4, (copy, o) => copy.writeUInt32LE(0, o)) },
      { name: "65535 channels", bytes: at(22, (copy, o) => copy.writeUInt16LE(65_535, o)) },
      { name: "no channels", bytes: at(22, (copy, o) => copy.writeUInt16LE(0, o)) },
      { name: "rate 0", bytes: at(24, (copy, o) => copy.writeUInt32LE(0, o)) },
      { name: "rate 2 GHz", bytes: at(24, (copy, o) => copy.writeUInt32LE(0x7fffffff, o)) },
      { name: "block 0", bytes: at(32, (copy, o) => copy.writeUInt16LE(0, o)) },
      { name: "tag beyond the end", bytes: id3 },
    ]);
    await assertWorks("the sounds");
  });
});
