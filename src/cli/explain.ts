import { keyTarget } from "../client/wire.ts";
import { type Command, makeCommand } from "./command.ts";
import { CONNECTION_ARGS, connect, JSON_ARG, namespaceOf } from "./connection.ts";
import { EXIT } from "./errors.ts";
import { humanBytes, printJson, table } from "./output.ts";
import type { Platform } from "./platform.ts";

/** `GET /v1/cluster/explain/{ns}/{key}`. */
interface ExplainView {
  readonly partition: number;
  readonly owners: readonly OwnerView[];
  readonly fallbacks: readonly string[];
  readonly hints: readonly { readonly at: string; readonly for: string }[];
}

interface OwnerView {
  readonly id: string;
  readonly region: string;
  readonly state: string;
  readonly siblings: readonly SiblingView[] | null;
  readonly error?: string;
}

interface SiblingView {
  readonly dot: string;
  readonly stamp: number;
  readonly bytes: number;
  readonly deleted: boolean;
}

export function explainCommand(platform: Platform): Command {
  return makeCommand({
    name: "explain",
    description: "Show where a key lives and what each of its replicas holds",
    args: {
      key: { type: "positional", required: true, description: "the key" },
      ...CONNECTION_ARGS,
      ...JSON_ARG,
    },
    run: async (args) => {
      const namespace = namespaceOf(platform, args);
      const answer = await connect(platform, args).send({
        method: "GET",
        target: keyTarget(`/v1/cluster/explain/${encodeURIComponent(namespace)}`, args.key),
        repeatable: true,
        accept: [200],
      });
      const view = JSON.parse(new TextDecoder().decode(answer.body)) as ExplainView;
      if (args.json === true) await printJson(platform, view);
      else await platform.stdout.write(render(namespace, args.key, view));
      return EXIT.done;
    },
  });
}

function render(namespace: string, key: string, view: ExplainView): string {
  const rows = view.owners.flatMap((owner) => ownerRows(owner));
  const short = (id: string): string => id.slice(0, 8);
  return [
    `${JSON.stringify(key)} of namespace ${namespace} is in partition ${view.partition}, ${verdict(view)}`,
    "",
    table(["REPLICA", "REGION", "STATE", "HOLDS", "BYTES", "WRITTEN", "DOT"], rows),
    `Stand-ins, in this order: ${view.fallbacks.length === 0 ? "none" : view.fallbacks.map(short).join(", ")}`,
    ...view.hints.map((hint) => `${short(hint.at)} keeps a write for ${short(hint.for)}`),
    "",
  ].join("\n");
}

function ownerRows(owner: OwnerView): string[][] {
  const who = [owner.id.slice(0, 8), owner.region, owner.state];
  if (owner.siblings === null)
    return [[...who, `unknown${owner.error === undefined ? "" : `: ${owner.error}`}`]];
  if (owner.siblings.length === 0) return [[...who, "nothing"]];
  return owner.siblings.map((sibling, index) => [
    ...(index === 0 ? who : ["", "", ""]),
    sibling.deleted ? "tombstone" : "value",
    humanBytes(sibling.bytes),
    // Stamps are microseconds since 1970.
    isoTime(Math.floor(sibling.stamp / 1000)),
    sibling.dot,
  ]);
}

/** Whether the replicas agree, in words. */
function verdict(view: ExplainView): string {
  const answered = view.owners.filter((owner) => owner.siblings !== null);
  const states = new Set(
    answered.map((owner) => owner.siblings?.map((sibling) => sibling.dot).join() ?? ""),
  );
  const heard = `${answered.length} of ${view.owners.length} replicas answered`;
  return states.size <= 1
    ? `${heard} and agree`
    : `${heard} and differ: the next read repairs them`;
}

/** Date is kept out of src/ because a node must take the time from its environment; here it only formats. */
function isoTime(ms: number): string {
  const format = new Intl.DateTimeFormat("sv-SE", {
    dateStyle: "short",
    timeStyle: "medium",
    timeZone: "UTC",
  });
  return `${format.format(ms).replace(" ", "T")}Z`;
}
