/* Requests with exactly one fault, made from a schema. Bodies, from a good one: every required member
 * left out, every member of every wrong type, every bound exceeded by one. Texts of parameters. */
import { resolve } from "./contract.mjs";

const VALUES = {
  string: ["text"],
  integer: [7],
  number: [1.5],
  boolean: [true, false],
  null: [null],
  array: [[], ["text"]],
  object: [{}, { a: 1 }],
};

function constsOf(schema) {
  if (schema.enum) return schema.enum;
  if (schema.anyOf?.every((one) => "const" in one)) return schema.anyOf.map((one) => one.const);
  return null;
}

function typesOf(schema) {
  if (schema.anyOf) return schema.anyOf.flatMap((one) => typesOf(resolve(one)));
  return [schema.type].flat().flatMap((type) => (type === "number" ? ["number", "integer"] : [type]));
}

function wrongTypes(schema) {
  const consts = constsOf(schema);
  const accepted = consts ? [] : typesOf(schema);
  const code = consts ? "enum" : schema.anyOf ? "anyOf" : "type";
  return Object.entries(VALUES)
    .filter(([type]) => !accepted.includes(type))
    .flatMap(([, values]) => values)
    .map((value) => ({ value, code }));
}

function boundFaults(schema, good) {
  const faults = [];
  const add = (code, value) => faults.push({ code, value });
  if (schema.minLength > 0) add("minLength", "é".repeat(schema.minLength - 1));
  if ("maxLength" in schema) add("maxLength", "é".repeat(schema.maxLength + 1));
  if ("minimum" in schema) add("minimum", schema.minimum - 1);
  if ("maximum" in schema) add("maximum", schema.maximum + 1);
  if (schema.minItems > 0) add("minItems", good.slice(0, schema.minItems - 1));
  if ("maxItems" in schema) add("maxItems", Array(schema.maxItems + 1).fill(good[0]));
  if ("maxProperties" in schema) {
    const names = Array.from({ length: schema.maxProperties + 1 }, (_, i) => [`name${i}`, i]);
    add("maxProperties", Object.fromEntries(names));
  }
  return faults;
}

/* Faults inside an array's items and an object's members. */
function innerFaults(schema, good) {
  if (schema.type === "array") {
    const items = resolve(schema.items);
    return [...wrongTypes(items), ...boundFaults(items, good[0])].map(({ value, code }) => ({
      value: [good[0], value], code, suffix: "[1]",
    }));
  }
  const any = schema.patternProperties?.["^(.*)$"];
  if (!any) return [];
  return wrongTypes(resolve(any)).map(({ value, code }) => ({
    value: { fine: 1, colour: value }, code, suffix: ".colour",
  }));
}

/* → [{ name, body, field, code }] */
export function singleFaults(bodySchema, goodBody) {
  const schema = resolve(bodySchema);
  const faults = [];
  for (const name of schema.required ?? []) {
    const { [name]: _, ...body } = goodBody;
    faults.push({ name: `${name} left out`, body, field: name, code: "required" });
  }
  for (const [name, property] of Object.entries(schema.properties)) {
    const one = resolve(property);
    const found = [
      ...wrongTypes(one), ...boundFaults(one, goodBody[name]), ...innerFaults(one, goodBody[name]),
    ];
    for (const { value, code, suffix = "" } of found) {
      const shown = JSON.stringify(value);
      faults.push({
        name: `${name}${suffix} ${code}: ${shown.length > 40 ? `${shown.slice(0, 40)}…` : shown}`,
        body: { ...goodBody, [name]: value },
        field: name + suffix,
        code,
      });
    }
  }
  return faults;
}

/* Texts that a query parameter of a schema does not take. → [{ value, code }] */
export function textFaults(parameterSchema) {
  const schema = resolve(parameterSchema);
  const faults = boundFaults(schema);
  if (constsOf(schema)) faults.push(...["", "none-of-them"].map((value) => ({ value, code: "enum" })));
  if (schema.type === "integer") faults.push(...["", "ten", "1.5"].map((value) => ({ value, code: "type" })));
  if (schema.format === "date-time") faults.push(...["", "yesterday", "2026-02-30T00:00:00Z"].map((value) => ({ value, code: "format" })));
  return faults;
}
