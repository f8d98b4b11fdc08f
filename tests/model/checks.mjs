/* What must be true of a history, of what the server says when all is quiet, and of both. */
import assert from "node:assert/strict";
import { groupBy, inOrder, isReplay } from "./history.mjs";

const RANKS = { open: 0, in_progress: 1, completed: 2, cancelled: 2 };
const isDone = ({ reply }) => reply.status < 300;
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

/* --- requests sent again --- */

/* One key, one job, one answer byte for byte; another body is refused once there is one. */
export function oneAnswerPerKey(operations) {
  for (const [key, sent] of groupBy(operations.filter(({ key }) => key), ({ org, worker, kind, job, submission, key: k }) =>
    [org, worker, kind, job, submission, k].join(" "))) {
    const answers = sent.filter(isDone);
    if (answers.length === 0) continue;
    assert.equal(answers.filter((one) => !isReplay(one)).length, 1, `${key}: done once, then only told again`);
    assert.equal(new Set(answers.map(({ reply }) => reply.text)).size, 1, `${key}: byte for byte the same`);
    assert.equal(new Set(answers.map(({ body }) => JSON.stringify(body))).size, 1, `${key}: for one body`);
    refusedAfter(key, sent, answers);
  }
}

function refusedAfter(key, sent, answers) {
  const first = Math.min(...answers.map(({ end }) => end));
  for (const one of sent.filter(({ begin }) => begin > first)) {
    const isSame = JSON.stringify(one.body) === JSON.stringify(answers[0].body);
    assert.equal(one.reply.status, isSame ? answers[0].reply.status : 409, `${key}: after its first answer`);
  }
}

/* A 409 that is not for the state comes of another body under the same key. */
export function refusedForReason(creates) {
  const bodies = groupBy(creates, ({ org, key }) => `${org} ${key}`);
  for (const { org, key, reply } of creates.filter(({ reply: { status } }) => status === 409)) {
    assert.equal(reply.json.error.details[0].code, "idempotency_key_reused");
    const others = bodies.get(`${org} ${key}`).map(({ body }) => JSON.stringify(body));
    assert.ok(new Set(others).size > 1, `${key} was refused without another body`);
  }
}

/* --- jobs --- */

/* Job id → the moments between which it came into being. */
export function birthsOf(creates) {
  const births = new Map();
  for (const [, sent] of groupBy(creates, ({ org, key }) => `${org} ${key}`)) {
    const answers = sent.filter(isDone);
    if (answers.length === 0) continue;
    const body = JSON.stringify(answers[0].body);
    const tries = sent.filter((one) => JSON.stringify(one.body) === body);
    births.set(answers[0].reply.json.id, {
      from: Math.min(...tries.map(({ begin }) => begin)),
      to: Math.min(...answers.map(({ end }) => end)),
      job: answers[0].reply.json,
    });
  }
  return births;
}

export function everyJobIsThereOnce(rows, births) {
  assert.deepEqual(rows.map(({ id }) => id).sort(), [...births.keys()].sort(), "what was acknowledged, and no more");
}

/* Rows of jobs as they were when the operation ran. */
function jobsSeen(operation) {
  if (operation.kind === "list") return operation.reply.json.data;
  if (operation.kind === "cancel" && isReplay(operation)) return [];
  return [operation.reply.json];
}

/* A job never goes back, whoever looks. */
export function jobsOnlyMoveOn(operations) {
  const seen = operations.filter(isDone).flatMap((operation) =>
    jobsSeen(operation).map((job) => ({ begin: operation.begin, end: operation.end, job })));
  for (const [id, sightings] of groupBy(seen, ({ job }) => job.id)) {
    let last = { status: "open", files_approved: 0 };
    const over = ({ job }) => {
      if (RANKS[job.status] > RANKS[last.status]) last = { ...last, status: job.status };
      last.files_approved = Math.max(last.files_approved, job.files_approved);
    };
    inOrder(sightings, over, ({ job }) => {
      assert.ok(RANKS[job.status] >= RANKS[last.status], `${id} was ${last.status}, then ${job.status}`);
      if (RANKS[last.status] === 2) assert.equal(job.status, last.status, `${id} ended twice`);
      assert.ok(job.files_approved >= last.files_approved, `${id} lost an approval`);
      assert.ok(job.files_approved <= job.files_needed, `${id} has more than it needs`);
    });
  }
}

/* A list has every job that was there before it was asked for, down to where it ends. */
export function listsAreComplete(lists, births) {
  for (const { begin, end, reply: { json } } of lists) {
    const ids = json.data.map(({ id }) => id);
    const lowest = json.has_more ? ids.at(-1) : "";
    for (const [id, { from, to }] of births) {
      if (to < begin && id >= lowest) assert.ok(ids.includes(id), `${id} was there, and is not in a list`);
      if (from > end) assert.ok(!ids.includes(id), `${id} is in a list before anybody asked for it`);
    }
  }
}

/* One cancel of a job is done, and no other. */
export function cancelledOnce(cancels) {
  for (const [job, sent] of groupBy(cancels, ({ job: id }) => id)) {
    const done = sent.filter((one) => isDone(one) && !isReplay(one));
    assert.ok(done.length <= 1, `${job} was cancelled ${done.length} times`);
  }
}

/* --- money --- */

/* For each row of the statement the moments between which it was booked, as far as clients know. */
function bookings(rows, births, cancels) {
  const cancelsOf = groupBy(cancels, ({ job }) => job);
  return rows.map(({ type, job_id: job, description }) => {
    if (type === "deduction") return births.get(job);
    if (type !== "refund" || description !== "Job cancelled") return { from: 0, to: Infinity };
    const sent = cancelsOf.get(job);
    return {
      from: Math.min(...sent.map(({ begin }) => begin)),
      to: Math.min(...sent.filter(isDone).map(({ end }) => end)),
    };
  });
}

/* Does the read show the statement as it was after row number at? */
function shows({ kind, reply: { json } }, rows, at) {
  if (kind === "balance") return json.balance_cents === rows[at].running_balance_cents;
  return json.data[0].id === rows[at].id;
}

/* Every balance and every page of transactions is the statement as it was at one instant while the
 * read ran: not before what was acknowledged or seen by then, not after what was yet to be asked. */
export function readsAreInOrder(reads, rows, births, cancels) {
  const booked = bookings(rows, births, cancels);
  let seen = 0;
  const over = (read) => (seen = Math.max(seen, read.at));
  inOrder(reads, over, (read) => {
    const known = booked.findLastIndex(({ to }) => to < read.begin);
    const future = booked.findIndex(({ from }) => from > read.end);
    const last = future < 0 ? rows.length - 1 : future - 1;
    read.at = Math.max(seen, known);
    while (read.at <= last && !shows(read, rows, read.at)) read.at++;
    assert.ok(read.at <= last, `${read.kind} of rows ${Math.max(seen, known)} to ${last} shows ${read.reply.text.slice(0, 400)}`);
    if (read.kind === "transactions") isPartOf(read.reply.json, rows, read.at);
  });
}

function isPartOf({ data, has_more }, rows, at) {
  const expected = rows.slice(has_more ? at + 1 - data.length : 0, at + 1).reverse();
  assert.deepEqual(data, expected, "a page is a piece of the statement");
}

export function balancesAddUp(balances) {
  for (const { reply: { json } } of balances) {
    assert.ok(json.balance_cents >= 0 && json.held_cents >= 0, "nothing is below zero");
    assert.equal(json.total_cents, json.balance_cents + json.held_cents);
  }
}

/* What each job took, gave back and still holds. → what all of them hold */
function escrowOf(job, rows) {
  const { id, status, files_needed: needed, files_approved: approved, price_per_file_cents: price } = job;
  const booked = rows.filter(({ job_id }) => job_id === id);
  const taken = booked.filter(({ type }) => type === "deduction").map(({ amount_cents }) => amount_cents);
  const given = booked.filter(({ type }) => type === "refund").map(({ amount_cents }) => amount_cents);
  const unused = price * (needed - approved);
  assert.deepEqual(taken, [-needed * price], `${id} is paid for once`);
  assert.equal(sum(given), status === "cancelled" ? unused : 0, `${id} gives back what was not used`);
  return status === "cancelled" ? 0 : unused;
}

export function moneyIsConserved({ granted, balance, held, rows, jobs }) {
  const escrow = sum(jobs.map((job) => escrowOf(job, rows)));
  const used = sum(jobs.map((job) => job.files_approved * job.price_per_file_cents));
  assert.equal(held, escrow, "what is held is what the jobs have not used");
  assert.equal(granted, balance + held + used, "granted is available, held or used");
}

/* --- workers --- */

/* Until when the slot was certainly taken. */
function certainEnd(reservation, operations, approved) {
  const ends = operations.filter((one) =>
    (one.kind === "cancel" && one.job === reservation.job) ||
    (one.reservation?.id === reservation.id && (one.kind === "release" || !approved.has(reservation.submission))));
  return Math.min(Infinity, ...ends.map(({ begin }) => begin));
}

/* Each slot that a worker was given: job, and the moments between which it was certainly taken. */
export function slotsGiven(history, approved) {
  const enders = history.of("cancel", "release", "put", "tus");
  const given = history.of("accept", "retry").filter((one) => isDone(one) && !isReplay(one));
  return [...groupBy(given, ({ reply }) => reply.json.id)].map(([id, answers]) => {
    const { job_id: job, submission_id: submission } = answers[0].reply.json;
    const begin = Math.min(...answers.map(({ end }) => end));
    return { id, job, worker: answers[0].worker, begin, end: certainEnd({ id, job, submission }, enders, approved) };
  });
}

/* At no moment were more slots taken than a job has. */
export function slotsAreNeverOver(slots, births) {
  for (const [job, taken] of groupBy(slots, ({ job: id }) => id)) {
    const needed = births.get(job).job.files_needed;
    for (const { begin } of taken) {
      const count = taken.filter((slot) => slot.begin <= begin && slot.end > begin).length;
      assert.ok(count <= needed, `${job} needs ${needed}, and ${count} slots were taken`);
    }
  }
}

/* What is certainly held is in the worker's list. */
export function heldSlotsAreListed(lists, slots, history) {
  const puts = groupBy(history.of("put", "tus"), ({ reservation }) => reservation.id);
  for (const { worker, begin, end, reply } of lists) {
    const ids = new Set(reply.json.data.map(({ id }) => id));
    for (const slot of slots.filter((one) => one.worker === worker && one.begin < begin && one.end > end)) {
      if ((puts.get(slot.id) ?? []).some((put) => put.begin < end)) continue;
      assert.ok(ids.has(slot.id), `${slot.id} is held, and not in a list`);
    }
  }
}

/* Paid once for each approved file, and for nothing else. */
export function workersArePaid({ submissions, earnings, balance }, jobs) {
  const approved = submissions.filter(({ status }) => status === "approved");
  const owed = approved.map(({ id, job_id }) => [id, jobs.get(job_id).worker_payout_per_file_cents]);
  const paid = earnings.map(({ submission_id, amount_cents }) => [submission_id, amount_cents]);
  const due = owed.sort().map(([id]) => id);
  assert.deepEqual(paid.map(([id]) => id).sort(), due, "one payout an approval");
  for (const [id, cents] of paid) assert.equal(cents, new Map(owed).get(id), `${id} is paid its part`);
  assert.equal(balance, sum(paid.map(([, cents]) => cents)));
}

export function approvalsMatch(jobs, submissions) {
  const approved = groupBy(submissions.filter(({ status }) => status === "approved"), ({ job_id }) => job_id);
  for (const job of jobs.values())
    assert.equal(job.files_approved, approved.get(job.id)?.length ?? 0, `${job.id} counts its approvals`);
}

/* --- API keys --- */

/* A key works until somebody revokes it, and never after that was acknowledged. */
export function keysEndWhenRevoked(history) {
  const revokes = groupBy(history.of("revokeKey"), ({ apiKey }) => apiKey);
  for (const { apiKey, begin, end, reply } of history.of("useKey")) {
    const sent = revokes.get(apiKey) ?? [];
    if (sent.some((revoke) => revoke.end < begin)) assert.equal(reply.status, 401, `${apiKey} was revoked`);
    if (sent.every((revoke) => revoke.begin > end)) assert.equal(reply.status, 200, `${apiKey} was not revoked`);
  }
}
