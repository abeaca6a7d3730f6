import type { Plant } from "./plant.ts";

/** Files and exports that nothing uses. */
export function deadCode(): Plant[] {
  const plant = (wall: string, file: string, says: RegExp, text: string): Plant => ({
    wall,
    file,
    text,
    tool: "knip",
    says,
  });
  return [
    plant(
      "a file nobody imports",
      "src/env/planted-unused.ts",
      /files/,
      "export const planted = 1;\n",
    ),
    plant(
      "an export nobody imports",
      "src/env/planted-export.ts",
      /exports: unused/,
      "export const used = 1;\nexport const unused = 2;\n",
    ),
    plant(
      "a package that package.json does not name",
      "test/planted-package.test.ts",
      /unlisted: left-pad/,
      `import "left-pad";\nimport { used } from "../src/env/planted-export.ts";\n\nexport default used;\n`,
    ),
  ];
}

/** What test/tidy.test.ts finds. */
export function tidiness(): Plant[] {
  const later = ["TO", "DO"].join("");
  const plant = (wall: string, file: string, says: RegExp, text: string): Plant => ({
    wall,
    file,
    text,
    tool: "tidy",
    says,
  });
  return [
    plant(
      "logic without a test",
      "src/env/planted-untested.ts",
      /is reached by a test of its floor/,
      "export const planted = (n: number): number => (n > 1 ? n : 1);\n",
    ),
    plant(
      "a power of a variable",
      "src/core/planted-power.ts",
      /no power below runtimes/,
      "export const planted = (n: number): number => n ** 0.5;\n",
    ),
    plant(
      "a limit without a reason",
      "src/core/planted-limits.ts",
      /every limit says/,
      "export const PLANTED_MAX = 1;\n",
    ),
    plant(
      "a note to do it later",
      "src/core/planted-later.ts",
      /nothing is left for later/,
      `// ${later}: later\nexport const planted = 1;\n`,
    ),
    plant(
      "a path of this machine",
      "docs/planted-path.md",
      /no path of a developer/,
      `# Planted\n\nSee ${["", "root", "x"].join("/")}.\n`,
    ),
    plant(
      "a link to nowhere",
      "docs/planted-link.md",
      /links between pages resolve/,
      "# Planted\n\n[nowhere](nowhere.md)\n",
    ),
    plant(
      "a file that a page names and nobody has",
      "docs/planted-name.md",
      /files that a page names exist/,
      "# Planted\n\n`src/core/nowhere.ts`\n",
    ),
    plant(
      "a page nobody links",
      "docs/planted-orphan.md",
      /can be reached from the README/,
      "# Planted\n",
    ),
    plant(
      "a test left out",
      "test/planted-skip.test.ts",
      /none is left out/,
      `import { test } from "bun:test";\n\ntest.${"skip"}("x", () => undefined);\n`,
    ),
    plant(
      "a silenced checker",
      "src/core/planted-silence.ts",
      /no checker is silenced/,
      `// @ts-${"expect-error"}\nexport const planted: string = 1;\n`,
    ),
  ];
}
