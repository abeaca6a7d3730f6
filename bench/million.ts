/** One node with 1,000,000 keys beside the same node with 10,000: memory, restart, uncached gets, puts. */
import type { LoadOptions, LoadResult } from "./load.ts";
import type { Runtime, Server, Workspace } from "./servers.ts";

const FEW = 10_000;
const MANY = 1_000_000;
const BATCH = 1_000;
const BATCHES_AT_ONCE = 8;

type Load = (
  options: Partial<LoadOptions> & Pick<LoadOptions, "ports" | "method">,
) => Promise<LoadResult>;

export async function runMillion(
  runtime: Runtime,
  workspace: Workspace,
  port: number,
  load: Load,
): Promise<void> {
  const few = workspace.node(runtime, `${runtime}-few`, port);
  const many = workspace.node(runtime, `${runtime}-many`, port + 1);
  await Promise.all([few.start(), many.start()]);
  try {
    await fill(few, FEW);
    const startedMs = performance.now();
    await fill(many, MANY);
    const fillS = (performance.now() - startedMs) / 1000;
    await many.stop();
    const readyMs = await many.start();
    console.log(
      `${runtime}  ${MANY} keys: filled at ${Math.round(MANY / fillS)} puts/s, restart to ready ${(readyMs / 1000).toFixed(2)} s`,
    );
    for (const method of ["GET", "PUT"] as const) {
      const small = await load({ ports: [few.port], method, keys: FEW });
      const large = await load({ ports: [many.port], method, keys: MANY });
      const factor = small.perSecond / large.perSecond;
      const kind = method === "GET" ? "mostly uncached gets" : "puts";
      console.log(
        `${runtime}  ${kind}: ${large.perSecond}/s of ${MANY} keys, ${small.perSecond}/s of ${FEW}: factor ${factor.toFixed(2)} (goal 2)`,
      );
    }
    console.log(`${runtime}  resident memory ${many.residentMiB()} MiB (goal 400)`);
  } finally {
    await Promise.all([few.stop(), many.stop()]);
  }
}

async function fill(server: Server, keys: number): Promise<void> {
  const value = Buffer.from("x".repeat(100)).toString("base64");
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next; at < keys; at = next) {
      next += BATCH;
      const ops = Array.from({ length: BATCH }, (_, i) => ({
        op: "put",
        key: `key-${at + i}`,
        value,
      }));
      const response = await fetch(`http://127.0.0.1:${server.port}/v1/batch/default`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ops }),
      });
      if (!response.ok) throw new Error(`batch: ${response.status} ${await response.text()}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, worker));
}
