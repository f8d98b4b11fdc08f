/* The program as its operator meets it: what each command prints and where, what it refuses and with
 * which exit code, and that commands work beside a server that is busy. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { once } from "node:events";
import { assertRefused, inParallel, Market, openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { REPOSITORY } from "../lib/contract.mjs";
import { binaryPath, run, start } from "../lib/server.mjs";

const ULID = "[0-9A-HJKMNP-TV-Z]{26}";
const NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const IS_ROOT = process.getuid() === 0;
const OTHER_UID = 65534;

const secretOf = (prefix) => new RegExp(`^${prefix}_[0-9A-Za-z]{38}$`);

let folder;
let count = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "firsthand-commands-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/* A path that does not exist yet, a new one each time. */
const newPath = () => join(folder, `data-${++count}`);

function modeOf(path) {
  return (statSync(path).mode & 0o7777).toString(8);
}

/* One JSON object on one line, nothing on stderr, exit 0. */
function assertObject({ code, stdout, stderr }) {
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.match(stdout, /^\{[^\n]*\}\n$/, "one object on one line");
  return JSON.parse(stdout);
}

/* Nothing on stdout, one line on stderr that says why. */
function assertFailed({ code, stdout, stderr }, wanted, pattern) {
  assert.match(stderr, /^firsthand: [^\n]+\n$/, "one line");
  assert.match(stderr, pattern);
  assert.equal(code, wanted, stderr);
  assert.equal(stdout, "");
}
const assertRefusedCommand = (result, pattern) => assertFailed(result, 1, pattern);
const assertUsage = (result, pattern) => assertFailed(result, 2, pattern);

/* Run a program that is not the binary itself, or the binary as another user. */
function execute(file, args, options = {}) {
  return new Promise((done) => {
    execFile(file, args, { timeout: 120_000, ...options }, (error, stdout, stderr) =>
      done({ code: error ? error.code : 0, stdout, stderr }));
  });
}

describe("what a command prints", () => {
  let dataDir;
  let org;
  const on = (...args) => run([...args, "--data-dir", dataDir]);
  before(async () => {
    dataDir = newPath();
    org = assertObject(await on("admin", "create-org", "--name", "First", "--email", "first@example.com"));
  });

  it("admin create-org: the organisation and its two keys", () => {
    assert.deepEqual(Object.keys(org), ["organization_id", "live_key", "test_key"]);
    assert.match(org.organization_id, new RegExp(`^org_${ULID}$`));
    assert.match(org.live_key, secretOf("fh_live"));
    assert.match(org.test_key, secretOf("fh_test"));
  });

  for (const environment of ["live", "test"])
    it(`admin create-key: a ${environment} key`, async () => {
      const key = assertObject(await on("admin", "create-key", "--org", org.organization_id,
        "--environment", environment, "--name", "Ops", "--scopes", "jobs:read,usage:read"));
      assert.deepEqual(Object.keys(key), ["key_id", "secret"]);
      assert.match(key.key_id, new RegExp(`^key_${ULID}$`));
      assert.match(key.secret, secretOf(`fh_${environment}`));
    });

  it("admin create-worker: the worker and a token", async () => {
    const worker = assertObject(await on("admin", "create-worker", "--name", "Wanda", "--email", "wanda@example.com"));
    assert.deepEqual(Object.keys(worker), ["worker_id", "token"]);
    assert.match(worker.worker_id, new RegExp(`^wkr_${ULID}$`));
    assert.match(worker.token, secretOf("fh_wkr"));
  });

  for (const [settings, base] of [
    [[], "http://127.0.0.1:3000"],
    [["--listen", "127.0.0.1:4711"], "http://127.0.0.1:4711"],
    [["--tls-cert", "cert.pem", "--tls-key", "key.pem"], "https://127.0.0.1:3000"],
    [["--public-url", "https://jobs.example.com/"], "https://jobs.example.com"],
  ])
    it(`admin invite-worker: a link under ${base}`, async () => {
      const invite = assertObject(await on("admin", "invite-worker", ...settings));
      assert.deepEqual(Object.keys(invite), ["invite_id", "url", "expires_at"]);
      assert.match(invite.invite_id, new RegExp(`^inv_${ULID}$`));
      const [link, token] = invite.url.split("?invite=");
      assert.equal(link, `${base}/join`);
      assert.match(token, secretOf("fh_inv"));
      assert.match(invite.expires_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      const days = (Date.parse(invite.expires_at) - Date.now()) / 86_400_000;
      assert.ok(days > 6.99 && days <= 7, `${days} days`);
    });

  it("admin invite-worker takes a name", async () => {
    assertObject(await on("admin", "invite-worker", "--name", "Wim"));
  });

  for (const flags of [[], ["--blobs", "on"], ["--blobs", "off"]])
    it(`audit ${flags.join(" ")}: one line with the number of checks`, async () => {
      const { code, stdout, stderr } = await on("audit", ...flags);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, /^ok [1-9]\d* checks\n$/);
    });

  it("migrate: nothing on stdout, however often", async () => {
    for (const path of [dataDir, newPath()])
      for (let i = 0; i < 2; i++) {
        const { code, stdout, stderr } = await run(["migrate", "--data-dir", path]);
        assert.deepEqual([code, stdout, stderr], [0, "", "firsthand: the store is up to date\n"]);
      }
  });

  it("version: the versions that a score rests on", async () => {
    const version = assertObject(await run(["version"]));
    assert.deepEqual(Object.keys(version), ["version", "scorer_version", "media_sandbox", "media_libraries"]);
    assert.match(version.version, /^\d+\.\d+\.\d+$/);
    assert.ok(Number.isInteger(version.scorer_version));
    for (const library of ["libavformat", "libavcodec", "libswscale", "libebur128"])
      assert.match(version.media_libraries, new RegExp(`${library} \\d+\\.\\d+`));
  });

  it("--help: every command and every setting that config knows, on stdout", async () => {
    const { code, stdout, stderr } = await run(["--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const command of ["serve", "migrate", "admin create-org", "admin create-key", "admin create-worker",
                           "admin invite-worker", "audit", "score", "demo", "config", "version"])
      assert.match(stdout, new RegExp(`^  ${command} +\\S`, "m"));
    const helped = [...stdout.matchAll(/^ {2}--([a-z-]+) /gm)].map(([, name]) => name);
    assert.deepEqual(helped, Object.keys(assertObject(await run(["config"]))));
  });

  const flagsIn = (text) => [...text.matchAll(/--([a-z-]+) (?=\S)/g)].map(([, name]) => name);

  it("help of each command: its flags, those that it takes and no others", async () => {
    const all = (await run(["help"])).stdout;
    assert.equal(all, (await run(["-h"])).stdout);
    const own = new Set();
    for (const [, name] of all.matchAll(/^ {2}((?:admin )?[a-z][a-z-]*) +\S/gm)) {
      if (name === "help") continue;
      const { code, stdout, stderr } = await run([...name.split(" "), "--help"]);
      assert.deepEqual([code, stderr], [0, ""], name);
      assert.match(stdout, new RegExp(`^usage: firsthand ${name}( |\n)`));
      assert.equal((await run(["help", ...name.split(" ")])).stdout, stdout);
      assert.equal((await run([...name.split(" "), "-h"])).stdout, stdout);
      const [usage, ...explained] = stdout.split("\n");
      const flags = flagsIn(explained.filter((line) => line.startsWith("  --")).join("\n"));
      assert.deepEqual(flagsIn(usage.split(" [--SETTING")[0].replaceAll("]", "")), flags, name);
      for (const flag of flags) own.add(flag);
    }
    const sources = readdirSync(join(REPOSITORY, "src/main")).filter((file) => file.startsWith("cmd_"));
    const taken = sources.flatMap((file) =>
      [...readFileSync(join(REPOSITORY, "src/main", file), "utf8").matchAll(/flags_take\(flags, "([a-z-]+)"\)/g)].map(([, flag]) => flag));
    assert.deepEqual([...own].sort(), [...new Set(taken)].sort());
  });

  it("help of a group: its commands", async () => {
    const { code, stdout, stderr } = await run(["admin", "--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^ {2}admin create-org +\S/m);
    assert.doesNotMatch(stdout, /^ {2}serve /m);
  });

  it("--version: what version prints", async () => {
    assert.deepEqual(await run(["--version"]), await run(["version"]));
  });

  it("no command at all: the same help, but on stderr and as a wrong use", async () => {
    const help = (await run(["--help"])).stdout;
    assert.deepEqual(await run([]), { code: 2, stdout: "", stderr: help });
  });
});

describe("flags", () => {
  const config = async (args, env) => assertObject(await run(["config", ...args], { env }));

  it("take --name value and --name=value", async () => {
    const apart = await config(["--listen", "127.0.0.1:1", "--tasks", "off", "--reservation-ttl", "90s"]);
    const joined = await config(["--listen=127.0.0.1:1", "--tasks=off", "--reservation-ttl=90s"]);
    assert.deepEqual(apart, joined);
    assert.deepEqual([apart.listen, apart.tasks, apart["reservation-ttl"]], ["127.0.0.1:1", false, 90_000]);
  });

  it("take a value with = in it, and an empty one", async () => {
    const got = await config(["--data-dir=/srv/a=b", "--log-file="]);
    assert.deepEqual([got["data-dir"], got["log-file"]], ["/srv/a=b", ""]);
  });

  it("go before the environment, which goes before the default", async () => {
    const env = { FIRSTHAND_LISTEN: "127.0.0.1:2", FIRSTHAND_PLATFORM_FEE: "0.1" };
    const got = await config(["--listen=127.0.0.1:3"], env);
    assert.deepEqual([got.listen, got["platform-fee"], got["http-threads"]], ["127.0.0.1:3", 0.1, 6]);
  });

  it("know five units of time", async () => {
    for (const [text, ms] of [["1500ms", 1500], ["2s", 2000], ["2m", 120_000], ["2h", 7_200_000], ["2d", 172_800_000]])
      assert.equal((await config(["--reservation-ttl", text, "--reservation-max", "3d"]))["reservation-ttl"], ms);
  });

  it("never show a secret", async () => {
    const { code, stdout } = await run(["config", "--database", "sqlite:/srv/hidden.db"]);
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).database, "***");
    assert.doesNotMatch(stdout, /hidden/);
  });

  for (const [what, args, pattern] of [
    ["an unknown command", ["sreve"], /unknown command "sreve"/],
    ["half a command", ["admin"], /admin what: create-org, create-key, .*drop-server-keys\?/],
    ["an unknown admin command", ["admin", "drop-org"], /unknown command "admin drop-org"; see firsthand admin --help/],
    ["help for an unknown command", ["help", "sreve"], /unknown command "sreve"/],
    ["an unknown command's help", ["sreve", "--help"], /unknown command "sreve"/],
    ["a share out of bounds", ["config", "--platform-fee", "0.6"], /platform-fee must be between 0 and 0\.5\b/],
    ["a duration out of bounds", ["config", "--reservation-ttl", "8d"], /reservation-ttl must be between 1s and 7d\b/],
    ["a flag before the command", ["--data-dir", "x", "serve"], /unknown command "--data-dir"/],
    ["a flag without a value", ["serve", "--listen"], /--listen needs a value/],
    ["a flag given twice", ["config", "--tasks=on", "--tasks", "off"], /--tasks is given twice/],
    ["a word that is no flag", ["serve", "now"], /expected a --flag, got "now"/],
    ["a single dash", ["serve", "-d", "x"], /expected a --flag, got "-d"/],
    ["two dashes alone", ["serve", "--", "x"], /expected a --flag, got "--"/],
    ...["serve", "migrate", "audit", "config", "version"].map((command) =>
      [`an unknown flag of ${command}`, [command, "--colour", "red"], /unknown flag --colour/]),
    ["an unknown flag of an admin command",
     ["admin", "create-org", "--name", "A", "--email", "a@example.com", "--colour", "red"], /unknown flag --colour/],
    ["another command's flag", ["serve", "--blobs", "on"], /unknown flag --blobs/],
    ["audit --blobs maybe", ["audit", "--blobs", "maybe"], /--blobs is on or off/],
    ["create-org without a name", ["admin", "create-org", "--email", "a@example.com"], /needs --name and --email/],
    ["create-org without an e-mail", ["admin", "create-org", "--name", "A"], /needs --name and --email/],
    ...["-1", "1.5", "ten", "", "99999999999999999999"].map((credits) =>
      [`--credits "${credits}"`, ["admin", "create-org", "--name", "A", "--email", "a@example.com", "--credits", credits],
       /--credits is a whole number of cents/]),
    ["create-key without an organisation", ["admin", "create-key", "--environment", "live"], /needs --org/],
    ["create-key without an environment", ["admin", "create-key", "--org", `org_${NOBODY}`], /--environment live\|test/],
    ["create-key for another environment", ["admin", "create-key", "--org", `org_${NOBODY}`, "--environment", "prod"],
     /--environment live\|test/],
    ["create-worker without an e-mail", ["admin", "create-worker", "--name", "W"], /needs --name and --email/],
  ])
    it(`${what} is a wrong use, and leaves nothing behind`, async () => {
      const dataDir = newPath();
      assertUsage(await run(args, { env: { FIRSTHAND_DATA_DIR: dataDir } }), pattern);
      assert.ok(!existsSync(dataDir), "a data directory was made");
    });
});

describe("a bad setting stops the start with one line that names it", () => {
  for (const [name, value, pattern] of [
    ["listen", "localhost:3000", /listen must be a numeric address and a port/],
    ["listen", "127.0.0.1", /listen must be/],
    ["listen", "127.0.0.1:65536", /listen must be/],
    ["listen", "127.0.0.1:-1", /listen must be/],
    ["listen", "::1:3000", /listen must be/],
    ["listen", "[127.0.0.1]:3000", /listen must be/],
    ["listen", "", /listen must be/],
    ["data-dir", "", /data-dir must not be empty/],
    ["data-dir", "a\nb", /data-dir must be UTF-8 without control characters/],
    ["database", "mysql://nowhere", /no driver for a database URL "mysql:/],
    ["public-url", "jobs.example.com", /public-url must be like https:/],
    ["public-url", "ftp://jobs.example.com", /public-url must be like https:/],
    ["public-url", "https://me@example.com", /public-url must be like https:/],
    ["platform-fee", "0.51", /platform-fee must be between/],
    ["platform-fee", "-0.1", /platform-fee must be a share/],
    ["platform-fee", "20%", /platform-fee must be a share/],
    ["platform-fee", "0.1234567", /platform-fee must be a share/],
    ["platform-fee-locked", "yes", /platform-fee-locked must be on or off/],
    ["rate-limit-per-minute", "-1", /rate-limit-per-minute must be between/],
    ["rate-limit-per-minute", "many", /rate-limit-per-minute must be a whole number/],
    ["rate-limit-per-minute", "0x10", /rate-limit-per-minute must be a whole number/],
    ["trusted-proxy", "proxy.example.com", /trusted-proxy must be a numeric address/],
    ["reservation-ttl", "30", /reservation-ttl must be a duration/],
    ["reservation-ttl", "0", /reservation-ttl must be between/],
    ["reservation-ttl", "-5s", /reservation-ttl must be a duration/],
    ["reservation-ttl", "9223372036854775807d", /reservation-ttl must be a duration/],
    ["reservation-ttl", "7h", /reservation-max must not be shorter/],
    ["score-workers", "0", /score-workers must be between 1 and 64/],
    ["webhook-allow", "10.0.0.1/8", /webhook-allow must be ranges such as/],
    ["webhook-allow", "localhost", /webhook-allow must be ranges such as/],
    ["webhook-schedule", "1m,soon", /webhook-schedule must be durations/],
    ["webhook-schedule", "", /webhook-schedule must be durations/],
    ["tasks", "ON", /tasks must be on or off/],
    ["tls-cert", "cert.pem", /tls-cert and tls-key go together/],
    ["tls-key", "key.pem", /tls-cert and tls-key go together/],
    ["log-level", "loud", /log-level must be debug, info, warning or error/],
    ["log-file", "/nowhere/at/all.log", /log-file cannot be opened/],
    ["log-file", "x".repeat(4097), /log-file is longer than 4096 bytes/],
  ])
    it(`--${name} ${JSON.stringify(value.slice(0, 30))}`, async () => {
      const args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", newPath()];
      const at = args.indexOf(`--${name}`);
      if (at >= 0) args[at + 1] = value;
      else args.push(`--${name}`, value);
      assertUsage(await run(args), pattern);
    });

  it("in the environment too", async () => {
    const env = { FIRSTHAND_HTTP_THREADS: "none", FIRSTHAND_DATA_DIR: newPath() };
    for (const command of [["serve"], ["audit"], ["config"], ["admin", "invite-worker"]])
      assertUsage(await run(command, { env }), /http-threads must be a whole number, got "none"/);
  });

  for (const address of ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"])
    it(`the test clock is not for ${address}`, async () => {
      const args = ["serve", "--listen", address, "--test-clock", "on", "--data-dir", newPath()];
      assertUsage(await run(args), /test-clock is only for a loopback listen address/);
    });
});

describe("a refused command exits 1, with the reason", () => {
  let dataDir;
  let org;
  const on = (...args) => run([...args, "--data-dir", dataDir]);
  before(async () => {
    dataDir = newPath();
    org = assertObject(await on("admin", "create-org", "--name", "First", "--email", "First@Example.com"));
  });

  it("one organisation per e-mail address, however it is written", async () => {
    assertRefusedCommand(await on("admin", "create-org", "--name", "Other", "--email", "first@example.com"), /email_taken/);
  });

  it("one worker per e-mail address", async () => {
    const args = ["admin", "create-worker", "--name", "W", "--email", "w@example.com"];
    assertObject(await on(...args));
    assertRefusedCommand(await on(...args), /email_taken/);
  });

  it("a name and an e-mail address must be ones", async () => {
    assertRefusedCommand(await on("admin", "create-org", "--name", "", "--email", "x@example.com"), /bad_name/);
    assertRefusedCommand(await on("admin", "create-org", "--name", "X", "--email", "nowhere"), /bad_email/);
    assertRefusedCommand(await on("admin", "create-worker", "--name", "é".repeat(101), "--email", "x@example.com"), /bad_name/);
  });

  it("an organisation that is not there has no keys", async () => {
    for (const id of [`org_${NOBODY}`, "org_1", "", org.organization_id.replace("org_", "wkr_")])
      assertRefusedCommand(await on("admin", "create-key", "--org", id, "--environment", "live"), /no such organization/);
  });

  it("a refused command changes nothing", async () => {
    const again = await on("admin", "create-org", "--name", "X", "--email", "first@example.com", "--credits", "5");
    assert.equal(again.code, 1);
    assert.match((await on("audit")).stdout, /^ok /);
  });

  it("an audit makes no store", async () => {
    const nowhere = newPath();
    assertRefusedCommand(await run(["audit", "--data-dir", nowhere]), /no store to audit in .*no_store/);
    assert.ok(!existsSync(nowhere));
  });

  it("a data directory that is a file", async () => {
    const path = newPath();
    writeFileSync(path, "");
    assertRefusedCommand(await run(["admin", "invite-worker", "--data-dir", path]), /Not a directory/);
  });

  it("a store that is none", async () => {
    const path = newPath();
    assert.equal((await run(["migrate", "--data-dir", path])).code, 0);
    writeFileSync(join(path, "store.db"), "this is not a database ".repeat(500));
    assertRefusedCommand(await run(["audit", "--data-dir", path]), /./);
    assertRefusedCommand(await run(["serve", "--listen", "127.0.0.1:0", "--data-dir", path]), /./);
  });

  it("a demo that cannot read its file leaves no copy of it behind", async () => {
    const copies = () => readdirSync("/tmp").filter((name) => name.startsWith("firsthand-broken-"));
    const earlier = new Set(copies());
    const { code, stderr } =
      await run(["demo", "--data-dir", newPath(), "--listen", "127.0.0.1:0", "--files", folder]);
    assert.equal(code, 1);
    assert.match(stderr, /^firsthand: copy .*Is a directory \(disk_io\)$/m);
    /* Other demos on this machine have theirs for a moment. */
    await until("no copy stays", () => copies().every((name) => earlier.has(name)));
  });

  it("an unknown scope is a wrong use", async () => {
    const args = ["admin", "create-key", "--org", org.organization_id, "--environment", "live", "--scopes"];
    assertUsage(await on(...args, "jobs:read,jobs:paint"), /unknown scope "jobs:paint": there are jobs:read, jobs:write, .*audit:read/);
    assertUsage(await on(...args, ""), /scope/);
  });
});

describe("server.key", () => {
  let dataDir;
  before(async () => {
    dataDir = newPath();
    assert.equal((await run(["migrate", "--data-dir", dataDir])).code, 0);
  });

  /* Every command needs the key, none may make a new one. */
  async function assertAllRefuse(pattern, settings = []) {
    for (const command of [["serve", "--listen", "127.0.0.1:0"], ["audit"], ["migrate"], ["admin", "invite-worker"]])
      assertRefusedCommand(await run([...command, "--data-dir", dataDir, ...settings]), pattern);
  }

  async function withoutKey(fn) {
    const path = join(dataDir, "server.key");
    const bytes = readFileSync(path);
    await rm(path);
    try {
      await fn(path);
    } finally {
      writeFileSync(path, bytes, { mode: 0o600 });
      chmodSync(path, 0o600);
    }
    assert.match((await run(["audit", "--data-dir", dataDir])).stdout, /^ok /);
  }

  it("missing beside a filled store refuses the start, and is not made anew", () =>
    withoutKey(async (path) => {
      await assertAllRefuse(/server\.key is missing beside a filled store.*server_key_missing/);
      assert.ok(!existsSync(path));
    }));

  it("is asked for also when the store lies elsewhere", () =>
    withoutKey(async (path) => {
      const elsewhere = `sqlite:${join(dataDir, "store.db")}`;
      const own = dataDir;
      dataDir = newPath();
      try {
        await assertAllRefuse(/server_key_missing/, ["--database", elsewhere]);
        assert.ok(!existsSync(join(dataDir, "server.key")));
      } finally {
        dataDir = own;
      }
      assert.ok(!existsSync(path));
    }));

  it("that others can read is refused", async () => {
    const path = join(dataDir, "server.key");
    for (const mode of [0o640, 0o604, 0o644]) {
      chmodSync(path, mode);
      await assertAllRefuse(/chmod 600.*server_key_permissions/);
    }
    chmodSync(path, 0o600);
  });

  it("of another store is refused, and nothing is made under it", () =>
    withoutKey(async (path) => {
      for (const lines of [`1 ${"ab".repeat(32)}\n`, `2 ${"cd".repeat(32)}\n1 ${"ab".repeat(32)}\n`]) {
        writeFileSync(path, lines, { mode: 0o600 });
        await assertAllRefuse(/server\.key is not this store's.*server_key_foreign/);
        assert.equal(readFileSync(path, "utf8"), lines);
      }
    }));

  for (const [what, text] of [["empty", ""], ["words", "no key at all\n"], ["a short key", "1 00ff\n"],
                              ["a number twice", `1 ${"ab".repeat(32)}\n1 ${"cd".repeat(32)}\n`]])
    it(`that holds no key (${what}) is refused`, () =>
      withoutKey(async (path) => {
        writeFileSync(path, text, { mode: 0o600 });
        await assertAllRefuse(/server_key_malformed/);
      }));
});

describe("what lies in the data directory", () => {
  it("is its owner's alone, whatever the umask", async () => {
    const dataDir = join(newPath(), "deeper");
    const { code, stderr } = await execute("sh", ["-c", 'umask 0; exec "$0" migrate --data-dir "$1"', binaryPath(), dataDir]);
    assert.equal(code, 0, stderr);
    assert.equal(modeOf(dataDir), "700");
    assert.equal(modeOf(join(dataDir, "..")), "700");
    assert.equal(modeOf(join(dataDir, "server.key")), "600");
    for (const name of readdirSync(dataDir)) assert.equal(modeOf(join(dataDir, name)), "600", name);
  });

  it("stays so after a whole job, whatever the umask", async () => {
    const before = process.umask(0);
    const market = await openMarket({}, { credits: 100 });
    try {
      const job = await market.job();
      await market.submitAndScore(job, sample("photo-3.jpg"));
      await market.manifest(job, 1);
      const { dataDir } = market.server;
      const entries = readdirSync(dataDir, { recursive: true }).map((name) => join(dataDir, name));
      assert.ok(entries.some((path) => path.endsWith(".jpg")), "a file was delivered");
      for (const path of entries) {
        const mode = statSync(path).mode & 0o7777;
        if (statSync(path).isDirectory()) assert.equal(mode, 0o700, path);
        else assert.equal(mode & 0o133, 0, `${path} has ${mode.toString(8)}: nobody else writes, nobody runs it`);
        if (path === join(dataDir, "server.key") || path.includes("store.db")) assert.equal(mode, 0o600, path);
      }
    } finally {
      process.umask(before);
      await market.stop();
    }
  });

  it("is closed to others when it was open: an empty directory, and one of ours", async () => {
    for (const mode of [0o755, 0o750, 0o777, 0o701]) {
      const dataDir = newPath();
      mkdirSync(dataDir);
      chmodSync(dataDir, mode);
      const first = await run(["migrate", "--data-dir", dataDir]);
      assert.equal(first.code, 0, first.stderr);
      assert.match(first.stderr, /"level":"warning","event":"data_dir_closed_to_others"/);
      assert.equal(modeOf(dataDir), "700");
      chmodSync(dataDir, mode);
      assert.equal((await run(["admin", "invite-worker", "--data-dir", dataDir])).code, 0);
      assert.equal(modeOf(dataDir), "700");
      assertObject(await run(["admin", "invite-worker", "--data-dir", dataDir]));
    }
  });

  it("that holds other files is refused while others may write into it, and never closed", async () => {
    const dataDir = newPath();
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, "thesis.txt"), "mine");
    for (const mode of [0o777, 0o775, 0o702]) {
      chmodSync(dataDir, mode);
      assertRefusedCommand(await run(["migrate", "--data-dir", dataDir]), /others may write.*chmod 700.*data_dir_permissions/);
      assert.equal(modeOf(dataDir), mode.toString(8));
      assert.deepEqual(readdirSync(dataDir), ["thesis.txt"]);
    }
  });

  it("that holds other files and is open to readers serves, with nothing of ours for them", async () => {
    const dataDir = newPath();
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o755);
    writeFileSync(join(dataDir, "thesis.txt"), "mine");
    assert.equal((await run(["migrate", "--data-dir", dataDir])).code, 0);
    const ours = readdirSync(dataDir).filter((name) => name !== "thesis.txt");
    assert.ok(ours.length >= 2, `${ours}`);
    for (const name of ours) assert.match(modeOf(join(dataDir, name)), /^[67]00$/, name);
  });

  it("holds one key line, of 32 bytes, another in each directory", async () => {
    const texts = [];
    for (const path of [newPath(), newPath()]) {
      await run(["migrate", "--data-dir", path]);
      texts.push(readFileSync(join(path, "server.key"), "utf8"));
      assert.match(texts.at(-1), /^1 [0-9a-f]{64}\n$/);
    }
    assert.notEqual(texts[0], texts[1]);
  });

  it("belongs to the directory's owner, also when root runs a command", { skip: !IS_ROOT }, async () => {
    const dataDir = newPath();
    mkdirSync(dataDir, { mode: 0o700 });
    chownSync(dataDir, OTHER_UID, OTHER_UID);
    chmodSync(folder, 0o711);
    assertObject(await run(["admin", "invite-worker", "--data-dir", dataDir]));
    for (const name of readdirSync(dataDir)) {
      const { uid, gid } = statSync(join(dataDir, name));
      assert.deepEqual([uid, gid], [OTHER_UID, OTHER_UID], name);
    }
  });

  it("is refused to another user", { skip: !IS_ROOT }, async () => {
    const dataDir = newPath();
    assert.equal((await run(["migrate", "--data-dir", dataDir])).code, 0);
    chmodSync(folder, 0o711);
    const copy = join(folder, "firsthand");
    copyFileSync(binaryPath(), copy);
    chmodSync(copy, 0o755);
    chmodSync(dataDir, 0o777);
    const result = await execute(copy, ["admin", "invite-worker", "--data-dir", dataDir], { uid: OTHER_UID, gid: OTHER_UID });
    assertRefusedCommand(result, /belongs to another user/);
  });
});

describe("a second server", () => {
  let server;
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  it("on the same data directory is refused, and the first goes on", async () => {
    const other = await run(["serve", "--listen", "127.0.0.1:0", "--data-dir", server.dataDir]);
    assertRefusedCommand(other, /another server uses .*data_dir_in_use/);
    assert.equal((await server.client().get("/readyz")).status, 200);
  });

  it("on the same address is refused", async () => {
    const { host } = new URL(server.base);
    assertRefusedCommand(await run(["serve", "--listen", host, "--data-dir", newPath()]), /Address already in use.*cannot_listen/);
    assert.equal((await server.client().get("/readyz")).status, 200);
  });

  it("on an address that is not this machine's is refused", async () => {
    const args = ["serve", "--listen", "192.0.2.1:0", "--data-dir", newPath()];
    assertRefusedCommand(await run(args), /Cannot assign requested address.*cannot_listen/);
  });

  it("on a port that something else holds is refused", async () => {
    const holder = net.createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    try {
      const args = ["serve", "--listen", `127.0.0.1:${holder.address().port}`, "--data-dir", newPath()];
      assertRefusedCommand(await run(args), /cannot_listen/);
    } finally {
      holder.close();
    }
  });
});

describe("commands while the server is busy", () => {
  const ROUNDS = 12;
  let market;
  before(async () => {
    market = await openMarket({}, { credits: 10_000_000 });
  });
  after(() => market?.stop());

  /* Jobs posted without a pause until isOver; every one must be answered. → how many */
  async function postJobs(isOver) {
    let posted = 0;
    const lane = async () => {
      for (; !isOver(); posted++) await market.job();
    };
    await Promise.all([lane(), lane(), lane()]);
    return posted;
  }

  async function whileBusy(fn) {
    let isOver = false;
    const posting = postJobs(() => isOver);
    try {
      await fn();
    } finally {
      isOver = true;
    }
    assert.ok((await posting) > 0, "the server was busy");
  }

  it("all work, and what they make works at once", () =>
    whileBusy(async () => {
      const { server } = market;
      await inParallel(Array.from({ length: ROUNDS }), 2, async (_, i) => {
        const org = await server.createOrg({ credits: 100 + i });
        const buyer = server.client(org.live_key);
        assert.equal((await buyer.get("/v1/billing/credits")).json.balance_cents, 100 + i);
        const key = await server.createKey({ org: org.organization_id, scopes: ["jobs:read"], name: "reader" });
        const reader = server.client(key.secret);
        assert.equal((await reader.get("/v1/jobs")).status, 200);
        assertRefused(await reader.get("/v1/billing/credits"), 403);
        const worker = server.client((await server.createWorker()).token);
        assert.equal((await worker.get("/worker/v1/jobs?limit=1")).status, 200);
      });
    }));

  it("audit finds every moment in order", () =>
    whileBusy(async () => {
      const { server } = market;
      for (let i = 0; i < 5; i++) await server.audit();
      await market.submitAndScore(await market.job(), sample("photo-2.jpg"));
      await server.audit();
    }));

  it("credits come to the live balance as one bonus; the test balance is play money", async () => {
    const own = await Market.open(market.server, { credits: 777 });
    assert.deepEqual(await own.statement(), [["bonus", 777, null]]);
    const tester = market.server.client(own.org.test_key);
    assert.equal((await tester.get("/v1/billing/credits")).json.balance_cents, 10_000_000);
    const poor = await Market.open(market.server, { credits: 0 });
    assert.deepEqual(await poor.statement(), []);
  });

  it("audit says which file is not what it was, and exits 1", async () => {
    const { server } = market;
    const job = await market.job();
    const submission = await market.submitAndScore(job, sample("photo-3.jpg"));
    assert.equal(submission.status, "approved");
    await market.manifest(job, 1);
    const blobs = readdirSync(join(server.dataDir, "blobs"), { recursive: true, withFileTypes: true });
    const blob = blobs.find((one) => one.isFile() && one.name.includes(submission.id));
    assert.ok(blob, "the submission has a blob");
    const path = join(blob.parentPath ?? blob.path, blob.name);
    const bytes = readFileSync(path);
    chmodSync(path, 0o600);
    const other = Buffer.from(bytes);
    other[other.length >> 1] ^= 1;
    writeFileSync(path, other);
    const args = ["audit", "--data-dir", server.dataDir, "--blobs"];
    const found = await run([...args, "on"]);
    const unread = await run([...args, "off"]);
    writeFileSync(path, bytes);
    assert.equal(found.code, 1);
    assert.match(found.stdout, /^(breach \S+ \S+: .+\n)+[1-9]\d* breaches\n$/);
    assert.equal(found.stderr, "");
    assert.match(unread.stdout, /^ok \d+ checks\n$/, "without --blobs on the bytes are not read");
  });
});
