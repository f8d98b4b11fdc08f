/* The processes under a server: the zygote, and under it one child a file that is examined. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

function childrenOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return []; /* it has ended */
  }
}

/* A zombie has ended, it only waits for its parent. */
export function isAlive(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

export function zygoteOf(serverPid) {
  return childrenOf(serverPid).filter(isAlive)[0] ?? null;
}

export function mediaChildOf(serverPid) {
  const zygote = zygoteOf(serverPid);
  return zygote === null ? null : (childrenOf(zygote).filter(isAlive)[0] ?? null);
}

export function kill9(pid) {
  if (pid === null) return false;
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

/* Wait for a condition, looking often. → what it yields, once that is true */
export async function until(condition, what, { msMax = 120_000, everyMs = 5 } = {}) {
  const deadline = Date.now() + msMax;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${msMax} ms in vain until ${what}`);
    await sleep(everyMs);
  }
}
