/* A real Chromium without a window, that reaches 127.0.0.1 and nothing else. What its pages asked for is kept,
 * and what they complained of. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { until } from "./market.mjs";

const WAIT_MS_MAX = 120_000;
const PROGRAM = "/usr/bin/chromium";
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/* What it keeps for itself lies here. Its profile is a fresh one of playwright's, gone with it. */
function surroundings(home) {
  const names = ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"];
  return { ...process.env, ...Object.fromEntries(names.map((name) => [name, home])) };
}

const REMOVE = { recursive: true, force: true, maxRetries: 10 }; /* who just ended may still write */

export class Browser {
  #requests = [];

  static async launch() {
    const browser = new Browser();
    browser.home = await mkdtemp(join(tmpdir(), "firsthand-browser-"));
    const env = surroundings(browser.home);
    const forget = () => rmSync(browser.home, REMOVE);
    process.on("exit", forget);
    try {
      browser.chromium = await chromium.launch({ executablePath: PROGRAM, args: ARGS, env, timeout: WAIT_MS_MAX });
    } finally {
      /* Behind playwright's own, which ends the browser. */
      process.off("exit", forget).on("exit", forget);
    }
    return browser;
  }

  /* Somebody who was nowhere yet. options: of a context. → { context, page, complaints }; the complaints are
   * what a console shows in red, and grow. */
  async visitor(options = {}) {
    const context = await this.chromium.newContext(options);
    context.setDefaultTimeout(WAIT_MS_MAX);
    const complaints = [];
    context.on("request", (request) => this.#requests.push(request.url()));
    context.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    context.on("weberror", (error) => complaints.push(String(error.error())));
    return { context, page: await context.newPage(), complaints };
  }

  /* All visitors leave. */
  async clear() {
    await Promise.all(this.chromium.contexts().map((context) => context.close()));
  }

  async #end() {
    try {
      await this.chromium.close();
    } finally {
      await rm(this.home, REMOVE);
    }
  }

  /* End it. Nothing but these origins was ever asked for anything. */
  async close(...origins) {
    await this.#end();
    const asked = new Set(this.#requests.map((url) => new URL(url).origin));
    assert.deepEqual([...asked].filter((origin) => !origins.includes(origin)), [], "pages ask nobody else");
    assert.ok(asked.size > 0, "what pages ask for is seen");
  }
}

/* The network of a page's visitor goes away, or comes back; it is so when this returns. */
export async function setOffline(page, isOffline) {
  await page.context().setOffline(isOffline);
  const isReached = () => fetch(location.href, { cache: "no-store" }).then(() => true, () => false);
  await until(isOffline ? "nothing is reached" : "the page is reached", async () => (await page.evaluate(isReached)) !== isOffline);
}

/* From now on keep what the page's own policy refuses … */
export const hearRefusals = (page) =>
  page.evaluate(() => {
    window.refused = [];
    document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
  });

/* … and yield it, once it is so many. */
export async function refusals(page, count) {
  const heard = () => page.evaluate(() => window.refused);
  await until("the policy refuses", async () => (await heard()).length >= count);
  return (await heard()).sort();
}

/* Run all of these, in turn, whatever fails; then fail with the first failure. */
export async function endAll(...steps) {
  const failures = [];
  for (const step of steps)
    try {
      await step();
    } catch (failure) {
      failures.push(failure);
    }
  if (failures.length > 0) throw failures[0];
}
