/* Text and numbers that some other program would take for something else, in every field of every
 * operation that has one. Generated from the contract. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import { JOB } from "../lib/client.mjs";
import { operation, operations, resolve } from "../lib/contract.mjs";
import { BODIES, idParameters, listings, requestFor } from "../lib/requests.mjs";
import { run, start } from "../lib/server.mjs";

const INT64_MAX = "9223372036854775807";

/* For SQL, shells, JSON, HTTP, HTML, format strings, terminals and file systems. */
const TEXTS = [
  "'", "''", '"', "`", ";--", "'; DROP TABLE jobs; --", "' OR '1'='1", "%", "_", "%' OR 1=1 --", "\\", "\\'", "$1", "?1", ":a", "@a",
  "/* x */", "%s%n%x", "{}", "${7*7}", "$(id)", "`id`", "| id", "../../etc/passwd", "..%2f..%2f", "C:\\x", "con", "-rf", "~", "*",
  "<script>alert(1)</script>", "&lt;", "a\nb", "a\rb", "a\r\nSet-Cookie: x=1", "\t", "\u0001\u001b[31m", "\u007f", "\u0085", "\u2028\u2029",
  "\u202e", "\ufeff", "\uffff", "e\u0301", "é", "İ", "ß", "😀", "\ud83d\udc68\u200d\ud83d\udc69", "null", "true", "0", "-1", "NaN", "1e400",
];
/* Where each costs the hashing of a password. */
const FEWER_TEXTS = ["'", '"', "'; DROP TABLE workers; --", "%", "_", "\\'", "a\r\nb", "\u0001", "😀", "../../x"];
/* What the contract says it never takes. */
const REFUSED_JSON = ['"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00x"'];

const NUMBERS = [INT64_MAX, "-9223372036854775808", "9007199254740993", "4294967296", "4294967297", "2147483648", "-2147483649", "65536",
                 "-1", "0", "1000000000000000000", "1e18"];
const NUMBERS_BEYOND = ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e19", "1e400", "-1e400"];

let server, org, buyer, worker, bystander, held;

before(async () => {
  server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0, "worker-reservations-max": 10_000, signup: "open", "signups-per-minute": 0 });
  org = await server.createOrg({ credits: INT64_MAX });
  buyer = server.client(org.live_key);
  worker = server.client((await server.createWorker()).token);
  bystander = server.client((await server.createOrg({ credits: 1_000 })).live_key);
  await bystander.createJob();
  held = await worker.accept((await buyer.createJob({ files_needed: 1000, price_per_file_cents: 1 })).id);
});
/* Whatever came in, each line of the log is one event. */
after(async () => {
  await server?.halt();
  for (const line of server?.logLines ?? []) assert.match(JSON.parse(line).event, /^[a-z_]+$/);
  await server?.stop();
});

const clientFor = (one) => ({ key: buyer, worker, null: server.client() })[one.credential];

/* Every place of a body that takes free text, or a whole number: [path of names, schema]. */
function placesOf(schema, wanted, path = []) {
  const at = resolve(schema);
  const isFree = [at.type].flat().includes(wanted) && !at.enum && !("const" in at) && !at.format;
  const own = isFree && path.length > 0 ? [{ path, schema: at }] : [];
  const members = Object.entries(at.properties ?? {}).flatMap(([name, one]) => placesOf(one, wanted, [...path, name]));
  const any = at.patternProperties?.["^(.*)$"];
  const inner = any ? [{ path: [...path, "a name"], schema: any }] : [];
  return [...own, ...members, ...(wanted === "string" ? inner : [])];
}

function withValue(body, [name, ...rest], value) {
  return { ...body, [name]: rest.length === 0 ? value : withValue(body?.[name] ?? {}, rest, value) };
}

const valueAt = (object, path) => path.reduce((at, name) => at?.[name], object);

const inBodies = (wanted) =>
  operations.filter((one) => one.bodySchema).flatMap((one) => placesOf(one.bodySchema, wanted).map((place) => ({ one, ...place })));

/* Long enough to be taken where there is a least length, in code points. */
const padded = (text, least = 0) => text + "x".repeat(Math.max(0, least - [...text].length));

/* What another organisation sees of itself; when its key was last used is its own doing. */
async function view() {
  const keys = (await bystander.all("/v1/api_keys")).map((key) => ({ ...key, last_used_at: null }));
  return JSON.stringify([keys, await bystander.all("/v1/jobs"), await bystander.all("/v1/billing/transactions"),
                         (await bystander.get("/v1/organization/settings")).json]);
}

/* The value at the place, in JSON text: JavaScript's numbers cannot say it. */
function rawWith(one, path, literal) {
  const mark = `mark ${randomUUID()}`;
  return JSON.stringify(withValue(BODIES[one.operationId], path, mark)).replace(`"${mark}"`, literal);
}

function send(one, path, literal) {
  return clientFor(one).request(...requestFor(one, {}, { raw: rawWith(one, path, literal) }));
}

describe("hostile text", () => {
  it("has places to go", () => {
    const names = inBodies("string").map(({ one, path }) => `${one.operationId} ${path.join(".")}`);
    for (const name of ["createJob description", "createJob title", "createJob metadata.a name", "createApiKey name", "joinWithInvite name"])
      assert.ok(names.includes(name), `${name} is not among ${names}`);
  });

  for (const { one, path, schema } of inBodies("string"))
    it(`is text and nothing else in ${one.operationId} ${path.join(".")}`, async () => {
      const before = await view();
      const texts = one.operationId === "createWorkerSession" ? FEWER_TEXTS : TEXTS;
      for (const value of texts.map((text) => padded(text, schema.minLength))) {
        const reply = await send(one, path, JSON.stringify(value));
        assert.ok(reply.status < 500, `${JSON.stringify(value)}: ${reply.status} ${reply.text}`);
        if (reply.status < 300 && valueAt(reply.json, path) !== undefined)
          assert.equal(valueAt(reply.json, path), value, "comes back as it was sent");
      }
      for (const literal of REFUSED_JSON) {
        const reply = await send(one, path, literal);
        assert.equal(reply.status, 400, `${literal}: ${reply.status} ${reply.text}`);
      }
      assert.equal(await view(), before, "another organisation's data changed");
    });

  it("is kept to the letter: every field of a job, read again", async () => {
    for (const text of TEXTS) {
      const job = await buyer.createJob({
        title: text, description: padded(text, 10), scoring_criteria: text, worker_guidelines: text, metadata: { [text]: text }, price_per_file_cents: 1,
      });
      assert.deepEqual((await buyer.get(`/v1/jobs/${job.id}`)).json, job);
      assert.deepEqual([job.title, job.scoring_criteria, job.worker_guidelines, job.metadata], [text, text, text, { [text]: text }]);
      assert.equal((await worker.get(`/worker/v1/jobs/${job.id}`)).json.description, padded(text, 10));
    }
  });

  it("is kept to the letter: a password, a name and an address", async () => {
    for (const [n, text] of FEWER_TEXTS.entries()) {
      const invite = new URL((await server.admin("invite-worker")).url).searchParams.get("invite");
      const account = { email: `w${n}'"%_\\;--@example.com`, password: `${text} correct horse` };
      const joined = await server.client().post("/worker/v1/join", { invite, name: text, ...account });
      assert.equal(joined.status, 201, `${JSON.stringify(text)}: ${joined.text}`);
      assert.equal((await server.client().post("/worker/v1/sessions", account)).status, 201);
      const other = { ...account, password: `${text}  correct horse` };
      assert.equal((await server.client().post("/worker/v1/sessions", other)).status, 401);
    }
  });

  it("means nothing in the query, where it is refused or changes nothing", async () => {
    for (const one of operations.filter((other) => other.method === "GET" && other.credential !== null && idParameters(other).length === 0))
      for (const { name } of one.parameters.filter((parameter) => parameter.in === "query"))
        for (const text of TEXTS) {
          const reply = await clientFor(one).get(`${one.path}?${name}=${encodeURIComponent(text)}`);
          assert.ok([200, 400].includes(reply.status), `${one.operationId} ${name}=${JSON.stringify(text)}: ${reply.status}`);
        }
  });

  it("means nothing in an Idempotency-Key: each is a key of its own", async () => {
    const keys = ["'", "''", '"', "%", "_", "\\", "'; DROP TABLE idempotency; --".replaceAll(" ", ""), "a", "A"];
    const ids = [];
    for (const idempotencyKey of [...keys, ...keys]) ids.push((await buyer.createJob({ price_per_file_cents: 1 }, { idempotencyKey })).id);
    assert.equal(new Set(ids).size, keys.length);
    assert.deepEqual(ids.slice(keys.length), ids.slice(0, keys.length));
  });

  it("is what it was in a command's flag", async () => {
    for (const [n, text] of TEXTS.filter((one) => one.trim() !== "").entries()) {
      const { organization_id } = await server.createOrg({ name: text, email: `o${n}'";--@example.com`, credits: 5 });
      assert.match(organization_id, /^org_/);
      await server.createKey({ org: organization_id, name: text });
    }
    const refused = await run(["admin", "create-key", "--data-dir", server.dataDir, "--environment", "live", "--org", "' OR 1=1 --"]);
    assert.equal(refused.code, 1, refused.stderr);
  });
});

describe("a number at the ends of what a machine can count", () => {
  for (const { one, path, schema } of inBodies("integer"))
    it(`is taken within the contract's bounds or refused by name: ${one.operationId} ${path.join(".")}`, async () => {
      if (one.operationId === "advanceTestClock") return; /* below */
      const field = path.join(".");
      const least = schema.minimum ?? -Infinity, most = schema.maximum ?? Infinity;
      for (const literal of NUMBERS) {
        const reply = await send(one, path, literal);
        const isWithin = Number(literal) >= least && Number(literal) <= most;
        if (!isWithin) {
          assert.equal(reply.status, 422, `${literal}: ${reply.text}`);
          assert.equal(reply.json.error.details[0].field, field);
        } else {
          assert.ok(reply.status < 300 || reply.status === 402, `${literal}: ${reply.status} ${reply.text}`);
          const digits = literal === "1e18" ? String(10n ** 18n) : literal;
          if (reply.status < 300) assert.match(reply.text, new RegExp(`"${path.at(-1)}":${digits}\\b`), "to the last digit");
        }
      }
      for (const literal of NUMBERS_BEYOND) {
        const reply = await send(one, path, literal);
        assert.ok([400, 422].includes(reply.status), `${literal}: ${reply.status} ${reply.text}`);
      }
    });

  for (const one of listings)
    it(`is no limit: ${one.operationId}`, async () => {
      if (idParameters(one).length > 0) return;
      for (const literal of [...NUMBERS.filter((text) => !(Number(text) >= 1 && Number(text) <= 100)), ...NUMBERS_BEYOND])
        assert.equal((await clientFor(one).get(`${one.path}?limit=${literal}`)).status, 400, literal);
    });

  it("is no length and no offset of an upload", async () => {
    for (const literal of ["9223372036854775807", "9223372036854775808", "18446744073709551616", "-1", "1e3", "0x10", "+5", "4294967296000"]) {
      const reply = await worker.request("POST", `/worker/v1/uploads?reservation=${held.id}`, {
        headers: { "tus-resumable": "1.0.0", "upload-length": literal },
      });
      assert.ok([400, 413].includes(reply.status), `${literal}: ${reply.status} ${reply.text}`);
    }
    const made = await worker.request("POST", `/worker/v1/uploads?reservation=${held.id}`, { headers: { "tus-resumable": "1.0.0", "upload-length": "100" } });
    assert.equal(made.status, 201, made.text);
    const target = new URL(made.headers.location).pathname;
    for (const literal of ["9223372036854775807", "9223372036854775808", "18446744073709551616", "-1", "1e0", "+0"]) {
      const reply = await worker.request("PATCH", target, {
        raw: Buffer.from("x"), headers: { "tus-resumable": "1.0.0", "upload-offset": literal, "content-type": "application/offset+octet-stream" },
      });
      assert.ok([400, 409].includes(reply.status), `${literal}: ${reply.status} ${reply.text}`);
    }
    assert.equal((await worker.request("HEAD", target, { headers: { "tus-resumable": "1.0.0" } })).headers["upload-offset"], "0");
  });
});

describe("the test clock", () => {
  it("stops before the last year that can be written, and the server lives on", async () => {
    const own = await start({ "rate-limit-per-minute": 0 });
    try {
      const advance = () => own.client().request("POST", "/test/clock/advance", { body: { seconds: 1_000_000_000 } });
      let reply = await advance();
      for (let i = 0; i < 400 && reply.status === 200; i++) reply = await advance();
      assert.equal(reply.status, 422, reply.text);
      assert.deepEqual(reply.json.error.details.map(({ field, code }) => [field, code]), [["seconds", "maximum"]]);
      for (const isRestarted of [false, true]) {
        if (isRestarted) await own.restart();
        /* Its credit has an end, a year later. */
        const job = await own.client((await own.createOrg({ credits: 100 })).live_key).createJob({ files_needed: 1 });
        assert.match(job.created_at, /^9[0-9]{3}-/);
      }
    } finally {
      await own.stop();
    }
  });
});

describe("money at its limit", () => {
  const balanceText = async (client) => (await client.get("/v1/billing/credits")).text;

  it("is granted to the last cent, and not one more", async () => {
    const rich = await server.createOrg({ credits: INT64_MAX });
    assert.match(await balanceText(server.client(rich.live_key)), new RegExp(`"balance_cents":${INT64_MAX}\\b`));
    for (const credits of ["9223372036854775808", "99999999999999999999", "-1", "1.5", "1e3", "", "0x10"]) {
      const { code } = await run(["admin", "create-org", "--name", "X", "--email", `x${credits}@example.com`, "--credits", credits, "--data-dir", server.dataDir]);
      assert.equal(code, 2, `--credits ${credits}`);
    }
  });

  it("is held and given back without losing a cent", async () => {
    const rich = server.client((await server.createOrg({ credits: INT64_MAX })).live_key);
    const jobs = [];
    for (let i = 0; i < 3; i++) jobs.push(await rich.createJob({ files_needed: 10_000, price_per_file_cents: 100_000 }));
    assert.match(await balanceText(rich), /"balance_cents":9223372033854775807\b.*"held_cents":3000000000\b/);
    for (const { id } of jobs) assert.equal((await rich.post(`/v1/jobs/${id}/cancel`)).status, 200);
    assert.match(await balanceText(rich), new RegExp(`"balance_cents":${INT64_MAX}\\b`));
    await server.audit();
  });

  it("cannot be made by a product that wraps: files × price is refused or paid whole", async () => {
    const poor = server.client((await server.createOrg({ credits: 100 })).live_key);
    for (const [files, price] of [[INT64_MAX, "2"], ["4294967296", "4294967296"], ["9223372036854775807", "9223372036854775807"], ["10000", "922337203685478"], ["3037000500", "3037000500"]]) {
      const raw = JSON.stringify({ ...JOB, files_needed: 1, price_per_file_cents: 2 }).replace('"files_needed":1', `"files_needed":${files}`)
        .replace('"price_per_file_cents":2', `"price_per_file_cents":${price}`);
      const reply = await poor.request(...requestFor(operation("createJob"), {}, { raw }));
      assert.equal(reply.status, 422, reply.text);
      assert.ok(reply.json.error.details.every(({ field }) => ["files_needed", "price_per_file_cents"].includes(field)), reply.text);
    }
    assert.deepEqual(await poor.all("/v1/jobs"), []);
    assert.match(await balanceText(poor), /"balance_cents":100\b/);
  });
});

/* One request as written, over a socket of its own. → the whole reply as text */
function exchange(text) {
  return new Promise((done, fail) => {
    const socket = net.connect({ host: new URL(server.base).hostname, port: Number(new URL(server.base).port) });
    const pieces = [];
    socket.on("data", (piece) => pieces.push(piece)).on("error", fail).on("close", () => done(Buffer.concat(pieces).toString("latin1")));
    socket.end(text, "latin1");
  });
}

describe("a reply's header", () => {
  const request = (line, headers = "", body = "") =>
    `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${worker.token}\r\n${headers}${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`;
  const INJECTED = ["\r\nX-Injected: 1", "\nX-Injected: 1", "\rX-Injected: 1", "%0d%0aX-Injected:%201", "%0AX-Injected: 1", "\u0001", "\u0000X", "\\r\\nX-Injected: 1",
                    "å\u0085X-Injected: 1", " \r\n X-Injected: 1"];

  async function assertClean(text) {
    const reply = await exchange(text);
    const [head] = reply.split("\r\n\r\n");
    assert.match(head, /^(HTTP\/1\.1 \d{3} [^\r\n]+)?/);
    for (const line of head.split("\r\n")) {
      assert.doesNotMatch(line, /^X-Injected/i, text);
      assert.doesNotMatch(line, /[\n\r\0\u0001]/, text);
    }
  }

  it("holds nothing that a request smuggled in: path, query, names, types, metadata, ids", async () => {
    for (const bad of INJECTED) {
      const base64 = Buffer.from(`x${bad}.png`, "latin1").toString("base64");
      await assertClean(request(`GET /worker/v1/jobs${bad}`));
      await assertClean(request(`GET /worker/v1/jobs?cursor=${bad}`));
      await assertClean(request(`GET /worker/v1/jobs/${bad}`));
      await assertClean(request(`GET /files/${bad}?expires=1&key=1&signature=${bad}`));
      await assertClean(request("GET /worker/v1/jobs", `Host: ${bad}\r\n`));
      await assertClean(request("GET /worker/v1/jobs", `X-Request-Id: ${bad}\r\n`));
      await assertClean(request("GET /worker/v1/jobs", `Prefer: wait=1${bad}\r\n`));
      await assertClean(request("GET /worker/v1/jobs", `Range: bytes=0-1${bad}\r\n`));
      await assertClean(request("POST /worker/v1/sessions", `Idempotency-Key: a${bad}\r\nContent-Type: application/json\r\n`, "{}"));
      const creation = `Tus-Resumable: 1.0.0\r\nUpload-Length: 100\r\n`;
      await assertClean(request(`POST /worker/v1/uploads?reservation=${held.id}`, `${creation}Upload-Metadata: filename ${base64}\r\n`));
      await assertClean(request(`POST /worker/v1/uploads?reservation=${held.id}`, `${creation}Upload-Metadata: a${bad} ${base64}\r\n`));
      await assertClean(request(`POST /worker/v1/uploads?reservation=${held.id}`, `${creation}Upload-Metadata: filename ${base64}${bad}\r\n`));
      await assertClean(request(`PUT /worker/v1/reservations/${held.id}/file`, `Content-Disposition: attachment; filename="x${bad}.png"\r\n`, "not a picture"));
    }
    assert.equal((await server.client().get("/healthz")).status, 200, "it lives");
  });

  it("of an upload gives the metadata back exactly as it came, and only that", async () => {
    for (const text of TEXTS) {
      const metadata = `filename ${Buffer.from(text).toString("base64")},k%s ${Buffer.from("v").toString("base64")}`;
      const made = await worker.request("POST", `/worker/v1/uploads?reservation=${held.id}`, {
        headers: { "tus-resumable": "1.0.0", "upload-length": "100", "upload-metadata": metadata },
      });
      assert.equal(made.status, 201, made.text);
      const head = await worker.request("HEAD", new URL(made.headers.location).pathname, { headers: { "tus-resumable": "1.0.0" } });
      assert.equal(head.headers["upload-metadata"], metadata);
    }
  });
});

describe("a path", () => {
  const PASSWD = /root:|BEGIN|^1 [0-9a-f]{64}/m;
  const climbs = ["..", ".", "%2e%2e", "%252e%252e", "..%2f", "..%252f", "%2e%2e%2f%2e%2e%2fserver.key", "..%5c", "%c0%ae%c0%ae", "....//", "server.key", "%00", "a%00b",
                  "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "file:%2f%2f%2fetc%2fpasswd", "~", "a".repeat(5000), "%", "%zz", "\u00e9".normalize(), "con", ".git"];

  it("never leads out of what is served, however it is written", async () => {
    for (const prefix of ["/", "/files/", "/join/", "/v1/jobs/", "/worker/v1/uploads/", "/worker/v1/reservations/", "/pages/", "/web/", "/static/"])
      for (const climb of climbs)
        for (const tail of ["", "/", "/../../../../etc/passwd", "/..%2f..%2f..%2fserver.key", "/file"]) {
          const text = `GET ${prefix}${encodeURI(climb).replaceAll("%25", "%")}${tail} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${worker.token}\r\n\r\n`;
          const reply = await exchange(text);
          assert.match(reply, /^HTTP\/1\.1 (400|401|403|404|405|414|431) /, text);
          assert.doesNotMatch(reply.split("\r\n\r\n").slice(1).join(), PASSWD);
        }
  });
});
