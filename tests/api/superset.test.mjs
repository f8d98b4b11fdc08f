/* The contract is a superset of the seed, where the seed is at hand, and the comparison can fail. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, it } from "node:test";
import { REPOSITORY, contract } from "../lib/contract.mjs";
import { compareContracts } from "../lib/superset.mjs";

/* Operations of the seed that are not built yet. Building one takes it off this list. */
const NOT_YET = [];

const SEED_PATH = process.env.FIRSTHAND_SEED
  ? resolve(process.env.FIRSTHAND_SEED)
  : resolve(REPOSITORY, "../shared/contract/openapi-seed.json");

describe("the seed", { skip: existsSync(SEED_PATH) ? false : "the seed is not at hand" }, () => {
  const seed = existsSync(SEED_PATH) ? JSON.parse(readFileSync(SEED_PATH, "utf8")) : null;

  it("is contained in the contract, but for the operations that are not built yet", (t) => {
    const { problems, absent } = compareContracts(seed, contract, NOT_YET);
    t.diagnostic(`not yet built: ${absent.join(", ") || "none"}`);
    assert.deepEqual(problems, []);
  });

  it("contains itself", () => {
    assert.deepEqual(compareContracts(seed, seed, []), { problems: [], absent: [] });
  });

  it("is compared down to every bound: each one, changed in the contract, is found", () => {
    const changes = requestBounds(contract, seed);
    assert.ok(changes.length >= 20, `only ${changes.length} bounds found to change`);
    for (const [name, change] of changes) {
      const changed = structuredClone(contract);
      change(changed);
      assert.notDeepEqual(compareContracts(seed, changed, NOT_YET).problems, [], `not noticed: ${name}`);
    }
  });
});

/* Every number and word in the component schemas that requests of seed operations use, as changes. */
function requestBounds(document, seed) {
  const seedBodies = Object.values(seed.paths).flatMap((methods) => Object.values(methods));
  const known = new Set(seedBodies.filter((one) => one.requestBody).map((one) => one.operationId));
  const changes = [];
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, one] of Object.entries(methods)) {
      if (!known.has(one.operationId)) continue;
      const name = one.requestBody.content["application/json"].schema.$ref.split("/").pop();
      const seedSchema = seed.paths[path][method].requestBody.content["application/json"].schema;
      collectBounds(document.components.schemas[name], seedSchema, ["components", "schemas", name], changes);
    }
  return changes;
}

function collectBounds(node, seedNode, at, changes) {
  if (!seedNode || !node || node.$ref) return;
  for (const key of ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties"])
    if (key in node) changes.push([`${at.join("/")}/${key}`, (document) => (reach(document, at)[key] += 1)]);
  for (const name of node.required ?? [])
    changes.push([`${at.join("/")} required ${name}`, (document) => {
      const here = reach(document, at);
      here.required = here.required.filter((other) => other !== name);
    }]);
  for (const [name, one] of Object.entries(node.properties ?? {}))
    collectBounds(one, seedNode.properties?.[name], [...at, "properties", name], changes);
}

const reach = (document, at) => at.reduce((here, key) => here[key], document);

/* A small seed of its own, so that the comparison itself is tested everywhere. */
const SMALL = {
  openapi: "3.1.0",
  security: [{ BearerAuth: [] }],
  paths: {
    "/things": {
      post: {
        operationId: "createThing",
        parameters: [
          { name: "Key", in: "header", required: true, schema: { type: "string" } },
          { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 100, default: 20 } },
        ],
        requestBody: {
          required: true,
          content: { "application/json": { schema: {
            type: "object",
            required: ["kind"],
            properties: {
              kind: { anyOf: [{ const: "a", type: "string" }, { const: "b", type: "string" }] },
              names: { type: "array", minItems: 1, items: { type: "string", maxLength: 9 } },
              bound: { type: ["integer", "null"], minimum: 0 },
              extra: { type: "object", maxProperties: 5, patternProperties: { "^(.*)$": { type: "string" } } },
            },
          } } },
        },
        responses: {
          201: { description: "made", content: { "application/json": { schema: {
            type: "object",
            required: ["id", "stars"],
            properties: { id: { type: "string" }, stars: { anyOf: [{ type: "integer", minimum: 1 }, { type: "null" }] } },
          } } } },
          204: { description: "nothing" },
        },
      },
    },
    "/later": { get: { operationId: "laterThing", responses: { 200: { description: "ok" } } } },
  },
};

function smallOurs() {
  const ours = structuredClone(SMALL);
  delete ours.paths["/later"];
  return ours;
}

const post = (document) => document.paths["/things"].post;
const body = (document) => post(document).requestBody.content["application/json"].schema;
const reply = (document) => post(document).responses[201].content["application/json"].schema;

describe("the comparison", () => {
  it("finds nothing wrong with a copy", () => {
    assert.deepEqual(compareContracts(SMALL, smallOurs(), ["laterThing"]), { problems: [], absent: ["laterThing"] });
  });

  const allowed = {
    "an optional property in the body": (d) => (body(d).properties.more = { type: "string", maxLength: 3 }),
    "an optional property in the reply": (d) => (reply(d).properties.more = { type: "string" }),
    "an optional parameter": (d) => post(d).parameters.push({ name: "q", in: "query", schema: { type: "string" } }),
    "another status": (d) => (post(d).responses[403] = { description: "no" }),
    "a format in the reply": (d) => (reply(d).properties.id.format = "uri"),
    "an enum for an anyOf of consts": (d) => (body(d).properties.kind = { type: "string", enum: ["b", "a"] }),
    "an anyOf for a list of types": (d) =>
      (body(d).properties.bound = { anyOf: [{ type: "null" }, { type: "integer", minimum: 0 }] }),
    "a $ref for a schema": (d) => {
      d.components = { schemas: { Body: body(d) } };
      post(d).requestBody.content["application/json"].schema = { $ref: "#/components/schemas/Body" };
    },
    "a description": (d) => (body(d).properties.names.description = "words"),
  };
  for (const [name, change] of Object.entries(allowed))
    it(`allows ${name}`, () => {
      const ours = smallOurs();
      change(ours);
      assert.deepEqual(compareContracts(SMALL, ours, ["laterThing"]).problems, []);
    });

  const refused = {
    "a changed bound": (d) => (body(d).properties.names.items.maxLength = 10),
    "a bound taken away": (d) => delete body(d).properties.bound.minimum,
    "a bound added to the body": (d) => (body(d).properties.names.maxItems = 3),
    "a changed enum": (d) => body(d).properties.kind.anyOf.pop(),
    "an added enum value": (d) => body(d).properties.kind.anyOf.push({ const: "c", type: "string" }),
    "a changed type in the body": (d) => (body(d).properties.names.items.type = "integer"),
    "null no longer taken": (d) => (body(d).properties.bound.type = "integer"),
    "a property gone from the body": (d) => delete body(d).properties.bound,
    "an optional property made required": (d) => body(d).required.push("bound"),
    "a required property made optional": (d) => (body(d).required = []),
    "a new required property": (d) => {
      body(d).properties.more = { type: "string" };
      body(d).required.push("more");
    },
    "a changed maxProperties": (d) => (body(d).properties.extra.maxProperties = 6),
    "a changed patternProperties": (d) => (body(d).properties.extra.patternProperties["^(.*)$"] = { type: "number" }),
    "additionalProperties closed": (d) => (body(d).additionalProperties = false),
    "the body made optional": (d) => (post(d).requestBody.required = false),
    "a parameter gone": (d) => post(d).parameters.pop(),
    "a parameter's changed default": (d) => (post(d).parameters[1].schema.default = 21),
    "a parameter's changed bound": (d) => (post(d).parameters[1].schema.maximum = 50),
    "a parameter made optional": (d) => (post(d).parameters[0].required = false),
    "a new required parameter": (d) =>
      post(d).parameters.push({ name: "q", in: "query", required: true, schema: { type: "string" } }),
    "a property gone from the reply": (d) => delete reply(d).properties.stars,
    "a reply's required property made optional": (d) => (reply(d).required = ["id"]),
    "a changed type in the reply": (d) => (reply(d).properties.id.type = "integer"),
    "a changed bound in the reply": (d) => (reply(d).properties.stars.anyOf[0].minimum = 0),
    "null added to the reply": (d) => (reply(d).properties.id = { type: ["string", "null"] }),
    "a status gone": (d) => delete post(d).responses[204],
    "a body where there was none": (d) => (post(d).responses[204].content = { "application/json": { schema: {} } }),
    "another method": (d) => (d.paths["/things"] = { put: post(d) }),
    "another path": (d) => {
      d.paths["/thing"] = d.paths["/things"];
      delete d.paths["/things"];
    },
    "other security": (d) => (post(d).security = []),
    "an operation absent though not listed": (d) => delete d.paths["/things"],
    "an operation present though listed": (d) => (d.paths["/later"] = structuredClone(SMALL.paths["/later"])),
  };
  for (const [name, change] of Object.entries(refused))
    it(`finds ${name}`, () => {
      const ours = smallOurs();
      change(ours);
      assert.equal(compareContracts(SMALL, ours, ["laterThing"]).problems.length > 0, true);
    });
});
