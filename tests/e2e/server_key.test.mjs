/* A new server key under a running server: nothing that was given out stops working, what is stored
 * moves to the new key, and the old one goes when nothing needs it any more. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openMarket, until } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";
import { binaryPath, run } from "../lib/server.mjs";

const DAY_S = 24 * 60 * 60;
const KEY_BODY = { name: "sealed", scopes: ["jobs:read"], environment: "live" };

let market, server;
before(async () => {
  market = await openMarket({ signup: "open", "signups-per-minute": "0" });
  server = market.server;
});
after(() => market?.stop());

const keyFile = () => join(server.dataDir, "server.key");
const lines = () => readFileSync(keyFile(), "utf8").trim().split("\n");
const listed = () => lines().filter((line) => !line.includes("audit")).map((line) => Number(line.split(" ")[0]));
const sql = (text) => execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(server.dataDir, "store.db"), text], { encoding: "utf8" }).trim();
const command = (name, ...more) => run(["admin", name, "--data-dir", server.dataDir, ...more]);

async function admin(name, ...more) {
  const made = await server.admin(name, ...more);
  server.secrets.addServerKey(server.dataDir);
  return made;
}
/* A server that runs looks at its keys whenever it sweeps, which it does when the clock is moved:
 * nobody waits for it to look by itself. */
async function whileSweeping(command) {
  let isOver = false;
  const done = command.finally(() => (isOver = true));
  done.catch(() => {}); /* told below */
  while (!isOver && server.child) await server.advance(1);
  return done;
}
const rotate = () => whileSweeping(admin("rotate-server-key"));
const drop = (...more) => admin("drop-server-keys", ...more);

const signUp = ({ body, replay }) => server.client().post("/v1/auth/signup", body, { headers: { "idempotency-key": replay } });

/* A good key that is tried, each of the kinds that a server key signs, hashes or seals. */
async function assertAllWork(given) {
  assert.equal((await server.client(given.apiKey).get("/v1/jobs")).status, 200);
  assert.equal((await server.client(given.session).get("/worker/v1/reservations")).status, 200);
  assert.equal((await server.client().get(given.link)).status, 200);
  const again = await market.buyer.request("POST", "/v1/api_keys", { body: KEY_BODY, headers: { "idempotency-key": given.replay } });
  assert.equal(again.headers["idempotent-replayed"], "true");
  assert.equal(again.json.secret, given.apiKey);
  const signedUp = await signUp(given.signUp);
  assert.deepEqual([signedUp.status, signedUp.text, signedUp.headers["idempotent-replayed"]], [201, given.signUp.text, "true"]);
  const page = await market.buyer.get(`/v1/jobs?limit=1&cursor=${encodeURIComponent(given.cursor)}`);
  assert.equal(page.status, 200, page.text);
}

let count = 0;
async function giveAll() {
  const replay = `sealed-${++count}`;
  const job = await market.job();
  await market.job();
  await market.submitAndScore(job, sample("photo-2.jpg"));
  const [file] = await market.files(job);
  const url = new URL(file.download_url);
  const made = await market.buyer.request("POST", "/v1/api_keys", { body: KEY_BODY, headers: { "idempotency-key": replay } });
  const session = await server.admin("create-worker", "--name", "W", "--email", `w-${replay}@example.com`);
  const { json: page } = await market.buyer.get("/v1/jobs?limit=1");
  const endpoint = await market.buyer.post("/v1/webhook_endpoints", { url: "https://example.com/hook" });
  assert.equal(endpoint.status, 201, endpoint.text);
  const newcomer = { body: { name: "B", email: `${replay}@example.org` }, replay: `${replay}-${"k".repeat(22)}` };
  const { text, status } = await signUp(newcomer);
  assert.equal(status, 201, text);
  return { signUp: { ...newcomer, text }, endpointId: endpoint.json.id, apiKey: made.json.secret, keyId: made.json.id, session: session.token, link: url.pathname + url.search, replay, cursor: page.next_cursor };
}

describe("a server key that is rotated under a running server", () => {
  let given;

  it("is not noticed by those who ask meanwhile", async () => {
    given = await giveAll();
    let isOver = false, asked = 0;
    const asking = (async () => {
      for (; !isOver; asked++) {
        const body = { ...KEY_BODY, name: `n${asked}` };
        const reply = await market.buyer.request("POST", "/v1/api_keys", { body, headers: { "idempotency-key": `m-${asked}` } });
        assert.equal(reply.status, 201, reply.text);
        assert.equal((await server.client(reply.json.secret).get("/v1/jobs?limit=1")).status, 200);
        await assertAllWork(given);
      }
    })();
    const made = await rotate();
    isOver = true;
    await asking;
    assert.ok(asked > 0);
    assert.deepEqual([made.key, made.older_keys], [2, [1]]);
    assert.ok(made.sealed_anew > 0);
    assert.deepEqual(listed(), [2, 1]);
    assert.equal((statSync(keyFile()).mode & 0o777).toString(8), "600");
  });

  it("is what new things are made with, while the old ones go on", async () => {
    await assertAllWork(given);
    const made = await giveAll();
    await assertAllWork(made);
    assert.equal(sql(`SELECT server_key FROM api_keys WHERE id = '${made.keyId}'`), "2");
    assert.equal(sql("SELECT count(*) FROM idempotency WHERE is_sealed = 1 AND substr(response, 1, 1) <> x'02'"), "0");
    assert.equal(sql("SELECT count(*) FROM webhook_endpoints WHERE substr(secret, 1, 1) <> x'02'"), "0");
    await server.restart();
    market.reconnect();
    await assertAllWork(given);
  });

  it("moves the hash of a credential that is used", async () => {
    await server.client(given.apiKey).get("/v1/jobs");
    await server.client(given.session).get("/worker/v1/reservations");
    await server.advance(1);
    assert.equal(sql(`SELECT server_key FROM api_keys WHERE id = '${given.keyId}'`), "2");
    assert.equal(sql("SELECT count(*) FROM worker_sessions WHERE server_key = 2") !== "0", true);
    await assertAllWork(given);
  });

  it("stays listed until links that the old one signed have ended", async () => {
    const { dropped, kept } = await drop();
    assert.deepEqual(dropped, []);
    assert.equal(kept[0].key, 1);
    assert.ok(Date.parse(kept[0].until) > Date.now());
    await assertAllWork(given);
  });

  it("and until nobody's credential hangs on it", async () => {
    await server.advance(8 * DAY_S);
    const { dropped, kept } = await drop();
    assert.deepEqual(dropped, []);
    assert.ok(kept[0].api_keys > 0, "keys that were never used since");
    for (const id of sql("SELECT id FROM api_keys WHERE server_key = 1 AND status = 'active'").split("\n"))
      sql(`UPDATE api_keys SET status = 'revoked' WHERE id = '${id}'`);
    await server.client(market.worker.token).get("/worker/v1/reservations");
    sql("DELETE FROM worker_sessions WHERE server_key = 1");
    await server.advance(1);
  });

  it("then replaces it, and seals of the audit under the old one are still checked", async () => {
    const { dropped, kept } = await drop();
    assert.deepEqual([dropped, kept], [[1], []]);
    assert.deepEqual(listed(), [2]);
    await server.advance(1);
    assert.equal((await server.client(given.apiKey).get("/v1/jobs")).status, 200);
    assert.equal((await server.client().get(given.link)).status, 403);
    const rotated = await market.buyer.post(`/v1/webhook_endpoints/${given.endpointId}/rotate_secret`);
    assert.equal(rotated.status, 200, "the secret until now opens: it is sealed again as the old one");
    await server.audit();
    assert.ok(Number(sql("SELECT count(*) FROM audit_seals WHERE substr(seal, 1, 1) = x'01'")) > 0);
    await server.restart();
    market.reconnect();
    await server.audit();
  });

  it("is dropped with what hangs on it when the operator insists", async () => {
    market = Object.assign(market, { org: await server.createOrg({ credits: 100_000 }) });
    market.buyer = server.client(market.org.live_key);
    market.worker = await market.newWorker();
    const made = await giveAll();
    await rotate();
    const { dropped } = await drop("--force", "on");
    assert.deepEqual(dropped, [2]);
    await server.advance(1);
    assert.equal((await server.client(made.apiKey).get("/v1/jobs")).status, 401);
    assert.equal((await server.client().get(made.link)).status, 403);
    market.org = await server.createOrg({ credits: 100_000 });
    market.buyer = server.client(market.org.live_key);
    market.worker = await market.newWorker();
    await assertAllWork(await giveAll());
  });
});

describe("a rotation that is cut off", () => {
  const put = (rows) => {
    writeFileSync(keyFile(), `${rows.join("\n")}\n`);
    chmodSync(keyFile(), 0o600);
  };

  it("before the server knew the key goes on with that key, and nothing stops working", async () => {
    const given = await giveAll();
    const before = listed();
    server.child.kill("SIGSTOP"); /* it does not take the key up */
    const child = spawn(binaryPath(), ["admin", "rotate-server-key", "--data-dir", server.dataDir], { stdio: "ignore" });
    await until("the key is announced", () => listed().length === before.length + 1);
    assert.equal(listed()[0], before[0], "and not used");
    child.kill("SIGKILL");
    await once(child, "close");
    server.child.kill("SIGCONT");
    await assertAllWork(given);
    const announced = Math.max(...listed());
    const made = await rotate();
    assert.equal(made.key, announced);
    assert.deepEqual(listed(), [announced, ...before]);
    await assertAllWork(given);
  });

  it("before anything was sealed anew goes on with that, too", async () => {
    const given = await giveAll();
    await server.halt();
    const [newest, ...rest] = lines();
    const number = Number(newest.split(" ")[0]) + 1;
    put([`${number} ${"5c".repeat(32)}`, newest, ...rest]); /* announced and used, and no further */
    await server.launch();
    market.reconnect();
    await assertAllWork(given);
    const made = await rotate();
    assert.equal(made.key, number);
    assert.ok(made.sealed_anew > 0);
    await assertAllWork(given);
  });

  it("or never begun, with no server there, needs nobody to wait for", async () => {
    const given = await giveAll();
    await server.halt();
    const before = listed()[0];
    assert.equal((await rotate()).key, before + 1);
    await server.launch();
    market.reconnect();
    await assertAllWork(given);
  });

  it("is not begun by two commands at once", async () => {
    const results = await whileSweeping(Promise.all([command("rotate-server-key"), command("rotate-server-key")]));
    server.secrets.addServerKey(server.dataDir);
    const codes = results.map(({ code }) => code).sort();
    assert.ok(codes.join() === "0,1" || codes.join() === "0,0", JSON.stringify(results));
    if (codes.join() === "0,1") assert.ok(results.some(({ stderr }) => /server_key_busy/.test(stderr)));
  });
});

describe("a file of other keys", () => {
  it("is not taken up by a server that runs, which says so", async () => {
    const before = readFileSync(keyFile());
    writeFileSync(keyFile(), `77 ${"ab".repeat(32)}\n`);
    await server.advance(1);
    await until("it says so", () => server.logLines.some((line) => line.includes("server_key_not_reloaded")));
    assert.equal((await market.buyer.get("/v1/jobs")).status, 200);
    writeFileSync(keyFile(), before);
    await server.advance(1);
  });

  it("is refused where there is no store", async () => {
    const { code } = await run(["admin", "rotate-server-key", "--data-dir", "/tmp/firsthand-no-such"]);
    assert.equal(code, 1);
    assert.equal((await command("drop-server-keys", "--force", "yes")).code, 2);
  });
});
