/** Creating and deleting namespaces: layout decisions that move no unit, and so are allowed at any time. */
import type { NodeId } from "../core/ids.ts";
import type { LayoutDocument, PlacementPolicy } from "../core/layout.ts";
import { withNamespace, withoutNamespace } from "../core/layout-rules.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import { DECISION_TIMEOUT_MS, LAYOUT_BYTES_MAX } from "./cluster-limits.ts";
import { decodePolicy, encodePolicy } from "./layout-codec.ts";
import type { AdoptedLayout, LayoutStore } from "./layout-store.ts";
import type { MemberList } from "./member-list.ts";
import type { CreateNamespaceOutcome } from "./membership.ts";
import {
  type MessageContext,
  type PeerChannel,
  PeerError,
  type WireFields,
  type WireValue,
} from "./peer-channel.ts";
import type { Proposer } from "./proposer.ts";
import type { Serial } from "./serial.ts";
import { asFields, badField, readBytesOrNull, readInt, readString } from "./wire-read.ts";

export type DeleteNamespaceOutcome = "deleted" | "not-found" | "is-default" | "unavailable";
type PolicyChoice = { readonly name: string } | PlacementPolicy;

type Proposal =
  | { readonly act: "create"; readonly name: string; readonly policy: PolicyChoice }
  | { readonly act: "delete"; readonly name: string };

/** Every way a proposal can end; `done` is created or deleted. */
interface Outcome {
  readonly status: (typeof STATUSES)[number];
  readonly reason: string;
}

const STATUSES = [
  "done",
  "exists",
  "conflict",
  "invalid",
  "unavailable",
  "not-found",
  "is-default",
] as const;
const NAME_CHARACTERS_MAX = 63;
const REASON_CHARACTERS_MAX = 1_000;
const CREATE = 0;
const DELETE = 1;
const BY_NAME = 0;
const BY_CONTENT = 1;

export interface NamespacesParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly self: NodeId;
  readonly layouts: LayoutStore;
  readonly members: MemberList;
  readonly proposer: Proposer;
  readonly decisions: Serial;
}

export class Namespaces {
  readonly #parts: NamespacesParts;

  constructor(parts: NamespacesParts) {
    this.#parts = parts;
  }

  async create(name: string, policy: PolicyChoice): Promise<CreateNamespaceOutcome> {
    const { status, reason } = await this.#propose({ act: "create", name, policy });
    switch (status) {
      case "done":
        return { status: "created" };
      case "exists":
        return { status: "exists" };
      case "conflict":
      case "invalid":
        return { status, reason };
      default:
        return { status: "unavailable", reason };
    }
  }

  async delete(name: string): Promise<DeleteNamespaceOutcome> {
    const { status } = await this.#propose({ act: "delete", name });
    if (status === "done") return "deleted";
    return status === "not-found" || status === "is-default" ? status : "unavailable";
  }

  /** Answers `propose`: [act, name, policy] -> [status, reason, layout document]. @throws PeerError */
  async answer(fields: WireFields, context: MessageContext): Promise<WireFields> {
    const proposal = decodeProposal(fields);
    const timeoutMs = Math.min(context.timeoutMs, DECISION_TIMEOUT_MS);
    const { env, layouts } = this.#parts;
    const outcome = await this.#decide(proposal, env.clock.monotonicMs() + timeoutMs);
    const document = layouts.current()?.encoded ?? null;
    return [STATUSES.indexOf(outcome.status), outcome.reason, document];
  }

  /** Electors propose for themselves; all others ask one, so that few bid against each other. */
  async #propose(proposal: Proposal): Promise<Outcome> {
    const { env, layouts, self } = this.#parts;
    const deadlineMs = env.clock.monotonicMs() + DECISION_TIMEOUT_MS;
    const current = layouts.current();
    if (current === undefined) return unavailable("This node has no layout yet");
    if (current.document.electors.includes(self)) return this.#decide(proposal, deadlineMs);
    let reason = "No elector of the layout can be reached";
    for (const elector of this.#electorsNearestFirst(current)) {
      const timeoutMs = deadlineMs - env.clock.monotonicMs();
      if (timeoutMs <= 0) break;
      const outcome = await this.#forward(elector, proposal, timeoutMs);
      if (outcome.status !== "unavailable") return outcome;
      reason = outcome.reason;
    }
    return unavailable(reason);
  }

  #electorsNearestFirst(current: AdoptedLayout): NodeId[] {
    const { members, self } = this.#parts;
    const region = current.active.regionOf(self);
    const rank = (node: NodeId): number => {
      const member = members.get(node);
      if (member === undefined || member.state === "down") return 2;
      return member.entry.region === region ? 0 : 1;
    };
    return [...current.document.electors].sort((a, b) => rank(a) - rank(b));
  }

  async #forward(elector: NodeId, proposal: Proposal, timeoutMs: number): Promise<Outcome> {
    const { channel, layouts } = this.#parts;
    try {
      // Asking the next elector after a timeout is safe: what was decided meanwhile is found to exist.
      const answer = await channel.send(elector, "propose", encodeProposal(proposal), {
        timeoutMs: Math.min(timeoutMs, DECISION_TIMEOUT_MS / 2),
        lane: "direct",
      });
      const status = STATUSES[readInt(answer, 0, "propose.status", 0, STATUSES.length - 1)];
      const reason = readString(answer, 1, "propose.reason", REASON_CHARACTERS_MAX);
      const document = readBytesOrNull(answer, 2, "propose.layout", LAYOUT_BYTES_MAX);
      if (document !== null) layouts.adoptEncoded(document);
      return { status: status ?? "unavailable", reason };
    } catch (error) {
      // On a full disk it is decided, but this node cannot hold the layout that says so.
      if (!(error instanceof PeerError || error instanceof DiskFullError)) throw error;
      return unavailable(error.message);
    }
  }

  #decide(proposal: Proposal, deadlineMs: number): Promise<Outcome> {
    const { layouts, proposer, decisions } = this.#parts;
    return decisions.run(async () => {
      for (;;) {
        const current = layouts.current();
        if (current === undefined) return unavailable("This node has no layout yet");
        const step = apply(proposal, current);
        if (!("document" in step)) return step;
        const decision = await proposer.decide(step.document, deadlineMs);
        if (decision === "chosen") return { status: "done", reason: "" };
        if (decision === "unavailable") return unavailable("No majority of electors answered");
      }
    });
  }
}

function apply(
  proposal: Proposal,
  current: AdoptedLayout,
): Outcome | { readonly document: LayoutDocument } {
  const step =
    proposal.act === "create"
      ? withNamespace(current.document, proposal.name, proposal.policy, current.hash)
      : withoutNamespace(current.document, proposal.name, current.hash);
  if (step.status === "next") return { document: step.document };
  return { status: step.status, reason: "reason" in step ? step.reason : "" };
}

function unavailable(reason: string): Outcome {
  return { status: "unavailable", reason };
}

function encodeProposal(proposal: Proposal): WireFields {
  if (proposal.act === "delete") return [DELETE, proposal.name, null];
  const { policy } = proposal;
  const choice: WireValue =
    "name" in policy ? [BY_NAME, policy.name] : [BY_CONTENT, encodePolicy(policy)];
  return [CREATE, proposal.name, choice];
}

/** @throws BadMessageError */
function decodeProposal(fields: WireFields): Proposal {
  const act = readInt(fields, 0, "propose.act", CREATE, DELETE);
  const name = readString(fields, 1, "propose.name", NAME_CHARACTERS_MAX);
  if (act === DELETE) return { act: "delete", name };
  const choice = asFields(fields[2], "propose.policy", 2);
  if (choice.length !== 2) throw badField("propose.policy", "two fields");
  const policy =
    readInt(choice, 0, "propose.policy", BY_NAME, BY_CONTENT) === BY_NAME
      ? { name: readString(choice, 1, "policy.name", NAME_CHARACTERS_MAX) }
      : decodePolicy(choice[1]);
  return { act: "create", name, policy };
}
