/** Gyre on Node. Nothing but node: is imported before the version has been looked at. */
import process from "node:process";

/** Type stripping, better-sqlite3 13 and the rest need it. */
const NODE_MIN = [22, 13] as const;

function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
}

async function main(): Promise<never> {
  const [{ describeProgram }, { runProgram }] = await Promise.all([
    import("./shared/platform-spawn.ts"),
    import("./shared/run-program.ts"),
  ]);
  // Undefined in the bundle of the single executable, which is CommonJS.
  const entryUrl: string | undefined = import.meta.url;
  return await runProgram(describeProgram("node", entryUrl), process.argv.slice(2), async () => {
    const [
      { loadBetterSqlite },
      { loadEmbeddedAddon },
      { listenClient },
      { listenPeer },
      { createNetTransport },
    ] = await Promise.all([
      import("./shared/sqlite-better.ts"),
      import("./shared/embedded-addon.ts"),
      import("./shared/listen-node.ts"),
      import("./shared/listen-peer.ts"),
      import("./shared/transport-net.ts"),
    ]);
    return {
      name: `node ${process.versions.node}`,
      loadSqlite: () => loadBetterSqlite(loadEmbeddedAddon()),
      createTransport: createNetTransport,
      listenClient,
      listenPeer,
    };
  });
}

if (isSupported(process.versions.node)) {
  void main();
} else {
  process.stderr.write(
    `gyre: Cannot run on Node ${process.versions.node}, want Node ${NODE_MIN.join(".")} or newer (or Bun, or Deno)\n`,
  );
  process.exitCode = 2;
}
