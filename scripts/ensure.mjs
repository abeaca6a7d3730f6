// Plain JavaScript that Node 18 understands: this runs before anything is installed, on whatever Node the machine has.
// Everything after it runs on the pinned Node, Bun and Deno from node_modules.
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");

/** The packages whose install scripts fetch or link a program; package.json `allowScripts` names the same four. */
const PROGRAMS = ["node", "bun", "deno", "esbuild"];

/**
 * Installs what package-lock.json names unless it is there already, and makes sure that the four programs run.
 * Returns an environment in which they come first on the PATH.
 * @returns {{ root: string, bin: string, node: string, env: NodeJS.ProcessEnv }}
 */
export function ensureInstalled() {
  if (!packagesMatchLock()) npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
  const missing = PROGRAMS.filter((name) => !isProgram(name) || !runs(name));
  if (missing.length > 0) npm(["rebuild", "--ignore-scripts=false", ...missing]);
  const broken = missing.filter((name) => !runs(name));
  if (broken.length > 0) {
    throw new Error(
      `Cannot start ${broken.join(", ")} from node_modules: delete node_modules and try again with access to an npm registry`,
    );
  }
  return { root: ROOT, bin: BIN, node: join(BIN, "node"), env: environment() };
}

/** The PATH on which the pinned programs come first. */
function environment() {
  return { ...process.env, PATH: `${BIN}${delimiter}${process.env["PATH"] ?? ""}` };
}

/** True if each package that the lock asks for on every platform is installed in that very version. */
function packagesMatchLock() {
  const installedFile = join(ROOT, "node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === "" || entry.optional === true || installed[path]?.version === entry.version,
  );
}

/**
 * Without their install scripts deno and esbuild are wrappers in JavaScript, which work but die alone from a signal and
 * leave the real program behind.
 * @param {string} name
 */
function isProgram(name) {
  if (process.platform === "win32") return true;
  const path = join(BIN, name);
  if (!existsSync(path)) return false;
  const start = Buffer.alloc(2);
  const file = openSync(path, "r");
  readSync(file, start);
  closeSync(file);
  return start.toString() !== "#!";
}

/** @param {string} name */
function runs(name) {
  return spawnSync(join(BIN, name), ["--version"], { env: environment() }).status === 0;
}

/** @param {string[]} args */
function npm(args) {
  const npmScript = process.env["npm_execpath"];
  const [command, first] = npmScript?.endsWith(".js")
    ? [process.execPath, [npmScript]]
    : ["npm", []];
  process.stderr.write(`installing: npm ${args.join(" ")}\n`);
  // npm's chatter goes to stderr: stdout belongs to what the caller prints.
  const done = spawnSync(command, [...first, ...args], { cwd: ROOT, stdio: ["ignore", 2, 2] });
  if (done.status !== 0)
    throw new Error(`Cannot install: npm ${args[0]} ended with ${done.status ?? done.signal}`);
}
