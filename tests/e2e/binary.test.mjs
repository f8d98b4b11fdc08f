/* How the program was built: what makes a mistake in it harder to use, read from the ELF file. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { binaryPath, run } from "../lib/server.mjs";

const DYNAMIC = 3; /* e_type of a position-independent executable */
const SEGMENT = { LOAD: 1, DYNAMIC: 2, GNU_STACK: 0x6474e551, GNU_RELRO: 0x6474e552 };
const EXECUTE = 1, WRITE = 2;
const TAG = { STRTAB: 5, STRSZ: 10, RPATH: 15, TEXTREL: 22, RUNPATH: 29, FLAGS: 30, FLAGS_1: 0x6ffffffb };
const FLAG_TEXTREL = 4, FLAG_BIND_NOW = 8, FLAG_1_NOW = 1;

const bytes = readFileSync(binaryPath());
const number = (at) => Number(bytes.readBigUInt64LE(at));

function readSegments() {
  const size = bytes.readUInt16LE(54), count = bytes.readUInt16LE(56), first = number(32);
  return Array.from({ length: count }, (_, i) => first + i * size).map((at) => ({
    type: bytes.readUInt32LE(at), flags: bytes.readUInt32LE(at + 4), offset: number(at + 8), address: number(at + 16), bytes: number(at + 32),
  }));
}

const segments = readSegments();
const segmentOf = (type) => segments.find((one) => one.type === type);

function readTags() {
  const { offset, bytes: size } = segmentOf(SEGMENT.DYNAMIC);
  return new Map(Array.from({ length: size / 16 }, (_, i) => offset + i * 16).map((at) => [number(at), number(at + 8)]));
}

const tags = readTags();

/* Names of symbols and libraries. */
function readNames() {
  const address = tags.get(TAG.STRTAB);
  const home = segments.find((one) => one.type === SEGMENT.LOAD && address >= one.address && address < one.address + one.bytes);
  const at = home.offset + address - home.address;
  return bytes.toString("latin1", at, at + tags.get(TAG.STRSZ)).split("\0");
}

describe("the program", () => {
  it("is a 64-bit ELF file, little end first", () => {
    assert.equal(bytes.toString("latin1", 0, 4), "\x7fELF");
    assert.deepEqual([bytes[4], bytes[5]], [2, 1]);
  });

  it("may be loaded anywhere", () => assert.equal(bytes.readUInt16LE(16), DYNAMIC));

  it("has no stack to run code on, and no memory that is written and run", () => {
    assert.equal(segmentOf(SEGMENT.GNU_STACK).flags & EXECUTE, 0);
    for (const { type, flags } of segments)
      if (type === SEGMENT.LOAD) assert.notEqual(flags & (WRITE | EXECUTE), WRITE | EXECUTE);
  });

  it("has its tables of addresses bound at the start, and read-only from then on", () => {
    assert.ok(segmentOf(SEGMENT.GNU_RELRO), "RELRO");
    const isNow = (tags.get(TAG.FLAGS) & FLAG_BIND_NOW) !== 0 || (tags.get(TAG.FLAGS_1) & FLAG_1_NOW) !== 0;
    assert.ok(isNow, "BIND_NOW");
    assert.ok(!tags.has(TAG.TEXTREL) && (tags.get(TAG.FLAGS) & FLAG_TEXTREL) === 0, "TEXTREL");
  });

  it("looks for libraries nowhere but where the system has them", () => {
    assert.ok(!tags.has(TAG.RPATH) && !tags.has(TAG.RUNPATH));
  });

  it("guards its stack, and in a release the lengths of what it copies", async () => {
    const names = readNames();
    assert.ok(names.includes("__stack_chk_fail"), "stack protector");
    const isSanitized = JSON.parse((await run(["version"])).stdout).media_sandbox.includes("sanitized");
    if (!isSanitized) for (const name of ["__memcpy_chk", "__snprintf_chk"]) assert.ok(names.includes(name), `FORTIFY: ${name}`);
  });
});
