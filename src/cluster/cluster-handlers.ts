/** The peer messages that membership answers. */
import { refusal } from "./acceptor.ts";
import { KNOWN_MEMBERS_MAX, LAYOUT_BYTES_MAX } from "./cluster-limits.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import { decodeEntry } from "./member-entry.ts";
import type { MessageHandler, MessageHandlers, WireFields } from "./peer-channel.ts";
import { readArray, readBytes } from "./wire-read.ts";

export function makeClusterHandlers(parts: ClusterParts): MessageHandlers {
  const { layouts, gossip, suspicion, joining, recovery, admission, acceptor } = parts;
  const decided = (fields: WireFields): WireFields => {
    const entries = readArray(fields, 1, "decided.members", KNOWN_MEMBERS_MAX).map(decodeEntry);
    const nowMs = parts.options.env.clock.monotonicMs();
    for (const entry of entries) parts.members.merge(entry, nowMs);
    layouts.adoptEncoded(readBytes(fields, 0, "decided.layout", LAYOUT_BYTES_MAX));
    return [layouts.version];
  };
  // A node that another process has replaced must neither vote nor vouch for anybody.
  const guarded =
    (handle: MessageHandler): MessageHandler =>
    (fields, context) => {
      if (parts.identity.superseded) throw refusal("not_ready", "Superseded by another process");
      return handle(fields, context);
    };
  /** Only for members of a cluster: whoever is in none yet has nothing to say. */
  const member = (handle: MessageHandler): MessageHandler =>
    guarded((fields, context) => {
      if (parts.clusterId === undefined) throw refusal("not_ready", "Not in a cluster yet");
      return handle(fields, context);
    });
  return {
    gossip: member((fields, context) => gossip.answer(fields, context.from)),
    probe: member((fields) => suspicion.answer(fields)),
    join: member((fields, context) => joining.answer(fields, context)),
    layout: member((fields) => recovery.answer(fields)),
    freeze: member((fields) => admission.freeze(fields)),
    prepare: member((fields) => acceptor.prepare(fields)),
    accept: member((fields) => acceptor.accept(fields)),
    decided: member(decided),
    settings: member((fields) => parts.settings.answer(fields)),
    propose: member((fields, context) => parts.namespaces.answer(fields, context)),
  };
}
