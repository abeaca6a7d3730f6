/** `npm run build:bun`: dist/gyre-bun, one executable with Bun and its SQLite inside. */
import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
const OUTPUT = join(ROOT, "dist", "gyre-bun");

mkdirSync(join(ROOT, "dist"), { recursive: true });
const built = spawnSync(
  join(ROOT, "node_modules", ".bin", "bun"),
  [
    ...["build", "--compile", "--minify-whitespace", "--minify-syntax"],
    ...["runtimes/bun.ts", "--outfile", OUTPUT],
  ],
  { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] },
);
if (built.status !== 0)
  throw new Error(`Cannot build ${OUTPUT}: bun build ended with ${built.status}`);
console.log(`${OUTPUT}: ${Math.round(statSync(OUTPUT).size / 1e6)} MB`);
