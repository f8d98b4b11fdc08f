/* The commands that the pages print do what is said of them: they are run as they stand. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openMarket, until } from "../lib/market.mjs";
import { blocksOf, page, runShell } from "../lib/pages.mjs";
import { sample } from "../lib/samples.mjs";
import { Server, binaryPath } from "../lib/server.mjs";

const scriptOf = (blocks) => blocks.map(({ heading, commands }) => `echo "begins: ${heading}"\n${commands}`).join("\n");

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "firsthand-guide-"));
  mkdirSync(join(folder, "build"));
  symlinkSync(binaryPath(), join(folder, "build/firsthand"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

describe("the guide to the API", () => {
  it("has commands that run one after the other, each of them to its end", async () => {
    const blocks = blocksOf(page("docs/api.md"));
    assert.ok(blocks.length >= 8, "the guide has blocks to run");
    const market = await openMarket({ "sandbox-delay": "0" });
    try {
      const env = { URL: market.server.base, KEY: market.org.test_key };
      const stdout = await runShell(scriptOf(blocks), { cwd: folder, env });
      assert.equal(stdout.match(/^begins: /gm).length, blocks.length);
      assert.equal(stdout.match(/^sub_\w+ approved 4$/gm)?.length, 3, stdout);
    } finally {
      await market.stop();
    }
  });
});

describe("README", () => {
  it("posts a job with what the demo leaves of its credit, and has a file approved", async () => {
    const blocks = blocksOf(page("README.md")).filter(({ heading }) => ["Post a job", "Send a file"].includes(heading));
    assert.equal(blocks.length, 3);
    const market = await openMarket({}, { credits: 4100 });
    try {
      writeFileSync(join(folder, "sign.jpg"), sample("photo-3.jpg"));
      const [post, send, look] = blocks.map(({ commands }) => commands.replaceAll("http://localhost:3000", market.server.base));
      const env = { FIRSTHAND_KEY: market.org.live_key, FIRSTHAND_DATA_DIR: market.server.dataDir };
      await runShell(`${post}\n${send}\necho "$JOB" > job`, { cwd: folder, env });
      await until("a file is approved", async () => {
        const stdout = await runShell(`JOB=$(cat job)\n${look}`, { cwd: folder, env });
        return /"status":"approved".*"object":"list".*"download_url":"http/s.test(stdout);
      });
    } finally {
      await market.stop();
    }
  });
});

describe("the guide to uploads", () => {
  it("takes a worker from the feed to a submission", async () => {
    const blocks = blocksOf(page("docs/uploads.md"));
    assert.equal(blocks.length, 1);
    const market = await openMarket();
    try {
      await market.job();
      writeFileSync(join(folder, "sign.jpg"), sample("photo-3.jpg"));
      const env = { URL: market.server.base, TOKEN: market.worker.token };
      const stdout = await runShell(scriptOf(blocks), { cwd: folder, env });
      assert.match(stdout, /^sub_\w+ (pending_score null|approved [3-5])\n\d+$/m);
    } finally {
      await market.stop();
    }
  });
});

describe("operations", () => {
  it("a command beside the service takes its settings from the service's file", async () => {
    const text = page("docs/operations.md");
    const [{ commands: settings }] = blocksOf(text).filter(({ heading }) => heading === "A service");
    const [, command] = text.match(/`sudo -u firsthand (env [^`]+ firsthand) admin create-org …`/);
    const file = join(folder, "firsthand.env"), dataDir = join(folder, "service");
    writeFileSync(file, settings.replaceAll("/var/lib/firsthand", dataDir));
    const env = { PATH: `${join(folder, "build")}:${process.env.PATH}` };
    const printed = await runShell(`${command.replaceAll("/etc/firsthand.env", file)} config`, { cwd: folder, env });
    const shown = JSON.parse(printed);
    assert.deepEqual([shown["data-dir"], shown["public-url"]], [dataDir, "https://your.server"]);
  });

  it("a backup beside a busy server is whole, and serves the same keys", async () => {
    const [{ commands }, ...others] = blocksOf(page("docs/operations.md")).filter(({ heading }) => heading === "Backup");
    assert.deepEqual(others, []);
    const market = await openMarket({}, { credits: 10_000_000 });
    const copy = new Server(join(folder, "copy"), market.server.settings);
    try {
      const kept = await market.job();
      await market.submitAndScore(kept, sample("photo-3.jpg"));
      let isOver = false, posted = 0;
      const posting = (async () => {
        for (; !isOver; posted++) await market.job();
      })();
      await until("the server is busy", () => posted > 10);
      const env = { DATA: market.server.dataDir, COPY: copy.dataDir, PATH: `${join(folder, "build")}:${process.env.PATH}` };
      const stdout = await runShell(commands, { cwd: folder, env });
      isOver = true;
      await posting;
      assert.match(stdout, /^ok \d+ checks\n$/);
      await copy.launch();
      assert.equal((await copy.client(market.org.live_key).get(`/v1/jobs/${kept.id}`)).json.files_approved, 1);
      await copy.stop();
    } finally {
      copy.child?.kill("SIGKILL");
      await market.stop();
    }
  });
});
