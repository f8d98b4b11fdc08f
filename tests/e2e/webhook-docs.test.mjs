/* What docs/webhooks.md tells receivers to do with a delivery works: each of its programs takes a real
 * one and refuses what was changed, is old, or was signed by somebody else. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { REPOSITORY } from "../lib/contract.mjs";
import { openMarket } from "../lib/market.mjs";
import { Receiver } from "../lib/receiver.mjs";

const text = readFileSync(join(REPOSITORY, "docs/webhooks.md"), "utf8");

function snippet(language) {
  const found = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))];
  assert.equal(found.length, 1, `one program in ${language}`);
  return found[0][1];
}

/* Each exits with 0 when it takes: body file, signature, secret. */
const PROGRAMS = {
  js: (folder) => {
    writeFileSync(join(folder, "verify.mjs"), `${snippet("js")}
import { readFileSync } from "node:fs";
const [path, signature, secret] = process.argv.slice(2);
verify(readFileSync(path), signature, secret);
`);
    return [process.execPath, join(folder, "verify.mjs")];
  },
  python: (folder) => {
    writeFileSync(join(folder, "verify.py"), `${snippet("python")}
import sys
verify(open(sys.argv[1], "rb").read(), sys.argv[2], sys.argv[3])
`);
    return ["python3", join(folder, "verify.py")];
  },
  c: (folder) => {
    writeFileSync(join(folder, "verify.c"), `${snippet("c")}
int main(int argc, char **argv)
{
    static char body[1 << 20];
    FILE       *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) return 2;
    size_t count = fread(body, 1, sizeof(body), file);
    fclose(file);
    return verify(body, count, argv[2], argv[3]) ? 0 : 1;
}
`);
    const flags = ["-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations"];
    execFileSync("gcc", [...flags, "-o", join(folder, "verify"), join(folder, "verify.c"), "-lcrypto"]);
    return [join(folder, "verify")];
  },
};

let folder, market, receiver, request, secret;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "firsthand-docs-"));
  market = await openMarket({ "webhook-allow": "127.0.0.1/32" });
  receiver = await Receiver.open();
  secret = (await market.buyer.createEndpoint({ url: receiver.url("/") })).signing_secret;
  const job = await market.buyer.createJob();
  await market.buyer.post(`/v1/jobs/${job.id}/cancel`);
  [request] = await receiver.received("/", 1);
});
after(async () => {
  receiver?.close();
  await market?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function sign(time, body, key) {
  return `t=${time},v1=${createHmac("sha256", key).update(`${time}.${body}`).digest("hex")}`;
}

for (const [language, make] of Object.entries(PROGRAMS))
  it(`the program in ${language} takes what was sent and nothing else`, () => {
    const [program, ...args] = make(folder);
    const takes = (body, signature, key) => {
      writeFileSync(join(folder, "body"), body);
      const { status, error } = spawnSync(program, [...args, join(folder, "body"), signature, key], { stdio: "ignore" });
      if (error) throw error;
      return status === 0;
    };
    const signature = request.headers["x-firsthand-signature"];
    const now = Math.floor(Date.now() / 1000);
    const other = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    assert.ok(takes(request.text, signature, secret));
    const [stamp, ours] = signature.split(",");
    const [, others] = sign(stamp.slice(2), request.text, other).split(",");
    assert.ok(takes(request.text, [stamp, others, ours].join(), secret), "during a rotation");
    assert.ok(!takes(request.text.replace("cancelled", "completed"), signature, secret), "changed");
    assert.ok(!takes(request.text, signature, other), "another secret");
    assert.ok(!takes(request.text, sign(now - 600, request.text, secret), secret), "old");
    assert.ok(!takes(request.text, sign(now + 600, request.text, secret), secret), "of the future");
    assert.ok(!takes(request.text, `t=${now}`, secret), "unsigned");
    assert.ok(!takes(request.text, signature.replace(/v1=./, "v1="), secret), "cut short");
  });
