/** `npm start`, stopped by a signal to npm alone, as a supervisor or a script would: the shell in between must not eat it. */

import { expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

setDefaultTimeout(180_000);

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("SIGINT to npm leaves no process and no lock", async () => {
  const data = mkdtempSync(join(tmpdir(), "gyre-start-"));
  const port = String(40_000 + (process.pid % 10_000));
  const npm = spawn("npm", ["start", "--", "--nodes", "2", "--port", port, "--data", data], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(npm, "close");
  try {
    let out = "";
    for await (const chunk of npm.stdout.setEncoding("utf8")) {
      out += chunk as string;
      if (out.includes("cluster ready")) break;
    }
    const pids = [...out.matchAll(/ pid=(\d+) ready/g)].map((match) => Number(match[1]));
    expect(pids.length).toBe(2);
    npm.kill("SIGINT");
    expect((await exited)[0]).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    for (const number of ["1", "2"]) expect(existsSync(join(data, number, "lock"))).toBe(false);
  } finally {
    npm.kill("SIGTERM");
    rmSync(data, { recursive: true, force: true });
  }
});
