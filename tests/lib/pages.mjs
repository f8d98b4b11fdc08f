/* The pages of docs/ as tests read them: what they say is held against what is so. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { REPOSITORY } from "./contract.mjs";

const RUN_MS_MAX = 240_000;

export function page(name) {
  return readFileSync(join(REPOSITORY, name), "utf8");
}

/* What stands under a heading of the second level. */
export function section(text, heading) {
  const found = text.split(/^## /m).slice(1).find((one) => one.startsWith(`${heading}\n`));
  assert.ok(found, `a section "${heading}"`);
  return found;
}

/* The rows of a text's tables, each a list of cells. */
export function rowsOf(text) {
  const lines = text.split("\n").filter((line) => line.startsWith("|") && !/^\|[-| ]+\|$/.test(line));
  return lines.map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
}

/* The shell blocks, each with the heading that it stands under. */
export function blocksOf(text) {
  return text.split(/^## /m).slice(1).flatMap((one) => {
    const heading = one.slice(0, one.indexOf("\n"));
    return [...one.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => ({ heading, commands }));
  });
}

/* Run commands as a careful shell does: the first that fails ends them, and the test. → what they printed */
export async function runShell(script, { cwd, env }) {
  const options = { cwd, timeout: RUN_MS_MAX, env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], options)
    .catch((failure) => assert.fail(`${failure.stdout}\n${failure.stderr}`));
  return stdout;
}
