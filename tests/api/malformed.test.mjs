/* What the server makes of requests that are not what they should be. Generated from the contract
 * where it can be. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { JOB } from "../lib/client.mjs";
import { findOperation, operation, operations } from "../lib/contract.mjs";
import { singleFaults, textFaults } from "../lib/faults.mjs";
import { BODIES, NOBODY, requestFor } from "../lib/requests.mjs";
import { start } from "../lib/server.mjs";

const jsonOperations = operations.filter((one) => one.bodySchema);

let server, org, buyer, worker, nobody;

before(async () => {
  server = await start({ "rate-limit-per-minute": 0, "auth-failures-per-minute": 0, signup: "open", "signups-per-minute": 0 });
  org = await server.createOrg({ credits: 100_000_000 });
  buyer = server.client(org.live_key);
  worker = server.client((await server.createWorker()).token);
  nobody = server.client();
});
after(() => server?.stop());

const clientFor = (one) => ({ key: buyer, worker })[one.credential] ?? nobody;

function send(one, options) {
  return clientFor(one).request(...requestFor(one, {}, options));
}

/* The reply is this status, and its details are exactly these, in any order. */
function assertFaults(reply, status, expected) {
  assert.equal(reply.status, status, reply.text);
  const pairs = (list) => list.map(({ field, code }) => `${field}: ${code}`).sort();
  assert.deepEqual(pairs(reply.json.error.details ?? []), pairs(expected));
}

function assertCode(reply, status, code) {
  assert.equal(reply.status, status, reply.text);
  const codes = (reply.json.error.details ?? []).map((one) => one.code);
  assert.ok(codes.includes(code), `${code} is not among ${JSON.stringify(codes)}`);
}

const jobCount = async () => (await buyer.all("/v1/jobs")).length;

describe("a body outside the schema", () => {
  it("is known for every operation that takes JSON", () => {
    assert.deepEqual(jsonOperations.map((one) => one.operationId).sort(), Object.keys(BODIES).sort());
  });

  for (const one of jsonOperations) {
    const good = one.operationId === "updateOrganizationSettings"
      ? { default_platform_fee_pct: 0.2, auto_top_up_enabled: false, auto_top_up_threshold_cents: 0, auto_top_up_amount_cents: 100 }
      : BODIES[one.operationId];
    const faults = singleFaults(one.bodySchema, good);
    it(`names the field and the keyword: ${one.operationId}, ${faults.length} faults`, async () => {
      assert.ok(faults.length >= 5, "too few faults to mean anything");
      for (const { name, body, field, code } of faults) {
        const reply = await send(one, { body });
        try {
          assertFaults(reply, 422, [{ field, code }]);
        } catch (e) {
          e.message = `${name}: ${e.message}`;
          throw e;
        }
      }
    });
  }

  it("is refused with all its faults at once", async () => {
    const body = {
      type: "other",
      description: "short",
      accepted_formats: ["image/png", "image/gif", 5],
      price_per_file_cents: "50",
      metadata: { good: 1, bad: [], worse: {} },
      min_star_rating: 6,
      title: "t".repeat(101),
    };
    assertFaults(await send(operation("createJob"), { body }), 422, [
      { field: "type", code: "enum" },
      { field: "description", code: "minLength" },
      { field: "files_needed", code: "required" },
      { field: "accepted_formats[1]", code: "enum" },
      { field: "accepted_formats[2]", code: "enum" },
      { field: "price_per_file_cents", code: "type" },
      { field: "metadata.bad", code: "anyOf" },
      { field: "metadata.worse", code: "anyOf" },
      { field: "min_star_rating", code: "maximum" },
      { field: "title", code: "maxLength" },
    ]);
  });

  it("is refused with at most a hundred details", async () => {
    const reply = await send(operation("createJob"), {
      body: { ...JOB, accepted_formats: Array(500).fill("image/gif") },
    });
    assert.equal(reply.status, 422);
    assert.equal(reply.json.error.details.length, 100);
  });

  it("is refused when a minimum duration exceeds the maximum", async () => {
    const body = { ...JOB, accepted_formats: ["video/mp4"], min_duration_seconds: 10, max_duration_seconds: 5 };
    assertFaults(await send(operation("createJob"), { body }), 422, [{ field: "max_duration_seconds", code: "minimum" }]);
  });

  it("leaves nothing behind", async () => {
    const count = await jobCount();
    const credits = (await buyer.get("/v1/billing/credits")).json.balance_cents;
    await send(operation("createJob"), { body: { ...JOB, files_needed: 0 } });
    assert.equal(await jobCount(), count);
    assert.equal((await buyer.get("/v1/billing/credits")).json.balance_cents, credits);
  });

  it("does not bind the idempotency key", async () => {
    const idempotencyKey = randomUUID();
    assert.equal((await buyer.postJob({ files_needed: 0 }, { idempotencyKey })).status, 422);
    assert.equal((await buyer.postJob({}, { idempotencyKey })).status, 201);
  });
});

describe("a query parameter outside its schema", () => {
  const inQuery = (one) => one.parameters.filter((parameter) => parameter.in === "query");

  for (const one of operations.filter((other) => other.credential && inQuery(other).length > 0))
    it(`is named with its keyword: ${one.operationId}`, async () => {
      for (const { name, schema } of inQuery(one)) {
        const texts = textFaults(schema).map(({ value, code }) => ({ query: `${name}=${value}`, code }));
        for (const { query, code } of [...texts, { query: `${name}=a&${name}=a`, code: "duplicate" }]) {
          const [method, target, options] = requestFor(one);
          const reply = await clientFor(one).request(method, `${target.split("?")[0]}?${query}`, options);
          assertFaults(reply, 400, [{ field: name, code }]);
        }
      }
    });
});

describe("a body at the edge of the schema", () => {
  const accepted = {
    "the shortest description": { description: "d".repeat(10) },
    "the longest description, in code points": { description: "😀".repeat(5000) },
    "a description of ten code points in twenty units": { description: "😀".repeat(10) },
    "the most files": { files_needed: 10_000, price_per_file_cents: 1 },
    "the highest price": { files_needed: 1, price_per_file_cents: 100_000 },
    "every format": { accepted_formats: ["image/png", "image/jpeg", "image/webp", "audio/mpeg", "audio/wav", "audio/mp4", "video/mp4", "video/quicktime"] },
    "fifty names in metadata": { metadata: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`n${i}`, i])) },
    "every kind of metadata": { metadata: { s: "ü\t\"\\\u2028", n: -1.5, i: 9007199254740991, b: true, z: null, "": "", "a.b[0]": 1 } },
    "a whole number written as a real one": { files_needed: 3.0 },
    "members it does not know": { colour: "red", "": 1, nested: { a: [1, { b: null }] } },
    "every optional member": {
      title: "Signs", min_star_rating: 5, scoring_criteria: "sharp", worker_guidelines: "Stand close.",
      min_width: 1, min_height: 100_000, min_duration_seconds: 0.5, max_duration_seconds: 86_400, max_files_per_worker: 1,
    },
    "equal durations": { min_duration_seconds: 2, max_duration_seconds: 2 },
  };
  for (const [name, overrides] of Object.entries(accepted))
    it(`is taken with ${name}, and comes back as it was`, async () => {
      const job = await buyer.createJob(overrides);
      for (const [key, value] of Object.entries(overrides))
        if (!["colour", "", "nested"].includes(key)) assert.deepEqual(job[key], value, key);
      assert.deepEqual((await buyer.get(`/v1/jobs/${job.id}`)).json, job);
    });

  it("has metadata {} and three stars when neither is sent", async () => {
    const job = await buyer.createJob();
    assert.deepEqual(job.metadata, {});
    assert.equal(job.min_star_rating, 3);
  });

  it("takes 3.0 for an integer", async () => {
    const raw = JSON.stringify(JOB).replace('"files_needed":2', '"files_needed":3.0');
    assert.ok(raw.includes("3.0"));
    const reply = await send(operation("createJob"), { raw });
    assert.equal(reply.status, 201, reply.text);
    assert.equal(reply.json.files_needed, 3);
  });

  for (const text of ["\\t", "\\r", "\\b", "\\f", "\\n", "\\u0001", '\\"', "\\\\", "\\/", "\\u2028", "\u2028", "\x7f"])
    it(`keeps metadata as large as a body may be, all of ${JSON.stringify(text)}`, async () => {
      const head = `${JSON.stringify({ ...JOB, metadata: undefined }).slice(0, -1)},"metadata":{"`;
      const half = text.repeat(Math.floor(((1 << 20) - head.length - 20) / 2 / Buffer.byteLength(text)));
      const raw = `${head}${half}":"${half}","n":1}}`;
      const reply = await send(operation("createJob"), { raw });
      assert.equal(reply.status, 201);
      assert.ok(reply.text.includes(JSON.stringify(JSON.parse(raw).metadata)), "as a JSON writer would have it");
    });

  it("keeps the order of metadata", async () => {
    const raw = JSON.stringify(JOB).replace(/}$/, ',"metadata":{"zebra":1,"apple":2,"b10":3,"mango":4}}');
    const reply = await send(operation("createJob"), { raw });
    assert.equal(reply.status, 201, reply.text);
    assert.match(reply.text, /"zebra":\s*1,\s*"apple":\s*2,\s*"b10":\s*3,\s*"mango":\s*4/);
  });
});

describe("a body that is not JSON as it should be", () => {
  const nested = (depth) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
  const bytes = (...values) => Buffer.concat([Buffer.from('{"a":"'), Buffer.from(values), Buffer.from('"}')]);
  const cases = [
    ["nothing", "", "malformed_json"],
    ["only spaces", "  \n", "malformed_json"],
    ["an open object", "{", "malformed_json"],
    ["an open text", '{"a":"b', "malformed_json"],
    ["a word", "nul", "malformed_json"],
    ["a comma too many", '{"a":1,}', "malformed_json"],
    ["something after the end", '{"a":1} x', "malformed_json"],
    ["two documents", '{"a":1}{"a":1}', "malformed_json"],
    ["single quotes", "{'a':1}", "malformed_json"],
    ["a comment", '{"a":1 /* one */}', "malformed_json"],
    ["a byte order mark", '\ufeff{"a":1}', "malformed_json"],
    ["NaN", '{"a":NaN}', "malformed_json"],
    ["Infinity", '{"a":-Infinity}', "malformed_json"],
    ["a leading zero", '{"a":01}', "malformed_json"],
    ["a leading plus", '{"a":+1}', "malformed_json"],
    ["a bare newline in a text", '{"a":"\n"}', "malformed_json"],
    ["half a surrogate pair", '{"a":"\\ud800"}', "malformed_json"],
    ["a NUL after the end", Buffer.from('{"a":1}\0'), "malformed_json"],
    ["an escaped NUL in a text", '{"a":"x\\u0000y"}', "nul_character"],
    ["an escaped NUL in a name", '{"a\\u0000b":1}', "nul_character"],
    ["the same name twice", '{"a":1,"a":1}', "duplicate_key"],
    ["the same name twice, once escaped", '{"a":1,"\\u0061":2}', "duplicate_key"],
    ["the same name twice, deep inside", '{"b":[{"a":1,"a":2}]}', "duplicate_key"],
    ["a broken sequence", bytes(0xc3, 0x28), "invalid_utf8"],
    ["an overlong sequence", bytes(0xc0, 0xaf), "invalid_utf8"],
    ["an encoded surrogate", bytes(0xed, 0xa0, 0x80), "invalid_utf8"],
    ["a byte that begins nothing", bytes(0xff), "invalid_utf8"],
    ["a sequence cut short", bytes(0xe2, 0x82), "invalid_utf8"],
    ["a code point beyond the last", bytes(0xf4, 0x90, 0x80, 0x80), "invalid_utf8"],
    ["an integer beyond 64 bits", '{"a":9223372036854775808}', "number_out_of_range"],
    ["a negative integer beyond 64 bits", '{"a":-9223372036854775809}', "number_out_of_range"],
    ["a huge integer", `{"a":${"9".repeat(400)}}`, "number_out_of_range"],
    ["a real beyond double", '{"a":1e400}', "number_out_of_range"],
    ["33 levels", nested(33), "too_deep"],
    ["a thousand levels", nested(1000), "too_deep"],
    ["brackets that never close", "[".repeat(10_000), "too_deep"],
    ["an array", "[]", "wrong_root"],
    ["an array of a good body", JSON.stringify([JOB]), "wrong_root"],
    ["a text", '"text"', "wrong_root"],
    ["a number", "7", "wrong_root"],
    ["true", "true", "wrong_root"],
    ["null", "null", "wrong_root"],
  ];
  for (const [name, raw, code] of cases)
    it(`is refused as ${code}: ${name}`, async () => {
      for (const one of jsonOperations.filter(({ requestBody }) => requestBody.required || raw !== ""))
        assertCode(await send(one, { raw }), 400, code);
    });

  it("is refused as too_many_values: 100,001 numbers", async () => {
    const raw = `{"a":[${Array(100_001).fill("0").join(",")}]}`;
    for (const one of jsonOperations.filter(({ "x-body-limit": limit }) => limit > raw.length))
      assertCode(await send(one, { raw }), 400, "too_many_values");
  });

  it("is taken at 32 levels, in a member it does not know", async () => {
    const raw = JSON.stringify(JOB).replace(/}$/, `,"a":${"[".repeat(31)}${"]".repeat(31)}}`);
    assert.equal((await send(operation("createJob"), { raw })).status, 201);
  });

  it("is taken with 64-bit integers at their ends, in metadata", async () => {
    for (const number of ["9223372036854775807", "-9223372036854775808"]) {
      const raw = JSON.stringify(JOB).replace(/}$/, `,"metadata":{"n":${number}}}`);
      const reply = await send(operation("createJob"), { raw });
      assert.equal(reply.status, 201, reply.text);
      assert.match(reply.text, new RegExp(`"n":\\s*${number}[,}]`));
    }
  });
});

describe("the size of a body", () => {
  const padded = (body, size) => {
    const text = JSON.stringify(body);
    return text.slice(0, -1) + " ".repeat(size - Buffer.byteLength(text)) + "}";
  };

  for (const one of jsonOperations) {
    const limit = one["x-body-limit"];
    const ways = { "with Content-Length": {}, "in chunks": { "content-length": null, "transfer-encoding": "chunked" } };
    for (const [name, headers] of Object.entries(ways))
      it(`may not exceed the limit of ${one.operationId} by one byte, ${name}`, async () => {
        const raw = padded(BODIES[one.operationId], limit + 1);
        const reply = await send(one, { raw, headers });
        assert.equal(reply.status, 413, reply.text);
      });
  }

  it("may not exceed 1 MiB where no body is asked for, of any operation", async () => {
    const raw = Buffer.alloc((1 << 20) + 1, " ");
    for (const one of operations.filter((other) => other["x-access"] === "read")) {
      const reply = await send(one, { raw });
      assert.equal(reply.status, 413, `${one.operationId}: ${reply.text}`);
    }
  });

  it("may be the limit exactly", async () => {
    for (const headers of [{}, { "content-length": null, "transfer-encoding": "chunked" }]) {
      const reply = await send(operation("createJob"), { raw: padded(JOB, 1 << 20), headers });
      assert.equal(reply.status, 201, reply.text);
    }
  });

  for (const mebibytes of [2, 8, 32])
    it(`is refused to a client that sends ${mebibytes} MiB before it listens`, async () => {
      for (let i = 0; i < 5; i++) {
        const reply = await send(operation("createJob"), { raw: Buffer.alloc(mebibytes << 20, " ") });
        assert.equal(reply.status, 413, reply.text);
      }
    });

  it("is judged by what is announced, before it is sent whole", async () => {
    const reply = await buyer.request("POST", "/v1/jobs", {
      raw: "{}",
      headers: { expect: "100-continue", "content-length": String(64 << 20), "idempotency-key": "a" },
    });
    assert.equal(reply.status, 413);
  });
});

describe("the media type of a body", () => {
  const refused = ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json", "multipart/form-data; boundary=x", "json"];
  for (const type of refused)
    it(`is refused when it is ${type}`, async () => {
      for (const one of jsonOperations)
        assert.equal((await send(one, { headers: { "content-type": type } })).status, 415, one.operationId);
    });

  it("is refused when it is not given", async () => {
    for (const one of jsonOperations)
      assert.equal((await send(one, { headers: { "content-type": null } })).status, 415, one.operationId);
  });

  for (const type of ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"])
    it(`is taken when it is ${type}`, async () => {
      assert.equal((await send(operation("createJob"), { headers: { "content-type": type } })).status, 201);
    });
});

describe("the Idempotency-Key header", () => {
  it("is required on createJob", async () => {
    const reply = await buyer.post("/v1/jobs", JOB);
    assertFaults(reply, 400, [{ field: "Idempotency-Key", code: "required" }]);
  });

  const bad = {
    "256 characters": "k".repeat(256), "a space inside": "a b", "a letter beyond ASCII": "caf\u00e9", "two of them": ["a", "b"], "the same one twice": ["a", "a"],
  };
  for (const [name, key] of Object.entries(bad))
    it(`is refused with ${name}, on every operation that honours it`, async () => {
      for (const one of operations.filter((other) => other["x-idempotent"] && other.credential === "key")) {
        const reply = await send(one, { headers: { "idempotency-key": key } });
        assert.equal(reply.status, 400, `${one.operationId}: ${reply.text}`);
        assert.equal(reply.json.error.details[0].field, "Idempotency-Key");
      }
    });

  it("may have 255 visible characters", async () => {
    assert.equal((await buyer.postJob({}, { idempotencyKey: "~".repeat(255) })).status, 201);
    assert.equal((await buyer.postJob({}, { idempotencyKey: "!" })).status, 201);
  });
});

describe("a path", () => {
  for (const path of ["/", "/v1", "/v1/", "/v1/nothing", "/v1/jobs/", "/v1//jobs", "/V1/jobs", "/v1/jobs%00", "/v1/%ff", "/v1/jobs/x/y", "/openapi.json/", "/v1/billing/credits/purchased"])
    it(`that the contract does not have is 404: ${path}`, async () => {
      for (const client of [buyer, nobody])
        for (const method of ["GET", "POST", "DELETE"])
          assertCode(await client.request(method, path), 404, "route_not_found");
    });

  it("answers 405 to every method it does not have, and says which it has", async () => {
    for (const path of new Set(operations.map((one) => one.path))) {
      const target = path.replace(/\{([^}]+)\}/g, (_, name) => NOBODY[name]);
      for (const method of ["GET", "PUT", "POST", "PATCH", "DELETE"]) {
        if (findOperation(method, target).operation) continue;
        const reply = await nobody.request(method, target);
        assertCode(reply, 405, "method_not_allowed");
      }
    }
  });

  it("answers HEAD wherever it answers GET, without a body", async () => {
    const own = server.client((await server.createOrg({ credits: 1000 })).live_key);
    await own.createJob();
    for (const path of ["/v1/jobs", "/v1/billing/credits", "/healthz"]) {
      const [head, get] = [await own.request("HEAD", path), await own.get(path)];
      assert.equal(head.status, 200);
      assert.equal(head.headers["content-length"], get.headers["content-length"]);
    }
  });

  it("takes a percent-encoded id for the id", async () => {
    const job = await buyer.createJob();
    const encoded = job.id.replace("_", "%5f").replace("0", "%30");
    assert.equal((await buyer.get(`/v1/jobs/${encoded}`)).json.id, job.id);
  });
});

describe("the order of refusals", () => {
  const BIG = " ".repeat((1 << 20) + 1);
  const scoped = {};

  before(async () => {
    const { secret } = await server.createKey({ org: org.organization_id, scopes: ["usage:read"] });
    scoped.client = server.client(secret);
  });

  const plain = { "content-type": "text/plain" };

  it("has the path before everything", async () => {
    assert.equal((await nobody.request("POST", "/v1/nothing", { raw: BIG, headers: plain })).status, 404);
  });
  it("has the method before the body", async () => {
    assert.equal((await nobody.request("PUT", "/v1/jobs", { raw: BIG, headers: plain })).status, 405);
  });
  it("has the body's size before its type", async () => {
    assert.equal((await nobody.request("POST", "/v1/jobs", { raw: BIG, headers: plain })).status, 413);
  });
  it("has the body's type before credentials", async () => {
    assert.equal((await nobody.request("POST", "/v1/jobs", { raw: "{", headers: plain })).status, 415);
  });
  it("has credentials before the scope, headers and JSON", async () => {
    assert.equal((await nobody.request("POST", "/v1/jobs", { raw: "{" })).status, 401);
    assert.equal((await nobody.get("/v1/jobs?limit=0")).status, 401);
  });
  it("has the scope before headers, query and JSON", async () => {
    assert.equal((await scoped.client.request("POST", "/v1/jobs", { raw: "{" })).status, 403);
    assert.equal((await scoped.client.get("/v1/jobs?limit=0")).status, 403);
    assert.equal((await scoped.client.get(`/v1/jobs/${NOBODY.job_id}`)).status, 403);
  });
  it("has headers and JSON before what the body says", async () => {
    assert.equal((await buyer.post("/v1/jobs", {})).status, 400);
  });
  it("has the query before the object", async () => {
    assert.equal((await buyer.get(`/v1/jobs/${NOBODY.job_id}/files?limit=0`)).status, 400);
  });
  it("has the body before the idempotency record", async () => {
    const idempotencyKey = randomUUID();
    assert.equal((await buyer.postJob({}, { idempotencyKey })).status, 201);
    assert.equal((await buyer.postJob({ files_needed: 0 }, { idempotencyKey })).status, 422);
  });
  it("has the idempotency record before the object", async () => {
    const job = await buyer.createJob();
    const headers = { "idempotency-key": randomUUID() };
    assert.equal((await buyer.request("POST", `/v1/jobs/${job.id}/cancel`, { headers })).status, 200);
    assertCode(await buyer.request("POST", `/v1/jobs/${NOBODY.job_id}/cancel`, { headers }), 409, "idempotency_key_reused");
  });
  it("has the idempotency record before the balance", async () => {
    const poor = server.client((await server.createOrg({ credits: 100 })).live_key);
    const idempotencyKey = randomUUID();
    assert.equal((await poor.postJob({}, { idempotencyKey })).status, 201);
    assertCode(await poor.postJob({ files_needed: 10_000 }, { idempotencyKey }), 409, "idempotency_key_reused");
    assert.equal((await poor.postJob({ files_needed: 10_000 })).status, 402);
  });
  it("has the object before its state", async () => {
    const job = await buyer.createJob();
    assert.equal((await buyer.post(`/v1/jobs/${job.id}/cancel`)).status, 200);
    assertCode(await buyer.post(`/v1/jobs/${job.id}/cancel`), 409, "job_not_cancellable");
    assert.equal((await buyer.post(`/v1/jobs/${NOBODY.job_id}/cancel`)).status, 404);
  });
});
