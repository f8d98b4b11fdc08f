/* An organisation's settings: what a PATCH changes, what it leaves, what it refuses. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { start } from "../lib/server.mjs";

const PATH = "/v1/organization/settings";
const UNSET = { default_platform_fee_pct: null, auto_top_up_enabled: false, auto_top_up_threshold_cents: null, auto_top_up_amount_cents: null };
const SET = { default_platform_fee_pct: 0.125, auto_top_up_enabled: true, auto_top_up_threshold_cents: 500, auto_top_up_amount_cents: 2500 };

let server, live, test;
before(async () => {
  server = await start({ "rate-limit-per-minute": 0 });
});
after(() => server?.stop());
beforeEach(async () => {
  const org = await server.createOrg({ credits: 10_000 });
  live = server.client(org.live_key);
  test = server.client(org.test_key);
});

const read = async (client = live) => (await client.get(PATH)).json;

async function patch(body, client = live) {
  const reply = await client.patch(PATH, body);
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual(reply.json, await read(client));
  return reply.json;
}

async function assertRefused(body, fields) {
  const before = await read();
  const reply = await live.patch(PATH, body);
  assert.deepEqual([reply.status, reply.json.error.details.map(({ field }) => field).sort()], [422, fields], reply.text);
  assert.deepEqual(await read(), before, "nothing of it was kept");
}

describe("a PATCH of the settings", () => {
  it("changes what is sent and leaves the rest", async () => {
    assert.deepEqual(await read(), UNSET);
    let expected = UNSET;
    for (const [name, value] of Object.entries({ ...SET, auto_top_up_enabled: false })) {
      expected = { ...expected, [name]: value };
      assert.deepEqual(await patch({ [name]: value }), expected);
    }
    assert.deepEqual(await patch({ auto_top_up_enabled: true }), SET);
    assert.deepEqual(await patch({}), SET);
    assert.deepEqual(await patch({ something_else: 1 }), SET);
  });

  it("clears what is null, which is not nought", async () => {
    await patch({ ...SET, auto_top_up_enabled: false });
    for (const name of ["default_platform_fee_pct", "auto_top_up_threshold_cents", "auto_top_up_amount_cents"]) {
      assert.equal((await patch({ [name]: null }))[name], null);
      assert.equal((await patch({ [name]: SET[name] }))[name], SET[name]);
    }
    const nought = await patch({ default_platform_fee_pct: 0, auto_top_up_threshold_cents: 0 });
    assert.deepEqual([nought.default_platform_fee_pct, nought.auto_top_up_threshold_cents], [0, 0]);
  });

  it("leaves no top-up without what it needs", async () => {
    await assertRefused({ auto_top_up_enabled: true }, ["auto_top_up_amount_cents", "auto_top_up_threshold_cents"]);
    await assertRefused({ auto_top_up_enabled: true, auto_top_up_threshold_cents: 500 }, ["auto_top_up_amount_cents"]);
    await patch(SET);
    await assertRefused({ default_platform_fee_pct: 0.2, auto_top_up_threshold_cents: null }, ["auto_top_up_threshold_cents"]);
    assert.deepEqual(await patch({ auto_top_up_enabled: false, auto_top_up_threshold_cents: null, auto_top_up_amount_cents: null }), { ...UNSET, default_platform_fee_pct: 0.125 });
  });

  it("is for the asking key's environment", async () => {
    await patch(SET, test);
    assert.deepEqual(await read(live), UNSET);
    await patch({ default_platform_fee_pct: 0.3 }, live);
    assert.deepEqual(await read(test), SET);
  });

  it("loses nothing to another at the same time", async () => {
    const bodies = Object.entries({ ...SET, auto_top_up_enabled: false }).map(([name, value]) => ({ [name]: value }));
    const replies = await Promise.all([...bodies, ...bodies, ...bodies].map((body) => live.patch(PATH, body)));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    assert.deepEqual(await read(), { ...SET, auto_top_up_enabled: false });
  });
});
