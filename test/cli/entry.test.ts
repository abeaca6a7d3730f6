/** The door for every Node, also those that can read neither TypeScript nor our dependencies. */

import { expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

setDefaultTimeout(60_000);

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NODE = `${ROOT}node_modules/.bin/node`;

/** A Node that says it is another one: the message must not depend on which Nodes the machine has. */
function runAs(version: string, script: string, ...args: string[]) {
  const pretend = `Object.defineProperty(process.versions, "node", { value: "${version}" })`;
  const preload = `--import=data:text/javascript,${encodeURIComponent(pretend)}`;
  return spawnSync(NODE, [preload, `${ROOT}${script}`, ...args], { encoding: "utf8" });
}

test.each(["bin/gyre.mjs", "runtimes/node.ts"])(
  "%s on an old Node says what is wanted and exits with 2",
  (script) => {
    for (const version of ["18.20.0", "20.20.2", "22.12.0"]) {
      const { status, stdout, stderr } = runAs(version, script, "status");
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(`Cannot run on Node ${version}, want Node 22.13 or newer`);
      expect(stderr.trimEnd().split("\n").length).toBe(1);
    }
  },
);

test.each(["bin/gyre.mjs", "runtimes/node.ts"])(
  "%s on a current Node runs the command and passes its exit code",
  (script) => {
    const version = process.versions.node.startsWith("2") ? process.versions.node : "24.0.0";
    expect(runAs(version, script, "--version").stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(runAs(version, script, "get").status).toBe(2);
  },
);
