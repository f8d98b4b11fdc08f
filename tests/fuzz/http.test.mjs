/* The HTTP fuzzer, for a fixed number of cases, on the requests written by hand first; and that its
 * judge can say no. tests/fuzz/http_fuzz.mjs runs it for longer. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Random } from "../lib/random.mjs";
import { readRequests } from "../lib/raw-http.mjs";
import { Target, fuzz, seeds } from "./http/fuzz.mjs";
import { judge } from "./http/judge.mjs";

const SEED = 20;
const CASES = 2500;

describe("a server under malformed requests", () => {
  let target;
  before(async () => { target = await Target.open(); });
  after(() => target?.stop());

  for (const [name, text] of seeds())
    it(`answers ${name} with the status in its name`, async () => {
      const random = new Random(SEED);
      const replies = await target.send(Buffer.from(target.world.filled(text, random), "latin1"), random);
      assert.equal(String(replies[0]?.status), name.split(".")[1]);
    });

  it(`answers ${CASES} cases as HTTP, and everybody else as ever`, async () => {
    const counts = await fuzz(target, { seed: SEED, isOver: (begun) => begun >= CASES });
    assert.equal(counts.cases, CASES);
    for (const status of [200, 201, 204, 400, 401, 404, 405, 409, 413, 415, 422, 431, 501])
      assert.ok(counts.byStatus[status] > 0, `${status} was never met: ${JSON.stringify(counts.byStatus)}`);
    for (const end of ["clean", "malformed", "incomplete", "disputed"]) assert.ok(counts.byEnd[end] > 0, `${end} was never sent`);
  });
});

describe("the judge of replies", () => {
  const ID = "X-Request-Id: req_01ARZ3NDEKTSV4RRFFQ69G5FAV";
  const OK = `HTTP/1.1 200 OK\r\nDate: x\r\n${ID}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 15\r\n\r\n{"status":"ok"}`;
  const REFUSAL = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
  const GET = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  const judged = (sent, received) =>
    judge(readRequests(Buffer.from(sent, "latin1")), { received: Buffer.from(received, "latin1"), isReset: false, isHung: false });

  const right = {
    "one reply to one request": [GET, OK],
    "two to two": [GET + GET, OK + OK],
    "a refusal of what is malformed": [`${GET}GET /\n\r\n`, OK + REFUSAL],
    "nothing to half a request": ["GET /he", ""],
    "a reply that closes": [GET + GET, OK.replace("Date: x", "Connection: close")],
    "a reply without a body to HEAD": [GET.replace("GET", "HEAD"), OK.slice(0, -15)],
  };
  for (const [name, [sent, received]] of Object.entries(right)) it(`passes ${name}`, () => { judged(sent, received); });

  const wrong = {
    "two replies to one request": [GET, OK + OK],
    "none to a whole one": [GET, ""],
    "a missing one, and no word of closing": [GET + GET, OK],
    "half a reply": [GET, OK.slice(0, -1)],
    "something behind a reply": [GET, `${OK}x`],
    "a reply that is no HTTP": [GET, "hello"],
    "a 500": [GET, OK.replace("200 OK", "500 Internal Server Error")],
    "a header that the server does not write": [GET, OK.replace("Date: x", "X-Injected: 1")],
    "a header with a control character": [GET, OK.replace("Date: x", "Date: x\x01")],
    "a header that comes twice": [GET, OK.replace("Date: x", ID)],
    "a reply outside the contract": [GET, OK.replace('"ok"', "null")],
    "a status outside the contract": [GET, OK.replace("200 OK", "201 Created")],
    "a malformed request that is taken": ["GET /healthz HTTP/1.1\r\n\r\n", OK.replace("Date: x", "Connection: close")],
    "two lengths that are taken": ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", OK.replace("Date: x", "Connection: close")],
    "a refusal after which more is heard": ["GET /\n\r\n", REFUSAL.replace("close", "keep-alive")],
    "a reply to what is hidden behind chunks": ["POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", OK + OK],
  };
  for (const [name, [sent, received]] of Object.entries(wrong)) it(`does not pass ${name}`, () => { assert.throws(() => judged(sent, received)); });
});
