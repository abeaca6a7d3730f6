import type { GyreClient } from "../client/client.ts";
import { type Command, makeCommand } from "./command.ts";
import { CONNECTION_ARGS, connect, JSON_ARG, urlsOf } from "./connection.ts";
import { EXIT } from "./errors.ts";
import { humanBytes, printJson, table } from "./output.ts";
import type { Platform } from "./platform.ts";

/** `GET /v1/cluster`, as far as it is shown. */
interface ClusterView {
  readonly clusterId: string;
  readonly layout: { readonly version: number; readonly state: string; readonly formed?: boolean };
  readonly nodes: readonly NodeView[];
  /** Absent in the answer of an older node. */
  readonly antiEntropy?: AntiEntropyView;
  readonly reaping?: ReapingView;
}

/** Of the node that was asked. */
interface ReapingView {
  readonly state: string;
  readonly postponed: {
    readonly by: string;
    readonly sinceMs: number;
    readonly reason: string;
  } | null;
  readonly restoredRows: number;
  readonly quarantinedRows: number;
}

/** Of the node that was asked. */
interface AntiEntropyView {
  readonly trees: string;
  readonly mismatches: number;
  readonly rounds: number;
  readonly rowsSent: number;
  readonly rowsReceived: number;
  readonly peers: readonly unknown[];
}

interface NodeView {
  readonly id: string;
  readonly region: string;
  readonly zone: string;
  readonly role: string;
  readonly url: string;
  readonly state: string;
  readonly clockIsOff?: boolean;
  readonly incarnation: number;
  readonly keys: number;
  readonly bytes: number;
  readonly hints?: { readonly count: number; readonly bytes: number };
}

interface NamespaceView {
  readonly name: string;
  readonly policy?: unknown;
}

export function statusCommand(platform: Platform): Command {
  return makeCommand({
    name: "status",
    description: "Show the nodes, the layout and the namespaces of a cluster",
    args: { ...CONNECTION_ARGS, ...JSON_ARG },
    run: async (args) => {
      const client = connect(platform, args);
      const cluster = (await getJson(client, "/v1/cluster")) as ClusterView;
      const namespaces = await readNamespaces(client);
      if (args.json === true) await printJson(platform, { ...cluster, namespaces });
      else
        await platform.stdout.write(render(cluster, namespaces, urlsOf(platform, args)[0] ?? ""));
      return EXIT.done;
    },
  });
}

async function getJson(client: GyreClient, target: string): Promise<unknown> {
  const answer = await client.send({ method: "GET", target, repeatable: true, accept: [200] });
  return JSON.parse(new TextDecoder().decode(answer.body));
}

async function readNamespaces(client: GyreClient): Promise<readonly NamespaceView[]> {
  const answer = (await getJson(client, "/v1/namespaces")) as {
    readonly namespaces?: readonly NamespaceView[];
  };
  return answer.namespaces ?? [];
}

/** What a stranger sees at one glance: is it whole, and if not, which node is missing. */
function render(cluster: ClusterView, namespaces: readonly NamespaceView[], url: string): string {
  const nodes = [...cluster.nodes].sort(
    (a, b) => compare(a.region, b.region) || compare(a.zone, b.zone) || compare(a.url, b.url),
  );
  const up = nodes.filter((node) => node.state === "up").length;
  const regions = new Set(nodes.map((node) => node.region)).size;
  const rows = nodes.map((node) => [
    node.region,
    node.zone,
    node.clockIsOff === true ? `${node.state}, clock off` : node.state,
    node.role,
    node.url,
    String(node.incarnation),
    String(node.keys),
    humanBytes(node.bytes),
    node.id.slice(0, 8),
  ]);
  const { version, state, formed } = cluster.layout;
  return [
    `Cluster ${cluster.clusterId} as ${url} sees it`,
    `${up} of ${nodes.length} nodes up in ${regions} ${regions === 1 ? "region" : "regions"}; layout version ${version}, ` +
      `${state}${formed === false ? ", still forming: no data is taken yet" : ""}`,
    "",
    table(["REGION", "ZONE", "STATE", "ROLE", "URL", "BOOTS", "KEYS", "BYTES", "ID"], rows),
    ...hintLines(nodes),
    ...(cluster.antiEntropy === undefined ? [] : [repairLine(cluster.antiEntropy)]),
    ...(cluster.reaping === undefined ? [] : reapingLines(cluster.reaping)),
    `Namespaces: ${namespaces.map((namespace) => namespace.name + policyNote(namespace.policy)).join(", ")}`,
    "",
  ].join("\n");
}

/** Nothing while nobody is away. */
function hintLines(nodes: readonly NodeView[]): string[] {
  let count = 0;
  let bytes = 0;
  for (const { hints } of nodes) {
    count += hints?.count ?? 0;
    bytes += hints?.bytes ?? 0;
  }
  return count === 0
    ? []
    : [`Hints: ${count} writes wait for nodes that are away (${humanBytes(bytes)})`];
}

function repairLine(view: AntiEntropyView): string {
  const { trees, rounds, peers, rowsSent, rowsReceived, mismatches } = view;
  const trouble = mismatches === 0 ? "" : `; ${mismatches} trees were wrong: see the log`;
  return (
    `Repair by this node: trees ${trees}; ${rounds} rounds with ${peers.length} co-owners, ` +
    `${rowsSent} records sent, ${rowsReceived} received${trouble}`
  );
}

/** Nothing while all is well: tombstones come and go. */
function reapingLines(view: ReapingView): string[] {
  const lines: string[] = [];
  if (view.postponed !== null) {
    const { by, sinceMs, reason } = view.postponed;
    lines.push(
      `Reaping postponed by node ${by.slice(0, 8)} (${reason}) since ${new Date(sinceMs).toISOString()}`,
    );
  }
  if (view.restoredRows > 0) {
    lines.push(`Restored: ${view.restoredRows} rows wait until every other owner has been heard`);
  }
  if (view.quarantinedRows > 0) {
    lines.push(
      `Quarantine: ${view.quarantinedRows} restored rows that may have been deleted since, at GET /v1/quarantine`,
    );
  }
  return lines;
}

function policyNote(policy: unknown): string {
  if (policy === undefined || policy === null) return "";
  if (typeof policy === "string") return policy === "default" ? "" : ` (policy ${policy})`;
  return ` (${JSON.stringify(policy)})`;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
