/** Runs that are kept in a file, one line of JSON for each, so that a campaign of hours can be run in parts. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { RunResult } from "./run.ts";

/** What a run showed, but for where on this machine its logs are. */
export interface KeptRun extends Omit<RunResult, "directory"> {
  readonly commit: string;
  readonly runtime: string;
  readonly seconds: number;
}

/** Those of a runtime. A file that is not there has none. */
export function keptRuns(file: string, runtime: string): readonly KeptRun[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as KeptRun)
    .filter((run) => run.runtime === runtime);
}

export function keepRun(file: string, run: KeptRun): void {
  appendFileSync(file, `${JSON.stringify(run)}\n`);
}
