/* tus-js-client, unmodified, over a network that breaks: every file arrives whole, once. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import * as tus from "tus-js-client";
import { CutProxy } from "../lib/cut-proxy.mjs";
import { pngImage } from "../lib/media.mjs";
import { pageStack } from "../lib/page.mjs";
import { sha256 } from "../lib/samples.mjs";
import { start } from "../lib/server.mjs";
import { Tus } from "../lib/tus.mjs";

const HEADERS_BYTES = 2048; /* more than the head of a request takes */
const seed = Number(process.env.FIRSTHAND_TEST_SEED ?? 20260318);
const server = await start({ "rate-limit-per-minute": "0", "worker-reservations-max": "100" });
let buyer;
let pictures = 5000;
console.log(`# FIRSTHAND_TEST_SEED=${seed}`);

before(async () => {
  const org = await server.createOrg({ credits: 1_000_000 });
  buyer = server.client(org.live_key);
});
after(() => server.stop());

/* mulberry32: the same cuts for the same seed. */
function chance(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

async function slot() {
  const job = await buyer.createJob({ accepted_formats: ["image/png"], files_needed: 20 });
  const { token } = await server.createWorker();
  const client = server.client(token);
  const reservation = await client.accept(job.id);
  return { client, reservation, file: pngImage({ seed: pictures++, width: 640, height: 480 }) };
}

/* The upload's addresses point at the server; through the proxy they must point at the proxy. */
function viaProxy(proxy) {
  return (request) => {
    const url = new URL(request.getURL());
    assert.equal(url.port, String(proxy.port), "every request goes through the proxy");
  };
}

function options(client, extra) {
  return {
    headers: { Authorization: `Bearer ${client.token}` },
    metadata: { filename: "street.png", filetype: "image/png" },
    retryDelays: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ...extra,
  };
}

/* Run an upload to its end. → the instance */
function finished(file, wanted) {
  return new Promise((done, fail) => {
    const upload = new tus.Upload(file, { ...wanted, onSuccess: () => done(upload), onError: fail });
    upload.start();
  });
}

async function arrivedWhole({ client, file }) {
  const [row] = await client.all("/worker/v1/uploads");
  assert.equal(row.state, "finished");
  assert.equal(row.content_hash, sha256(file));
  assert.equal(row.offset_bytes, file.length);
  assert.equal(row.filename, "street.png");
}

test("an upload in one go", async () => {
  const it = await slot();
  await finished(it.file, options(it.client, { endpoint: it.reservation.upload_url }));
  await arrivedWhole(it);
});

test("an upload in chunks, the first with the creation", async () => {
  const it = await slot();
  await finished(it.file, options(it.client, {
    endpoint: it.reservation.upload_url,
    chunkSize: 50_000,
    uploadDataDuringCreation: true,
  }));
  await arrivedWhole(it);
});

test("an upload whose length is not known at first", async () => {
  const it = await slot();
  await finished(Readable.from([it.file.subarray(0, 10_000), it.file.subarray(10_000)]), options(it.client, {
    endpoint: it.reservation.upload_url,
    chunkSize: 64 * 1024,
    uploadLengthDeferred: true,
  }));
  await arrivedWhole(it);
});

test("an upload that says POST where it means PATCH", async () => {
  const it = await slot();
  await finished(it.file, options(it.client, { endpoint: it.reservation.upload_url, overridePatchMethod: true }));
  await arrivedWhole(it);
});

test("an upload from a page of another origin", async () => {
  const it = await slot();
  const finish = (extra) => finished(it.file, options(it.client, { httpStack: pageStack, addRequestId: true, ...extra }));
  const first = await finish({ endpoint: it.reservation.upload_url, chunkSize: 50_000, uploadDataDuringCreation: true, retryDelays: null });
  await arrivedWhole(it);
  await finish({ uploadUrl: first.url, retryDelays: null });
  const begun = await new Tus(it.client).begin(it.reservation.id, it.file.length);
  await tus.Upload.terminate(`${server.base}${begun}`, options(it.client, { httpStack: pageStack, retryDelays: null }));
  assert.equal((await new Tus(it.client).head(begun)).status, 410);
});

test("cut at random places it goes on by itself", async () => {
  const random = chance(seed);
  for (let round = 0; round < 6; round++) {
    const it = await slot();
    const cuts = Array.from({ length: 5 }, () => HEADERS_BYTES + Math.floor((random() * it.file.length) / 2));
    const proxy = await CutProxy.listen(Number(new URL(server.base).port), [HEADERS_BYTES * 10, ...cuts]);
    const location = await new Tus(it.client).begin(it.reservation.id, it.file.length, {
      "upload-metadata": `filename ${Buffer.from("street.png").toString("base64")}`,
    });
    try {
      await finished(it.file, options(it.client, {
        uploadUrl: `http://127.0.0.1:${proxy.port}${location}`,
        onBeforeRequest: viaProxy(proxy),
      }));
      assert.ok(proxy.cutsDone > 0, "the network broke at least once");
    } finally {
      await proxy.close();
    }
    await arrivedWhole(it);
  }
});

test("another client takes the upload up where the first was cut", async () => {
  const random = chance(seed + 1);
  const it = await slot();
  const location = await new Tus(it.client).begin(it.reservation.id, it.file.length, {
    "upload-metadata": `filename ${Buffer.from("street.png").toString("base64")}`,
  });
  const cut = HEADERS_BYTES * 2 + Math.floor(random() * (it.file.length / 2));
  const proxy = await CutProxy.listen(Number(new URL(server.base).port), [cut, cut]);
  const through = { uploadUrl: `http://127.0.0.1:${proxy.port}${location}` };
  try {
    await assert.rejects(finished(it.file, options(it.client, { ...through, retryDelays: null })));
    const offset = await new Tus(it.client).offset(location);
    assert.ok(offset < it.file.length, "not everything went through");
    const sent = [];
    await finished(it.file, options(it.client, {
      uploadUrl: `${server.base}${location}`,
      onBeforeRequest: (request) => {
        if (request.getMethod() === "PATCH") sent.push(Number(request.getHeader("Upload-Offset")));
      },
    }));
    assert.deepEqual(sent, [offset], "only what was missing is sent again");
  } finally {
    await proxy.close();
  }
  await arrivedWhole(it);
});

test("two clients at once end with one whole file", async () => {
  const it = await slot();
  const location = await new Tus(it.client).begin(it.reservation.id, it.file.length, {
    "upload-metadata": `filename ${Buffer.from("street.png").toString("base64")}`,
  });
  const one = options(it.client, { uploadUrl: `${server.base}${location}`, chunkSize: 30_000 });
  const ends = await Promise.allSettled([finished(it.file, one), finished(it.file, one)]);
  assert.ok(ends.some(({ status }) => status === "fulfilled"), "somebody got to the end");
  await arrivedWhole(it);
});

test("the server ends in the middle and the client goes on afterwards", async () => {
  const it = await slot();
  const location = await new Tus(it.client).begin(it.reservation.id, it.file.length, {
    "upload-metadata": `filename ${Buffer.from("street.png").toString("base64")}`,
  });
  let isKilled = false;
  let back = null;
  await finished(it.file, options(it.client, {
    uploadUrl: `${server.base}${location}`,
    chunkSize: 40_000,
    onChunkComplete: (_, accepted) => {
      if (isKilled || accepted < it.file.length / 2) return;
      isKilled = true;
      back = server.kill9().then(() => server.restart());
    },
    onShouldRetry: () => true,
    retryDelays: Array.from({ length: 2000 }, () => 50), /* longer than any start takes */
  }));
  assert.ok(isKilled, "it was killed in the middle");
  await back;
  await arrivedWhole({ client: server.client(it.client.token), file: it.file });
  buyer = server.client(buyer.token);
});

test("an upload can be given up", async () => {
  const it = await slot();
  const location = await new Tus(it.client).begin(it.reservation.id, it.file.length);
  await tus.Upload.terminate(`${server.base}${location}`, options(it.client, {}));
  const reply = await new Tus(it.client).head(location);
  assert.equal(reply.status, 410);
});

test("a file of the wrong type is refused and not sent again", async () => {
  const it = await slot();
  let patches = 0;
  await assert.rejects(
    finished(Buffer.alloc(100_000, "no picture "), options(it.client, {
      endpoint: it.reservation.upload_url,
      onBeforeRequest: (request) => {
        if (request.getMethod() === "PATCH") patches++;
      },
    })),
    (error) => error.originalResponse.getStatus() === 415,
  );
  assert.equal(patches, 1);
});

test("the store is in order afterwards", async () => {
  await server.audit();
});
