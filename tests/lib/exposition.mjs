/* A strict reader of the Prometheus text exposition format 0.0.4: what it takes, every scraper does. */
import assert from "node:assert/strict";

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^\n]*)\})? (-?\d+(?:\.\d+)?)$/;
const TYPES = ["counter", "gauge", "histogram"];
const SUFFIXES = ["_bucket", "_sum", "_count"];

function labelsOf(text, line) {
  const labels = {};
  for (let rest = text ?? ""; rest !== "";) {
    const match = LABEL.exec(rest);
    assert.ok(match, `malformed labels: ${line}`);
    assert.ok(!(match[1] in labels), `a label twice: ${line}`);
    labels[match[1]] = match[2].replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    rest = rest.slice(match[0].length);
    assert.ok(match[3] === "" || rest !== "", `a comma that separates nothing: ${line}`);
  }
  return labels;
}

const seriesOf = (labels) => JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

function grouped(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/* Buckets rise to +Inf, which is the count; _sum and _count are there once for each series. */
function assertHistogram(name, samples) {
  const series = grouped(samples, ({ labels: { le, ...others } }) => seriesOf(others));
  for (const rows of series.values()) {
    const of = (suffix) => rows.filter((row) => row.name === name + suffix);
    const [buckets, sums, counts] = SUFFIXES.map(of);
    assert.deepEqual([sums.length, counts.length], [1, 1], name);
    const bounds = buckets.map((row) => (row.labels.le === "+Inf" ? Infinity : Number(row.labels.le)));
    assert.ok(bounds.length > 1 && bounds.every((bound, i) => i === 0 || bound > bounds[i - 1]), `${name}: ${bounds}`);
    assert.equal(bounds.at(-1), Infinity, name);
    assert.ok(buckets.every((row, i) => i === 0 || row.value >= buckets[i - 1].value), `${name}: buckets fall`);
    assert.equal(buckets.at(-1).value, counts[0].value, name);
  }
}

function assertFamily({ name, type, samples }) {
  assert.ok(samples.length > 0, `${name} has no sample`);
  const own = type === "histogram" ? SUFFIXES.map((suffix) => name + suffix) : [name];
  for (const row of samples) {
    assert.ok(own.includes(row.name), `${row.name} among the samples of ${name}`);
    assert.equal("le" in row.labels, row.name === `${name}_bucket` && type === "histogram", row.name);
    assert.ok(type === "gauge" || row.value >= 0, `${row.name} is negative`);
  }
  assert.equal(name.endsWith("_total"), type === "counter", `${name} is a ${type}`);
  const keys = samples.map((row) => row.name + seriesOf(row.labels));
  assert.equal(new Set(keys).size, keys.length, `${name} has a series twice`);
  if (type === "histogram") assertHistogram(name, samples);
}

/* → Map: family → { name, type, help, samples: [{ name, labels, value }] } */
export function parseExposition(text) {
  const families = new Map();
  let family;
  assert.ok(text.endsWith("\n"), "the last line ends");
  const lines = text.slice(0, -1).split("\n");
  for (let i = 0; i < lines.length; i++) {
    const head = /^# HELP (\S+) (\S.*)$/.exec(lines[i]);
    if (head) {
      const type = /^# TYPE (\S+) (\S+)$/.exec(lines[++i]);
      assert.ok(type && type[1] === head[1] && TYPES.includes(type[2]), `after HELP: ${lines[i]}`);
      assert.match(head[1], NAME);
      assert.ok(!families.has(head[1]), `${head[1]} has two heads`);
      family = { name: head[1], help: head[2], type: type[2], samples: [] };
      families.set(family.name, family);
      continue;
    }
    const match = SAMPLE.exec(lines[i]);
    assert.ok(match && family, `neither a head nor a sample of one: ${lines[i]}`);
    family.samples.push({ name: match[1], labels: labelsOf(match[2], lines[i]), value: Number(match[3]) });
  }
  families.forEach(assertFamily);
  return families;
}

/* The value of one series; 0 when it is not there yet. */
export function valueOf(families, name, labels = {}) {
  const rows = [...families.values()].flatMap((family) => family.samples);
  return rows.find((row) => row.name === name && seriesOf(row.labels) === seriesOf(labels))?.value ?? 0;
}

/* What /metrics of a server says now. */
export async function metricsOf(server) {
  const client = server.client();
  const reply = await client.get("/metrics");
  client.close();
  assert.equal(reply.status, 200, reply.text);
  return parseExposition(reply.text);
}
