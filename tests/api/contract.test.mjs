/* Rules that the contract document itself keeps. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { contract, operations, pathParameters, resolve } from "../lib/contract.mjs";

/* What the server's contract engine knows; it refuses to start on any other. */
const SCHEMA_KEYWORDS = new Set([
  "type", "const", "enum", "anyOf", "required", "properties", "patternProperties", "maxProperties",
  "items", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "format", "default",
  "$ref", "title", "description", "example", "examples",
]);
const OPERATION_KEYWORDS = new Set([
  "operationId", "summary", "description", "tags", "parameters", "requestBody", "responses", "security",
  "x-scope", "x-access", "x-body-limit", "x-idempotent", "x-audit", "x-setting",
]);
const SCOPES = resolve({ $ref: "#/components/schemas/ApiScope" }).anyOf.map((one) => one.const);

function checkSchema(schema, where) {
  for (const key of Object.keys(schema))
    assert.ok(SCHEMA_KEYWORDS.has(key), `${where}: the engine does not know ${key}`);
  if (schema.$ref) {
    assert.deepEqual(Object.keys(schema), ["$ref"], `${where}: a $ref stands alone`);
    resolve(schema);
  }
  if (schema.format) assert.ok(["uri", "date-time"].includes(schema.format), `${where}: format`);
  for (const pattern of Object.keys(schema.patternProperties ?? {})) assert.equal(pattern, "^(.*)$", where);
  for (const name of schema.required ?? [])
    assert.ok(name in (schema.properties ?? {}), `${where}: requires ${name}, which it does not declare`);
  /* Generated types take a property with a default for one that is always there, also in requests. */
  for (const [name, one] of Object.entries(schema.properties ?? {}))
    assert.ok(!("default" in one), `${where}.${name} has a default: say it in the description`);
  const below = [
    ...Object.entries(schema.properties ?? {}),
    ...Object.entries(schema.patternProperties ?? {}),
    ...(schema.items ? [["[]", schema.items]] : []),
    ...(schema.anyOf ?? []).map((one, i) => [`anyOf ${i}`, one]),
  ];
  for (const [name, one] of below) checkSchema(one, `${where}.${name}`);
}

describe("the contract", () => {
  it("is valid OpenAPI 3.1", async () => {
    const result = await new Validator().validate(structuredClone(contract));
    assert.ok(result.valid, JSON.stringify(result.errors));
    assert.equal(contract.openapi, "3.1.0");
  });

  it("uses only what the engine knows in schemas", () => {
    for (const [name, one] of Object.entries(contract.components.schemas)) checkSchema(one, name);
    for (const one of operations) {
      for (const parameter of one.parameters) checkSchema(parameter.schema, `${one.operationId} ${parameter.name}`);
      for (const { content } of [one.requestBody ?? {}, ...Object.values(one.responses)])
        for (const { schema } of Object.values(content ?? {})) if (schema) checkSchema(schema, one.operationId);
    }
  });

  it("uses every schema that it has", () => {
    const text = JSON.stringify(contract);
    for (const name of Object.keys(contract.components.schemas))
      assert.ok(text.includes(`"#/components/schemas/${name}"`), `${name} is used nowhere`);
  });

  for (const [path, methods] of Object.entries(contract.paths))
    for (const [method, raw] of Object.entries(methods))
      it(`describes ${raw.operationId} completely`, () => checkOperation(path, method, raw));

  it("has every operationId once", () => {
    const ids = operations.map((one) => one.operationId);
    assert.deepEqual(ids, [...new Set(ids)]);
  });
});

function checkOperation(path, method, raw) {
  for (const key of Object.keys(raw)) assert.ok(OPERATION_KEYWORDS.has(key), `the engine does not know ${key}`);
  const one = operations.find((other) => other.operationId === raw.operationId);
  assert.ok(one.summary.length > 0 && one.summary.length <= 100);
  assert.ok(one.tags.length === 1 && contract.tags.some(({ name }) => name === one.tags[0]), "one known tag");
  assert.ok(["read", "write", "external", "stream"].includes(one["x-access"]));
  if (one["x-scope"]) assert.ok(SCOPES.includes(one["x-scope"]));
  if (one.credential === "key" && one["x-access"] !== "read") assert.match(one["x-audit"] ?? "", /^[a-z_]+\.[a-z_]+$/, "a change is noted as something");
  const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
  assert.deepEqual(pathParameters(one), inPath);
  checkStatuses(one, method);
}

/* Stripe sends none, a form of a page cannot: what they repeat changes nothing. */
const IDEMPOTENT_BY_STATE = new Set(["receiveStripeEvent", "payCheckout", "cancelCheckout"]);

function checkStatuses(one, method) {
  const statuses = Object.keys(one.responses).map(Number);
  const needs = (status, why) => assert.ok(statuses.includes(status), `${status} is missing: ${why}`);
  assert.ok(statuses.some((status) => status < 400), "a success");
  if (one.credential) for (const status of [400, 401, 429, 500, 503]) needs(status, "it asks for credentials");
  if (one["x-scope"]) needs(403, "it has a scope");
  if (pathParameters(one).length > 0) needs(404, "it takes an id");
  if (one.bodySchema) for (const status of [400, 413, 415, 422]) needs(status, "it takes JSON");
  if (one["x-idempotent"]) {
    needs(409, "it takes an Idempotency-Key");
    assert.ok(one.parameters.some(({ name }) => name === "Idempotency-Key"), "declares Idempotency-Key");
  }
  if (method === "post") assert.equal(one["x-idempotent"] === true, !IDEMPOTENT_BY_STATE.has(one.operationId), "a POST");
  for (const [status, { description, content }] of Object.entries(one.responses)) {
    assert.ok(description.length > 0);
    if (Number(status) >= 400)
      assert.equal(content["application/json"].schema.$ref, "#/components/schemas/ErrorEnvelope");
  }
}
