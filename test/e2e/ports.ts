/** Ports of this machine for processes that are started, stopped and started again on the same ones. */
import { createServer } from "node:net";

/**
 * Below the ports that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere): one of those would now
 * and then be taken by a connection while its node is down, and the restart would fail.
 */
const FIRST = 18_000;
const LAST = 31_000;

/** Ports that nobody listened on a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = drawn();
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

/** A first port such that it, and those at these distances from it, were free a moment ago. */
export async function freePortRange(distances: readonly number[]): Promise<number> {
  for (;;) {
    const port = drawn();
    const free = await Promise.all(distances.map((distance) => isFree(port + distance)));
    if (!free.includes(false)) return port;
  }
}

function drawn(): number {
  return FIRST + Math.floor(Math.random() * (LAST - FIRST));
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}
