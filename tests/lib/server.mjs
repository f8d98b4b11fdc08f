/* A server of the tests' own: the built binary on a free port of 127.0.0.1 with a data directory
 * that ends with it. Nothing is built here. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "./client.mjs";
import { REPOSITORY } from "./contract.mjs";
import { HeldPort } from "./held-port.mjs";
import { PrismGate, isWanted as isPrismWanted } from "./prism.mjs";
import { Secrets } from "./secrets.mjs";

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 60_000;
const COMMAND_MS_MAX = 60_000;

export function binaryPath() {
  const path = resolve(REPOSITORY, process.env.FIRSTHAND_BIN ?? "build/firsthand");
  assert.ok(existsSync(path), `no server binary at ${path}: build it, or name it in FIRSTHAND_BIN`);
  return path;
}

/* Settings of the surroundings must not leak into a test. */
function cleanEnvironment() {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("FIRSTHAND_"));
  return Object.fromEntries(entries);
}

function flagsOf(settings) {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/* Run a command of the binary to its end: { code, stdout, stderr }. Never throws for an exit code. */
export function run(args, options = {}) {
  return new Promise((done, fail) => {
    const child = execFile(
      binaryPath(), args,
      { env: { ...cleanEnvironment(), ...options.env }, timeout: COMMAND_MS_MAX, maxBuffer: 64 << 20 },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== "number") fail(new Error(`${args[0]}: ${error.message}`));
        else done({ code: error ? error.code : 0, stdout, stderr });
      },
    );
    child.stdin.on("error", () => {}); /* not every command reads to the end: its exit code tells */
    child.stdin.end(options.stdin ?? "");
  });
}

/* A test that dies takes its servers with it. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(1));

export class Server {
  /* settings: name → value, as flags of `serve`. */
  constructor(dataDir, settings) {
    this.brokenChecks = [];
    this.dataDir = dataDir;
    this.settings = { "test-clock": "on", "log-level": "debug", ...settings };
    this.logLines = [];
    this.secrets = new Secrets();
    this.unread = []; /* lines of both outputs in which no secret was looked for yet */
    this.clients = [];
    this.environment = {}; /* added to that of `serve` */
    this.ca = undefined; /* whom clients trust when it serves HTTPS */
    this.child = null;
    this.base = null;
    this.place = new HeldPort();
    this.gate = isPrismWanted ? new PrismGate(this) : undefined;
  }

  get hasRateLimit() {
    return String(this.settings["rate-limit-per-minute"] ?? "1000") !== "0";
  }

  async launch() {
    assert.equal(this.child, null, "already running");
    this.#searchOutput();
    const listen = `127.0.0.1:${this.place.port}`;
    const child = spawn(
      binaryPath(),
      ["serve", "--listen", listen, "--data-dir", this.dataDir, ...flagsOf(this.settings)],
      { env: { ...cleanEnvironment(), ...this.environment }, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.child = child;
    running.add(child);
    this.exited = once(child, "exit").then(([code, signal]) => {
      running.delete(child);
      return { code, signal };
    });
    this.closed = once(child, "close"); /* and nobody can write for it any more */
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.logLines.push(line);
      this.unread.push(line);
    });
    const first = await this.#firstLine(child);
    const match = /^listening on (https?:\/\/\S+)$/.exec(first);
    assert.ok(match, `the first line on stdout is: ${first}`);
    this.base = match[1];
    this.secrets.addServerKey(this.dataDir);
  }

  async #firstLine(child) {
    const lines = createInterface({ input: child.stdout }).on("line", (line) => this.unread.push(line));
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error("the server did not start in time")), START_MS_MAX);
    });
    const ended = this.closed.then(([code, signal]) => {
      throw new Error(`the server ended (${code ?? signal}) before it listened:\n${this.logLines.join("\n")}`);
    });
    ended.catch(() => {});
    try {
      return await Promise.race([once(lines, "line").then(([line]) => line), ended, late]);
    } catch (e) {
      child.kill("SIGKILL");
      throw e;
    } finally {
      clearTimeout(timer);
    }
  }

  /* `firsthand admin …`: the JSON object that it prints. */
  async admin(...args) {
    const { code, stdout, stderr } = await run(["admin", ...args, "--data-dir", this.dataDir]);
    assert.equal(code, 0, `admin ${args.join(" ")} exited ${code}: ${stderr}`);
    this.secrets.learn(stdout);
    this.unread.push(stderr);
    return JSON.parse(stdout);
  }

  /* `firsthand audit` finds no breach but of the checks that the test broke on purpose, and every file
   * has its bytes. With tasks off nobody seals what is noted. */
  async audit() {
    const { stdout, stderr } = await run(["audit", "--blobs", "on", "--data-dir", this.dataDir]);
    const broken = [...this.brokenChecks, ...(this.settings.tasks === "off" ? ["audit_rows_are_sealed"] : [])];
    const breaches = stdout.split("\n").filter((line) => line.startsWith("breach "));
    assert.deepEqual(breaches.filter((line) => !broken.includes(line.split(" ")[1])), [], stderr);
    assert.match(stdout, breaches.length > 0 ? /\d+ breaches\n$/ : /^ok \d+ checks\n$/, stderr);
  }

  #count = 0;

  /* → { organization_id, live_key, test_key }; without credits live starts at 0. */
  async createOrg({ credits = 0, name, email } = {}) {
    const n = ++this.#count;
    const args = ["create-org", "--name", name ?? `Buyer ${n}`, "--email", email ?? `buyer${n}@example.com`];
    if (credits > 0) args.push("--credits", String(credits));
    return this.admin(...args);
  }

  /* → { worker_id, token } */
  async createWorker({ name, email } = {}) {
    const n = ++this.#count;
    return this.admin("create-worker", "--name", name ?? `Worker ${n}`, "--email", email ?? `worker${n}@example.com`);
  }

  /* → { key_id, secret }; scopes: a list, all of them when absent. */
  async createKey({ org, environment = "live", name, scopes }) {
    const args = ["create-key", "--org", org, "--environment", environment];
    if (name) args.push("--name", name);
    if (scopes) args.push("--scopes", scopes.join(","));
    return this.admin(...args);
  }

  /* A client of this server, closed with it. token: an API key or a worker's token, or none. */
  client(token) {
    const { base, hasRateLimit, ca, secrets, gate } = this;
    const client = new Client({ base, token, hasRateLimit, ca, secrets, gate });
    this.clients.push(client);
    return client;
  }

  /* Move the test clock; what became due has run when this returns. Yields the new time, in ms. */
  async advance(seconds) {
    const reply = await this.client().request("POST", "/test/clock/advance", { body: { seconds } });
    assert.equal(reply.status, 200);
    return Date.parse(reply.json.now);
  }

  async #end(signal) {
    for (const client of this.clients) client.close();
    this.child.kill(signal);
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(`the server did not end after ${signal}`)), STOP_MS_MAX);
    });
    try {
      await Promise.race([this.closed, late]);
    } catch (e) {
      this.child.kill("SIGKILL");
      throw e;
    } finally {
      clearTimeout(timer);
      this.child = null;
    }
    this.#searchOutput();
    return this.exited;
  }

  /* End it as an operator would: it must exit 0. */
  async halt() {
    const { code, signal } = await this.#end("SIGTERM");
    assert.equal(code, 0, `SIGTERM: exit ${code ?? signal}\n${this.logLines.slice(-20).join("\n")}`);
  }

  /* End it as a power failure would. */
  async kill9() {
    await this.#end("SIGKILL");
  }

  /* Start it again on the same address and data directory. */
  async restart(settings = {}) {
    if (this.child) await this.halt();
    Object.assign(this.settings, settings);
    await this.launch();
  }

  #searchOutput() {
    this.secrets.assertAbsentFromLines(this.unread.splice(0));
  }

  /* Nothing that the server wrote has a secret in it. */
  assertSecretsKept() {
    this.#searchOutput();
    this.secrets.assertAbsentFromFolder(this.dataDir);
  }

  /* End it, look for secrets in what it wrote, audit what it leaves, and remove that. */
  async stop() {
    try {
      if (this.child) await this.halt();
      this.assertSecretsKept();
      await this.audit();
    } finally {
      this.gate?.close();
      this.place.release();
      await rm(this.dataDir, { recursive: true, force: true });
    }
  }
}

/* settings: name → value, as `serve` takes them as flags. */
export async function start(settings = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), "firsthand-test-"));
  const server = new Server(dataDir, settings);
  try {
    await server.launch();
  } catch (e) {
    server.place.release();
    await rm(dataDir, { recursive: true, force: true });
    throw e;
  }
  return server;
}
