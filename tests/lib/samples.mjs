/* The sample media that tests/media/make-samples makes, and what tests do to them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./contract.mjs";

let folder = null;

/* FIRSTHAND_SAMPLES names a folder that has them; otherwise they are made, or found made. Test files
 * that start together take turns. */
function samplesFolder() {
  if (folder) return folder;
  if (process.env.FIRSTHAND_SAMPLES) return (folder = process.env.FIRSTHAND_SAMPLES);
  const out = `${REPOSITORY}build/samples`;
  mkdirSync(out, { recursive: true });
  execFileSync("flock", [`${out}.lock`, `${REPOSITORY}tests/media/make-samples`, out], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return (folder = out);
}

export const samplePath = (name) => join(samplesFolder(), name);

const loaded = new Map();

/* The bytes of a sample by its name, such as photo.jpg. */
export function sample(name) {
  if (!loaded.has(name)) loaded.set(name, readFileSync(samplePath(name)));
  return loaded.get(name);
}

export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/* One good file of each of the eight formats, and what is true of it as shown. */
export const GOOD = Object.freeze([
  { name: "photo.jpg", type: "image/jpeg", extension: "jpg", width: 4000, height: 3000 },
  { name: "photo.png", type: "image/png", extension: "png", width: 600, height: 400 },
  { name: "photo.webp", type: "image/webp", extension: "webp", width: 1600, height: 1200 },
  { name: "speech.mp3", type: "audio/mpeg", extension: "mp3", seconds: 5.4 },
  { name: "speech.wav", type: "audio/wav", extension: "wav", seconds: 5.4 },
  { name: "speech.m4a", type: "audio/mp4", extension: "m4a", seconds: 5.4 },
  { name: "clip.mp4", type: "video/mp4", extension: "mp4", width: 1920, height: 1080, seconds: 1.6 },
  { name: "phone.mov", type: "video/quicktime", extension: "mov", width: 1920, height: 1080, seconds: 1.6 },
]);

/* A JPEG without EXIF, given an EXIF block that says how it is to be turned (1 … 8). */
export function withOrientation(jpeg, orientation) {
  assert.equal(jpeg.readUInt16BE(0), 0xffd8);
  const tiff = Buffer.from("4d4d002a00000008000101120003000000010000000000000000", "hex");
  tiff.writeUInt16BE(orientation, 18);
  const exif = Buffer.concat([Buffer.from("Exif\0\0", "latin1"), tiff]);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(0xffe1, 0);
  head.writeUInt16BE(exif.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, exif, jpeg.subarray(2)]);
}

/* A WAV of the first so many seconds of another: a good file of its own. */
export function firstSeconds(wav, seconds) {
  const data = wav.indexOf("data", 12, "latin1");
  const bytesPerSecond = wav.readUInt32LE(28);
  const frame = wav.readUInt16LE(32);
  const kept = Math.floor((seconds * bytesPerSecond) / frame) * frame;
  const cut = Buffer.from(wav.subarray(0, data + 8 + kept));
  assert.equal(cut.length, data + 8 + kept, "the sample is long enough");
  cut.writeUInt32LE(kept, data + 4);
  cut.writeUInt32LE(cut.length - 8, 4);
  return cut;
}

/* A WAV that plays another so many times over: more work to examine. */
export function repeated(wav, times) {
  const data = wav.indexOf("data", 12, "latin1") + 8;
  const sound = wav.subarray(data, data + wav.readUInt32LE(data - 4));
  const longer = Buffer.concat([wav.subarray(0, data), ...Array(times).fill(sound)]);
  longer.writeUInt32LE(sound.length * times, data - 4);
  longer.writeUInt32LE(longer.length - 8, 4);
  return longer;
}

/* The same picture with a comment in it: other bytes, same look. */
export function withComment(jpeg, text) {
  const comment = Buffer.from(text, "utf8");
  const head = Buffer.alloc(4);
  head.writeUInt16BE(0xfffe, 0);
  head.writeUInt16BE(comment.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, comment, jpeg.subarray(2)]);
}
