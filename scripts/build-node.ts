/**
 * `npm run build:node`: dist/gyre-node, a copy of this Node that carries the program and better-sqlite3 inside (a "single
 * executable application"). docs/decisions/0007-single-executables.md says why it is done this way.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { build } from "esbuild";

/** Marks in the Node binary where postject writes that something was injected; given by Node's documentation. */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

const ROOT = resolve(import.meta.dirname, "..");
const WORK = join(ROOT, ".cache", "build-node");
const OUTPUT = join(ROOT, "dist", "gyre-node");

mkdirSync(WORK, { recursive: true });
mkdirSync(dirname(OUTPUT), { recursive: true });
await bundle();
embed();
console.log(`${OUTPUT}: ${Math.round(statSync(OUTPUT).size / 1e6)} MB`);

/** One CommonJS file, because only that can be embedded. */
async function bundle(): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ["runtimes/node.ts"],
    outfile: join(WORK, "gyre.cjs"),
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    minifyWhitespace: true,
    legalComments: "linked",
    // It is undefined in CommonJS, which is how the program knows that it is not running from its sources.
    define: { "import.meta.url": "undefined" },
    logLevel: "warning",
  });
}

function embed(): void {
  const blob = join(WORK, "gyre.blob");
  const config = join(WORK, "sea.json");
  const settings = {
    main: join(WORK, "gyre.cjs"),
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: false,
    execArgv: ["--min-semi-space-size=16", "--max-semi-space-size=32"],
    assets: { "better_sqlite3.node": addonFile() },
  };
  writeFileSync(config, JSON.stringify(settings));
  run("node", ["--experimental-sea-config", config]);
  rmSync(OUTPUT, { force: true });
  copyFileSync(process.execPath, OUTPUT);
  chmodSync(OUTPUT, 0o755);
  run("postject", [OUTPUT, "NODE_SEA_BLOB", blob, "--sentinel-fuse", FUSE]);
}

/** Quiet unless it fails: postject warns about section names of every Node binary. */
function run(program: string, args: readonly string[]): void {
  const done = spawnSync(join(ROOT, "node_modules", ".bin", program), args, { encoding: "utf8" });
  if (done.status === 0) return;
  throw new Error(`Cannot run ${program} ${args.join(" ")}: ${done.stdout}${done.stderr}`, {
    cause: done.error,
  });
}

/** The prebuilt addon for this platform, as better-sqlite3 names them. */
function addonFile(): string {
  const folder = dirname(createRequire(import.meta.url).resolve("better-sqlite3/package.json"));
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const isMusl = process.platform === "linux" && header.glibcVersionRuntime === undefined;
  return join(
    folder,
    "prebuilds",
    `${process.platform}${isMusl ? "musl" : ""}-${process.arch}.node`,
  );
}
