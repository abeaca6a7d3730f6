#!/usr/bin/env node
// Starts Gyre on Node. Plain JavaScript without imports beyond node:, because it must also run, and say what is wrong,
// on versions of Node that are too old for everything else.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ENTRY = new URL("../runtimes/node.ts", import.meta.url);
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 13)) {
  process.stderr.write(
    `gyre: Cannot run on Node ${process.versions.node}, want Node 22.13 or newer (or Bun, or Deno). ` +
      "In a clone of the repository, `npm start` brings its own Node.\n",
  );
  process.exitCode = 2;
} else if (process.features.typescript) {
  process.argv[1] = fileURLToPath(ENTRY);
  await import(ENTRY.href);
} else {
  // Node 22.13 to 22.17 do not strip types by themselves.
  const flags = ["--import", import.meta.resolve("tsx")];
  const child = spawn(
    process.execPath,
    [...flags, fileURLToPath(ENTRY), ...process.argv.slice(2)],
    {
      stdio: "inherit",
    },
  );
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"]))
    process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 1));
}
