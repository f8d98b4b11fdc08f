/* The standard streams as careless callers leave them: closed, or where nothing can be written. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { until } from "../lib/market.mjs";
import { samplePath } from "../lib/samples.mjs";
import { binaryPath, run } from "../lib/server.mjs";

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "firsthand-streams-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/* The binary with the shell's redirections, in the shell's place. */
function redirected(redirections, ...args) {
  const script = `exec "$0" "$@" ${redirections}`;
  return spawn("sh", ["-c", script, binaryPath(), ...args], { stdio: ["ignore", "pipe", "pipe"] });
}

describe("a result that cannot be written", () => {
  const dataDir = () => ["--data-dir", join(folder, "full")];
  before(() => run(["migrate", ...dataDir()]));
  for (const [name, args] of [
    ["admin create-org", () => ["admin", "create-org", "--name", "A", "--email", "a@example.com", ...dataDir()]],
    ["admin create-worker", () => ["admin", "create-worker", "--name", "W", "--email", "w@example.com", ...dataDir()]],
    ["audit", () => ["audit", ...dataDir()]],
    ["score", () => ["score", samplePath("photo-2.jpg")]],
    ["config", () => ["config"]],
    ["version", () => ["version"]],
    ["--help", () => ["--help"]],
  ])
    it(`of ${name} is no success`, async () => {
      const child = redirected(">/dev/full", ...args());
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
      const [code] = await once(child, "close");
      assert.match(said, /^firsthand: [^\n]*standard output[^\n]*\n$/);
      assert.equal(code, 1);
    });
});

describe("a server whose streams are closed", () => {
  for (const redirections of ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
    it(`(${redirections}) gives none of its files their numbers`, async () => {
      const dataDir = mkdtempSync(join(folder, "data-"));
      const log = join(dataDir, "log");
      const child = redirected(redirections, "serve", "--listen", "127.0.0.1:0", "--data-dir", dataDir, "--log-file", log);
      const exited = once(child, "exit");
      try {
        await until("it has started", () => existsSync(log) && /"event":"started"/.test(readFileSync(log, "utf8")));
        for (const number of [0, 1, 2]) {
          const what = readlinkSync(`/proc/${child.pid}/fd/${number}`);
          assert.match(what, redirections.includes(`${number}`) ? /^\/dev\/null$/ : /^(\/dev\/null|(pipe|socket):.*)$/);
        }
      } finally {
        child.kill("SIGTERM");
      }
      assert.deepEqual(await exited, [0, null]);
      assert.equal(readFileSync(join(dataDir, "lock"), "utf8"), "");
    });
});
