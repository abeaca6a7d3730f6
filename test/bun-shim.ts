/**
 * `bun:test` for Node and Deno: the test files import from "bun:test" and vitest.config.ts aliases that name to this file,
 * so one text runs under `bun test` and under vitest. Only what both runners mean alike is here.
 */
import { vi } from "vitest";

// biome-ignore lint/performance/noBarrelFile: a stand-in for a module can only be a list of its exports.
export {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
  test,
} from "vitest";

export const mock = vi.fn;
export const spyOn = vi.spyOn;

/** Milliseconds for every test of the calling file that names no limit of its own. */
export function setDefaultTimeout(timeoutMs: number): void {
  vi.setConfig({ testTimeout: timeoutMs, hookTimeout: timeoutMs });
}
