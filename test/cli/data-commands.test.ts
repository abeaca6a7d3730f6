import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createDataWorld } from "../../runtimes/shared/data-world.ts";
import { createFakePlatform, type FakePlatform } from "../support/cli-platform.ts";
import { openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { storeOver } from "../support/store-bench.ts";

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const driver = await systemDriver();
const hasher = await createTestHasher();
let temporary: TemporaryDirectory;
let platform: FakePlatform;
let data: string;

beforeEach(() => {
  temporary = temporaryDirectory();
  data = join(temporary.path, "data");
  platform = Object.assign(createFakePlatform(), { openDataWorld: () => createDataWorld(driver) });
  const directory = openTestDirectory(driver, data);
  const bench = storeOver(hasher, directory.disk);
  for (let i = 0; i < 30; i++) bench.write(`key-${i}`, `value ${i}`);
  bench.clock.endTurn();
  directory.ownSecret();
  bench.store.close();
  directory.close();
});
afterEach(() => temporary.remove());

function damageOneValue(): void {
  const file = join(data, "gyre.db");
  const bytes = readFileSync(file);
  const at = bytes.indexOf("value 20");
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

describe("gyre verify", () => {
  test("says sound, and what there is, and ends with 0", async () => {
    expect(await platform.run("verify", data)).toBe(0);
    expect(platform.outText()).toContain(`${data}: sound`);
    expect(platform.outText()).toContain("30 rows with 30 values");
  });

  test("names every fault and ends with 1", async () => {
    damageOneValue();
    expect(await platform.run("verify", data)).toBe(1);
    expect(platform.outText()).toContain("1 faults found");
    expect(platform.outText()).toMatch(/DAMAGE {2}row 1\/[0-9a-f]{8}: a value is damaged/);
  });

  test("gives machines the same as JSON", async () => {
    expect(await platform.run("verify", data, "--json")).toBe(0);
    expect(JSON.parse(platform.outText())).toMatchObject({
      sound: true,
      findings: [],
      database: { rows: 30, damagedRows: 0 },
    });
  });

  test("refuses a directory in use", async () => {
    const directory = openTestDirectory(driver, data);
    expect(await platform.run("verify", data)).toBe(1);
    expect(platform.errText()).toContain("a node is running on it. Stop the node first.");
    directory.close();
  });
});

describe("gyre backup and gyre restore", () => {
  test("bring a stopped node's data into a new directory, without its secret", async () => {
    const backup = join(temporary.path, "backup");
    const restored = join(temporary.path, "restored");
    expect(await platform.run("backup", "--data", data, "--to", backup)).toBe(0);
    expect(existsSync(join(backup, "secret"))).toBe(false);
    expect(await platform.run("restore", backup, "--data", restored)).toBe(0);
    expect(platform.outText()).toContain("30 rows");
    expect(await platform.run("verify", restored)).toBe(0);
  });

  test("take the secret along when they are asked to", async () => {
    const backup = join(temporary.path, "backup");
    const restored = join(temporary.path, "restored");
    await platform.run("backup", "--data", data, "--to", backup, "--with-secret");
    expect(await platform.run("restore", backup, "--data", restored)).toBe(0);
    expect(readFileSync(join(restored, "secret"))).toEqual(readFileSync(join(data, "secret")));
  });

  test("refuse a damaged database and a place that is not empty", async () => {
    const backup = join(temporary.path, "backup");
    expect(await platform.run("backup", "--data", data, "--to", temporary.path)).toBe(1);
    expect(platform.errText()).toContain("it is not empty");
    damageOneValue();
    expect(await platform.run("backup", "--data", data, "--to", backup)).toBe(1);
    expect(platform.errText()).toContain("it is damaged (row 1/");
    expect(existsSync(backup)).toBe(false);
  });

  test("ask a running node, which says where it put the backup", async () => {
    platform.servers.set("http://127.0.0.1:7070", ({ method, target }) => {
      expect(`${method} ${target}`).toBe("POST /v1/backups");
      const body = { path: "/there", nodeId: "a".repeat(32), rows: 7, files: [{ bytes: 1024 }] };
      return Promise.resolve(Response.json(body, { status: 201 }));
    });
    expect(await platform.run("backup")).toBe(0);
    expect(platform.outText()).toContain("/there: 7 rows of node aaaaaaaa, 1.0 KiB");
  });

  test("want --data and --to together, and no secret of a running node", async () => {
    expect(await platform.run("backup", "--data", data)).toBe(2);
    expect(await platform.run("backup", "--with-secret")).toBe(2);
  });
});
