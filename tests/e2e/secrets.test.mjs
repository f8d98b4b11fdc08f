/* The search for secrets that every test ends with is able to find them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { Secrets } from "../lib/secrets.mjs";
import { start } from "../lib/server.mjs";

const RANDOM = "0123456789abcdefghijABCDEFGHIJ01234567"; /* the shape of what follows fh_live_ */
const WEBHOOK = `whsec_${Buffer.alloc(32, 0xfb).toString("base64")}`; /* with + and / in it */
const SIGNATURE = "s-_".repeat(14) + "A";

function known() {
  const secrets = new Secrets();
  secrets.learn(`{"api_key":"fh_live_${RANDOM}"}`);
  secrets.learn(`{"url":"http://127.0.0.1:3000/files/file_X?expires=1&key=1&signature=${SIGNATURE}"}`);
  secrets.learn(`{"signing_secret":"${WEBHOOK}"}`);
  secrets.learnRequest("/worker/v1/sessions", { email: "w@example.com", password: "correct horse" });
  return secrets;
}

describe("the search for secrets", () => {
  const leaks = {
    "a key": `{"detail":"unknown key fh_live_${RANDOM}"}`,
    "a key without its prefix": `{"detail":"${RANDOM.slice(0, 32)}"}`,
    "a key among other letters": `{"detail":"xyz_${RANDOM}xyz"}`,
    "a link's signature": `{"path":"/files/file_X","query":"signature=${SIGNATURE}"}`,
    "a webhook secret": `{"secret":"${WEBHOOK}"}`,
    "a webhook secret without its prefix": `{"secret":"${WEBHOOK.slice(6)}"}`,
    "a password": '{"body":{"password":"correct horse"}}',
  };
  for (const [what, line] of Object.entries(leaks))
    it(`finds ${what} in a line`, () => {
      assert.notEqual(known().find(line), null);
      assert.throws(() => known().assertAbsentFromLines(["{}", line]), /the server wrote/);
    });

  it("takes ids, hashes and what may be shown for what they are", () => {
    const harmless = ["job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "ab".repeat(32), `fh_live_${RANDOM.slice(0, 4)}`, "correct", "fh_test_..."];
    assert.equal(known().find(harmless.join(" ")), null);
    known().assertAbsentFromLines(harmless);
  });

  it("finds a secret among the bytes of a file, but leaves the server key where it belongs", () => {
    const folder = mkdtempSync(join(tmpdir(), "firsthand-test-"));
    try {
      writeFileSync(join(folder, "server.key"), `1 ${"c4".repeat(32)}\n`);
      const secrets = known();
      secrets.addServerKey(folder);
      secrets.assertAbsentFromFolder(folder);
      for (const secret of [`fh_live_${RANDOM}`, "correct horse", SIGNATURE, WEBHOOK, "c4".repeat(32)]) {
        writeFileSync(join(folder, "store.db"), Buffer.concat([randomBytes(5000), Buffer.from(secret), randomBytes(5000)]));
        assert.throws(() => secrets.assertAbsentFromFolder(folder), /in clear/, secret);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a test ends in failure", () => {
  /* Stop a server that leaks does what; leak undoes itself. */
  async function assertStopFails(leak, pattern) {
    const server = await start();
    const org = await server.createOrg();
    leak(server, org);
    await assert.rejects(server.stop(), pattern);
  }

  it("when a key is in the server's log", () =>
    assertStopFails((server, org) => server.unread.push(`{"event":"request","key":"${org.live_key}"}`), /the server wrote a live secret/));

  it("when a key is in clear beside the store", () =>
    assertStopFails((server, org) => writeFileSync(join(server.dataDir, "store.db-copy"), `..${org.test_key}..`), /holds a test secret/));

  it("when the server key is anywhere else", () =>
    assertStopFails((server) => writeFileSync(join(server.dataDir, "copy"), readFileSync(join(server.dataDir, "server.key"))), /holds the server key/));
});

describe("a secret that a client puts where an id belongs", () => {
  it("is not kept in the log", async () => {
    const market = await openMarket();
    const { org, worker, server } = market;
    try {
      const { signing_secret } = await market.buyer.createEndpoint();
      for (const secret of [org.live_key, org.test_key, worker.token, signing_secret])
        for (const path of [`/v1/jobs/${secret}`, `/v1/jobs/${percent(secret)}`, `/v1/jobs/%${secret.charCodeAt(0).toString(16)}${secret.slice(1)}`, `/v1/api_keys/${secret}/rotate`, `/worker/v1/uploads/${secret}`, `/files/${secret}`, `/${secret}`, `/v1/jobs/x${secret}`])
          for (const method of ["GET", "POST", "DELETE"]) await market.buyer.request(method, path, { isChecked: false });
      await server.halt();
      server.assertSecretsKept();
      const paths = server.logLines.map((line) => JSON.parse(line).path).filter(Boolean);
      assert.ok(paths.some((path) => path.startsWith("/v1/api_keys/fh_")), "what was asked can still be told");
      assert.ok(!paths.some((path) => /%(66|77)/.test(path)), "spelt in hexadecimal digits it is as readable");
    } finally {
      await market.stop();
    }
  });
});

describe("a whole job", () => {
  it("has its secrets remembered: keys, tokens, invites, sessions, passwords, links", async () => {
    const market = await openMarket();
    const { server } = market;
    try {
      const before = server.secrets.count;
      const invite = new URL((await server.admin("invite-worker")).url).searchParams.get("invite");
      const account = { email: "wanda@example.com", password: "correct horse" };
      const joined = await server.client().post("/worker/v1/join", { invite, name: "Wanda", ...account });
      assert.equal(joined.status, 201, joined.text);
      assert.equal((await server.client().post("/worker/v1/sessions", account)).status, 201);
      await market.buyer.createKey();
      const job = await market.job();
      await market.submitAndScore(job, sample("photo-2.jpg"));
      await market.files(job);
      /* invite, joined, password, signed in, key made, link */
      assert.equal(server.secrets.count, before + 6);
      await until("both outputs are kept for the search", () => server.unread.length > 10);
    } finally {
      await market.stop();
    }
  });
});

/* Every character as its hexadecimal digits. */
function percent(text) {
  return [...text].map((character) => `%${character.charCodeAt(0).toString(16)}`).join("");
}
