/* A page of any origin may use the worker's API, whose only credential is a token that the page must have; no
 * page may use anything else. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { operations } from "../lib/contract.mjs";
import { openMarket } from "../lib/market.mjs";
import { fetchAsPage, ORIGIN, preflight, sendPlain } from "../lib/page.mjs";
import { requestFor } from "../lib/requests.mjs";
import { sample } from "../lib/samples.mjs";

const isWorkers = ({ path }) => path.startsWith("/worker/v1/");
const crossHeaders = ({ headers }) => Object.keys(headers).filter((name) => name.startsWith("access-control-"));

let market;
before(async () => {
  market = await openMarket();
});
after(() => market?.stop());

const urlOf = (one) => `${market.server.base}${requestFor(one)[1]}`;

describe("a page of another origin", () => {
  for (const one of operations.filter(isWorkers))
    it(`may ask for ${one.operationId}`, async () => {
      const names = one.parameters.filter((parameter) => parameter.in === "header").map(({ name }) => name.toLowerCase());
      await preflight(one.method, urlOf(one), ["authorization", "content-type", ...names]);
    });

  it("takes a slot, sends a file and sees how it went", async () => {
    const headers = { authorization: `Bearer ${market.worker.token}` };
    const job = await market.job();
    const ask = (method, path, options = {}) =>
      fetchAsPage(method, `${market.server.base}/worker/v1${path}`, { ...options, headers: { ...headers, ...options.headers } });
    const taken = await ask("POST", `/jobs/${job.id}/accept`, { headers: { "idempotency-key": "page" } });
    assert.equal(taken.status, 201, taken.text);
    const again = await ask("POST", `/jobs/${job.id}/accept`, { headers: { "idempotency-key": "page" } });
    assert.equal(again.headers["idempotent-replayed"], "true");
    const { id, submission_id } = JSON.parse(taken.text);
    const sent = await ask("PUT", `/reservations/${id}/file`, { payload: sample("photo.jpg"), headers: { "content-disposition": 'attachment; filename="a.jpg"' } });
    assert.equal(sent.status, 201, sent.text);
    assert.ok(sent.headers["x-request-id"]);
    assert.equal((await ask("GET", `/submissions/${submission_id}`)).status, 200);
  });

  it("is told of a refusal, too", async () => {
    for (const [path, status] of [["/worker/v1/jobs", 401], ["/worker/v1/nothing", 404]]) {
      const reply = await fetchAsPage("GET", `${market.server.base}${path}`);
      assert.equal(reply.status, status);
      assert.ok(reply.headers["x-request-id"]);
    }
  });

  it("is let into nothing else", async () => {
    for (const one of operations.filter((other) => !isWorkers(other))) {
      const asking = { origin: ORIGIN, "access-control-request-method": one.method };
      const reply = await sendPlain("OPTIONS", urlOf(one), asking);
      assert.ok(reply.status >= 400, `${one.operationId}: ${reply.status}`);
      assert.deepEqual(crossHeaders(reply), [], one.operationId);
    }
    const read = await sendPlain("GET", `${market.server.base}/v1/jobs`, { origin: ORIGIN, authorization: `Bearer ${market.buyer.token}` });
    assert.deepEqual([read.status, crossHeaders(read)], [200, []]);
  });
});

describe("whoever is no page", () => {
  it("hears nothing of origins", async () => {
    const read = await sendPlain("GET", `${market.server.base}/worker/v1/jobs`, { authorization: `Bearer ${market.worker.token}` });
    assert.deepEqual([read.status, crossHeaders(read)], [200, []]);
  });

  it("is told which methods a path has", async () => {
    const reply = await sendPlain("OPTIONS", `${market.server.base}/worker/v1/jobs`, {});
    assert.deepEqual([reply.status, reply.headers.allow], [405, "GET, HEAD"]);
  });
});
