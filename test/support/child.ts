/** Other processes of the runtime that runs the tests. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { RUNTIME } from "./sqlite-drivers.ts";

export interface Child {
  readonly process: ChildProcess;
  /** The next line of its output; rejects when it ends first. */
  line(): Promise<string>;
  /** All lines so far that `line` has not taken. */
  readonly unread: readonly string[];
  /** Resolves with the exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Starts a TypeScript file of the tests. What it writes on stderr is shown. */
export function startChild(script: string, args: readonly string[]): Child {
  const command = RUNTIME === "deno" ? ["run", "-A", script, ...args] : [script, ...args];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "inherit"] });
  const unread: string[] = [];
  const waiting: PromiseWithResolvers<string>[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const first = waiting.shift();
    if (first === undefined) unread.push(line);
    else first.resolve(line);
  });
  lines.on("close", () => {
    for (const each of waiting.splice(0)) each.reject(new Error(`${script} ended without a line`));
  });
  // "close" comes when its output has been read to the end as well.
  const ended = new Promise<number | string>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal ?? "?"));
  });
  return {
    process: child,
    unread,
    ended,
    line: () => {
      const line = unread.shift();
      if (line !== undefined) return Promise.resolve(line);
      const next = Promise.withResolvers<string>();
      waiting.push(next);
      return next.promise;
    },
  };
}
