import { describe, expect, test } from "bun:test";
import { createHttpWorld } from "../support/http-world.ts";

describe("GET /v1/quarantine", () => {
  test("answers a page, and the cursor of the next one", async () => {
    const world = await createHttpWorld();
    const answer = await world.call("GET", "/v1/quarantine");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ rows: [], cursor: null });
    expect((await world.call("GET", "/v1/quarantine?cursor=1.1.aw")).status).toBe(200);
  });

  test("refuses a cursor that no page ended with, and options it does not know", async () => {
    const world = await createHttpWorld();
    for (const query of ["cursor=x", "after=1"]) {
      expect((await world.call("GET", `/v1/quarantine?${query}`)).status).toBe(400);
    }
  });
});
