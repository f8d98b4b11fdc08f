/* `firsthand listen` against a server that answers as it is told: order, pages, absences, and what is
 * signed. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, describe, it } from "node:test";
import { HeldPort } from "../lib/held-port.mjs";
import { until } from "../lib/market.mjs";
import { binaryPath, run, start } from "../lib/server.mjs";

const KEY = "fh_test_00000000000000000000000000000000abcdef";
const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const ULID_TAIL = (n) => String(n).padStart(26, "0");

const event = (n, type = "job.completed", more = {}) => ({
  id: `occ_${ULID_TAIL(n)}`, object: "event", type, api_version: "2026-03-18",
  created_at: "2026-11-25T16:00:00.000Z", data: { n, ...more },
});

/* An HTTP server on a port of its own, which it keeps when it goes away and comes back. */
class Station {
  constructor(answer) {
    this.answer = answer;
    this.place = new HeldPort(); /* until this process ends: some go away and come back */
  }

  async open() {
    this.server = http.createServer((request, response) => {
      const pieces = [];
      request.on("data", (piece) => pieces.push(piece));
      request.on("end", () => this.answer(request, Buffer.concat(pieces), response));
    });
    this.server.listen(this.place.port, "127.0.0.1");
    await once(this.server, "listening");
    return this;
  }

  async close() {
    if (!this.server?.listening) return;
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  get url() {
    return `http://127.0.0.1:${this.place.port}`;
  }
}

/* /v1/events over what happened so far, as the contract has it. */
class Source extends Station {
  constructor() {
    super((request, _, response) => this.list(request, response));
    this.events = []; /* oldest first */
    this.asked = [];
    this.refusal = null; /* (url) → status, or 0 */
  }

  list(request, response) {
    const url = new URL(request.url, this.url);
    const query = url.searchParams;
    this.asked.push(url);
    const status = this.refusal?.(url) || (request.headers.authorization === `Bearer ${KEY}` ? 200 : 401);
    if (status !== 200) {
      response.writeHead(status).end(JSON.stringify({ error: { type: "x", message: "told to refuse" } }));
      return;
    }
    const limit = Number(query.get("limit") ?? 20);
    const rows = this.events
      .filter(({ id }) => id > (query.get("after") ?? "") && id < (query.get("cursor") ?? "occ_~"))
      .reverse();
    const data = rows.slice(0, limit);
    const has_more = rows.length > limit;
    response.end(JSON.stringify({ object: "list", data, has_more, next_cursor: has_more ? data.at(-1).id : null }));
  }

  add(...events) {
    this.events.push(...events);
  }
}

let source, sink, received, children;
before(async () => {
  children = new Set();
  source = await new Source().open();
  received = [];
  sink = await new Station((request, body, response) => {
    received.push({ headers: request.headers, body: body.toString(), url: request.url });
    response.writeHead(204).end();
  }).open();
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
  source.events = [];
  source.asked = [];
  source.refusal = null;
  received.length = 0;
});
after(async () => {
  await source?.close();
  await sink?.close();
});

/* The command, running: its lines so far, and how it ended. */
function listen(...args) {
  return listenTo(source.url, KEY, ...args);
}

function listenTo(url, key, ...args) {
  const child = spawn(binaryPath(), ["listen", "--url", url, ...args], {
    env: { PATH: process.env.PATH, FIRSTHAND_API_KEY: key }, stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  const lines = [], notes = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => notes.push(line));
  const ended = once(child, "close").then(([code]) => code);
  return { child, lines, notes, ended };
}

const forwarding = (...args) => listen("--forward-to", `${sink.url}/hooks?a=1`, "--secret", SECRET, ...args);
const numbers = () => received.map(({ body }) => JSON.parse(body).data.n);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const hasBegun = () => until("it has asked for what is newest", () => source.asked.length > 1);

async function interrupted({ child, ended }, signal = "SIGINT") {
  child.kill(signal);
  assert.equal(await ended, 0);
}

describe("listen", () => {
  it("forwards what happens from now on, in order, signed in both schemes", async () => {
    source.add(event(1), event(2));
    const listener = forwarding();
    await hasBegun();
    source.add(event(3, "submission.approved", { "ü": "€ \u{1f600}", deep: [[[1.5, null]]] }), event(4));
    await until("both came", () => received.length === 2);
    assert.deepEqual(numbers(), [3, 4]);
    for (const { headers, body, url } of received) {
      const { id } = JSON.parse(body);
      assert.equal(url, "/hooks?a=1");
      assert.equal(headers["content-type"], "application/json");
      assert.equal(headers["x-firsthand-event-id"], id);
      assert.equal(headers["webhook-id"], id);
      const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers["x-firsthand-signature"]);
      assert.equal(v1, createHmac("sha256", SECRET).update(`${t}.${body}`).digest("hex"));
      assert.ok(Math.abs(Date.now() / 1000 - Number(t)) < 300);
      assert.equal(headers["webhook-timestamp"], t);
      const standard = createHmac("sha256", Buffer.alloc(32, 7)).update(`${id}.${t}.${body}`).digest("base64");
      assert.equal(headers["webhook-signature"], `v1,${standard}`);
    }
    assert.deepEqual(received.map(({ body }) => JSON.parse(body)), source.events.slice(2), "as the API gives it");
    await until("both were printed", () => listener.lines.length === 2);
    assert.equal(listener.lines[0], `2026-11-25T16:00:00.000Z submission.approved ${source.events[2].id} 204`);
    await interrupted(listener);
  });

  it("says where it listens and what it signs with, and ends with 0 saying how to go on", async () => {
    const listener = listen("--forward-to", sink.url);
    await hasBegun();
    source.add(event(9));
    await until("it came, and both lines were read", () => received.length === 1 && listener.notes.length > 1);
    const [, secret] = /signed with (whsec_\S+)$/.exec(listener.notes[1]);
    assert.equal(Buffer.from(secret.slice(6), "base64").length, 32);
    const { "x-firsthand-signature": signature } = received[0].headers;
    assert.ok(signature.endsWith(createHmac("sha256", secret).update(`${signature.slice(2).split(",")[0]}.${received[0].body}`).digest("hex")));
    await until("it is printed", () => listener.lines.length === 1);
    await interrupted(listener, "SIGTERM");
    assert.match(listener.notes.at(-1), new RegExp(`--after ${event(9).id}$`));
    assert.ok(listener.notes.every((line) => !line.includes(KEY)), "the API key is never printed");
  });

  it("begins behind the event that it is told, and gets through many pages in order", async () => {
    source.add(...range(1, 350).map((n) => event(n)));
    const listener = forwarding("--after", event(20).id);
    await until("all came", () => received.length === 330);
    assert.deepEqual(numbers(), range(21, 350));
    await interrupted(listener);
  });

  it("loses nothing that happens while it works, and tells nothing twice", async () => {
    const listener = forwarding();
    await hasBegun();
    let n = 0;
    const timer = setInterval(() => source.add(event(++n), event(++n), event(++n)), 5);
    await until("many came", () => received.length > 600);
    clearInterval(timer);
    await until("the rest came", () => received.length === n);
    assert.deepEqual(numbers(), range(1, n));
    await interrupted(listener);
  });

  it("waits for a receiver that is away, and keeps the order", async () => {
    await sink.close();
    const listener = forwarding();
    await hasBegun();
    source.add(event(1), event(2), event(3));
    await until("it has told", () => listener.notes.some((line) => line.includes("trying again")));
    assert.equal(listener.lines.length, 0);
    await sink.open();
    await until("all came", () => received.length === 3);
    assert.deepEqual(numbers(), [1, 2, 3]);
    await interrupted(listener);
  });

  it("waits for a server that is away, busy or broken, and loses nothing meanwhile", async () => {
    const listener = forwarding();
    await hasBegun();
    await source.close();
    await until("it has told", () => listener.notes.some((line) => line.includes("asking again")));
    source.add(event(1));
    source.refusal = () => [429, 503, 500][source.asked.length % 3];
    await source.open();
    const asked = source.asked.length;
    await until("it was refused", () => source.asked.length > asked + 3);
    source.refusal = null;
    await until("it came", () => received.length === 1);
    await until("it has told that, too", () => listener.notes.some((line) => line.includes("answers again")));
    await interrupted(listener);
  });

  it("takes only the events it is told, and prints them where there is nobody to forward to", async () => {
    source.add(event(1), event(2, "job.flagged"), event(3, "job.cancelled"), event(4));
    const listener = listen("--events", "job.flagged,job.cancelled", "--after", event(0).id);
    await until("both are printed", () => listener.lines.length === 2);
    source.add(event(5), event(6, "job.flagged"));
    await until("the third is printed", () => listener.lines.length === 3);
    assert.deepEqual(listener.lines.map((line) => line.split(" ")[1]), ["job.flagged", "job.cancelled", "job.flagged"]);
    assert.ok(listener.lines.every((line) => line.split(" ").length === 3));
    await interrupted(listener);
  });

  it("prints what the receiver answered and goes on", async () => {
    const answer = sink.answer;
    sink.answer = (request, body, response) => {
      received.push({ body: body.toString() });
      response.writeHead(500).end("no");
    };
    const listener = forwarding("--after", event(0).id);
    source.add(event(1), event(2));
    await until("both came", () => listener.lines.length === 2);
    sink.answer = answer;
    assert.deepEqual(listener.lines.map((line) => line.split(" ")[3]), ["500", "500"]);
    await interrupted(listener);
  });

  it("takes an answer that is too long to read for one, and goes on", async () => {
    const answer = sink.answer;
    sink.answer = (request, body, response) => {
      received.push({ body: body.toString() });
      response.writeHead(200).end(Buffer.alloc(2 << 20, "x"));
    };
    const listener = forwarding("--after", event(0).id);
    source.add(event(1), event(2));
    await until("both came", () => listener.lines.length === 2);
    sink.answer = answer;
    assert.deepEqual(numbers(), [1, 2], "each once");
    await interrupted(listener);
  });

  it("ends at once although the receiver hangs, and goes on from before what hung", async () => {
    const answer = sink.answer;
    sink.answer = () => received.push({});
    const listener = forwarding("--after", event(1).id);
    source.add(event(1), event(2));
    await until("it hangs", () => received.length === 1);
    await interrupted(listener);
    assert.ok(listener.notes.at(-1).endsWith(`--after ${event(1).id}`), listener.notes.at(-1));
    sink.answer = answer;
    await sink.close();
    await sink.open();
  });

  it("takes events that are nested as deep as a job's metadata may be, and large", async () => {
    let deep = 1;
    for (let i = 0; i < 34; i++) deep = [deep];
    source.add(event(1, "job.completed", { deep, large: "x".repeat(3 << 20) }));
    const listener = forwarding("--after", event(0).id);
    await until("it came", () => received.length === 1);
    assert.deepEqual(JSON.parse(received[0].body), source.events[0]);
    await interrupted(listener);
  });

  it("ends with 1 where asking again is no use", async () => {
    for (const status of [401, 403, 404]) {
      source.refusal = () => status;
      const listener = forwarding();
      assert.equal(await listener.ended, 1);
      assert.match(listener.notes.at(-1), new RegExp(`answers ${status} told to refuse`));
    }
  });
});

describe("the API key", () => {
  const ask = (args, env = {}) => run(["listen", "--url", source.url, ...args], { env });

  it("comes from the environment or a file, and is no flag that everybody could see", async () => {
    for (const args of [[], ["--api-key", KEY]]) {
      const { code, stderr } = await ask(args);
      assert.equal(code, 2, stderr);
    }
    const folder = mkdtempSync(join(tmpdir(), "firsthand-listen-"));
    writeFileSync(join(folder, "key"), `${KEY}\n`);
    source.refusal = () => 403;
    const { code, stderr } = await ask(["--api-key-file", join(folder, "key")]);
    rmSync(folder, { recursive: true });
    assert.equal(code, 1);
    assert.match(stderr, /answers 403/);
    assert.equal((await ask(["--api-key-file", join(folder, "none")])).code, 1);
  });

  it("is refused with flags that make no sense", async () => {
    const env = { FIRSTHAND_API_KEY: KEY };
    for (const args of [
      ["--events", "job.invented"], ["--secret", "whsec_!"], ["--secret", "abc"], ["--after", "evt_1"],
      ["--forward-to", "localhost:3000"], ["--url", "ftp://x"], ["--data-dir", "/tmp/x"],
    ]) {
      const { code } = await ask(args, env);
      assert.equal(code, 2, args.join(" "));
    }
  });
});

describe("a server of ours", () => {
  let server, org;
  before(async () => {
    server = await start();
    org = await server.createOrg({ credits: 100_000 });
  });
  after(() => server?.stop());

  it("is listened to: each event of the key's environment once, in order, as the API gives it", async () => {
    const buyer = server.client(org.live_key), tester = server.client(org.test_key);
    const early = await buyer.createJob();
    await buyer.post(`/v1/jobs/${early.id}/cancel`);
    const [{ id: after }] = (await buyer.get("/v1/events?limit=1")).json.data;
    const listener = listenTo(server.base, org.live_key, "--forward-to", sink.url, "--secret", SECRET, "--after", after);
    const jobs = [];
    for (let i = 0; i < 130; i++) {
      const job = await buyer.createJob({ metadata: { i } });
      jobs.push((await buyer.post(`/v1/jobs/${job.id}/cancel`)).json);
    }
    const other = await tester.createJob();
    await tester.post(`/v1/jobs/${other.id}/cancel`);
    await until("all came", () => received.length === jobs.length);
    const bodies = received.map(({ body }) => JSON.parse(body));
    assert.deepEqual(bodies.map(({ data }) => data.id), jobs.map(({ id }) => id));
    assert.deepEqual(bodies, (await buyer.all(`/v1/events?after=${after}`)).reverse());
    await interrupted(listener);
  });

  it("turns away a key without webhooks:read", async () => {
    const { secret } = await server.createKey({ org: org.organization_id, scopes: ["jobs:read"] });
    const listener = listenTo(server.base, secret);
    assert.equal(await listener.ended, 1);
    assert.match(listener.notes.at(-1), /answers 403/);
  });
});
