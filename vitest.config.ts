import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Tests are written for `bun:test`; on Node and Deno this alias gives them vitest in its place (docs/testing.md). */
const bunTest = fileURLToPath(new URL("./test/bun-shim.ts", import.meta.url));

export default defineConfig({
  resolve: { alias: { "bun:test": bunTest } },
  test: {
    watch: false,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/simulation/**"],
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          // Each file starts clusters of real processes: one file at a time leaves them the cores.
          fileParallelism: false,
        },
      },
    ],
  },
});
