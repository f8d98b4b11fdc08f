/* The same three operations as Firsthand, by Fastify 5 over PostgreSQL or SQLite:
 *
 *     node main.mjs serve pg|sqlite PLACE WORKERS       prints "listening on URL"
 *     node main.mjs stock pg|sqlite PLACE COUNT CENTS   makes organisations, prints their keys
 *     node main.mjs check pg|sqlite PLACE               prints what does not add up; nothing when all does
 *
 * PLACE is the directory of PostgreSQL's socket, or SQLite's file. */
import cluster from "node:cluster";
import { openApp } from "./app.mjs";
import { newOrganisation } from "./rules.mjs";

const [, , command, kind, place, ...rest] = process.argv;
const { openStore } = await import(kind === "pg" ? "./store_pg.mjs" : "./store_sqlite.mjs");

async function serve(workersCount) {
  if (cluster.isPrimary) {
    const ready = new Set();
    for (let i = 0; i < workersCount; i++) cluster.fork();
    cluster.on("listening", (worker, { port }) => {
      ready.add(worker.id);
      if (ready.size === workersCount) console.log(`listening on http://127.0.0.1:${port}`);
    });
    process.on("SIGTERM", () => {
      for (const worker of Object.values(cluster.workers)) worker.kill();
      process.exit(0);
    });
    return;
  }
  const app = openApp(await openStore(place));
  await app.listen({ host: "127.0.0.1", port: 0 });
}

async function stock(count, cents) {
  const store = await openStore(place);
  await store.migrate();
  const made = Array.from({ length: count }, (_, i) => newOrganisation(i, cents));
  for (const organisation of made) await store.addOrganisation(organisation);
  await store.close();
  console.log(JSON.stringify(made.map(({ id, secret }) => [id, secret])));
}

async function check() {
  const store = await openStore(place);
  for (const row of await store.breaches()) console.log(JSON.stringify(row));
  await store.close();
}

if (command === "serve") await serve(Number(rest[0]));
else if (command === "stock") await stock(Number(rest[0]), Number(rest[1]));
else if (command === "check") await check();
else throw new Error(`unknown command ${command}`);
