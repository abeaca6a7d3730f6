/** What the listeners of all runtimes have in common. */
import type { PeerAdmission, PeerHandler } from "../../src/env/transport.ts";

export interface Listener {
  /** Such as `http://127.0.0.1:7070`, with the port that was really taken. */
  readonly url: string;
  /**
   * Stops accepting, lets the requests under way finish, and closes what is idle. After `graceMs` it closes everything.
   */
  close(graceMs?: number): Promise<void>;
}

export interface PeerListenOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly handler: PeerHandler;
  /** Asked before the rest of a body that is not here with its head is taken in. */
  readonly admit: PeerAdmission;
  /** Bytes of one request. More: 413. */
  readonly bodyBytesMax: number;
  /** Bytes of all bodies that are on their way. More: 503. */
  readonly arrivingBytesMax: number;
  /** Where the runtime leaves it to us (not on Bun). */
  readonly connectionsMax: number;
}

/**
 * `rawTarget` is the request target as it was on the wire, where the runtime shows it: its URL has lost dot segments.
 * `wireHeaders` are the header fields by lower-case name, where the runtime has parsed them into an object anyway.
 * `respond` makes an answer, where the runtime has a faster way than `new Response` with a plain object of headers.
 */
export type ClientFetch = (
  request: Request,
  info: {
    readonly rawTarget?: string;
    readonly wireHeaders?: Readonly<Record<string, string | readonly string[] | undefined>>;
    readonly respond?: (
      status: number,
      headers: Record<string, string>,
      body: string | Uint8Array | null,
    ) => Response;
  },
) => Promise<Response> | Response;

export interface ClientListenOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly fetch: ClientFetch;
  /** The largest body that `fetch` itself accepts. Runtimes with a limit of their own get it just above. */
  readonly bodyBytesMax: number;
}

export const CLOSE_GRACE_MS = 5_000;
/** A little above a limit, so that it is the application that finds the excess and explains it. */
export const LIMIT_ROOM_BYTES = 65_536;

export function urlOf(host: string, port: number): string {
  return host.includes(":") ? `http://[${host}]:${port}` : `http://${host}:${port}`;
}

/** An answer for what fails before or after the application, in the shape of its own errors (RFC 9457). */
export function problem(status: number, code: string, title: string): Response {
  return new Response(JSON.stringify({ title, status, code }), {
    status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store" },
  });
}
