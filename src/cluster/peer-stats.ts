import type { Metric } from "../core/metrics.ts";

/** Counters of a PeerClient since start, over all peers. */
export interface PeerStats {
  messages: number;
  /** HTTP requests, hellos included; messages / requests tells how well batching works. */
  requests: number;
  bytesSent: number;
  bytesReceived: number;
  /** Requests without an answer. */
  failures: number;
  /** Messages refused because the queue of their peer was full. */
  overloaded: number;
  /** Messages whose time was over before they could be sent. */
  expired: number;
  /** Messages refused because their peer had just failed several times in a row. */
  shed: number;
  rehellos: number;
  unauthenticatedAnswers: number;
}

export function newPeerStats(): PeerStats {
  return {
    messages: 0,
    requests: 0,
    bytesSent: 0,
    bytesReceived: 0,
    failures: 0,
    overloaded: 0,
    expired: 0,
    shed: 0,
    rehellos: 0,
    unauthenticatedAnswers: 0,
  };
}

export function peerMetrics(stats: PeerStats, queuedMessages: number): readonly Metric[] {
  const counter = (name: string, help: string, value: number): Metric => ({
    type: "counter",
    name: `gyre_peer_${name}_total`,
    help,
    value,
  });
  return [
    counter("messages", "Messages sent to peers.", stats.messages),
    counter(
      "requests",
      "HTTP requests to peers; each carries a batch of messages.",
      stats.requests,
    ),
    counter("sent_bytes", "Bytes of request bodies sent to peers.", stats.bytesSent),
    counter("received_bytes", "Bytes of answer bodies received from peers.", stats.bytesReceived),
    counter("failures", "Requests to peers without an answer.", stats.failures),
    counter("overloaded", "Messages refused because a peer's queue was full.", stats.overloaded),
    counter("expired", "Messages whose deadline passed before they were sent.", stats.expired),
    counter("shed", "Messages refused because their peer had just failed repeatedly.", stats.shed),
    counter("rehellos", "Sessions that a peer had lost, mostly by restarting.", stats.rehellos),
    counter(
      "unauthenticated_answers",
      "Answers thrown away for want of a valid MAC.",
      stats.unauthenticatedAnswers,
    ),
    {
      type: "gauge",
      name: "gyre_peer_queue_messages",
      help: "Messages waiting for their peer.",
      value: queuedMessages,
    },
  ];
}
