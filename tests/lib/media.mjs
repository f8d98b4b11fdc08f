/* Small real files, made here, each seed another. */
import * as zlib from "node:zlib";

/* node:zlib has crc32 only since 20.15. */
export function crc32(bytes) {
  if (zlib.crc32) return zlib.crc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(data.length);
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(crc32(body));
  return Buffer.concat([head, body, tail]);
}

/* A PNG of coloured squares with fine texture: neither blank nor small. */
export function pngImage({ seed = 1, width = 320, height = 240 } = {}) {
  const rows = Buffer.alloc(height * (1 + width * 3));
  let at = 0;
  let noise = (seed * 2654435761) >>> 0;
  for (let y = 0; y < height; y++) {
    rows[at++] = 0;
    for (let x = 0; x < width; x++) {
      noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
      const square = ((x >> 5) * 7 + (y >> 5) * 13 + seed) & 7;
      for (const weight of [97, 151, 211]) rows[at++] = ((square * weight) & 0xe0) + (noise >>> 28);
    }
  }
  return pngFile({ width, height, depth: 8, colour: 2, packed: zlib.deflateSync(rows) });
}

/* A PNG around pixels that are packed already. colour: 0 gray, 2 RGB, 6 RGBA. */
export function pngFile({ width, height, depth, colour, packed }) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", packed),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
