/** `/v1/cluster`: who is here, who owns what, and where one key lives. */
import type { MemberStatus } from "../cluster/membership.ts";
import type { NodeId } from "../core/ids.ts";
import { answerJson, type Call } from "./call.ts";
import type { HttpParts } from "./http-parts.ts";
import { locateKey } from "./key-target.ts";
import { EXPLAIN_PREFIX } from "./paths.ts";
import { notFormed } from "./problem.ts";
import type { Route } from "./route.ts";
import { parseQuery } from "./target.ts";

const EXPLAIN_OPTIONS = ["key"] as const;

export class ClusterRoutes {
  readonly #parts: HttpParts;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  routes(): readonly Route[] {
    return [
      { method: "GET", path: "/v1/cluster", handler: (call) => this.#cluster(call) },
      { method: "GET", path: "/v1/cluster/ring", handler: (call) => this.#ring(call) },
      {
        method: "GET",
        path: "/v1/cluster/explain/{ns}/{key}",
        handler: (call) => this.#explain(call),
      },
    ];
  }

  /** Answers also before there is a layout: whoever waits for a node to join looks here. */
  #cluster(call: Call): Response {
    parseQuery(call.query, []);
    const { membership, nodeInfo } = this.#parts.deps;
    const document = membership.layout()?.document;
    const info = nodeInfo();
    return answerJson(call, 200, {
      clusterId: document?.clusterId ?? null,
      self: membership.self,
      version: info.version,
      runtime: info.runtime,
      layout: {
        version: document?.version ?? 0,
        state: document === undefined || !document.formed ? "changing" : "stable",
        formed: document?.formed ?? false,
        expect: document?.expect ?? 0,
        partitions: document?.partitions ?? 0,
      },
      antiEntropy: info.antiEntropy,
      reaping: info.reaping,
      nodes: membership.members().map((member) => this.#nodeJson(member)),
    });
  }

  #nodeJson(member: MemberStatus): Record<string, unknown> {
    const { membership } = this.#parts.deps;
    const isSelf = member.id === membership.self;
    return {
      id: member.id,
      region: member.region,
      zone: member.zone,
      role: member.role,
      url: member.url,
      state: member.state,
      incarnation: member.incarnation,
      keys: member.keys,
      bytes: member.bytes,
      inLayout: member.inLayout,
      clockIsOff: member.clockIsOff,
      roundTripMs: isSelf ? 0 : Math.round(membership.roundTripMs(member.id) * 10) / 10,
      hints: member.hints,
    };
  }

  /** Owners as indexes into `nodes`: a ring of 16,384 partitions stays a small answer. */
  #ring(call: Call): Response {
    parseQuery(call.query, []);
    const document = this.#parts.deps.membership.layout()?.document;
    if (document === undefined) throw notFormed();
    const nodes = document.members.map((member) => member.id);
    const indexes = new Map<NodeId, number>(nodes.map((id, index) => [id, index]));
    const policies: Record<string, unknown> = {};
    for (const [name, assignment] of Object.entries(document.assignments)) {
      policies[name] = {
        placement: document.policies[name] ?? null,
        owners: assignment.map((owners) => owners.map((owner) => indexes.get(owner) ?? -1)),
      };
    }
    return answerJson(call, 200, {
      version: document.version,
      partitions: document.partitions,
      nodes,
      policies,
    });
  }

  async #explain(call: Call): Promise<Response> {
    const { deps } = this.#parts;
    const target = await locateKey(deps, call, EXPLAIN_PREFIX, EXPLAIN_OPTIONS);
    const explanation = await deps.service.explain(
      target.key,
      target.entry,
      deps.config.requestTimeoutMs,
    );
    return answerJson(call, 200, explanation);
  }
}
