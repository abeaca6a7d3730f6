import { beforeEach, describe, expect, test } from "bun:test";
import { VALUE_BYTES_MAX } from "../../src/core/limits.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import { parseNamespacePatch } from "../../src/http/namespace-patch.ts";
import { NamespaceRoutes } from "../../src/http/namespace-routes.ts";
import { createHttpWorld, type HttpWorld, problemOf } from "../support/http-world.ts";

let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

function put(name: string, body: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return world.call("PUT", `/v1/namespaces/${name}`, { body: text });
}

const DEFAULT = {
  name: "default",
  id: 1,
  policy: "default",
  placement: { n: 3 },
  conflict: "majority",
  consistency: "quorum",
  defaultTtlSeconds: 0,
  valueBytesMax: VALUE_BYTES_MAX,
  maxAgeSeconds: null,
  strict: false,
};

describe("a namespace", () => {
  test("whose settings find no room on the disk is answered 507", async () => {
    world.settings.set = () => {
      throw new DiskFullError("full");
    };
    const answer = await put("default", { conflict: "siblings" });
    expect(answer.status).toBe(507);
    expect(await problemOf(answer)).toMatchObject({ code: "disk_full" });
  });

  test("default always exists and is shown with its settings", async () => {
    const list = await world.call("GET", "/v1/namespaces");
    expect(await list.json()).toEqual({ namespaces: [DEFAULT] });
    expect(await (await world.call("GET", "/v1/namespaces/default")).json()).toEqual(DEFAULT);
  });

  test("is created with 201, by an empty body too, and can be used at once", async () => {
    const created = await put("shop", "");
    expect(created.status).toBe(201);
    expect(await created.json()).toMatchObject({ name: "shop", policy: "default" });
    expect((await world.call("PUT", "/v1/kv/shop/a", { body: "x" })).status).toBe(204);
    expect((await world.call("GET", "/v1/kv/default/a")).status).toBe(404);
  });

  test("is created with a policy by name or spelled out, and settings", async () => {
    const body = { policy: { regions: { eu: 3 } }, conflict: "latest", maxAgeSeconds: 5 };
    const created = await put("shop", body);
    expect(created.status).toBe(201);
    expect(await created.json()).toMatchObject({
      policy: "eu-only",
      placement: { regions: { eu: 3 } },
      conflict: "latest",
      maxAgeSeconds: 5,
    });
    expect((await put("other", { policy: "eu-only" })).status).toBe(201);
  });

  test("changes only the settings that the body names", async () => {
    await put("default", { conflict: "siblings", defaultTtlSeconds: 1.5 });
    const changed = await put("default", { strict: true });
    expect(changed.status).toBe(200);
    expect(await changed.json()).toMatchObject({
      conflict: "siblings",
      defaultTtlSeconds: 1.5,
      strict: true,
    });
  });

  test("keeps its policy: the same is taken, another is 409 policy_fixed", async () => {
    expect((await put("default", { policy: "default" })).status).toBe(200);
    expect((await put("default", { policy: { n: 3 } })).status).toBe(200);
    for (const policy of ["eu-only", { n: 2 }, { regions: { eu: 3 } }]) {
      const answer = await put("default", { policy, strict: true });
      expect(answer.status).toBe(409);
      expect((await problemOf(answer))["code"]).toBe("policy_fixed");
    }
    expect(world.settings.size).toBe(0);
  });

  test("is deleted with 204, then unknown; default is never deleted", async () => {
    await put("shop", {});
    expect((await world.call("DELETE", "/v1/namespaces/shop")).status).toBe(204);
    expect((await world.call("DELETE", "/v1/namespaces/shop")).status).toBe(404);
    expect((await world.call("GET", "/v1/namespaces/shop")).status).toBe(404);
    const refused = await world.call("DELETE", "/v1/namespaces/default");
    expect(refused.status).toBe(409);
    expect((await problemOf(refused))["code"]).toBe("namespace_fixed");
  });
});

describe("a refused namespace", () => {
  test("malformed settings are 400 and name the field", async () => {
    const bad: [unknown, string][] = [
      ["[]", "object"],
      ["{", "JSON"],
      [{ colour: "red" }, "colour"],
      [{ conflict: "newest" }, "conflict"],
      [{ consistency: 2 }, "consistency"],
      [{ defaultTtlSeconds: -1 }, "defaultTtlSeconds"],
      [{ valueBytesMax: VALUE_BYTES_MAX + 1 }, "valueBytesMax"],
      [{ valueBytesMax: 0 }, "valueBytesMax"],
      [{ maxAgeSeconds: 1.5 }, "maxAgeSeconds"],
      [{ strict: "yes" }, "strict"],
      [{ policy: { n: 0 } }, "policy.n"],
      [{ policy: { n: 17 } }, "policy.n"],
      [{ policy: { n: 1, regions: {} } }, "policy"],
      [{ policy: { regions: {} } }, "policy"],
      [{ policy: { regions: { "E U": 1 } } }, "policy.regions"],
      [{ policy: { regions: { eu: 1.5 } } }, "policy.regions.eu"],
      [{ policy: 3 }, "policy"],
    ];
    for (const [body, name] of bad) {
      const answer = await put("default", body);
      expect(answer.status).toBe(400);
      expect((await problemOf(answer))["detail"]).toContain(name);
    }
  });

  test("a name that no namespace can have is 400 before anything is decided", async () => {
    expect((await put("Shop", {})).status).toBe(400);
    expect((await world.call("DELETE", "/v1/namespaces/Shop")).status).toBe(400);
    expect((await world.call("GET", "/v1/namespaces/a?x=1")).status).toBe(400);
  });

  test("outcomes of the layout decision are told apart", async () => {
    const outcomes = [
      ["conflict", 409],
      ["invalid", 400],
      ["unavailable", 503],
    ] as const;
    for (const [status, code] of outcomes) {
      world.createOutcome = { status, reason: "because" };
      expect((await put("shop", {})).status).toBe(code);
    }
    world.createOutcome = null;
    world.storesSettings = false;
    expect((await put("default", { strict: true })).status).toBe(503);
    world.layout = undefined;
    expect((await world.call("GET", "/v1/namespaces")).status).toBe(503);
    expect(parseNamespacePatch({}).policy).toBe(undefined);
    expect(NamespaceRoutes.name).toBe("NamespaceRoutes");
  });
});
