import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import { parseClusterId } from "../../src/core/ids.ts";
import { decodeManifest } from "../../src/storage/manifest.ts";
import { ACTOR_META, IN_DOUBT_META, RESTORED_META } from "../../src/storage/meta-names.ts";
import { restoreBackup } from "../../src/storage/restore.ts";
import { RESTORED_SHELF } from "../../src/storage/shelves.ts";
import { type OpenedDirectory, openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  sqliteDrivers,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { type StoreBench, storeOver } from "../support/store-bench.ts";

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const drivers = await sqliteDrivers();
const hasher = await createTestHasher();
const CLUSTER = parseClusterId("c".repeat(32));
const MARK = "a/mark";
let temporary: TemporaryDirectory;
let path: string;
let target: string;

beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, "data");
  target = join(temporary.path, "restored");
});
afterEach(() => temporary.remove());

for (const driver of drivers) {
  const files = createSystemFiles(driver);

  function used(rows: number): { directory: OpenedDirectory; bench: StoreBench } {
    const directory = openTestDirectory(driver, path);
    directory.setClusterId(CLUSTER);
    const bench = storeOver(hasher, directory.disk);
    bench.store.meta.set(MARK, new Uint8Array([1]));
    for (let i = 0; i < rows; i++) bench.write(`key-${i}`, `value ${i}`);
    bench.clock.endTurn();
    return { directory, bench };
  }

  function close({ directory, bench }: ReturnType<typeof used>): void {
    bench.store.close();
    directory.close();
  }

  const restore = (backup: string, wholeCluster = false) =>
    restoreBackup({ files, driver, hasher, backup, target, wholeCluster, recoveryMarks: [MARK] });

  describe(`backup with ${driver.name}`, () => {
    test("of a database in use is of one moment, and says what it is", async () => {
      const node = used(300);
      const making = node.directory.backup("1.2.3");
      // Commits go on meanwhile: each is in the copy as a whole, or not at all.
      for (let turn = 0; turn < 5; turn++) {
        for (let i = 0; i < 20; i++) node.bench.write(`late-${turn}-${i}`, "v");
        node.bench.clock.endTurn();
        await new Promise((next) => setImmediate(next));
      }
      const { path: backup, manifest } = await making;
      expect(manifest).toMatchObject({
        gyre: "1.2.3",
        nodeId: node.directory.nodeId,
        clusterId: CLUSTER,
        boots: 1,
      });
      expect((manifest.rows - 300) % 20).toBe(0);
      expect(decodeManifest(readFileSync(join(backup, "manifest.json")))).toEqual(manifest);
      expect(readdirSync(backup).sort()).toEqual(["gyre.db", "manifest.json"]);
      close(node);
    });

    test("waits for the open transaction of the present turn, and is one at a time", async () => {
      const node = used(3);
      node.bench.write("uncommitted", "v");
      const making = node.directory.backup("1.2.3");
      await expect(node.directory.backup("1.2.3")).rejects.toThrow("a backup is being made");
      for (let turn = 0; turn < 3; turn++) {
        node.bench.clock.endTurn();
        await new Promise((next) => setImmediate(next));
      }
      expect((await making).manifest.rows).toBe(4);
      close(node);
    });

    test("of a damaged database is not vouched for", async () => {
      close(used(300));
      const bytes = readFileSync(join(path, "gyre.db"));
      const at = bytes.indexOf("value 200");
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(join(path, "gyre.db"), bytes);
      const directory = openTestDirectory(driver, path);
      await expect(directory.backup("1.2.3")).rejects.toThrow("Cannot vouch for the backup");
      const [backup = ""] = readdirSync(join(path, "backups"));
      expect(existsSync(join(path, "backups", backup, "manifest.json"))).toBe(false);
      directory.close();
    });

    test("of a restored node is refused until all its rows are decided", async () => {
      const node = used(3);
      const { path: backup } = await node.directory.backup("1.2.3");
      close(node);
      await restore(backup);
      const directory = openTestDirectory(driver, target);
      const { store, clock } = storeOver(hasher, directory.disk);
      const refused = async (): Promise<void> => {
        await expect(directory.backup("1.2.3")).rejects.toThrow("the node was restored");
        for (const name of readdirSync(join(target, "backups"))) {
          expect(readdirSync(join(target, "backups", name))).toEqual([]);
        }
      };
      await refused();
      while (store.isRestoring) {
        store.shelveRestored(10);
        clock.endTurn();
      }
      await refused();
      for (const row of store.scanAside(RESTORED_SHELF, null, 10).rows) store.dropAside([row]);
      expect((await directory.backup("1.2.3")).manifest.rows).toBe(0);
      store.close();
      directory.close();
    });
  });

  describe(`restore with ${driver.name}`, () => {
    async function backedUp(): Promise<{ backup: string; nodeId: string; actorId: string }> {
      const node = used(50);
      const { path: backup } = await node.directory.backup("1.2.3");
      const { actorId } = node.bench.store;
      close(node);
      return { backup, nodeId: node.directory.nodeId, actorId };
    }

    test("makes the same node with another actor, far more starts, and rows that are held apart", async () => {
      const { backup, nodeId, actorId } = await backedUp();
      await restore(backup);
      const directory = openTestDirectory(driver, target);
      expect(directory.nodeId as string).toBe(nodeId);
      expect(directory.clusterId).toBe(CLUSTER);
      expect(directory.incarnation).toBeGreaterThan(65_536);
      expect(directory.forgotten).toBe(true);
      expect(directory.disk.getMeta(ACTOR_META)).toBeUndefined();
      expect(directory.disk.getMeta(RESTORED_META)).toBeDefined();
      expect(directory.disk.getMeta(IN_DOUBT_META)).toBeDefined();
      expect(directory.disk.getMeta(MARK)).toBeDefined();
      const bench = storeOver(hasher, directory.disk);
      expect(bench.store.actorId as string).not.toBe(actorId);
      expect(bench.store.usage().rows).toBe(0);
      bench.store.close();
      directory.close();
    });

    test("of a whole cluster takes away what keeps a node from acting by its layout, and nothing else", async () => {
      const { backup } = await backedUp();
      await restore(backup, true);
      const directory = openTestDirectory(driver, target);
      expect(directory.forgotten).toBe(false);
      expect(directory.disk.getMeta(MARK)).toBeUndefined();
      expect(directory.disk.getMeta(ACTOR_META)).toBeUndefined();
      expect(directory.disk.getMeta(RESTORED_META)).toBeDefined();
      directory.close();
    });

    test("refuses a directory that is not empty, and leaves it alone", async () => {
      const { backup } = await backedUp();
      mkdirSync(target);
      writeFileSync(join(target, "note"), "mine");
      await expect(restore(backup)).rejects.toThrow("it is not empty");
      expect(readdirSync(target)).toEqual(["note"]);
    });

    test("keeps a node from starting on what is half restored, and takes away only what it made", async () => {
      const { backup } = await backedUp();
      const started: string[] = [];
      const failing = {
        ...files,
        copy: async (from: string, to: string) => {
          await files.copy(from, to);
          writeFileSync(join(target, "note"), "mine");
          try {
            openTestDirectory(driver, target).close();
            started.push("yes");
          } catch (error) {
            started.push(String(error));
          }
          throw new Error("no room");
        },
      };
      const parts = { driver, hasher, backup, target, wholeCluster: false, recoveryMarks: [] };
      await expect(restoreBackup({ ...parts, files: failing })).rejects.toThrow("no room");
      expect(started).toEqual([expect.stringContaining("another process is using it")]);
      expect(readdirSync(target)).toEqual(["note"]);
      rmSync(join(target, "note"));
      await restore(backup);
      const directory = openTestDirectory(driver, target);
      await expect(restore(backup)).rejects.toThrow("it is not empty");
      directory.close();
    });

    test("refuses a backup that was never finished, was changed, or is none", async () => {
      const { backup } = await backedUp();
      const manifest = readFileSync(join(backup, "manifest.json"));
      const database = readFileSync(join(backup, "gyre.db"));
      rmSync(join(backup, "manifest.json"));
      await expect(restore(backup)).rejects.toThrow("it has no manifest.json");
      writeFileSync(join(backup, "manifest.json"), '{"format": 1}');
      await expect(restore(backup)).rejects.toThrow("Cannot understand");
      writeFileSync(join(backup, "manifest.json"), manifest);
      database[9_000] = (database[9_000] ?? 0) ^ 1;
      writeFileSync(join(backup, "gyre.db"), database);
      await expect(restore(backup)).rejects.toThrow("gyre.db is not what the manifest says");
      expect(existsSync(target)).toBe(false);
    });
  });
}
