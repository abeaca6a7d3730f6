import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createFakePlatform } from "../support/cli-platform.ts";

const DOCUMENT = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
/** Options of serve have a page of their own, and a test of their own in config.test.ts. */
const ELSEWHERE = ["serve"];
/** Explained by `--help` alone: they say what they do. */
const PLAIN = [
  "--help",
  "--quiet",
  "--limit",
  "--start",
  "--end",
  "--reverse",
  "--expires",
  "--r",
  "--w",
];

async function help(...argv: string[]): Promise<string> {
  const platform = createFakePlatform();
  await platform.run(...argv);
  return platform.outText();
}

test("docs/cli.md has a heading for every command and names every flag", async () => {
  const commands = [...(await help("--help")).matchAll(/^ {2}([a-z]+) {2,}/gm)].map(
    (match) => match[1] ?? "",
  );
  expect(commands.length).toBe(14);
  const headings = DOCUMENT.split("\n").filter((line) => line.startsWith("## "));
  for (const command of commands) {
    expect(headings.some((line) => line.slice(3).split(", ").includes(command))).toBe(true);
    if (ELSEWHERE.includes(command)) continue;
    const flags = [...(await help(command, "--help")).matchAll(/^ *(?:-\w, )?(--[a-z-]+)/gm)].map(
      (match) => match[1] ?? "",
    );
    const missing = flags.filter((flag) => !PLAIN.includes(flag) && !DOCUMENT.includes(`${flag}`));
    expect([command, missing]).toEqual([command, []]);
  }
});
