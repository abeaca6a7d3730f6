import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";

/**
 * Compares a text with the golden file of that name in test/golden. With GOLDEN=rewrite in the environment it writes the
 * file instead: a changed golden file is a protocol change and belongs in the changelog.
 */
export function expectGolden(name: string, actual: string): void {
  const file = new URL(`../golden/${name}`, import.meta.url);
  if (process.env["GOLDEN"] === "rewrite") writeFileSync(file, actual);
  expect(actual).toBe(readFileSync(file, "utf8"));
}
