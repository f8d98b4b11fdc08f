/* What a server must keep to itself. Every secret that a test sees issued, or sends, is remembered
 * here, and looked for in everything that the server writes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const BEARER = /\bfh_(live|test|wkr|inv)_([0-9A-Za-z]{38})(?![0-9A-Za-z])/g;
const CHECKOUT = /\bfh_pay_[0-9A-Z]{26}_([0-9A-Za-z_-]{43})/g;
const WEBHOOK = /\bwhsec_([0-9A-Za-z+/]{43}=)/g;
const SIGNATURE = /[?&]signature=([0-9A-Za-z_-]{43})/g;
const RUN = /[0-9A-Za-z_+/-]{32,}/g;
const HEAD_CHARS = 32; /* of a secret's random part: what it is found by */
const PASSWORD_CHARS_MIN = 10;
const HASHED = "$argon2id$";
const WITH_PASSWORD = /^\/worker\/v1\/(join|sessions)\b/;

export class Secrets {
  #heads = new Map(); /* the first characters of the random part → what it is */
  #passwords = new Set();

  get count() {
    return this.#heads.size + this.#passwords.size;
  }

  add(what, random) {
    assert.ok(random.length >= HEAD_CHARS, `${what} is too short for a secret`);
    this.#heads.set(random.slice(0, HEAD_CHARS), what);
  }

  /* Not blanks, and not how a stored hash begins. */
  addPassword(password) {
    if (typeof password !== "string" || password.trim().length < PASSWORD_CHARS_MIN) return;
    if (!password.startsWith(HASHED)) this.#passwords.add(password);
  }

  addServerKey(dataDir) {
    for (const line of readFileSync(join(dataDir, "server.key"), "utf8").split("\n").filter(Boolean))
      this.add("the server key", line.split(" ").at(-1));
  }

  /* A secret of a provider's: everything from its prefix on. */
  addProvider(what, secret) {
    this.add(what, secret.replace(/^(whsec|sk_test|sk_live)_/, ""));
  }

  /* Every secret in a reply or in what a command prints. */
  learn(text) {
    for (const [, kind, random] of text.matchAll(BEARER)) this.add(`a ${kind} secret`, random);
    for (const [, random] of text.matchAll(WEBHOOK)) this.add("a webhook secret", random);
    for (const [, signature] of text.matchAll(SIGNATURE)) this.add("a link's signature", signature);
    for (const [, signature] of text.matchAll(CHECKOUT)) this.add("a checkout link", signature);
  }

  /* What a request brings that nobody may read again. */
  learnRequest(target, body) {
    if (WITH_PASSWORD.test(target)) this.addPassword(body?.password);
  }

  #inRun(run) {
    for (let at = 0; at + HEAD_CHARS <= run.length; at++) {
      const what = this.#heads.get(run.slice(at, at + HEAD_CHARS));
      if (what) return what;
    }
    return null;
  }

  /* The first secret in a text, by what it is; null when there is none. */
  find(text) {
    for (const [run] of text.matchAll(RUN)) {
      const what = this.#inRun(run);
      if (what) return what;
    }
    for (const password of this.#passwords) if (text.includes(password)) return "a password";
    return null;
  }

  assertAbsentFromLines(lines) {
    if (this.find(lines.join("\n")) === null) return;
    for (const line of lines) {
      const what = this.find(line);
      assert.equal(what, null, `the server wrote ${what}: ${line}`);
    }
  }

  /* The store, its log and the manifests. Bytes are read as Latin-1: nothing is lost. */
  assertAbsentFromFolder(dataDir) {
    for (const path of filesToRead(dataDir)) {
      const bytes = readFileSync(path);
      const what = this.find(bytes.toString("latin1")) ?? this.#passwordIn(bytes);
      assert.equal(what, null, `${path} holds ${what} in clear`);
    }
  }

  #passwordIn(bytes) {
    return [...this.#passwords].some((password) => bytes.includes(password)) ? "a password" : null;
  }
}

/* All but the server key, which is the one secret kept in clear, and what workers sent. */
function filesToRead(dataDir) {
  return readdirSync(dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => (dirname(path) === dataDir && basename(path) !== "server.key") || basename(path) === "manifest.jsonl");
}
