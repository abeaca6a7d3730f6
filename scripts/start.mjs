// `npm start`: installs what is missing, then runs a whole cluster on this machine (gyre dev) with the repository's own
// Node. Flags are passed on: npm start -- --nodes 3. Plain JavaScript that Node 18 understands, as ensure.mjs.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureInstalled } from "./ensure.mjs";

const { root, node, env } = ensureInstalled();
const entry = join(root, "runtimes", "node.ts");
const child = spawn(node, [entry, "dev", ...process.argv.slice(2)], { stdio: "inherit", env });
// The cluster stops its nodes in order; until then this process stays, so that the shell's prompt means "all gone".
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => child.kill(signal === "SIGHUP" ? "SIGTERM" : signal));
}
// npm runs this through a shell, and a signal sent to npm alone ends the shell without reaching us: then we have a new
// parent, and nobody is left to stop the cluster.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) child.kill("SIGTERM");
}, 250).unref();
child.on("error", (error) => {
  process.stderr.write(`Cannot start ${node}: ${error.message}\n`);
  process.exit(1);
});
child.on("exit", (code) => process.exit(code ?? 1));
