import { setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import { openSqliteDisk, type SqliteDisk } from "../../src/storage/sqlite-disk.ts";
import { SimDisk } from "../simulation/sim-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import { copyDatabase, sqliteDrivers, temporaryDirectory } from "../support/sqlite-drivers.ts";
import { type DiskFixture, diskContract } from "./disk.contract.ts";
import { diskAsideContract } from "./disk-aside.contract.ts";

const hasher = await createTestHasher();

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

for (const driver of await sqliteDrivers()) {
  diskContract(driver.name, () => sqliteFixture(driver, "power"));
  diskAsideContract(driver.name, () => sqliteFixture(driver, "power"));
  diskContract(`${driver.name}, durability=process`, () => sqliteFixture(driver, "process"));
}
diskContract("simulator", simFixture);
diskAsideContract("simulator", simFixture);

function sqliteFixture(driver: SqliteDriver, durability: "power" | "process"): DiskFixture {
  const directory = temporaryDirectory();
  let generation = 0;
  let disk: SqliteDisk | null = null;
  const file = (): string => join(directory.path, `gyre-${generation}.db`);
  return {
    open: () => {
      disk = openSqliteDisk(driver, file(), { durability, hasher });
      return disk;
    },
    crash: () => {
      // The old connection lives on beside a copy of the files as they are at this moment; a real kill -9 is tested with
      // a child process in storage/kill.test.ts.
      const from = file();
      generation++;
      copyDatabase(from, file());
      leave(disk);
    },
    remove: () => directory.remove(),
  };
}

/** Gives back what the abandoned connection holds; what it writes on closing is not looked at any more. */
function leave(disk: SqliteDisk | null): void {
  try {
    disk?.rollback();
  } catch {
    // It was closed by the test.
  }
  disk?.close();
}

function simFixture(): DiskFixture {
  const disk = new SimDisk();
  return { open: () => disk.open(), crash: () => disk.crash(), remove: () => undefined };
}
