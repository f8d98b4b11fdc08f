/* HTTPS served by the server itself, with a certificate made here. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import tls from "node:tls";
import { Market } from "../lib/market.mjs";
import { Client } from "../lib/client.mjs";
import { sample, sha256 } from "../lib/samples.mjs";
import { run, Server } from "../lib/server.mjs";

let folder;
const at = (name) => join(folder, name);

function makeCertificate(name) {
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2",
    "-subj", "/CN=firsthand test", "-addext", "subjectAltName=IP:127.0.0.1",
    "-keyout", at(`${name}.key`), "-out", at(`${name}.crt`),
  ], { stdio: "pipe" });
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "firsthand-tls-"));
  makeCertificate("first");
  makeCertificate("second");
});
after(() => rm(folder, { recursive: true, force: true }));

describe("a server with a certificate", () => {
  let market;
  before(async () => {
    const settings = { "tls-cert": at("first.crt"), "tls-key": at("first.key"), "worker-reservations-max": 100 };
    const server = new Server(at("data"), settings);
    server.ca = readFileSync(at("first.crt"));
    await server.launch();
    market = await Market.open(server);
  });
  after(() => market?.stop());

  it("says https where it listens, and in every link", async () => {
    assert.match(market.server.base, /^https:\/\/127\.0\.0\.1:\d+$/);
    const job = await market.job();
    const reservation = await market.worker.accept(job.id);
    assert.ok(reservation.upload_url.startsWith(`${market.server.base}/worker/v1/uploads?`), reservation.upload_url);
  });

  it("does the main job for a client that trusts it", async () => {
    const bytes = sample("photo.jpg");
    const job = await market.job();
    const submission = await market.submitAndScore(job, bytes);
    assert.equal(submission.status, "approved", submission.ai_reasoning);
    const [file] = await market.files(job);
    assert.ok(file.download_url.startsWith(`${market.server.base}/files/`), file.download_url);
    const link = new URL(file.download_url);
    const download = await market.server.client().get(link.pathname + link.search);
    assert.equal(download.status, 200);
    assert.equal(sha256(download.bytes), sha256(bytes));
  });

  it("is not trusted by a client that was not told to", async () => {
    for (const ca of [undefined, readFileSync(at("second.crt"))]) {
      const client = new Client({ base: market.server.base, hasRateLimit: true, ca });
      await assert.rejects(client.get("/healthz"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
      client.close();
    }
  });

  it("does not answer plain HTTP", async () => {
    const client = new Client({ base: market.server.base.replace("https:", "http:"), hasRateLimit: true });
    await assert.rejects(client.get("/healthz"));
    client.close();
    assert.equal((await market.server.client().get("/healthz")).status, 200);
  });

  it("speaks TLS 1.3 and 1.2, nothing older", async () => {
    const { port } = new URL(market.server.base);
    const handshake = (version) =>
      new Promise((done) => {
        const socket = tls.connect({
          host: "127.0.0.1", port, ca: market.server.ca, minVersion: version, maxVersion: version, ciphers: "ALL:@SECLEVEL=0",
        });
        socket.on("secureConnect", () => {
          socket.destroy();
          done(socket.getProtocol() ?? version);
        });
        socket.on("error", () => done(null));
      });
    for (const version of ["TLSv1.3", "TLSv1.2"]) assert.equal(await handshake(version), version);
    for (const version of ["TLSv1.1", "TLSv1"]) assert.equal(await handshake(version), null, version);
  });

  it("says nothing of the key in its log", () => {
    const key = readFileSync(at("first.key"), "utf8").split("\n")[1];
    for (const line of market.server.logLines) {
      assert.equal(typeof JSON.parse(line).event, "string");
      assert.ok(!line.includes(key));
    }
  });
});

describe("a certificate that will not do stops the start with one line", () => {
  let count = 0;
  const serve = (cert, key) =>
    run(["serve", "--listen", "127.0.0.1:0", "--data-dir", at(`data-${++count}`), "--tls-cert", cert, "--tls-key", key]);

  function assertOneLine({ code, stdout, stderr }, pattern) {
    assert.equal(code, 1, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /^firsthand: [^\n]+\n$/);
    assert.match(stderr, pattern);
  }

  it("one that is not there, or empty", async () => {
    writeFileSync(at("empty"), "");
    assertOneLine(await serve(at("none.crt"), at("first.key")), /none\.crt.*tls_unreadable/);
    assertOneLine(await serve(at("first.crt"), at("none.key")), /none\.key.*tls_unreadable/);
    assertOneLine(await serve(at("empty"), at("first.key")), /empty.*tls_unreadable/);
    assertOneLine(await serve(at("first.crt"), folder), /tls_unreadable/);
  });

  it("one that is none", async () => {
    writeFileSync(at("words.crt"), "not a certificate at all\n");
    assertOneLine(await serve(at("words.crt"), at("first.key")), /cannot_serve/);
    assertOneLine(await serve(at("first.crt"), at("words.crt")), /cannot_serve/);
  });

  it("one of another key", async () => {
    assertOneLine(await serve(at("first.crt"), at("second.key")), /are certificate and key a pair\?.*cannot_serve/);
    assertOneLine(await serve(at("first.key"), at("first.crt")), /cannot_serve/);
  });
});
