/* 64 clients at once, several of them for the same organisation or worker, doing as chance says;
 * then what they heard, and what the server says when all is quiet, is held against the rules of
 * money, slots and keys, and against the order in which things were known to have happened.
 *
 * HISTORIES_SEED draws the same operations (printed; how they meet is up to the machine),
 * HISTORIES_OPERATIONS is how many each client does. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Market, openMarket, until } from "../lib/market.mjs";
import { Random, seedOf } from "../lib/random.mjs";
import { Buyer, Worker, World } from "./actors.mjs";
import * as checks from "./checks.mjs";
import { History } from "./history.mjs";

const ORGANISATIONS = 3;
const BUYERS_EACH = 12;
const WORKERS = 7;
const CONNECTIONS_EACH = 4;
const CREDITS = 12_000;
const ROUNDS_MAX = 40;
const SCORED_MS_MAX = 480_000;
const OPERATIONS = Number(process.env.HISTORIES_OPERATIONS ?? 100);

const seed = seedOf("HISTORIES_SEED");
const random = new Random(seed);
const history = new History();
const world = new World(history);
const submissions = [];
const jobs = new Map();
let server, markets, workers;

async function openOrganisation(market) {
  const second = await server.createKey({ org: market.org.organization_id });
  const account = { name: market.org.organization_id, jobs: [], requests: [], keys: [], clientOf: (key) => server.client(key) };
  return Array.from({ length: BUYERS_EACH }, (_, i) =>
    new Buyer(world, server.client(i % 2 ? second.secret : market.org.live_key), random.fork(), account));
}

async function openWorker() {
  const { worker_id: name, token } = await server.createWorker();
  const account = { name, reservations: [], rejected: [] };
  return Array.from({ length: CONNECTIONS_EACH }, () => new Worker(world, server.client(token), random.fork(), account));
}

/* What could not be examined in time is tried again later: time passes until nothing is left. */
async function scoredSubmissions(client) {
  const rows = async () => {
    const all = await client.all("/worker/v1/submissions");
    if (all.every(({ status }) => status !== "pending_score")) return { all };
    await server.advance(5);
    return null;
  };
  return (await until("everything is scored", rows, { everyMs: 250, msMax: SCORED_MS_MAX })).all;
}

async function findEnd(market) {
  market.rows = await market.transactions();
  market.jobs = await market.buyer.all("/v1/jobs");
  market.total = await market.balance();
  for (const job of market.jobs) jobs.set(job.id, job);
}

/* What has to be among the answers. */
const WANTED = {
  create: [201, 402, 409], cancel: [200, 409], accept: [201, 409], put: [201, 409], tus: [204], retry: [201], release: [204],
  useKey: [200, 401], balance: [200],
};

/* Of these, what chance and the machine have not brought about yet. */
function missing() {
  const isThere = (kind, status) => history.of(kind).some(({ reply }) => reply?.status === status);
  return Object.entries(WANTED).flatMap(([kind, statuses]) => statuses.filter((one) => !isThere(kind, one)).map((one) => `${kind} ${one}`));
}

before(async () => {
  console.log(`HISTORIES_SEED=${seed} HISTORIES_OPERATIONS=${OPERATIONS}`);
  const first = await openMarket({ "worker-reservations-max": 8 }, { credits: CREDITS });
  server = first.server;
  markets = [first];
  while (markets.length < ORGANISATIONS) markets.push(await Market.open(server, { credits: CREDITS }));
  const buyers = (await Promise.all(markets.map(openOrganisation))).flat();
  workers = await Promise.all(Array.from({ length: WORKERS }, openWorker));
  const actors = [...buyers, ...workers.flat()];
  assert.equal(actors.length, 64);
  await Promise.all(actors.map((actor) => actor.run(OPERATIONS)));
  for (let round = 0; missing().length > 0 && round < ROUNDS_MAX; round++)
    await Promise.all(actors.map((actor) => actor.run(OPERATIONS / 10)));
  for (const [{ client, account }] of workers) {
    account.submissions = await scoredSubmissions(client);
    submissions.push(...account.submissions);
  }
  for (const market of markets) await findEnd(market);
});
after(() => server?.stop());

const ofOrg = (market, ...kinds) => history.of(...kinds).filter(({ org }) => org === market.org.organization_id);
const birthsIn = (market) => checks.birthsOf(ofOrg(market, "create"));
const isApproved = ({ status }) => status === "approved";
const slotsGiven = () => checks.slotsGiven(history, new Set(submissions.filter(isApproved).map(({ id }) => id)));

describe("of what 64 clients did at once", () => {
  it("there was enough of everything to mean something", () => {
    assert.deepEqual(missing(), []);
    console.log(`${history.operations.length} operations, ${jobs.size} jobs, ${submissions.length} submissions, ` +
      `${submissions.filter(isApproved).length} approved`);
  });

  it("a key has one answer", () => {
    checks.oneAnswerPerKey(history.operations);
    checks.refusedForReason(history.of("create"));
  });

  it("every acknowledged job is there once, and no other", () => {
    for (const market of markets) checks.everyJobIsThereOnce(market.jobs, birthsIn(market));
  });

  it("a job never goes back, and lists have what was there", () => {
    checks.jobsOnlyMoveOn([...history.of("getJob", "list", "cancel")]);
    for (const market of markets) checks.listsAreComplete(ofOrg(market, "list"), birthsIn(market));
    checks.cancelledOnce(history.of("cancel"));
  });

  it("every balance and page of the statement is that of an instant, in order", () => {
    for (const market of markets) {
      const reads = ofOrg(market, "balance", "transactions");
      checks.balancesAddUp(ofOrg(market, "balance"));
      checks.readsAreInOrder(reads, market.rows, birthsIn(market), ofOrg(market, "cancel"));
    }
  });

  it("money is conserved, and refunds are exact", () => {
    for (const { rows, total: { balance, held }, jobs: own } of markets)
      checks.moneyIsConserved({ granted: CREDITS, balance, held, rows, jobs: own });
  });

  it("slots were never over, and what is held is listed", () => {
    const slots = slotsGiven();
    checks.slotsAreNeverOver(slots, checks.birthsOf(history.of("create")));
    checks.heldSlotsAreListed(history.of("reservations"), slots, history);
  });

  it("each approved file is paid once, at its price", async () => {
    checks.approvalsMatch(jobs, submissions);
    for (const [{ client, account }] of workers) {
      const earnings = await client.all("/worker/v1/earnings");
      const { balance_cents: balance } = (await client.get("/worker/v1/earnings")).json;
      checks.workersArePaid({ submissions: account.submissions, earnings, balance }, jobs);
    }
  });

  it("a revoked key is refused, and no other", () => checks.keysEndWhenRevoked(history));

  it("the audit finds nothing", () => server.audit());
});
