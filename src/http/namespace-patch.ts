/** The body of `PUT /v1/namespaces/{ns}`, field by field. */
import type { NamespaceSettings } from "../cluster/namespace-settings.ts";
import { parseRegionId } from "../core/ids.ts";
import type { PlacementPolicy } from "../core/layout.ts";
import { COPIES_MAX, VALUE_BYTES_MAX } from "../core/limits.ts";
import { isConflictPolicy, isConsistencyLevel } from "./options.ts";
import { orNull } from "./or-null.ts";
import { badRequest, type HttpProblem } from "./problem.ts";

export interface NamespacePatch {
  /** By name, or spelled out; undefined when the body says nothing of it. */
  readonly policy: { readonly name: string } | PlacementPolicy | undefined;
  /** Only what the body names. */
  readonly settings: Partial<NamespaceSettings>;
}

/** Ten years: longer is a mistake in the unit. */
const TTL_SECONDS_MAX = 315_360_000;

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };
type Json = Readonly<Record<string, unknown>>;

/** @throws HttpProblem 400, naming the field. */
export function parseNamespacePatch(body: unknown): NamespacePatch {
  if (!isObject(body)) throw badRequest("Cannot read the settings: want a JSON object");
  const settings: Partial<Mutable<NamespaceSettings>> = {};
  let policy: NamespacePatch["policy"];
  for (const [name, value] of Object.entries(body)) {
    switch (name) {
      case "policy":
        policy = parsePolicy(value);
        break;
      case "conflict":
        if (typeof value !== "string" || !isConflictPolicy(value)) {
          throw badField(name, "majority, latest or siblings");
        }
        settings.conflict = value;
        break;
      case "consistency":
        if (typeof value !== "string" || !isConsistencyLevel(value)) {
          throw badField(name, "one, local-quorum, quorum, each-quorum or all");
        }
        settings.consistency = value;
        break;
      case "defaultTtlSeconds":
        settings.defaultTtlSeconds = number(name, value, 0, TTL_SECONDS_MAX);
        break;
      case "valueBytesMax":
        settings.valueBytesMax = integer(name, value, 1, VALUE_BYTES_MAX);
        break;
      case "maxAgeSeconds":
        settings.maxAgeSeconds = value === null ? null : integer(name, value, 0, TTL_SECONDS_MAX);
        break;
      case "strict":
        if (typeof value !== "boolean") throw badField(name, "true or false");
        settings.strict = value;
        break;
      default:
        throw badRequest(
          `Unknown setting "${name}": want policy, conflict, consistency, defaultTtlSeconds, valueBytesMax, maxAgeSeconds or strict`,
        );
    }
  }
  return { policy, settings };
}

const POLICY_FORMS = 'the name of a policy, { "n": 3 } or { "regions": { "eu": 2, "us": 1 } }';

function parsePolicy(value: unknown): { readonly name: string } | PlacementPolicy {
  if (typeof value === "string") return { name: value };
  if (!isObject(value)) throw badField("policy", POLICY_FORMS);
  const names = Object.keys(value);
  if (names.length !== 1) throw badField("policy", POLICY_FORMS);
  if (names[0] === "n") return { n: integer("policy.n", value["n"], 1, COPIES_MAX) };
  if (names[0] !== "regions" || !isObject(value["regions"])) throw badField("policy", POLICY_FORMS);
  const regions: [string, number][] = Object.entries(value["regions"]).map(([region, copies]) => [
    regionName(region),
    integer(`policy.regions.${region}`, copies, 1, COPIES_MAX),
  ]);
  if (regions.length === 0) throw badField("policy", "one region at least");
  return { regions: Object.fromEntries(regions) };
}

function regionName(text: string): string {
  const region = orNull(() => parseRegionId(text));
  if (region !== null) return region;
  throw badField("policy.regions", "names of 1 to 63 characters a-z, 0-9 and -");
}

export function samePlacement(a: PlacementPolicy, b: PlacementPolicy | undefined): boolean {
  if (b === undefined) return false;
  if ("n" in a) return "n" in b && a.n === b.n;
  if ("n" in b) return false;
  const names = Object.keys(a.regions);
  return (
    names.length === Object.keys(b.regions).length &&
    names.every((name) => Object.hasOwn(b.regions, name) && a.regions[name] === b.regions[name])
  );
}

function number(name: string, value: unknown, min: number, max: number): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw badField(name, `a number from ${min} to ${max}`);
}

function integer(name: string, value: unknown, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max)
    return value;
  throw badField(name, `a whole number from ${min} to ${max}`);
}

function badField(name: string, want: string): HttpProblem {
  return badRequest(`Cannot read "${name}": want ${want}`);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
