/** Bytes on a socket, for requests that no well-behaved client would send. */
import { connect, type Socket } from "node:net";

/** As for `ask`: longer than any deadline of a node. */
const PATIENCE_MS = 45_000;

export interface RawAnswer {
  /** 0 when the connection was closed without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A request head for `sendRaw`, with what every request needs. */
export function rawHead(method: string, target: string, headers: readonly string[] = []): string {
  return [`${method} ${target} HTTP/1.1`, "host: 127.0.0.1", ...headers, "", ""].join("\r\n");
}

/**
 * Writes the pieces one after the other and reads the first answer, however early it comes.
 * @throws Error when nothing comes and the connection stays open.
 */
export function sendRaw(
  url: string,
  pieces: Iterable<string | Uint8Array>,
  options: { readonly thenClose?: boolean } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    let received = Buffer.alloc(0);
    let ended = false;
    const end = (answer: RawAnswer): void => {
      ended = true;
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PATIENCE_MS, () => {
      socket.destroy();
      reject(new Error(`No answer and no end in ${PATIENCE_MS} ms; so far: ${received}`));
    });
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      const answer = wholeAnswer(received);
      if (answer !== undefined) end(answer);
    });
    // A reset while we still send is how a server refuses to read on; what it said before counts.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (!ended) resolve(wholeAnswer(received) ?? { status: 0, head: "", body: `${received}` });
    });
    socket.on("connect", async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        if (!socket.write(piece)) await drained(socket);
      }
      if (options.thenClose === true) socket.end();
    });
  });
}

/** Also when the other side hangs up instead of reading on. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      socket.off("drain", go).off("close", go);
      resolve();
    };
    socket.on("drain", go).on("close", go);
  });
}

function wholeAnswer(received: Buffer): RawAnswer | undefined {
  const headEnd = received.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const head = received.subarray(0, headEnd).toString("latin1");
  const body = received.subarray(headEnd + 4);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  if (body.length < length) return undefined;
  return { status: Number(head.split(" ")[1]), head, body: body.toString("utf8") };
}
