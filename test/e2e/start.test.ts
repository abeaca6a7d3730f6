/** `npm start`, stopped by a signal to npm alone, as a supervisor or a script would: the shell in between must not eat it. */

import { expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freeDevPort, isAlive } from "./dev-cluster.ts";

setDefaultTimeout(180_000);

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

test("SIGINT to npm leaves no process and no lock", async () => {
  const data = mkdtempSync(join(tmpdir(), "gyre-start-"));
  const port = String(await freeDevPort(2));
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
