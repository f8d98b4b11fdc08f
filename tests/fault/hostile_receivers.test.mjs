/* Receivers that hang, drip, reset, flood, redirect, lie about their address: who behaves hears of
 * everything meanwhile, and nothing ever connects to where it may not. network_shim.c answers names
 * and is the witness of every connection. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { after, before, describe, it } from "node:test";
import { HeldPort } from "../lib/held-port.mjs";
import { inParallel, Market, until } from "../lib/market.mjs";
import { Receiver } from "../lib/receiver.mjs";
import { Server } from "../lib/server.mjs";

const SHIM = resolve(process.env.NETWORK_SHIM ?? "build/release/tests/libnetwork_shim.so");
const PUBLIC = "93.184.216.34"; /* the shim takes it to loopback */
const BUYERS = 12;
const ENDPOINTS_A_BUYER = 15;
const HAPPENINGS = 20;

let folder, server, market, receiver, tlsReceiver;
const at = (name) => join(folder, name);

function certificate() {
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=rebind.example", "-keyout", at("key.pem"), "-out", at("cert.pem"),
  ], { stdio: "ignore" });
  return { key: readFileSync(at("key.pem")), cert: readFileSync(at("cert.pem")) };
}

/* lines: name → its answers, one after the other */
function setNames(names) {
  const lines = Object.entries(names).map(([name, answers]) => `${name} ${answers.join(" ")}\n`);
  writeFileSync(at("names.new"), lines.join(""));
  renameSync(at("names.new"), at("names")); /* nobody reads half of it */
}

/* Every address that was connected to, but for name servers. */
function connections() {
  const lines = readFileSync(at("log"), "utf8").split("\n").filter(Boolean).map((line) => line.split(" "));
  return lines.filter(([, port]) => port !== "53");
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "firsthand-net-"));
  writeFileSync(at("log"), "");
  setNames({});
  const settings = { "rate-limit-per-minute": 0, "webhook-allow": "127.0.0.1/32", "sandbox-delay": "24h" };
  server = new Server(mkdtempSync(join(tmpdir(), "firsthand-test-")), settings);
  server.environment = { LD_PRELOAD: SHIM, NETWORK_NAMES: at("names"), NETWORK_LOG: at("log") };
  await server.launch();
  market = await Market.open(server);
  receiver = await Receiver.open();
  tlsReceiver = await Receiver.open({ tls: certificate() });
});
after(async () => {
  receiver?.close();
  tlsReceiver?.close();
  setNames({}); /* names that hang do so no more */
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function newBuyer() {
  const org = await server.createOrg({ credits: 50_000 });
  return server.client(org.live_key);
}

async function happen(buyer) {
  const job = await buyer.createJob();
  const reply = await buyer.post(`/v1/jobs/${job.id}/cancel`);
  assert.equal(reply.status, 200, reply.text);
}

/* The newest attempt of a new event at that URL, once there are so many. */
async function attemptsAt(url, count) {
  const buyer = await newBuyer();
  await buyer.createEndpoint({ url });
  await happen(buyer);
  const [event] = await buyer.all("/v1/webhook_events");
  const rows = [];
  for (let i = 1; i <= count; i++) {
    const seen = await until(`attempt ${i} at ${url}`, async () => {
      const all = await buyer.all(`/v1/webhook_events/${event.id}/attempts`);
      return all.length >= i && all;
    });
    rows.push(seen[0]);
    if (i < count) await server.advance(10 * 60);
  }
  return rows;
}

describe("a name with several addresses", () => {
  it("that is reached at none of them is in nobody's way afterwards", async () => {
    setNames({ "several.example": [`${PUBLIC},${PUBLIC},${PUBLIC}`] });
    const closed = new HeldPort();
    const [row] = await attemptsAt(`https://several.example:${closed.port}/`, 1);
    closed.release();
    assert.equal(row.error, "not_connected");
    for (let i = 1; i <= 3; i++) assert.equal((await attemptsAt(receiver.url(`/after?${i}`), 1))[0].http_status, 200);
  });
});

describe("an address that may not be called", () => {
  it("is refused in every notation, by name and by redirect", async () => {
    setNames({
      "mixed.example": [`${PUBLIC},169.254.169.254`],
      "between.example": [`${PUBLIC},10.0.0.5,${PUBLIC}`],
      "private.example": ["10.0.0.5"],
      "mapped.example": ["::ffff:10.0.0.5"],
      "nat64.example": ["64:ff9b::a00:5"],
      "clothed.example": ["::ffff:93.184.216.34"],
      "many.example": [[...Array(9).keys()].map((i) => `93.184.216.${i + 1}`).concat("10.0.0.5").join(",")],
    });
    const refused = [
      "https://mixed.example/", "https://between.example/", "https://private.example/", "https://mapped.example/", "https://nat64.example/",
      "https://clothed.example/", "https://many.example/",
      "http://169.254.169.254/latest/meta-data/", "https://10.0.0.5/", "https://[fd00::5]/", "https://[::ffff:10.0.0.5]/",
      "https://0x0a.5/", "https://167772165/", "https://127.0.0.2/", "https://[::1]/", `http://${PUBLIC}/`,
      server.base.replace("127.0.0.1", "0x7f.1"), /* this server itself */
    ];
    for (const url of refused) assert.equal((await attemptsAt(url, 1))[0].error, "address_refused", url);
    const [redirected] = await attemptsAt(receiver.url("/metadata"), 1);
    assert.equal(redirected.http_status, 302);
  });

  it("is refused when its name was a public one's at the attempt before", async () => {
    setNames({ "rebind.example": [PUBLIC, "10.0.0.5", "127.0.0.2"] });
    const rows = await attemptsAt(`https://rebind.example:${tlsReceiver.port}/`, 3);
    assert.deepEqual(rows.map((one) => one.error), ["tls_failed", "address_refused", "address_refused"]);
    assert.equal(tlsReceiver.connections, 1);
    assert.equal(tlsReceiver.requests.length, 0);
  });

  it("is refused although a connection for the name is kept", async () => {
    setNames({ "kept.example": ["127.0.0.1", "10.0.0.5"] });
    const buyer = await newBuyer();
    await buyer.createEndpoint({ url: receiver.url("/kept", "kept.example") });
    await happen(buyer);
    await receiver.received("/kept", 1);
    await happen(buyer);
    await until("the second is refused", async () => {
      const [event] = await buyer.all("/v1/webhook_events");
      const [attempt] = await buyer.all(`/v1/webhook_events/${event.id}/attempts`);
      return attempt?.error === "address_refused";
    });
    assert.equal(receiver.at("/kept").length, 1);
  });
});

describe("an endpoint that behaves", () => {
  /* How long each of so many events takes from its cause to its receipt. */
  async function delays(buyer, path) {
    const all = [];
    for (let i = 0; i < HAPPENINGS; i++) {
      const seen = receiver.at(path).length;
      const startedMs = performance.now();
      await happen(buyer);
      await receiver.received(path, seen + 1);
      all.push(performance.now() - startedMs);
    }
    return all.sort((a, b) => a - b);
  }

  it("hears of everything while 180 others hang, drip, flood, reset and do not resolve", async (t) => {
    setNames(Object.fromEntries(Array.from({ length: BUYERS }, (_, i) => [`hang${i}.example`, ["hang"]])));
    const good = await newBuyer();
    await good.createEndpoint({ url: receiver.url("/good") });
    const alone = await delays(good, "/good");

    const bad = await inParallel(Array.from({ length: BUYERS }), 4, async (_, i) => {
      const buyer = await newBuyer();
      const paths = ["/drip", "/flood", "/reset", "/later", "/gone", "/metadata"];
      const urls = [`http://hang${i}.example/`, ...paths.map((path) => receiver.url(path))];
      while (urls.length < ENDPOINTS_A_BUYER) urls.push(receiver.url("/hang"));
      await inParallel(urls, 4, (url) => buyer.createEndpoint({ url }));
      for (let n = 0; n < 5; n++) await happen(buyer);
      return buyer;
    });
    await receiver.received("/hang", BUYERS);
    const among = await delays(good, "/good");
    const median = (all) => Math.round(all[all.length / 2]);
    t.diagnostic(`delay: ${median(alone)} ms alone, ${median(among)} ms among ${BUYERS * ENDPOINTS_A_BUYER}`);

    const rows = await good.all("/v1/webhook_events");
    await until("all are delivered", async () => {
      const delivered = await good.all("/v1/webhook_events?status=delivered");
      return delivered.length === rows.length;
    });
    assert.equal(rows.length, 2 * HAPPENINGS);
    for (const buyer of bad) assert.ok((await buyer.all("/v1/webhook_events?status=pending")).length > 0);
  });

  /* Endpoints of an organisation work for a while, then hang. → whether a neighbour heard of everything before
   * the first of those that hang had to end, which each does by itself in the end */
  async function isHeardBesideHanging() {
    const org = await server.createOrg({ credits: 50_000 });
    const answered = new Map();
    let held = 0, ended = 0;
    const mine = await Receiver.open({
      onRequest: ({ path }, response) => {
        const count = answered.get(path) ?? 0;
        if (count < 4) return answered.set(path, count + 1), false;
        held++;
        response.on("close", () => ended++);
        return true;
      },
    });
    try {
      const good = await newBuyer();
      await good.createEndpoint({ url: receiver.url(`/beside?${org.organization_id}`) });
      for (const key of [org.live_key, org.test_key]) {
        const buyer = server.client(key);
        const url = (_, i) => mine.url(`/${key.slice(3, 7)}${i}`);
        const endpoints = await inParallel(Array.from({ length: 16 }, url), 4, (at) => buyer.createEndpoint({ url: at, events: ["job.cancelled"] }));
        const change = (status) => inParallel(endpoints, 4, async ({ id }) => {
          assert.equal((await buyer.patch(`/v1/webhook_endpoints/${id}`, { status })).status, 200);
        });
        await change("disabled");
        await inParallel(Array.from({ length: 14 }), 4, () => happen(buyer));
        await change("active");
      }
      /* Half of what those that fail leave. */
      await until("the organisation has all it gets", () => held >= 64);
      for (let i = 1; i <= HAPPENINGS; i++) {
        await happen(good);
        await receiver.received(`/beside?${org.organization_id}`, i);
      }
      return ended === 0;
    } finally {
      mine.close();
    }
  }

  it("hears of everything while all endpoints of one organisation work for a while, then hang", () =>
    until("it is heard before those that hang end, on a machine that lets it be", isHeardBesideHanging, { msMax: 300_000 }));

  it("never more than eight at a time of one endpoint", async () => {
    let now = 0, most = 0;
    const held = [];
    const mine = await Receiver.open({
      onRequest: (_, response) => {
        most = Math.max(most, ++now);
        held.push(() => (now--, response.end()));
        if (held.length > 24) held.splice(0).forEach((release) => release());
        return true;
      },
    });
    try {
      const buyer = await newBuyer();
      await buyer.createEndpoint({ url: mine.url("/") });
      for (let i = 0; i < 4; i++) await happen(buyer);
      await until("some are sent at the same time", () => most > 1);
      const release = setInterval(() => held.splice(0).forEach((one) => one()), 20);
      await mine.received("/", 4);
      await inParallel(Array.from({ length: 60 }), 8, () => happen(buyer));
      await mine.received("/", 64);
      clearInterval(release);
      assert.ok(most <= 8, `${most} at a time`);
    } finally {
      mine.close();
    }
  });
});

it("no connection was opened to a refused range", () => {
  const seen = connections();
  assert.ok(seen.some(([address]) => address === PUBLIC), "the witness sees");
  const others = seen.filter(([address]) => address !== "127.0.0.1" && address !== PUBLIC);
  assert.deepEqual(others, []);
  const own = new URL(server.base).port;
  assert.ok(!seen.some(([, port]) => port === own), "nor to this server itself");
});
