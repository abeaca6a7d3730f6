/** `/v1/namespaces`: the placement policy is decided once, at creation; the other settings can change at any time. */
import type { NamespaceSettings } from "../cluster/namespace-settings.ts";
import { utf8Decode } from "../core/bytes.ts";
import { parseNamespaceName } from "../core/key-rules.ts";
import type { LayoutDocument, PlacementPolicy } from "../core/layout.ts";
import { readBody } from "./body.ts";
import { answerEmpty, answerJson, type Call, plainHeaders } from "./call.ts";
import type { HttpParts } from "./http-parts.ts";
import { findNamespace, type NamespaceView, pathTail } from "./key-target.ts";
import { type NamespacePatch, parseNamespacePatch, samePlacement } from "./namespace-patch.ts";
import { orNull } from "./or-null.ts";
import { NAMESPACES_PREFIX } from "./paths.ts";
import { badRequest, HttpProblem, namespaceNotFound, notFormed } from "./problem.ts";
import type { Route } from "./route.ts";
import { parseQuery } from "./target.ts";

/** Settings are a few numbers and names. */
const BODY_BYTES_MAX = 64 * 1024;

export class NamespaceRoutes {
  readonly #parts: HttpParts;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  routes(): readonly Route[] {
    const path = "/v1/namespaces/{ns}";
    return [
      { method: "GET", path: "/v1/namespaces", handler: (call) => this.#list(call) },
      { method: "GET", path, handler: (call) => this.#get(call) },
      { method: "PUT", path, handler: (call) => this.#put(call) },
      { method: "DELETE", path, handler: (call) => this.#delete(call) },
    ];
  }

  #document(): LayoutDocument {
    const layout = this.#parts.deps.membership.layout();
    if (layout === undefined) throw notFormed();
    return layout.document;
  }

  #list(call: Call): Response {
    parseQuery(call.query, []);
    const { deps } = this.#parts;
    const document = this.#document();
    const namespaces = document.namespaces.map((entry) =>
      namespaceJson(document, { entry, settings: deps.settings.get(entry.id) }),
    );
    return answerJson(call, 200, { namespaces });
  }

  async #get(call: Call): Promise<Response> {
    parseQuery(call.query, []);
    const view = await findNamespace(this.#parts.deps, pathTail(call, NAMESPACES_PREFIX));
    return answerJson(call, 200, namespaceJson(this.#document(), view));
  }

  /** Creates, or changes the settings that the body names and leaves the others as they are. */
  async #put(call: Call): Promise<Response> {
    parseQuery(call.query, []);
    const { deps } = this.#parts;
    const name = pathTail(call, NAMESPACES_PREFIX);
    const parsed = parseNamespaceName(name);
    if (!parsed.ok) throw badRequest(parsed.reason);
    const patch = parseNamespacePatch(parseJson(await readBody(call, BODY_BYTES_MAX)));
    const document = this.#document();
    const existing = document.namespaces.find((entry) => entry.name === name);
    let status = 200;
    if (existing === undefined) status = await this.#create(name, patch);
    else if (patch.policy !== undefined) refuseNewPolicy(document, existing.policy, patch.policy);
    const view = await findNamespace(deps, name);
    const settings = { ...view.settings, ...patch.settings };
    if (Object.keys(patch.settings).length > 0) await this.#store(view, settings);
    return answerJson(
      call,
      status,
      namespaceJson(this.#document(), { entry: view.entry, settings }),
    );
  }

  async #create(name: string, patch: NamespacePatch): Promise<number> {
    const policy = patch.policy ?? { name: "default" };
    const outcome = await this.#parts.deps.membership.createNamespace(name, policy);
    switch (outcome.status) {
      case "created":
        return 201;
      case "exists":
        return 200;
      case "conflict":
        throw new HttpProblem("policy_fixed", outcome.reason);
      case "invalid":
        throw badRequest(outcome.reason);
      case "unavailable":
        throw unavailable(`The namespace may or may not have been created: ${outcome.reason}`);
    }
  }

  async #store(view: NamespaceView, settings: NamespaceSettings): Promise<void> {
    if ((await this.#parts.deps.settings.set(view.entry.id, settings)) === "stored") return;
    throw unavailable(
      "The settings are not on a majority of the storage members yet: put them again",
    );
  }

  async #delete(call: Call): Promise<Response> {
    parseQuery(call.query, []);
    const name = pathTail(call, NAMESPACES_PREFIX);
    const parsed = parseNamespaceName(name);
    if (!parsed.ok) throw badRequest(parsed.reason);
    switch (await this.#parts.deps.membership.deleteNamespace(name)) {
      case "deleted":
        return answerEmpty(call, 204, plainHeaders(call, null));
      case "not-found":
        throw namespaceNotFound(name);
      case "is-default":
        throw new HttpProblem("namespace_fixed", "Every cluster has the namespace `default`");
      case "unavailable":
        throw unavailable("Too few electors answered: the namespace may or may not be deleted");
    }
  }
}

function unavailable(detail: string): HttpProblem {
  return new HttpProblem("unavailable", detail, { headers: { "retry-after": "1" } });
}

function parseJson(body: Uint8Array): unknown {
  if (body.length === 0) return {};
  const parsed = orNull(() => JSON.parse(utf8Decode(body)) as unknown);
  if (parsed !== null) return parsed;
  throw badRequest("Cannot read the settings: the body is not a JSON object in UTF-8");
}

function refuseNewPolicy(
  document: LayoutDocument,
  present: string,
  asked: { readonly name: string } | PlacementPolicy,
): void {
  const placement = document.policies[present];
  const same = "name" in asked ? asked.name === present : samePlacement(asked, placement);
  if (same) return;
  throw new HttpProblem(
    "policy_fixed",
    `The namespace was created with the placement policy "${present}" (${JSON.stringify(placement)}), and moving its data to another is not possible yet: create another namespace and copy`,
  );
}

function namespaceJson(document: LayoutDocument, view: NamespaceView): Record<string, unknown> {
  const { entry, settings } = view;
  return {
    name: entry.name,
    id: entry.id,
    policy: entry.policy,
    placement: document.policies[entry.policy] ?? null,
    conflict: settings.conflict,
    consistency: settings.consistency,
    defaultTtlSeconds: settings.defaultTtlSeconds,
    valueBytesMax: settings.valueBytesMax,
    maxAgeSeconds: settings.maxAgeSeconds,
    strict: settings.strict,
  };
}
