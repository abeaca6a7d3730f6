import { describe, expect, test } from "bun:test";
import { BATCH_OPTIONS } from "../../src/http/batch-routes.ts";
import { DELETE_OPTIONS, GET_OPTIONS, PUT_OPTIONS } from "../../src/http/kv-routes.ts";
import { LIST_OPTIONS } from "../../src/http/list-routes.ts";
import { openApiDocument } from "../../src/http/openapi.ts";
import { type Json, PARAMETERS } from "../../src/http/openapi-parts.ts";
import { PROBLEM_CODES } from "../../src/http/problem.ts";
import { createHttpWorld } from "../support/http-world.ts";

const document = JSON.parse(JSON.stringify(openApiDocument("1.2.3"))) as Json;
const paths = document["paths"] as Record<string, Record<string, Json>>;

/** Every reference in the document. */
function references(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === "$ref" ? [String(inner)] : references(inner),
  );
}

/** The parameters of one place that an operation names. */
function parametersIn(path: string, verb: string, place: string): string[] {
  const parameters = paths[path]?.[verb]?.["parameters"] as Json[];
  return parameters
    .map((parameter) => PARAMETERS[String(parameter["$ref"]).split("/")[3] ?? ""] as Json)
    .filter((parameter) => parameter["in"] === place)
    .map((parameter) => String(parameter["name"]));
}

describe("/openapi.json", () => {
  test("names every route that is answered, and no other", async () => {
    const { app } = await createHttpWorld();
    const answered = app.routes.map((route) => `${route.method} ${route.path}`);
    const written = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((verb) => `${verb.toUpperCase()} ${path}`),
    );
    // HEAD goes with every GET; only that of a value is worth a word.
    const withoutHead = written.filter((name) => !name.startsWith("HEAD "));
    expect(withoutHead.sort()).toEqual(answered.sort());
    expect(written).toContain("HEAD /v1/kv/{ns}/{key}");
  });

  test("names the very query options that the routes take", () => {
    const key = "/v1/kv/{ns}/{key}";
    const taken = [
      [key, "get", GET_OPTIONS],
      [key, "head", GET_OPTIONS],
      [key, "put", PUT_OPTIONS],
      [key, "delete", DELETE_OPTIONS],
      ["/v1/keys/{ns}", "get", LIST_OPTIONS],
      ["/v1/batch/{ns}", "post", BATCH_OPTIONS],
    ] as const;
    for (const [path, verb, options] of taken) {
      expect(parametersIn(path, verb, "query").sort()).toEqual([...options].sort());
    }
  });

  test("names the path's own parameters on every operation", () => {
    for (const [path, item] of Object.entries(paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => String(match[1]));
      for (const verb of Object.keys(item)) {
        expect(parametersIn(path, verb, "path").sort()).toEqual(inPath.sort());
      }
    }
  });

  test("refers to nothing that is not there, and has nothing that is not referred to", () => {
    const used = new Set(references(document));
    const components = document["components"] as Record<string, Json>;
    const defined = Object.entries(components).flatMap(([kind, entries]) =>
      Object.keys(entries).map((name) => `#/components/${kind}/${name}`),
    );
    expect([...used].sort()).toEqual(defined.sort());
  });

  test("gives each operation an id of its own and a problem for each status of the codes", () => {
    const operations = Object.values(paths).flatMap((item) => Object.values(item));
    const ids = operations.map((operation) => operation["operationId"]);
    expect(new Set(ids).size).toBe(ids.length);
    const documented = operations.flatMap((operation) =>
      Object.keys(operation["responses"] as Json),
    );
    // 405 is the answer to methods that stand in no operation.
    const statuses = Object.values(PROBLEM_CODES)
      .map((entry) => String(entry.status))
      .filter((status) => status !== "405");
    expect(statuses.filter((status) => !documented.includes(status))).toEqual([]);
  });
});
