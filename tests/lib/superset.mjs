/* Whether one OpenAPI document is a superset of another: everything a client of the first relies on
 * is in the second with the same meaning, and nothing more is demanded of it. */

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch"];
const ANNOTATIONS = new Set(["title", "description", "example", "examples", "$schema", "$id"]);
const BOUNDS_BY_TYPE = {
  string: ["minLength", "maxLength", "format", "pattern"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  array: ["items", "minItems", "maxItems", "uniqueItems"],
  object: ["properties", "required", "patternProperties", "additionalProperties", "minProperties", "maxProperties"],
};
const BY_TYPE = new Set(Object.values(BOUNDS_BY_TYPE).flat());

function follow(document, node) {
  let at = node;
  while (at && at.$ref) at = at.$ref.split("/").slice(1).reduce((here, key) => here?.[key], document);
  return at;
}

/* A schema as a list of alternatives, so that { type: ["integer", "null"] } and an anyOf of the two
 * are the same, and an enum and an anyOf of consts are, too. Each alternative has one kind: a JSON
 * type, "enum", or "any". */
function alternatives(document, schema) {
  const node = follow(document, schema);
  const base = Object.fromEntries(
    Object.entries(node).filter(([key]) => key !== "anyOf" && !ANNOTATIONS.has(key)),
  );
  const list = node.anyOf
    ? node.anyOf.flatMap((branch) => alternatives(document, { ...base, ...follow(document, branch) }))
    : alternativesOfOne(base);
  return mergeEnums(list);
}

function alternativesOfOne({ type, const: fixed, enum: values, ...rest }) {
  const others = Object.fromEntries(Object.entries(rest).filter(([key]) => !BY_TYPE.has(key)));
  if (fixed !== undefined) return [{ kind: "enum", values: [fixed], ...others }];
  if (values !== undefined) return [{ kind: "enum", values: [...values], ...others }];
  if (type === undefined) return [{ kind: "any", ...rest }];
  return [type].flat().map((kind) => {
    const own = (BOUNDS_BY_TYPE[kind] ?? []).filter((key) => key in rest).map((key) => [key, rest[key]]);
    return { kind, ...others, ...Object.fromEntries(own) };
  });
}

function mergeEnums(list) {
  const enums = list.filter(({ kind }) => kind === "enum");
  const merged = list.filter(({ kind }) => kind !== "enum");
  if (enums.length > 0)
    merged.push({ ...enums[0], values: enums.flatMap(({ values }) => values).sort() });
  return merged.sort((a, b) => a.kind.localeCompare(b.kind));
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

class Comparison {
  constructor(seed, ours) {
    this.seed = seed;
    this.ours = ours;
    this.problems = [];
  }

  fault(where, what) {
    this.problems.push(`${where}: ${what}`);
  }

  schema(seed, ours, where, isRequest) {
    const before = alternatives(this.seed, seed);
    const after = alternatives(this.ours, ours);
    const kinds = (list) => list.map(({ kind }) => kind).join(" or ");
    if (kinds(before) !== kinds(after))
      return this.fault(where, `was ${kinds(before)}, is ${kinds(after)}`);
    before.forEach((one, i) => this.alternative(one, after[i], where, isRequest));
  }

  /* Replies may be described more narrowly than the seed does, requests may not. */
  alternative(before, after, where, isRequest) {
    const keys = new Set([...Object.keys(before), ...(isRequest ? Object.keys(after) : [])]);
    for (const key of keys) {
      if (["kind", "properties", "required", "items", "patternProperties"].includes(key)) continue;
      if (!same(before[key], after[key]))
        this.fault(where, `${key} was ${JSON.stringify(before[key])}, is ${JSON.stringify(after[key])}`);
    }
    this.object(before, after, where, isRequest);
    this.pair(before.items, after.items, `${where}[]`, isRequest);
    const patterns = new Set(Object.keys(before.patternProperties ?? {}));
    if (isRequest) Object.keys(after.patternProperties ?? {}).forEach((one) => patterns.add(one));
    for (const pattern of patterns)
      this.pair(before.patternProperties?.[pattern], after.patternProperties?.[pattern], `${where}./${pattern}/`, isRequest);
  }

  pair(before, after, where, isRequest) {
    if (before && after) return this.schema(before, after, where, isRequest);
    if (before) return this.fault(where, "is gone");
    if (after && isRequest) this.fault(where, "is new, and narrows what may be sent");
  }

  object(before, after, where, isRequest) {
    for (const [name, one] of Object.entries(before.properties ?? {}))
      this.pair(one, after.properties?.[name], `${where}.${name}`, isRequest);
    const required = new Set(before.required ?? []);
    const demanded = new Set(after.required ?? []);
    for (const name of required)
      if (!demanded.has(name)) this.fault(`${where}.${name}`, "was required, is not");
    if (!isRequest) return;
    for (const name of demanded)
      if (!required.has(name)) this.fault(`${where}.${name}`, "is required, was not");
  }

  parameters(seed, ours, where) {
    const key = (one) => `${one.in} ${one.in === "header" ? one.name.toLowerCase() : one.name}`;
    const before = (seed.parameters ?? []).map((one) => follow(this.seed, one));
    const after = new Map((ours.parameters ?? []).map((one) => follow(this.ours, one)).map((one) => [key(one), one]));
    for (const one of before) {
      const other = after.get(key(one));
      after.delete(key(one));
      if (!other) {
        this.fault(where, `parameter ${key(one)} is gone`);
        continue;
      }
      if ((one.required ?? false) !== (other.required ?? false))
        this.fault(where, `parameter ${key(one)}: required was ${one.required ?? false}, is ${other.required ?? false}`);
      this.schema(one.schema, other.schema, `${where} parameter ${key(one)}`, true);
    }
    for (const one of after.values())
      if (one.required) this.fault(where, `parameter ${key(one)} is new and required`);
  }

  requestBody(seed, ours, where) {
    const before = follow(this.seed, seed.requestBody);
    const after = follow(this.ours, ours.requestBody);
    if (!before) {
      if (after?.required) this.fault(where, "a body is required now");
      return;
    }
    if (!after) return this.fault(where, "the body is gone");
    if ((before.required ?? false) !== (after.required ?? false)) this.fault(where, "whether the body is required differs");
    this.content(before.content, after.content, `${where} body`, true);
  }

  content(before = {}, after = {}, where, isRequest) {
    for (const mediaType of Object.keys(before)) {
      if (!after[mediaType]) this.fault(where, `${mediaType} is gone`);
      else this.schema(before[mediaType].schema, after[mediaType].schema, where, isRequest);
    }
  }

  responses(seed, ours, where) {
    for (const [status, one] of Object.entries(seed.responses)) {
      const other = follow(this.ours, ours.responses?.[status]);
      if (!other) {
        this.fault(where, `status ${status} is gone`);
        continue;
      }
      const before = follow(this.seed, one);
      if (!before.content && other.content) this.fault(where, `status ${status} had no body`);
      this.content(before.content, other.content, `${where} ${status}`, false);
    }
  }

  security(seed, ours, where) {
    const before = seed.security ?? this.seed.security;
    const after = ours.security ?? this.ours.security;
    if (!same(before, after)) this.fault(where, `security was ${JSON.stringify(before)}, is ${JSON.stringify(after)}`);
  }

  operation(seed, ours, where) {
    this.parameters(seed, ours, where);
    this.requestBody(seed, ours, where);
    this.responses(seed, ours, where);
    this.security(seed, ours, where);
  }
}

function operationsOf(document) {
  const found = new Map();
  for (const [path, methods] of Object.entries(document.paths))
    for (const method of METHODS)
      if (methods[method]) found.set(methods[method].operationId, { path, method, ...methods[method] });
  return found;
}

/* → { problems: [text], absent: [operationId] }. notYet names the operations of the seed that may,
 * and must, be absent. */
export function compareContracts(seed, ours, notYet) {
  const comparison = new Comparison(seed, ours);
  const after = operationsOf(ours);
  const absent = [];
  const before = operationsOf(seed);
  for (const [operationId, one] of before) {
    const other = after.get(operationId);
    if (!other) {
      absent.push(operationId);
      if (!notYet.includes(operationId)) comparison.fault(operationId, "is absent");
      continue;
    }
    if (notYet.includes(operationId)) comparison.fault(operationId, "is present: take it off the list");
    const where = `${one.method.toUpperCase()} ${one.path}`;
    if (one.path !== other.path || one.method !== other.method)
      comparison.fault(operationId, `was ${where}, is ${other.method.toUpperCase()} ${other.path}`);
    comparison.operation(one, other, operationId);
  }
  for (const operationId of notYet)
    if (!before.has(operationId)) comparison.fault(operationId, "is listed, but the seed has no such operation");
  return { problems: comparison.problems, absent };
}
