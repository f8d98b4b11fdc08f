/* The other end of fault_shim.c: a server on a disk that fails, or stands still, when told to. */
import assert from "node:assert/strict";
import { existsSync, openSync, readSync, writeSync, closeSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../lib/contract.mjs";

const CONTROL_BYTES = 256;
const AT = { armed: 0, kinds: 4, error: 8, first: 12, count: 16, seen: 24, failed: 32, pattern: 40 };

export const KINDS = Object.freeze({
  write: 1, fsync: 2, fdatasync: 4, rename: 8, ftruncate: 16, open: 32, mmap: 64, read: 128,
});
export const ERRNO = Object.freeze({ NONE: 0, EIO: 5, ENOSPC: 28 });

/* Where a server keeps what. The log's index is the store's too: SQLite maps it. */
export const PLACES = Object.freeze({
  store: "/store.db$",
  log: "/store.db-wal$|/store.db-shm$",
  uploads: "/uploads/|/uploads$",
  blobs: "/blobs/|/blobs$",
  delivered: "/delivered/|/delivered$",
});
export const EVERYWHERE = Object.values(PLACES).join("|");

export class FailingDisk {
  constructor() {
    this.shim = process.env.FAULT_SHIM ?? join(REPOSITORY, "build/release/tests/libfault_shim.so");
    assert.ok(existsSync(this.shim), `no shim at ${this.shim}: build the target fault_shim`);
    this.folder = mkdtempSync(join(tmpdir(), "firsthand-fault-"));
    const path = join(this.folder, "control");
    writeFileSync(path, Buffer.alloc(CONTROL_BYTES));
    this.file = openSync(path, "r+");
    /* For Server.environment. */
    this.environment = { LD_PRELOAD: this.shim, FAULT_CONTROL: path };
  }

  #write(bytes, at) {
    assert.equal(writeSync(this.file, bytes, 0, bytes.length, at), bytes.length);
  }

  #number(at) {
    const bytes = Buffer.alloc(8);
    readSync(this.file, bytes, 0, 8, at);
    return Number(bytes.readBigUInt64LE());
  }

  /* From now on calls of these kinds on paths of this pattern fail: count of them (0: all) from the
   * first-th on. first: 0 only counts. */
  fail({ kinds = Object.keys(KINDS), error = "ENOSPC", pattern, first = 1, count = 0 }) {
    this.heal();
    const bytes = Buffer.alloc(CONTROL_BYTES);
    bytes.writeUInt32LE(kinds.reduce((mask, kind) => mask | KINDS[kind], 0), AT.kinds);
    bytes.writeInt32LE(ERRNO[error], AT.error);
    bytes.writeUInt32LE(first === 0 ? 2 ** 32 - 1 : first, AT.first);
    bytes.writeUInt32LE(count, AT.count);
    assert.ok(pattern.length < CONTROL_BYTES - AT.pattern);
    bytes.write(pattern, AT.pattern);
    this.#write(bytes.subarray(AT.kinds), AT.kinds);
    const armed = Buffer.alloc(4);
    armed.writeUInt32LE(1);
    this.#write(armed, AT.armed);
  }

  /* From now on these calls wait, until heal(). */
  hold({ kinds = ["fsync", "fdatasync"], pattern }) {
    this.fail({ kinds, pattern, error: "NONE" });
  }

  heal() {
    this.#write(Buffer.alloc(4), AT.armed);
  }

  get seen() {
    return this.#number(AT.seen);
  }

  /* Failed or held. */
  get failed() {
    return this.#number(AT.failed);
  }

  close() {
    closeSync(this.file);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
