/* What a job may ask beyond the seed: every field comes back, is shown to workers, and is held. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assertRefused, openMarket } from "../lib/market.mjs";
import { sample } from "../lib/samples.mjs";

const BERLIN = { lat: 52.516275, lng: 13.377704, radius_km: 2.5 };
const ABSENT = {
  title: null, min_star_rating: 3, scoring_criteria: null, scoring_ignore: null, worker_guidelines: null, min_width: null, min_height: null,
  min_duration_seconds: null, max_duration_seconds: null, deadline: null, location: null, max_files_per_worker: null,
  rating: null, rating_comment: null, flags_count: 0, flag_reason: null,
};
const FAR = "2150-01-01T00:00:00.000Z";
const ALL = {
  title: "Schilder – ü", min_star_rating: 4, scoring_criteria: "sharp", scoring_ignore: ["noise", "naturalness"], worker_guidelines: "By daylight.", min_width: 640, min_height: 480,
  min_duration_seconds: 1.5, max_duration_seconds: 86_400, deadline: FAR, location: BERLIN, max_files_per_worker: 2,
};

const pick = (object, names) => Object.fromEntries(names.map((name) => [name, object[name]]));
const faultsOf = (reply) => reply.json.error.details.map(({ field, code }) => [field, code]);

let market;
before(async () => {
  market = await openMarket();
});
after(() => market?.stop());

describe("a job's optional fields", () => {
  it("come back from every operation that shows the job", async () => {
    const job = await market.job(ALL);
    const listed = (await market.buyer.all("/v1/jobs")).find(({ id }) => id === job.id);
    const cancelled = (await market.buyer.post(`/v1/jobs/${job.id}/cancel`)).json;
    for (const shown of [job, listed, cancelled]) assert.deepEqual(pick(shown, Object.keys(ALL)), ALL);
  });

  it("are as in the seed when they are absent", async () => {
    const job = await market.job();
    assert.deepEqual(pick(job, Object.keys(ABSENT)), ABSENT);
    assert.deepEqual(await market.getJob(job), job);
  });

  it("of a store from before 0 and none were told apart are none", async () => {
    const job = await market.job();
    await market.server.halt();
    const text = `UPDATE jobs SET min_duration_ms = 0 WHERE id = '${job.id}'; DELETE FROM schema_migrations WHERE version = 15;`;
    execFileSync("sqlite3", [join(market.server.dataDir, "store.db"), text]);
    await market.server.launch();
    market.reconnect();
    assert.deepEqual(await market.getJob(job), job);
  });

  it("are shown to workers, but for what is the scorer's", async () => {
    const job = await market.job(ALL);
    const { status, json } = await market.worker.get(`/worker/v1/jobs/${job.id}`);
    assert.equal(status, 200);
    const names = Object.keys(ALL).filter((name) => !["scoring_criteria", "scoring_ignore", "max_files_per_worker"].includes(name));
    assert.deepEqual(pick(json, names), pick(ALL, names));
    for (const name of ["scoring_criteria", "scoring_ignore"]) assert.ok(!(name in json), name);
  });

  it("have a deadline that is not over, in whatever year", async () => {
    for (const deadline of ["2001-02-03T04:05:06Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z"]) {
      const reply = await market.buyer.postJob({ deadline });
      assert.equal(reply.status, 422, `${deadline}: ${reply.text}`);
      assert.deepEqual(faultsOf(reply), [["deadline", "in_past"]], deadline);
    }
  });

  it("are held at their bounds", async () => {
    const atBounds = [
      { title: "t".repeat(100), scoring_criteria: "c".repeat(1000), worker_guidelines: "g".repeat(2000) },
      { scoring_ignore: ["sharp", "exposure", "noise", "blocking", "naturalness", "resolution"] },
      { min_star_rating: 1 }, { min_star_rating: 5 }, { min_width: 1, min_height: 1 }, { max_files_per_worker: 1 },
      { min_duration_seconds: 0.001, max_duration_seconds: 0.001 }, { min_duration_seconds: 0 }, { min_duration_seconds: 0, max_duration_seconds: 0.001 },
      { location: { lat: 90, lng: 180, radius_km: 20_100 } }, { location: { lat: -90, lng: -180, radius_km: 0.001 } },
    ];
    for (const fields of atBounds) assert.deepEqual(pick(await market.job(fields), Object.keys(fields)), fields);
    const beyond = [
      [{ title: "t".repeat(101) }, "title", "maxLength"], [{ scoring_criteria: "c".repeat(1001) }, "scoring_criteria", "maxLength"],
      [{ worker_guidelines: "g".repeat(2001) }, "worker_guidelines", "maxLength"], [{ min_star_rating: 0 }, "min_star_rating", "minimum"],
      [{ scoring_ignore: [] }, "scoring_ignore", "minItems"], [{ scoring_ignore: ["black"] }, "scoring_ignore[0]", "enum"],
      [{ scoring_ignore: Array(7).fill("sharp") }, "scoring_ignore", "maxItems"], [{ min_star_rating: 6 }, "min_star_rating", "maximum"], [{ min_width: 0 }, "min_width", "minimum"],
      [{ max_duration_seconds: 0 }, "max_duration_seconds", "minimum"], [{ max_files_per_worker: 0 }, "max_files_per_worker", "minimum"],
      [{ location: { ...BERLIN, lat: 90.000001 } }, "location.lat", "maximum"], [{ location: { ...BERLIN, lat: -91 } }, "location.lat", "minimum"],
      [{ location: { ...BERLIN, lng: 180.1 } }, "location.lng", "maximum"], [{ location: { ...BERLIN, lng: -180.1 } }, "location.lng", "minimum"],
      [{ location: { ...BERLIN, radius_km: 0 } }, "location.radius_km", "minimum"],
      [{ location: { ...BERLIN, radius_km: 20_101 } }, "location.radius_km", "maximum"],
      [{ location: { lat: 1, lng: 2 } }, "location.radius_km", "required"], [{ location: "Berlin" }, "location", "type"],
    ];
    for (const [fields, field, code] of beyond) {
      const reply = await market.buyer.postJob(fields);
      assert.equal(reply.status, 422, `${JSON.stringify(fields)}: ${reply.text}`);
      assert.deepEqual(faultsOf(reply), [[field, code]], JSON.stringify(fields));
    }
  });

  it("keep a place to nine decimals", async () => {
    const location = { lat: -0.123456789, lng: -179.999999999, radius_km: 1.234567 };
    assert.deepEqual((await market.job({ location })).location, location);
  });

  it("are the same in a replay, whatever has happened since", async () => {
    const options = { idempotencyKey: "all-fields" };
    const first = await market.buyer.postJob(ALL, options);
    await market.worker.post(`/worker/v1/jobs/${first.json.id}/flag`, { reason: "Odd." });
    const again = await market.buyer.postJob(ALL, options);
    assert.deepEqual([again.status, again.text], [201, first.text]);
  });
});

describe("a deadline", () => {
  it("is a time in the future, whatever its zone", async () => {
    const now = await market.server.advance(1);
    for (const deadline of [new Date(now - 1000).toISOString(), "2020-01-01T00:00:00Z"]) {
      const reply = await market.buyer.postJob({ deadline });
      assert.equal(reply.status, 422, reply.text);
      assert.deepEqual(faultsOf(reply), [["deadline", "in_past"]]);
    }
    for (const deadline of ["tomorrow", "2150-01-01", "2150-01-01T00:00:00", "2150-02-30T00:00:00Z"]) {
      const reply = await market.buyer.postJob({ deadline });
      assert.equal(reply.status, 422, reply.text);
      assert.deepEqual(faultsOf(reply), [["deadline", "format"]], deadline);
    }
    assert.equal((await market.job({ deadline: "2150-01-01T01:30:00+02:00" })).deadline, "2149-12-31T23:30:00.000Z");
  });
});

describe("a job with a location", () => {
  const accept = (job, body, worker = market.worker) => worker.post(`/worker/v1/jobs/${job.id}/accept`, body);
  let job;
  before(async () => {
    job = await market.job({ files_needed: 5, location: BERLIN });
  });

  it("names the coordinates that are missing", async () => {
    for (const [body, missing] of [[undefined, ["lat", "lng"]], [{}, ["lat", "lng"]], [{ lat: 52.5 }, ["lng"]], [{ lng: 13.4 }, ["lat"]]]) {
      const reply = await accept(job, body);
      assert.equal(reply.status, 422, reply.text);
      assert.deepEqual(faultsOf(reply), missing.map((name) => [name, "required"]));
    }
  });

  it("refuses coordinates that are none", async () => {
    const reply = await accept(job, { lat: 91, lng: "east" });
    assert.equal(reply.status, 422);
    assert.deepEqual(faultsOf(reply), [["lat", "maximum"], ["lng", "type"]]);
  });

  it("is accepted within its radius only", async () => {
    /* 2.5 km are 0.02248 degrees of latitude. */
    assertRefused(await accept(job, { lat: BERLIN.lat + 0.0226, lng: BERLIN.lng }), 403, "outside_area");
    assertRefused(await accept(job, { lat: BERLIN.lat, lng: -BERLIN.lng }), 403, "outside_area");
    const taken = await accept(job, { lat: BERLIN.lat + 0.0224, lng: BERLIN.lng });
    assert.equal(taken.status, 201, taken.text);
  });

  it("gives an unused reservation again to whoever holds it, wherever he is", async () => {
    const worker = await market.newWorker();
    const first = await accept(job, { lat: BERLIN.lat, lng: BERLIN.lng }, worker);
    const again = await accept(job, undefined, worker);
    assert.deepEqual([again.status, again.json], [200, first.json]);
  });

  it("does not keep where a worker was", async () => {
    const worker = await market.newWorker();
    const where = { lat: 52.51230456, lng: 13.37650987 };
    assert.equal((await accept(job, where, worker)).status, 201);
    assert.ok(!market.server.logLines.join("\n").includes("13.37650987"));
  });

  it("asks again for a second try", async () => {
    const retry = (submission, body) => market.worker.post(`/worker/v1/submissions/${submission.id}/retry`, body);
    const first = await accept(await market.job({ location: BERLIN }), BERLIN);
    const sent = await market.worker.putFile(first.json.id, sample("blurred.jpg"));
    const submission = await market.scored(sent.json);
    assert.equal(submission.may_retry, true);
    const missing = await retry(submission);
    assert.equal(missing.status, 422, missing.text);
    assert.deepEqual(faultsOf(missing), [["lat", "required"], ["lng", "required"]]);
    assertRefused(await retry(submission, { lat: BERLIN.lat, lng: -BERLIN.lng }), 403, "outside_area");
    const taken = await retry(submission, { lat: BERLIN.lat, lng: BERLIN.lng });
    assert.equal(taken.status, 201, taken.text);
    assert.equal((await market.worker.putFile(taken.json.id, sample("photo-2.jpg"))).json.attempt, 2);
  });

  it("asks nothing of those who accept another job", async () => {
    const elsewhere = await market.job({ files_needed: 2 });
    assert.equal((await accept(elsewhere)).status, 201);
    assert.equal((await accept(elsewhere, { lat: 0, lng: 0 }, await market.newWorker())).status, 201);
  });
});
