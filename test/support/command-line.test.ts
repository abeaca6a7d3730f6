import { describe, expect, test } from "bun:test";
import { CliError } from "../../src/cli/errors.ts";
import { parseCommandLine, usageOf } from "./command-line.ts";

const LINE = {
  name: "npm run try --",
  description: "Tries things",
  options: {
    rounds: { type: "count", default: 3, description: "How often" },
    seed: { type: "count", min: 0, description: "Of the dice" },
    runtime: { type: "choice", of: ["node", "bun"], default: "node", description: "Of the nodes" },
    only: { type: "choices", of: ["a", "b", "c"], default: "a,b", description: "What" },
    totals: { type: "text", hint: "FILE", description: "Where to" },
    trace: { type: "flag", description: "All of it" },
    serve: { type: "flag", hidden: true, description: "For children" },
  },
} as const;

function refusal(...argv: string[]): string {
  try {
    parseCommandLine(LINE, argv);
  } catch (error) {
    expect(error).toBeInstanceOf(CliError);
    expect((error as CliError).exitCode).toBe(2);
    return (error as CliError).message;
  }
  return "accepted";
}

describe("the command line of a program for developers", () => {
  test("gives the values, and the usual ones for the rest", () => {
    expect(parseCommandLine(LINE, [])).toEqual({
      ...{ rounds: 3, seed: undefined, runtime: "node", only: ["a", "b"] },
      ...{ totals: undefined, trace: false, serve: false },
    });
    const argv = ["--rounds=7", "--seed", "0", "--runtime", "bun", "--only", "c,a", "--trace"];
    expect(parseCommandLine(LINE, [...argv, "--totals", "x/y"])).toEqual({
      ...{ rounds: 7, seed: 0, runtime: "bun", only: ["c", "a"], totals: "x/y" },
      ...{ trace: true, serve: false },
    });
  });

  test("refuses what it does not know, has twice, or has without a value", () => {
    expect(refusal("--round", "3")).toBe("Unknown flag --round");
    expect(refusal("--constructor", "3")).toBe("Unknown flag --constructor");
    expect(refusal("--rounds", "3", "--rounds", "4")).toContain("given twice");
    expect(refusal("--rounds")).toContain("needs a value");
    expect(refusal("--trace=yes")).toContain("takes no value");
    expect(refusal("3")).toContain("Too many operands");
  });

  test("refuses what is no whole number, or too small", () => {
    for (const text of ["many", "", "1.5", "-1", "1e3", "0x10", "9007199254740993"]) {
      expect(refusal(`--rounds=${text}`)).toBe(
        `cannot use --rounds ${JSON.stringify(text)}, want a whole number from 1 on`,
      );
    }
    expect(refusal("--rounds", "0")).toContain("from 1 on");
  });

  test("refuses what is none of the choices", () => {
    expect(refusal("--runtime", "perl")).toContain('"perl", want one of node, bun');
    expect(refusal("--runtime", "constructor")).toContain("want one of");
    expect(refusal("--only", "a,d")).toContain('"a,d", want some of a, b, c');
  });

  test("has a usage with every option that is not for its children", async () => {
    const usage = await usageOf(LINE);
    expect(usage).toContain("npm run try --");
    expect(usage).toContain("--rounds=<N>");
    expect(usage).toContain("How often (default: 3)");
    expect(usage).toContain("Of the nodes: node, bun (default: node)");
    expect(usage).toContain("--totals=<FILE>");
    expect(usage).not.toContain("serve");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no colours in a log
    expect(usage).not.toMatch(/\u001b/);
  });
});
