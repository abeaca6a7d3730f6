import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { diskBytesAt } from "../../runtimes/shared/disk-size.ts";

test("the disk of a directory tells its size on this runtime", () => {
  expect(diskBytesAt(tmpdir())).toBeGreaterThan(1024 ** 2);
});

test("a directory that is nowhere has a disk of unknown size", () => {
  expect(diskBytesAt("/nowhere/at/all")).toBe(0);
});
