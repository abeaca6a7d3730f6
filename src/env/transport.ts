export interface PeerRequest {
  /** Base address of the peer's listener, such as `http://127.0.0.1:7071`. */
  readonly url: string;
  /** Begins with a slash. */
  readonly path: string;
  /** Sent as the `gyre-auth` header. */
  readonly auth: string;
  readonly body: Uint8Array;
  /** The call is given up after this time. */
  readonly timeoutMs: number;
}

export interface PeerResponse {
  readonly status: number;
  /** The `gyre-auth` header of the answer, "" when absent. */
  readonly auth: string;
  readonly body: Uint8Array;
}

/** The call failed. `sent: false` only if it is certain that no byte of the request reached the peer. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly sent: boolean;
  constructor(message: string, options: { sent: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.sent = options.sent;
  }
}

/** POSTs bytes to a peer. Each runtime brings its fastest client; the simulator brings a lossy one. */
export interface Transport {
  /** @throws TransportError and nothing else. Never follows a redirect. Answer bodies are limited by the caller's limits.ts. */
  call(request: PeerRequest): Promise<PeerResponse>;
}

/**
 * Judges a request whose body is still on its way: null, or the answer that refuses it. Bytes of someone who proves nothing
 * are not kept. It lets nothing in: the handler judges the whole request once more.
 */
export type PeerAdmission = (head: {
  readonly path: string;
  readonly auth: string;
  readonly bodyBytes: number;
}) => PeerResponse | null;

/** What a node's peer listener does with one request; the runtime's server adapter calls it. Never rejects. */
export type PeerHandler = (request: {
  readonly path: string;
  readonly auth: string;
  readonly body: Uint8Array;
}) => Promise<PeerResponse>;
