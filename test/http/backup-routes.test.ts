import { describe, expect, test } from "bun:test";
import { createHttpWorld } from "../support/http-world.ts";

describe("POST /v1/backups", () => {
  test("answers 201 with where the backup is and its manifest", async () => {
    const world = await createHttpWorld({
      backup: () => Promise.resolve({ path: "/there", manifest: { rows: 3 } }),
    });
    const answer = await world.call("POST", "/v1/backups");
    expect(answer.status).toBe(201);
    expect(await answer.json()).toEqual({ path: "/there", rows: 3 });
  });

  test("is refused while one is being made, and taken again after it", async () => {
    let finish = (): void => undefined;
    const world = await createHttpWorld({
      backup: () =>
        new Promise((resolve) => {
          finish = () => resolve({ path: "/there", manifest: {} });
        }),
    });
    const first = world.call("POST", "/v1/backups");
    const second = await world.call("POST", "/v1/backups");
    expect(second.status).toBe(503);
    expect(second.headers.get("retry-after")).not.toBeNull();
    finish();
    expect((await first).status).toBe(201);
    const third = world.call("POST", "/v1/backups");
    finish();
    expect((await third).status).toBe(201);
  });

  test("says why it failed", async () => {
    const world = await createHttpWorld({
      backup: () => Promise.reject(new Error("no room on /mnt")),
    });
    const answer = await world.call("POST", "/v1/backups");
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: "unavailable", detail: "no room on /mnt" });
  });

  test("is nothing for a node without files", async () => {
    const world = await createHttpWorld();
    expect((await world.call("POST", "/v1/backups")).status).toBe(404);
  });
});
