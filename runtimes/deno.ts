/** Gyre on Deno: `deno run --allow-all runtimes/deno.ts`. */
import process from "node:process";
import { listenClient } from "./shared/listen-deno.ts";
import { listenPeer } from "./shared/listen-peer.ts";
import { describeProgram } from "./shared/platform-spawn.ts";
import { runProgram } from "./shared/run-program.ts";
import { loadNodeSqlite } from "./shared/sqlite-node.ts";
import { createNetTransport } from "./shared/transport-net.ts";

void runProgram(describeProgram("deno", import.meta.url), process.argv.slice(2), () =>
  Promise.resolve({
    name: `deno ${process.versions["deno"] ?? ""}`,
    loadSqlite: loadNodeSqlite,
    createTransport: createNetTransport,
    listenClient,
    listenPeer,
  }),
);
