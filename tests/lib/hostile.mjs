/* Parts of media files that say what is not so, or that unpack to far more than they are. */
import { constants, deflateRawSync } from "node:zlib";
import { crc32 } from "./media.mjs";

/* A box of MP4 and QuickTime. */
export function box(kind, body) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8, 0);
  head.write(kind, 4, "latin1");
  return Buffer.concat([head, body]);
}

/* A RIFF file of a form, with a body that need not fit it. */
export function riff(form, body) {
  const head = Buffer.from(`RIFF\0\0\0\0${form}`, "latin1");
  head.writeUInt32LE(body.length + 4, 4);
  return Buffer.concat([head, body]);
}

/* A JPEG whose header claims another size; its data stay. */
export function jpegClaiming(jpeg, width, height) {
  const bytes = Buffer.from(jpeg);
  for (let at = 2; at < bytes.length; ) {
    const kind = bytes[at + 1];
    if (kind >= 0xc0 && kind <= 0xc2) {
      bytes.writeUInt16BE(height, at + 5);
      bytes.writeUInt16BE(width, at + 7);
      return bytes;
    }
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  throw new Error("a JPEG without a frame");
}

/* A WAV that says its sound is so many bytes long. */
export function stretched(wav, claimed) {
  const bytes = Buffer.from(wav);
  bytes.writeUInt32LE(claimed, bytes.indexOf("data", 12, "latin1") + 4);
  bytes.writeUInt32LE(claimed, 4);
  return bytes;
}

/* --- PNG --- */

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const IHDR_END = 8 + 25;

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/* So many zero bytes as a zlib stream, made without packing them all. */
export function zeros(count) {
  const BLOCK = 1 << 20;
  const block = deflateRawSync(Buffer.alloc(BLOCK), { level: 9, finishFlush: constants.Z_FULL_FLUSH });
  const last = deflateRawSync(Buffer.alloc(count % BLOCK), { level: 9 });
  const adler = Buffer.alloc(4);
  adler.writeUInt32BE((count % 65521) * 65536 + 1);
  return Buffer.concat([Buffer.from([0x78, 0x01]), ...Array(Math.floor(count / BLOCK)).fill(block), last, adler]);
}

/* data: the zlib stream of the rows, each with its filter byte before it. */
export function pngOf({ width, height, depth, colour, data }) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, 0], 8);
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))]);
}

/* The same PNG with chunks ([kind, data]) after its header. */
export function withChunks(png, chunks) {
  const added = chunks.map(([kind, data]) => chunk(kind, data));
  return Buffer.concat([png.subarray(0, IHDR_END), ...added, png.subarray(IHDR_END)]);
}
