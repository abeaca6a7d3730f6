import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { SqliteDriver } from "../../src/env/sqlite.ts";

export const RUNTIME = runtime();

function runtime(): "node" | "bun" | "deno" {
  if (process.versions["bun"] !== undefined) return "bun";
  return process.versions["deno"] !== undefined ? "deno" : "node";
}

/** Every driver that this runtime has, the one it would use first. */
export async function sqliteDrivers(): Promise<SqliteDriver[]> {
  const drivers: SqliteDriver[] = [];
  if (RUNTIME === "bun") {
    drivers.push(await (await import("../../runtimes/shared/sqlite-bun.ts")).loadBunSqlite());
  } else {
    if (RUNTIME === "node") {
      drivers.push(
        await (await import("../../runtimes/shared/sqlite-better.ts")).loadBetterSqlite(),
      );
    }
    drivers.push(await (await import("../../runtimes/shared/sqlite-node.ts")).loadNodeSqlite());
  }
  return drivers;
}

/** The driver that this runtime would use. */
export async function systemDriver(): Promise<SqliteDriver> {
  return (await sqliteDrivers())[0] as SqliteDriver;
}

export interface TemporaryDirectory {
  readonly path: string;
  remove(): void;
}

export function temporaryDirectory(): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), "gyre-test-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of what the kernel has of a database now: what a restart finds after kill -9. */
export function copyDatabase(from: string, to: string): void {
  for (const suffix of ["", "-wal"]) {
    if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
  }
}
