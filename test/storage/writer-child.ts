/**
 * Opens a data directory and writes 64 keys a turn for ever, printing each turn's number once it is durable. The test kills
 * it. With `hold` it only opens the directory and waits.
 */
import process from "node:process";
import { systemClock } from "../../runtimes/shared/system-clock.ts";
import { openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import { systemDriver } from "../support/sqlite-drivers.ts";
import { storeOver } from "../support/store-bench.ts";

const [path = "", mode = "write", first = "0"] = process.argv.slice(2);
const directory = openTestDirectory(await systemDriver(), path);

if (mode === "hold") {
  process.stdout.write("open\n");
  setInterval(() => undefined, 1000);
} else {
  const bench = storeOver(await createTestHasher(), directory.disk, { clock: systemClock });
  for (let turn = Number(first); ; turn++) {
    let sequence = 0;
    for (let i = 0; i < 64; i++) sequence = bench.write(`key-${i}`, `turn ${turn}`);
    await bench.store.whenDurable(sequence);
    process.stdout.write(`${turn}\n`);
  }
}
