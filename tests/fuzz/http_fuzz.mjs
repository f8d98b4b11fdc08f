/* Runs the HTTP fuzzer for some time: FIRSTHAND_BIN=… node tests/fuzz/http_fuzz.mjs [SECONDS]. HTTP_FUZZ_SEED
 * repeats a run, HTTP_FUZZ_CASE begins at one of its cases. Prints what it did; exits 1 at the first
 * fault, with the bytes that brought it up. */
import { seedOf } from "../lib/random.mjs";
import { Target, fuzz } from "./http/fuzz.mjs";

const seconds = Number(process.argv[2] ?? 60);
const seed = seedOf("HTTP_FUZZ_SEED");
const endMs = performance.now() + seconds * 1000;
console.log(`HTTP_FUZZ_SEED=${seed}`);
const target = await Target.open();
let isGood = false;
try {
  const first = Number(process.env.HTTP_FUZZ_CASE ?? 0);
  const counts = await fuzz(target, { seed, first, isOver: () => performance.now() > endMs });
  console.log(JSON.stringify({ seconds, ...counts }));
  isGood = true;
} catch (e) {
  console.error(`${e.message}\n${target.server.logLines.slice(-40).join("\n")}`);
}
await target.stop();
process.exit(isGood ? 0 : 1);
