/* The checks of histories can fail: each is shown a small history that is right, and the same with
 * one thing wrong in it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as checks from "./checks.mjs";
import { History } from "./history.mjs";

const reply = (json, { status = 200, headers = {} } = {}) => ({ status, headers, json, text: JSON.stringify(json) });
const again = { status: 201, headers: { "idempotent-replayed": "true" } };
const job = (id, status, approved = 0) => ({ id, status, files_needed: 2, files_approved: approved, price_per_file_cents: 10 });
const row = (id, type, amount, running, jobId = null) =>
  ({ id, type, amount_cents: amount, running_balance_cents: running, job_id: jobId, description: type === "refund" ? "Job cancelled" : "" });

/* [kind, begin, end, facts, reply] a line. */
const historyOf = (lines) => {
  const history = new History();
  history.operations = lines.map(([kind, begin, end, facts, answer]) => ({ kind, begin, end, ...facts, reply: answer }));
  return history;
};

/* right passes; wrong, which is right with something changed, does not. */
function finds(check, right, change) {
  check(right());
  const wrong = right();
  change(wrong);
  assert.throws(() => check(wrong), assert.AssertionError);
}

describe("a check of answers finds", () => {
  const check = (history) => checks.oneAnswerPerKey(history.operations);
  const right = () => historyOf([
    ["create", 1, 2, { org: "o", key: "k", body: 1 }, reply({ id: "a" }, { status: 201 })],
    ["create", 3, 4, { org: "o", key: "k", body: 1 }, reply({ id: "a" }, again)],
    ["create", 5, 6, { org: "o", key: "k", body: 2 }, reply({}, { status: 409 })],
  ]);

  it("two jobs of one key", () => finds(check, right, ({ operations }) => (operations[1].reply = reply({ id: "b" }, again))));
  it("a repeat that was done again", () => finds(check, right, ({ operations }) => (operations[1].reply.headers = {})));
  it("a key that was good for two bodies", () => finds(check, right, ({ operations }) => (operations[2].reply = reply({ id: "a" }, again))));
  it("a repeat that was refused", () => finds(check, right, ({ operations }) => (operations[1].reply = reply({}, { status: 402 }))));
  it("a refusal without a reason", () => finds(
    (history) => checks.refusedForReason(history.of("create")),
    () => historyOf([
      ["create", 1, 2, { org: "o", key: "k", body: 1 }, reply({}, { status: 201 })],
      ["create", 3, 4, { org: "o", key: "k", body: 2 }, reply({ error: { details: [{ code: "idempotency_key_reused" }] } }, { status: 409 })],
    ]),
    ({ operations }) => (operations[1].body = 1),
  ));
});

describe("a check of jobs finds", () => {
  const right = () => historyOf([
    ["create", 1, 2, { org: "o", key: "k", body: 1 }, reply(job("a", "open"), { status: 201 })],
    ["list", 3, 4, {}, reply({ data: [job("a", "open")], has_more: false })],
    ["cancel", 5, 6, { job: "a" }, reply(job("a", "cancelled", 1))],
    ["getJob", 7, 8, {}, reply(job("a", "cancelled", 1))],
  ]);
  const moves = (history) => checks.jobsOnlyMoveOn(history.of("list", "cancel", "getJob"));
  const listed = (history) => checks.listsAreComplete(history.of("list"), checks.birthsOf(history.of("create")));

  it("one that comes back", () => finds(moves, right, ({ operations }) => (operations[3].reply = reply(job("a", "open", 1)))));
  it("one that ends twice", () => finds(moves, right, ({ operations }) => (operations[3].reply = reply(job("a", "completed", 1)))));
  it("one that loses an approval", () => finds(moves, right, ({ operations }) => (operations[3].reply = reply(job("a", "cancelled")))));
  it("one that is not in a list", () => finds(listed, right, ({ operations }) => (operations[1].reply.json.data = [])));
  it("one in a list before it was asked for", () => finds(listed, right, ({ operations }) => (operations[0].begin = 9)));
  it("one that nobody asked for", () => finds(
    ({ rows, births }) => checks.everyJobIsThereOnce(rows, births),
    () => ({ rows: [job("a")], births: checks.birthsOf(right().of("create")) }),
    ({ rows }) => rows.push(job("b")),
  ));
  it("one that was cancelled twice", () => finds(
    (history) => checks.cancelledOnce(history.of("cancel")), right,
    ({ operations }) => operations.push({ ...operations[2], begin: 9, end: 10 }),
  ));
});

describe("a check of money finds", () => {
  const rows = () => [row("t1", "bonus", 100, 100), row("t2", "deduction", -20, 80, "a"), row("t3", "refund", 20, 100, "a")];
  const right = () => historyOf([
    ["balance", 1, 2, {}, reply({ balance_cents: 100, held_cents: 0, total_cents: 100 })],
    ["create", 3, 4, { org: "o", key: "k", body: 1 }, reply(job("a", "open"), { status: 201 })],
    ["balance", 5, 6, {}, reply({ balance_cents: 80, held_cents: 20, total_cents: 100 })],
    ["cancel", 7, 10, { job: "a" }, reply(job("a", "cancelled"))],
    ["transactions", 8, 9, {}, reply({ data: rows().reverse(), has_more: false })],
    ["balance", 11, 12, {}, reply({ balance_cents: 100, held_cents: 0, total_cents: 100 })],
  ]);
  const order = (history) => checks.readsAreInOrder(
    history.of("balance", "transactions"), rows(), checks.birthsOf(history.of("create")), history.of("cancel"));
  const shows = (at, cents) => ({ operations }) => (operations[at].reply = reply({ balance_cents: cents }));

  it("a balance that never was", () => finds(order, right, shows(0, 99)));
  it("a balance from before what was acknowledged", () => finds(order, right, shows(2, 100)));
  it("a balance from before what was seen", () => finds(order, right, shows(5, 80)));
  it("a balance from after what was asked later", () => finds(order, right, shows(0, 80)));
  it("a page with a row missing", () => finds(order, right, ({ operations }) => operations[4].reply.json.data.splice(1, 1)));
  it("a balance that does not add up", () => finds(
    (history) => checks.balancesAddUp(history.of("balance")), right,
    ({ operations }) => (operations[2].reply.json.held_cents = 19),
  ));

  const books = () => ({
    granted: 100, balance: 70, held: 10, jobs: [job("a", "in_progress", 1), job("b", "cancelled", 1)],
    rows: [row("t2", "deduction", -20, 80, "a"), row("t3", "deduction", -20, 60, "b"), row("t4", "refund", 10, 70, "b")],
  });
  it("a cent too many", () => finds(checks.moneyIsConserved, books, (all) => all.balance++));
  it("a refund that is not exact", () => finds(checks.moneyIsConserved, books, (all) => all.rows[2].amount_cents--));
  it("a job paid for twice", () => finds(checks.moneyIsConserved, books, (all) => all.rows.push({ ...all.rows[0] })));
  it("a hold that no job has", () => finds(checks.moneyIsConserved, books, (all) => (all.held++, all.balance--)));
});

describe("a check of workers finds", () => {
  const births = new Map([["a", { from: 1, to: 2, job: job("a", "open") }]]);
  const accepted = (id, begin) => ["accept", begin, begin + 1, { worker: "w" }, reply({ id, job_id: "a", submission_id: `s${id}` }, { status: 201 })];
  const right = () => historyOf([
    accepted("r1", 1), accepted("r2", 3),
    ["put", 5, 6, { reservation: { id: "r1" } }, reply({}, { status: 201 })],
    ["release", 7, 8, { reservation: { id: "r2" } }, reply({}, { status: 204 })],
    accepted("r3", 9),
    ["reservations", 11, 12, { worker: "w" }, reply({ data: [{ id: "r3" }] })],
  ]);
  const slots = (history) => checks.slotsGiven(history, new Set(["sr1"]));

  it("more slots than a job has", () => finds(
    (history) => checks.slotsAreNeverOver(slots(history), births), right, ({ operations }) => operations.splice(3, 1)));
  it("a held slot that is not listed", () => finds(
    (history) => checks.heldSlotsAreListed(history.of("reservations"), slots(history), history), right,
    ({ operations }) => (operations[5].reply.json.data = [])));

  const jobs = new Map([["a", { ...job("a", "in_progress", 1), worker_payout_per_file_cents: 8 }]]);
  const paid = () => ({
    submissions: [{ id: "s1", job_id: "a", status: "approved" }, { id: "s2", job_id: "a", status: "rejected" }],
    earnings: [{ submission_id: "s1", amount_cents: 8 }], balance: 8,
  });
  const check = (all) => checks.workersArePaid(all, jobs);
  it("a file paid twice", () => finds(check, paid, (all) => all.earnings.push(all.earnings[0])));
  it("a rejected file paid", () => finds(check, paid, (all) => (all.earnings[0].submission_id = "s2")));
  it("another price", () => finds(check, paid, (all) => (all.earnings[0].amount_cents = all.balance = 9)));
  it("a balance that is not the sum", () => finds(check, paid, (all) => all.balance++));
  it("an approval that is not counted", () => finds(
    ({ submissions }) => checks.approvalsMatch(jobs, submissions), paid, (all) => (all.submissions[1].status = "approved")));
});

describe("a check of API keys finds", () => {
  const right = () => historyOf([
    ["useKey", 1, 2, { apiKey: "k" }, reply({})],
    ["revokeKey", 3, 4, { apiKey: "k" }, reply(null, { status: 204 })],
    ["useKey", 5, 6, { apiKey: "k" }, reply({}, { status: 401 })],
  ]);
  it("one that works after it was revoked", () => finds(checks.keysEndWhenRevoked, right, ({ operations }) => (operations[2].reply.status = 200)));
  it("one that ends before", () => finds(checks.keysEndWhenRevoked, right, ({ operations }) => (operations[0].reply.status = 401)));
});
