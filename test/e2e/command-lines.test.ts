/** Every program for developers tells what it may be given, and says so in a sentence when it is given something else. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

setDefaultTimeout(60_000);

const ROOT = join(import.meta.dirname, "../..");
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};
const PROGRAMS = Object.entries(scripts).filter(([, command]) =>
  /^node (test|bench)\/\S+$/.test(command),
);

function run(command: string, flag: string) {
  const [, path = ""] = command.split(" ");
  const { status, stdout, stderr } = spawnSync("node", [path, flag], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, PATH: `${ROOT}/node_modules/.bin:${process.env["PATH"]}` },
  });
  return { status, stdout, stderr };
}

describe("npm run", () => {
  test("has the programs that this looks at", () => {
    const names = PROGRAMS.map(([name]) => name);
    expect(names).toContain("sim");
    expect(names).toContain("chaos");
    expect(names.length).toBeGreaterThanOrEqual(10);
  });

  for (const [name, command] of PROGRAMS) {
    test(`${name} -- --help shows the usage`, () => {
      const { status, stdout, stderr } = run(command, "--help");
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toContain(`USAGE npm run ${name} -- [OPTIONS]`);
    });

    test(`${name} -- --nonsense ends with a sentence and the usage`, () => {
      const { status, stdout, stderr } = run(command, "--nonsense");
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
      expect(stderr.split("\n")[0]).toBe(`npm run ${name}: Unknown flag --nonsense`);
      expect(stderr).toContain("USAGE");
      expect(stderr).not.toMatch(/^\s+at /m);
    });
  }
});
