/* Tables of the pages that can be held against the program, are: bounds of settings, limits, scopes, events,
 * packs, figures. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { REPOSITORY } from "../lib/contract.mjs";
import { metricsOf } from "../lib/exposition.mjs";
import { openMarket } from "../lib/market.mjs";
import { page, rowsOf, section } from "../lib/pages.mjs";
import { sample } from "../lib/samples.mjs";
import { run } from "../lib/server.mjs";

const { schemas } = JSON.parse(page("api/openapi.json")).components;
const constants = (schema) => schema.enum ?? schema.anyOf.map((one) => one.const);
const wordsOf = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word);
const settings = JSON.parse((await run(["config"])).stdout);

describe("docs/configuration.md", () => {
  const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const bounded = rowsOf(page("docs/configuration.md"))
    .map(([name, , , values]) => [wordsOf(name)[0], /^(?:share, )?(\S+) to (\S+)$/.exec(values)])
    .filter(([, match]) => match !== null);

  function beyond(text, step) {
    const [, amount, unit] = /^([\d.]+)([a-z]*)$/.exec(text);
    if (unit === "" && amount.includes(".")) return (Number(amount) + step / 1000).toFixed(3);
    return unit === "" ? String(Number(amount) + step) : `${Number(amount) * UNITS[unit] + step}ms`;
  }

  it("has bounds for every setting that is a number", () => {
    const numbers = Object.keys(settings).filter((name) => typeof settings[name] === "number");
    assert.deepEqual(bounded.map(([name]) => name).sort(), numbers.sort());
  });

  for (const [name, [, low, high]] of bounded)
    it(`${name}: ${low} to ${high}, and nothing beyond`, async () => {
      const refusal = /must be between|must be a (?:duration|share)/;
      for (const value of [low, high])
        assert.doesNotMatch((await run(["config", `--${name}`, value])).stderr, refusal, value);
      for (const value of [beyond(low, -1), beyond(high, 1)])
        assert.match((await run(["config", `--${name}`, value])).stderr, refusal, value);
    });
});

describe("docs/api.md", () => {
  const text = page("docs/api.md");

  it("has the limits that the settings and the contract have", () => {
    const job = schemas.CreateJobRequest.properties;
    const wanted = {
      "files of a job": [job.files_needed.maximum],
      "price of a file": [job.price_per_file_cents.maximum],
      "metadata of a job": [job.metadata.maxProperties],
      "description, title of a job": [job.description.maxLength, job.title.maxLength],
    };
    const rows = rowsOf(section(text, "Limits"));
    for (const [what, limit, setting] of rows.slice(1)) {
      const numbers = [...limit.matchAll(/\d[\d,]*/g)].map(([number]) => Number(number.replaceAll(",", "")));
      const days = limit.includes("days") ? 86_400_000 : 1;
      if (setting !== "") assert.equal(numbers[0] * days, settings[wordsOf(setting)[0]], what);
      if (what in wanted) assert.deepEqual(numbers, wanted[what], what);
      delete wanted[what];
    }
    assert.deepEqual(wanted, {});
  });

  it("has every scope", () => {
    const scopes = rowsOf(section(text, "Keys")).slice(1).flatMap(([scope]) => wordsOf(scope));
    assert.deepEqual(scopes.sort(), constants(schemas.ApiScope).sort());
  });
});

it("docs/webhooks.md has every type of event", () => {
  const types = rowsOf(section(page("docs/webhooks.md"), "What is sent")).flatMap(([type]) => wordsOf(type));
  assert.deepEqual(types.filter((type) => type.includes(".")).sort(), constants(schemas.EventType).sort());
});

it("docs/billing.md has every pack", () => {
  const [[, ...columns], ...rows] = rowsOf(page("docs/billing.md"));
  assert.equal(columns[0], "bonus");
  const packs = rows.flatMap(([amount, , , other]) => [amount, other]).filter((cell) => /^\d+$/.test(cell ?? ""));
  const amounts = constants(schemas.PurchaseCreditsRequest.properties.amount_cents);
  assert.deepEqual(packs.map(Number).sort((a, b) => a - b), [...amounts].sort((a, b) => a - b));
});

describe("docs/metrics.md", () => {
  const rows = rowsOf(section(page("docs/metrics.md"), "What there is")).slice(1);
  const documented = rows.flatMap(([family, type]) => wordsOf(family).map((name) => [name, type]));
  const source = ["src/platform/metrics.h", "src/api/api_metrics.c"]
    .map((path) => readFileSync(join(REPOSITORY, path), "utf8")).join("\n");
  let market;
  before(async () => {
    market = await openMarket();
  });
  after(() => market?.stop());

  it("has every family of /metrics with its type, and no other", async () => {
    await market.submitAndScore(await market.job(), sample("photo-3.jpg"));
    const families = await metricsOf(market.server);
    const types = new Map(documented);
    for (const [name, { type }] of families) {
      assert.ok(types.has(name), `${name} is not in the page`);
      if (types.get(name) !== "") assert.equal(types.get(name), type, name);
    }
    for (const [name, type] of documented)
      assert.ok(families.has(name) || (type === "histogram" && source.includes(`"${name}"`)), `${name} is not there`);
  });
});
