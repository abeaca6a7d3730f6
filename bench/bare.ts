/** What the figures are compared with: a Hono route that does nothing, behind the same listener as the node's. */
import { Hono } from "hono";

const port = Number(process.argv[2] ?? 7790);
const payload = "x".repeat(100);
const app = new Hono();
app.get("/v1/kv/:ns/:key", (c) => c.body(payload));
app.put("/v1/kv/:ns/:key", async (c) => {
  await c.req.arrayBuffer();
  return c.body(null, 204);
});
const fetch = (request: Request): Response | Promise<Response> => app.fetch(request);

if (process.versions.bun !== undefined) {
  Bun.serve({ port, hostname: "127.0.0.1", fetch });
} else {
  const { serve } = await import("@hono/node-server");
  serve({ port, hostname: "127.0.0.1", fetch });
}
process.stdout.write("ready\n");
