/* The commands: what each prints, to where, and how it exits; beside a server that runs. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { run, start } from "../lib/server.mjs";

const ULID = "[0-9A-HJKMNP-TV-Z]{26}";
const id = (prefix) => new RegExp(`^${prefix}_${ULID}$`);
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const SCOPES = ["jobs:read", "jobs:write"];

let server, org;
before(async () => {
  server = await start();
  org = await server.createOrg({ credits: 1234 });
});
after(() => server?.stop());

const here = (...args) => run([...args, "--data-dir", server.dataDir]);

/* One JSON object on one line of stdout, nothing on stderr. */
async function object(...args) {
  const { code, stdout, stderr } = await here(...args);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.match(stdout, /^\{.*\}\n$/);
  return JSON.parse(stdout);
}

function assertShape(value, shape) {
  assert.deepEqual(Object.keys(value), Object.keys(shape));
  for (const [key, pattern] of Object.entries(shape)) assert.match(value[key], pattern, key);
}

/* One line on stderr, nothing on stdout. */
function assertRefused({ code, stdout, stderr }, expectedCode, pattern) {
  assert.equal(code, expectedCode, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^firsthand: [^\n]+\n$/);
  if (pattern) assert.match(stderr, pattern);
}

describe("admin, while the server runs", () => {
  it("create-org prints the organisation and a key for each environment, and both work", async () => {
    const made = await object("admin", "create-org", "--name", "Acme", "--email", "acme@example.com", "--credits", "777");
    assertShape(made, { organization_id: id("org"), live_key: /^fh_live_[0-9A-Za-z]{38}$/, test_key: /^fh_test_[0-9A-Za-z]{38}$/ });
    const balance = async (key) => (await server.client(key).get("/v1/billing/credits")).json.balance_cents;
    assert.equal(await balance(made.live_key), 777);
    assert.equal(await balance(made.test_key), 10_000_000);
    const rows = await server.client(made.live_key).all("/v1/billing/transactions");
    assert.deepEqual(rows.map(({ type, amount_cents }) => [type, amount_cents]), [["bonus", 777]]);
    const sandbox = await server.client(made.test_key).all("/v1/billing/transactions");
    assert.deepEqual(sandbox.map(({ type, amount_cents }) => [type, amount_cents]), [["free_tier", 10_000_000]]);
  });

  it("create-org without credits starts at nothing", async () => {
    const made = await object("admin", "create-org", "--name=Poor", "--email=poor@example.com");
    const client = server.client(made.live_key);
    assert.equal((await client.get("/v1/billing/credits")).json.balance_cents, 0);
    assert.deepEqual(await client.all("/v1/billing/transactions"), []);
  });

  it("create-org refuses an address that has one, however it is written", async () => {
    await object("admin", "create-org", "--name", "One", "--email", "same@example.com");
    for (const email of ["same@example.com", "Same@Example.COM"])
      assertRefused(await here("admin", "create-org", "--name", "Two", "--email", email), 1, /exists|taken/);
  });

  it("create-key prints id and secret; the scopes are those that were asked for", async () => {
    const made = await object("admin", "create-key", "--org", org.organization_id, "--environment", "live", "--name", "ci", "--scopes", SCOPES.join(","));
    assertShape(made, { key_id: id("key"), secret: /^fh_live_[0-9A-Za-z]{38}$/ });
    const listed = (await server.client(org.live_key).all("/v1/api_keys")).find((row) => row.id === made.key_id);
    assert.deepEqual([listed.name, [...listed.scopes].sort(), listed.environment], ["ci", [...SCOPES].sort(), "live"]);
    assert.equal(listed.hint, made.secret.slice(-4));
    assert.equal((await server.client(made.secret).get("/v1/jobs")).status, 200);
    assert.equal((await server.client(made.secret).get("/v1/billing/credits")).status, 403);
  });

  it("create-key of the test environment", async () => {
    const made = await object("admin", "create-key", "--org", org.organization_id, "--environment", "test");
    assert.match(made.secret, /^fh_test_/);
    assert.equal((await server.client(made.secret).get("/v1/billing/credits")).json.balance_cents, 10_000_000);
  });

  it("create-worker prints the worker and a token that works, and does not expire", async () => {
    const made = await object("admin", "create-worker", "--name", "Wanda", "--email", "wanda@example.com");
    assertShape(made, { worker_id: id("wkr"), token: /^fh_wkr_[0-9A-Za-z]{38}$/ });
    assert.equal((await server.client(made.token).get("/worker/v1/jobs")).status, 200);
    await server.advance(400 * 24 * 60 * 60);
    assert.equal((await server.client(made.token).get("/worker/v1/jobs")).status, 200);
    assertRefused(await here("admin", "create-worker", "--name", "W", "--email", "WANDA@example.com"), 1);
  });

  it("invite-worker prints a link that ends in a week", async () => {
    const made = await object("admin", "invite-worker", "--name", "Willi", "--public-url", "https://crowd.example.com/");
    assertShape(made, { invite_id: id("inv"), url: /^https:\/\/crowd\.example\.com\/join\?invite=fh_inv_[0-9A-Za-z]{38}$/, expires_at: TIME });
    const now = await server.advance(1);
    const days = (Date.parse(made.expires_at) - now) / 86_400_000;
    assert.ok(days > 6.99 && days <= 7, `${days} days`);
  });

  for (const [name, args] of [
    ["create-org without --email", ["create-org", "--name", "A"]],
    ["create-org with credits that are no number", ["create-org", "--name", "A", "--email", "a@example.com", "--credits", "1.5"]],
    ["create-org with negative credits", ["create-org", "--name", "A", "--email", "a@example.com", "--credits", "-1"]],
    ["create-key without --org", ["create-key", "--environment", "live"]],
    ["create-key of no environment", ["create-key", "--org", `org_${"0".repeat(26)}`, "--environment", "both"]],
    ["create-worker without --name", ["create-worker", "--email", "a@example.com"]],
    ["an unknown flag", ["invite-worker", "--nope", "1"]],
    ["a flag given twice", ["invite-worker", "--name", "a", "--name", "b"]],
    ["a flag without its value", ["invite-worker", "--name"]],
    ["a word that is no flag", ["invite-worker", "now"]],
    ["an unknown command", ["create-nothing"]],
  ])
    it(`${name}: exit 2`, async () => {
      assertRefused(await run(["admin", ...args]), 2);
    });

  it("an unknown organisation: exit 1; an unknown scope: exit 2", async () => {
    const key = ["admin", "create-key", "--environment", "live", "--org"];
    for (const other of [`org_${"0".repeat(26)}`, "nothing"]) assertRefused(await here(...key, other), 1, /no such organization/);
    assertRefused(await here(...key, org.organization_id, "--scopes", "jobs:read,everything"), 2, /everything/);
  });

  it("an address or a name that cannot be one: exit 1, and nothing is made", async () => {
    for (const email of ["nobody", "@", "a@", "@b.example", "a b@c.example"])
      assertRefused(await here("admin", "create-org", "--name", "A", "--email", email), 1, /e-mail/);
    assertRefused(await here("admin", "create-worker", "--name", "", "--email", "noname@example.com"), 1, /name/);
  });

  it("eight at once all succeed", async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, (_, n) => object("admin", "create-worker", "--name", "W", "--email", `many${n}@example.com`)),
    );
    assert.equal(new Set(made.map(({ worker_id }) => worker_id)).size, 8);
  });

  it("a revoked key of another process is refused at once", async () => {
    const { secret, key_id } = await server.createKey({ org: org.organization_id });
    const client = server.client(secret);
    assert.equal((await client.get("/v1/jobs")).status, 200);
    await server.client(org.live_key).post(`/v1/api_keys/${key_id}/revoke`);
    assert.equal((await client.get("/v1/jobs")).status, 401);
  });
});

describe("audit", () => {
  it("prints how many checks are right", async () => {
    for (const extra of [[], ["--blobs", "on"], ["--blobs=off"]]) {
      const { code, stdout, stderr } = await here("audit", ...extra);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, /^ok [1-9]\d* checks\n$/);
    }
  });

  it("refuses another value: exit 2", async () => {
    assertRefused(await here("audit", "--blobs", "maybe"), 2);
  });
});

describe("config", () => {
  it("prints every setting, with defaults", async () => {
    const { code, stdout } = await run(["config"]);
    assert.equal(code, 0);
    const shown = JSON.parse(stdout);
    const expected = {
      listen: "127.0.0.1:3000", "platform-fee": 0.2, "rate-limit-per-minute": 1000, "auth-failures-per-minute": 60,
      "reservation-ttl": 30 * 60 * 1000, "reservation-max": 6 * 3600 * 1000, "worker-reservations-max": 5,
      "worker-submissions-per-day": 50, "media-cpu-seconds": 60, "platform-fee-locked": false, "test-clock": false, tasks: true,
    };
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(shown[name], value, name);
  });

  it("takes the flag before the environment before the default", async () => {
    const env = { FIRSTHAND_PLATFORM_FEE: "0.3", FIRSTHAND_RESERVATION_TTL: "90s" };
    const shown = JSON.parse((await run(["config", "--platform-fee", "0.4"], { env })).stdout);
    assert.equal(shown["platform-fee"], 0.4);
    assert.equal(shown["reservation-ttl"], 90_000);
  });

  it("masks what can hold a secret", async () => {
    const { stdout, stderr } = await run(["config", "--database", "postgres://buyer:hunter2@db.example/market"]);
    assert.ok(!`${stdout}${stderr}`.includes("hunter2"));
    assert.equal(JSON.parse(stdout).database, "***");
  });
});

describe("version, help and migrate", () => {
  it("version says what it is made of", async () => {
    const { code, stdout, stderr } = await run(["version"]);
    assert.deepEqual([code, stderr], [0, ""]);
    const shown = JSON.parse(stdout);
    assert.match(shown.version, /^\d+\.\d+\.\d+/);
    assert.ok(Number.isInteger(shown.scorer_version));
    assert.match(shown.media_sandbox, /rlimits/);
    assert.match(shown.media_libraries, /libavcodec \d/);
  });

  it("help names every command; no command at all is a usage error with the same help", async () => {
    const help = await run(["--help"]);
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    for (const name of ["serve", "migrate", "admin create-org", "admin create-key", "admin create-worker", "admin invite-worker", "audit", "config", "version"])
      assert.ok(help.stdout.includes(name), name);
    const none = await run([]);
    assert.deepEqual([none.code, none.stdout], [2, ""]);
    assert.equal(none.stderr, help.stdout);
  });

  it("migrate makes a store, and again changes nothing", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "firsthand-test-"));
    try {
      for (let i = 0; i < 2; i++) {
        const { code, stdout } = await run(["migrate", "--data-dir", dataDir]);
        assert.deepEqual([code, stdout], [0, ""]);
      }
      const { code, stdout } = await run(["audit", "--data-dir", dataDir]);
      assert.equal(code, 0);
      assert.match(stdout, /^ok /);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  it("migrate works beside a running server", async () => {
    assert.equal((await here("migrate")).code, 0);
    assert.equal((await server.client().get("/readyz")).status, 200);
  });
});

describe("a bad setting stops the start with one line", () => {
  for (const [name, ...args] of [
    ["an unknown flag", "--nope", "1"],
    ["listen without a port", "--listen", "127.0.0.1"],
    ["listen with a name", "--listen", "localhost:3000"],
    ["listen with a port too high", "--listen", "127.0.0.1:65536"],
    ["a fee above a half", "--platform-fee", "0.51"],
    ["a fee that is no number", "--platform-fee", "much"],
    ["a fee with a sign", "--platform-fee", "-0.1"],
    ["a switch that is neither", "--tasks", "yes"],
    ["a count that is a word", "--score-workers", "two"],
    ["a count of nothing", "--score-workers", "0"],
    ["a duration without unit", "--reservation-ttl", "30"],
    ["a duration that overflows", "--reservation-ttl", "99999999999999999d"],
    ["a maximum below its part", "--reservation-max", "1m"],
    ["a key without its certificate", "--tls-key", "/dev/null"],
    ["a certificate without its key", "--tls-cert", "/dev/null"],
    ["an empty data directory", "--data-dir", ""],
    ["a log level that is none", "--log-level", "loud"],
    ["the test clock for everybody", "--test-clock", "on", "--listen", "0.0.0.0:0"],
    ["the test clock for everybody, v6", "--test-clock", "on", "--listen", "[::]:0"],
  ])
    it(name, async () => {
      const withDir = args.includes("--data-dir") ? [] : ["--data-dir", join(server.dataDir, "unused")];
      assertRefused(await run(["serve", ...args, ...withDir]), 2);
    });

  it("from the environment too", async () => {
    assertRefused(await run(["serve", "--data-dir", join(server.dataDir, "unused")], { env: { FIRSTHAND_TASKS: "maybe" } }), 2, /tasks/);
  });

  it("a data directory that cannot be made: exit 1", async () => {
    assertRefused(await run(["serve", "--listen", "127.0.0.1:0", "--data-dir", "/proc/nothing/here"]), 1);
  });

  it("an address in use: exit 1", async () => {
    const { host } = new URL(server.base);
    const dataDir = await mkdtemp(join(tmpdir(), "firsthand-test-"));
    try {
      assertRefused(await run(["serve", "--listen", host, "--data-dir", dataDir]), 1, /cannot_listen/);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
