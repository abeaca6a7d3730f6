/** Gyre on Bun, also as a single executable. */
import process from "node:process";
import { listenClient, listenPeer } from "./shared/listen-bun.ts";
import { describeProgram } from "./shared/platform-spawn.ts";
import { runProgram } from "./shared/run-program.ts";
import { loadBunSqlite } from "./shared/sqlite-bun.ts";
import { createNetTransport } from "./shared/transport-net.ts";

void runProgram(describeProgram("bun", import.meta.url), process.argv.slice(2), () =>
  Promise.resolve({
    name: `bun ${process.versions["bun"] ?? ""}`,
    loadSqlite: loadBunSqlite,
    createTransport: createNetTransport,
    listenClient,
    listenPeer,
  }),
);
