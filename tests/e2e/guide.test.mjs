/* The guide's commands do what it says they do: they are run as they stand. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { REPOSITORY } from "../lib/contract.mjs";
import { openMarket } from "../lib/market.mjs";

const GUIDE = resolve(REPOSITORY, "docs/api.md");
const RUN_MS_MAX = 60_000;

/* The guide's shell blocks, each with the heading it stands under. */
function blocksOf(text) {
  return text.split(/^## /m).slice(1).flatMap((section) => {
    const heading = section.slice(0, section.indexOf("\n"));
    return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => ({ heading, commands }));
  });
}

describe("the guide to the API", () => {
  it("has commands that run one after the other, each of them to its end", async () => {
    const blocks = blocksOf(readFileSync(GUIDE, "utf8"));
    assert.ok(blocks.length >= 8, "the guide has blocks to run");
    const folder = mkdtempSync(join(tmpdir(), "firsthand-guide-"));
    const market = await openMarket({ "sandbox-delay": "0" });
    try {
      const script = blocks.map(({ heading, commands }) => `echo "begins: ${heading}"\n${commands}`).join("\n");
      const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], {
        cwd: folder,
        timeout: RUN_MS_MAX,
        env: { ...process.env, URL: market.server.base, KEY: market.org.test_key },
      }).catch((failure) => assert.fail(`${failure.stdout}\n${failure.stderr}`));
      assert.equal(stdout.match(/^begins: /gm).length, blocks.length);
      assert.equal(stdout.match(/^sub_\w+ approved 4$/gm)?.length, 3, stdout);
    } finally {
      await market.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
