/* What a process holds: resident memory, descriptors, threads. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { until } from "./market.mjs";

export const MIB = 1 << 20;

function linkOf(path) {
  try {
    return readlinkSync(path);
  } catch {
    return null; /* closed meanwhile */
  }
}

/* All but those of the store: each thread opens it when it first reads, and keeps it. */
function descriptorsOf(pid) {
  const links = readdirSync(`/proc/${pid}/fd`).map((name) => linkOf(`/proc/${pid}/fd/${name}`));
  return links.filter((link) => link !== null && !/\/store\.db(-wal|-shm)?$/.test(link)).length;
}

export function gauge(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const number = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]);
  return {
    rssBytes: number("VmRSS") * 1024,
    threads: number("Threads"),
    descriptors: descriptorsOf(pid),
  };
}

export function mib(bytes) {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/* Descriptors and threads are as they were before, once the test's own clients have hung up. */
export async function assertRecovered(server, before) {
  for (const client of server.clients) client.close();
  let now;
  const isOver = () => {
    now = gauge(server.child.pid);
    return now.descriptors <= before.descriptors && now.threads <= before.threads;
  };
  await until("descriptors and threads are those of before", isOver).catch((e) => {
    throw new Error(`${e.message}: ${JSON.stringify({ before, now })}`);
  });
}

export function assertBounded(what, bytes, bytesMax) {
  assert.ok(bytes <= bytesMax, `${what}: ${mib(bytes)}, the bound is ${mib(bytesMax)}`);
}
