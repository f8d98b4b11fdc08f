/* A client that behaves: one GET after another, on a connection that it keeps until it is closed,
 * and after a 503 again when the server said so. In a thread of its own, so that what the test does
 * meanwhile does not count as the server's delay. */
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { Client } from "./client.mjs";

const ANSWERS_MIN = 200; /* for a p99 that means something */
const GONE = new Set(["ECONNRESET", "EPIPE"]);
const IDLE_MS = 500; /* half of what a server leaves a connection at least */

export class Bystander {
  #worker;
  #ended;

  /* From now until stop(). */
  static async start({ base, token, target, keepsConnection = true }) {
    const one = new Bystander();
    one.#worker = new Worker(new URL(import.meta.url), { workerData: { base, token, target, keepsConnection } });
    one.#ended = new Promise((done, fail) => {
      one.#worker.on("error", fail);
      one.#worker.on("message", (message) => message.figures && done(message.figures));
    });
    one.#ended.catch(() => {}); /* stop() tells */
    await new Promise((done) => one.#worker.once("message", done));
    return one;
  }

  /* → { answered, refused, closed, p50, p99, max } (ms of what was answered). Where this machine let the
   * client ask nothing for so long that its connection may be closed, that counts as neither. */
  async stop() {
    this.#worker.postMessage("stop");
    const figures = await this.#ended;
    await this.#worker.terminate();
    return figures;
  }
}

export function inWords({ answered, refused, closed, p50, p99, max }) {
  const ms = (value) => `${value.toFixed(1)} ms`;
  return `${answered} answered, ${refused} refused, ${closed} closed; p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)}`;
}

async function work() {
  const { base, token, target, keepsConnection } = workerData;
  const client = new Client({ base, token, hasRateLimit: false });
  const times = [];
  let refused = 0;
  let closed = 0;
  let isStopping = false;
  let lastMs = performance.now();
  let isOut = false;
  parentPort.on("message", () => (isStopping = true));

  const once = async () => {
    const startedMs = performance.now();
    const headers = keepsConnection ? {} : { connection: "close" };
    const reply = await client.get(target, { isChecked: false, headers });
    if (reply.status === 503) {
      if (!isOut) refused++;
      await new Promise((done) => setTimeout(done, Number(reply.headers["retry-after"]) * 1000));
    } else if (reply.status === 200) {
      isOut = false;
      times.push(performance.now() - startedMs);
    } else {
      throw new Error(`${target}: ${reply.status} ${reply.text}`);
    }
  };
  for (let asked = 0; !isStopping || times.length < ANSWERS_MIN; asked++) {
    const idleMs = performance.now() - lastMs; /* at most, as the server sees it */
    lastMs += idleMs;
    await once().catch((e) => {
      if (!GONE.has(e.code)) throw e;
      if (idleMs < IDLE_MS) closed++;
      else isOut = true;
    });
    if (asked === 0) parentPort.postMessage("started");
    await new Promise((done) => setTimeout(done, 2));
  }
  client.close();
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  parentPort.postMessage({ figures: { answered: times.length, refused, closed, p50: at(0.5), p99: at(0.99), max: at(1) } });
}

if (!isMainThread) await work();
