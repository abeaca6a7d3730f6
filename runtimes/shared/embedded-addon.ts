import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** The name under which scripts/build-node.ts embeds better-sqlite3's binary. */
const ASSET = "better_sqlite3.node";

/**
 * The addon that a single executable carries inside; undefined in any other program. The loader of the system reads only
 * files, so the bytes are a file for as long as loading takes.
 * @throws Error when the temporary directory cannot be written or forbids execution.
 */
export function loadEmbeddedAddon(): object | undefined {
  const sea = process.getBuiltinModule("node:sea");
  if (sea === undefined || !sea.isSea()) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "gyre-"));
  const file = join(directory, ASSET);
  try {
    writeFileSync(file, new Uint8Array(sea.getAsset(ASSET)), { mode: 0o700 });
    const module = { exports: {} };
    process.dlopen(module, file);
    return module.exports;
  } catch (cause) {
    throw new Error(
      `Cannot load the SQLite driver from ${directory}: set TMPDIR to a directory that may hold programs`,
      { cause },
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
