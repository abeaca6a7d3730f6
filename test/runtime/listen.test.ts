/** Real sockets on loopback, with the listeners of whatever runtime runs the test. */

import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import * as bunListeners from "../../runtimes/shared/listen-bun.ts";
import * as denoListeners from "../../runtimes/shared/listen-deno.ts";
import * as nodeListeners from "../../runtimes/shared/listen-node.ts";
import * as netListener from "../../runtimes/shared/listen-peer.ts";
import type { ClientFetch, Listener, PeerListenOptions } from "../../runtimes/shared/listener.ts";
import { createNetTransport, type NetTransport } from "../../runtimes/shared/transport-net.ts";
import { type PeerHandler, type PeerResponse, TransportError } from "../../src/env/transport.ts";

function whichRuntime(): "bun" | "deno" | "node" {
  if ("Bun" in globalThis) return "bun";
  return "Deno" in globalThis ? "deno" : "node";
}

const runtime = whichRuntime();
const listenPeer = runtime === "bun" ? bunListeners.listenPeer : netListener.listenPeer;
const listenClient = {
  node: nodeListeners.listenClient,
  bun: bunListeners.listenClient,
  deno: denoListeners.listenClient,
}[runtime];

const BODY_BYTES_MAX = 1 << 20;
const toEnd: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
});

async function peer(
  handler: PeerHandler,
  more: Partial<PeerListenOptions> = {},
): Promise<Listener> {
  const listener = await listenPeer({
    host: "127.0.0.1",
    port: 0,
    handler,
    admit: () => null,
    bodyBytesMax: BODY_BYTES_MAX,
    arrivingBytesMax: 4 * BODY_BYTES_MAX,
    connectionsMax: 100,
    ...more,
  });
  toEnd.push(() => listener.close(50));
  return listener;
}

async function client(fetch: ClientFetch): Promise<Listener> {
  const listener = await listenClient({
    host: "127.0.0.1",
    port: 0,
    fetch,
    bodyBytesMax: BODY_BYTES_MAX,
  });
  toEnd.push(() => listener.close(50));
  return listener;
}

function transport(connectionsMax = 4): NetTransport {
  const made = createNetTransport({ answerBytesMax: BODY_BYTES_MAX, connectionsMax });
  toEnd.push(() => made.close());
  return made;
}

/** Sends text as it is and returns all that comes until the server closes. */
function raw(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
    socket.write(text, "latin1");
  });
}

/** A connection that the test writes to; `closed` is all that came until its end. */
function open(url: string): { readonly socket: Socket; readonly closed: Promise<string> } {
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", noDelay: true });
  toEnd.push(() => void socket.destroy());
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => undefined);
  return { socket, closed: new Promise((resolve) => socket.on("close", () => resolve(received))) };
}

function headOf(auth: string, bytes: number, more = "connection: close\r\n"): string {
  return `POST ${CALL.path} HTTP/1.1\r\nhost: x\r\n${more}gyre-auth: ${auth}\r\ncontent-length: ${bytes}\r\n\r\n`;
}

/** Each piece in a packet of its own: sent when the one before has left and a turn of the event loop has passed. */
function rawInPieces(url: string, pieces: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", noDelay: true });
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
    const send = (at: number): void => {
      const piece = pieces[at];
      if (piece !== undefined) socket.write(piece, "latin1", () => setImmediate(send, at + 1));
    };
    send(0);
  });
}

function header(answer: string, name: string): string | undefined {
  return new RegExp(`\r\n${name}: *([^\r]*)`, "i").exec(answer)?.[1];
}

async function transportFailure(call: Promise<PeerResponse>): Promise<TransportError> {
  const error = await call.then(
    () => new Error("was answered"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TransportError)) throw error;
  return error;
}

const CALL = { path: "/peer/v1/messages", auth: "who", body: new Uint8Array(3), timeoutMs: 5_000 };
const ECHO: PeerHandler = async ({ path, auth, body }) => ({
  status: 200,
  auth: `${auth}:${path}`,
  body,
});

describe(`peer listener and transport on ${runtime}`, () => {
  test("carry path, auth and body there and back, whatever the size", async () => {
    const { url } = await peer(ECHO);
    const wire = transport();
    for (const bytes of [0, 1, 20_000, BODY_BYTES_MAX]) {
      const body = Uint8Array.from({ length: bytes }, (_, i) => i);
      const answer = await wire.call({ ...CALL, url, body });
      expect([answer.status, answer.auth]).toEqual([200, "who:/peer/v1/messages"]);
      expect(answer.body.length).toBe(bytes);
      expect(answer.body.every((byte, i) => byte === (i & 255))).toBe(true);
      // A Buffer's slice would be a view of a buffer that is used again.
      expect(answer.body.constructor).toBe(Uint8Array);
    }
  });

  test("hand the handler a plain Uint8Array", async () => {
    let received: Uint8Array | undefined;
    const { url } = await peer(async ({ body }) => {
      received = body;
      return { status: 200, auth: "", body: new Uint8Array(0) };
    });
    await transport().call({ ...CALL, url });
    expect(received?.constructor).toBe(Uint8Array);
  });

  test("keep at most so many connections and let more calls wait for them", async () => {
    let now = 0;
    let most = 0;
    const { url } = await peer(async ({ body }) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 1));
      now--;
      return { status: 200, auth: "", body };
    });
    const wire = transport(3);
    const calls = Array.from({ length: 20 }, (_, i) =>
      wire.call({ ...CALL, url, body: Uint8Array.of(i) }),
    );
    const answers = await Promise.all(calls);
    expect(answers.map(({ body }) => body[0])).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(most).toBe(3);
  });

  test("refuse a body above the limit with 413", async () => {
    const { url } = await peer(ECHO);
    const announced = await raw(
      url,
      `POST /peer/v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: ${BODY_BYTES_MAX + 1}\r\n\r\n`,
    );
    expect(announced.split("\r\n")[0]).toContain("413");
    // A peer announces what it sends.
    const chunked = await raw(
      url,
      "POST /peer/v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    expect(chunked.split("\r\n")[0]).toContain("411");
  });

  test("refuse an answer above the limit", async () => {
    const { url } = await peer(async () => ({
      status: 200,
      auth: "",
      body: new Uint8Array(BODY_BYTES_MAX + 1),
    }));
    expect((await transportFailure(transport().call({ ...CALL, url }))).sent).toBe(true);
  });

  test("keep no body of who proves nothing, and refuse it when it has come", async () => {
    let handled = 0;
    let judged = (): void => undefined;
    const strangers = new Promise<void>((resolve) => {
      let left = 3;
      judged = () => {
        if (--left === 0) resolve();
      };
    });
    const { url } = await peer(
      (request) => {
        handled++;
        return ECHO(request);
      },
      {
        arrivingBytesMax: BODY_BYTES_MAX,
        admit: ({ path, auth, bodyBytes }) => {
          if (auth === "who") return null;
          expect([path, auth, bodyBytes]).toEqual([CALL.path, "stranger", BODY_BYTES_MAX]);
          judged();
          return { status: 401, auth: "signed", body: new Uint8Array(0) };
        },
      },
    );
    const half = "x".repeat(BODY_BYTES_MAX / 2);
    const sockets = [0, 1, 2].map(() => open(url));
    for (const { socket } of sockets) socket.write(headOf("stranger", BODY_BYTES_MAX) + half);
    await strangers;
    const body = new Uint8Array(BODY_BYTES_MAX);
    expect((await transport().call({ ...CALL, url, body })).status).toBe(200);
    for (const { socket, closed } of sockets) {
      socket.write(half);
      const answer = await closed;
      expect(answer.split("\r\n")[0]).toContain("401");
      expect(header(answer, "gyre-auth")).toBe("signed");
    }
    expect(handled).toBe(1);
  });

  test("refuse bodies while those on their way are as much as may be, and take them afterwards", async () => {
    let asked = (): void => undefined;
    const first = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const admit = () => {
      asked();
      return null;
    };
    const { url } = await peer(ECHO, { arrivingBytesMax: BODY_BYTES_MAX, admit });
    const slow = open(url);
    slow.socket.write(headOf("slow", BODY_BYTES_MAX));
    slow.socket.write("x");
    await first;
    const wire = transport();
    const body = new Uint8Array(200_000);
    expect((await wire.call({ ...CALL, url, body })).status).toBe(503);
    slow.socket.write("x".repeat(BODY_BYTES_MAX - 1));
    expect((await slow.closed).split("\r\n")[0]).toContain("200");
    expect((await wire.call({ ...CALL, url, body })).status).toBe(200);
  });

  test.skipIf(runtime === "bun")(
    "close the oldest connection that proved nothing when there are too many",
    async () => {
      const { url } = await peer(ECHO, { connectionsMax: 3 });
      const wire = transport();
      expect((await wire.call({ ...CALL, url })).status).toBe(200);
      const [oldest, ...others] = [open(url), open(url), open(url)];
      expect(await oldest?.closed).toBe("");
      expect((await wire.call({ ...CALL, url })).status).toBe(200);
      for (const { socket } of others) socket.destroy();
    },
  );

  test.skipIf(runtime === "bun")("answer no caller who reads no answers", async () => {
    let handled = 0;
    let answered = (): void => undefined;
    const { url } = await peer(async ({ auth }) => {
      const isIdler = auth === "idler";
      if (isIdler) handled++;
      setImmediate(() => answered());
      return { status: 200, auth: "", body: new Uint8Array(isIdler ? 16 << 20 : 0) };
    });
    const { socket } = open(url);
    socket.pause();
    const first = new Promise<void>((resolve) => {
      answered = resolve;
    });
    socket.write(headOf("idler", 0, ""));
    await first;
    socket.write(headOf("idler", 0, ""));
    // What it wrote has arrived long before the second of these.
    const wire = transport();
    for (let i = 0; i < 2; i++) expect((await wire.call({ ...CALL, url })).status).toBe(200);
    expect(handled).toBe(1);
  });

  test("refuse another method than POST", async () => {
    const { url } = await peer(ECHO);
    const answer = await raw(
      url,
      "GET /peer/v1/hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    expect(answer.split("\r\n")[0]).toContain("405");
  });

  test.skipIf(runtime === "bun")(
    "refuse what is not written by a Gyre peer, and go on",
    async () => {
      const { url } = await peer(ECHO);
      const refused: readonly (readonly [string, string])[] = [
        ["400", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
        ["400", "POST /peer/v1/messages HTTP/1.0\r\n\r\n"],
        ["400", "POST http://x/peer HTTP/1.1\r\n\r\n"],
        ["400", "POST /p HTTP/1.1\r\ncontent-length: -1\r\n\r\n"],
        ["400", "POST /p HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
        ["400", "POST /p HTTP/1.1\r\ncontent-length: 1\r\n\r\nab"],
        ["431", `POST /p HTTP/1.1\r\nx: ${"y".repeat(20_000)}`],
      ];
      for (const [status, text] of refused) {
        expect([text.slice(0, 60), (await raw(url, text)).split("\r\n")[0]]).toEqual([
          text.slice(0, 60),
          `HTTP/1.1 ${status} `,
        ]);
      }
      expect((await transport().call({ ...CALL, url })).status).toBe(200);
    },
  );

  test.skipIf(runtime === "bun")(
    "take a request in any pieces, and answer once on a connection that is to be closed",
    async () => {
      const { url } = await peer(ECHO);
      const text =
        "POST /a HTTP/1.1\r\nConnection: close\r\nGyre-Auth:  me\r\nContent-Length: 3\r\n\r\nabc";
      const answer = await new Promise<string>((resolve, reject) => {
        const socket = connect({
          port: Number(new URL(url).port),
          host: "127.0.0.1",
          noDelay: true,
        });
        let received = "";
        socket.on("data", (chunk) => {
          received += chunk.toString("latin1");
        });
        socket.on("close", () => resolve(received));
        socket.on("error", reject);
        const pieces = [...text];
        const next = (): void => {
          const piece = pieces.shift();
          if (piece !== undefined) socket.write(piece, () => setImmediate(next));
        };
        next();
      });
      expect([header(answer, "gyre-auth"), header(answer, "connection")]).toEqual([
        "me:/a",
        "close",
      ]);
      expect(answer.endsWith("\r\n\r\nabc")).toBe(true);
    },
  );

  test("tell a peer that is not there from one that died with the request", async () => {
    const listener = await peer(ECHO);
    await listener.close(50);
    const wire = transport();
    const refused = await transportFailure(wire.call({ ...CALL, url: listener.url }));
    expect(refused.sent).toBe(false);
    const unparsable = await transportFailure(wire.call({ ...CALL, url: "https://x" }));
    expect(unparsable.sent).toBe(false);
  });

  test("never send a request twice, also when a kept connection dies without an answer", async () => {
    const { createServer } = await import("node:net");
    let requests = 0;
    const server = createServer((socket) => {
      let first = true;
      socket.on("error", () => undefined);
      socket.on("data", () => {
        requests++;
        if (first) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        else socket.destroy();
        first = false;
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    toEnd.push(() => void server.close());
    const { port } = server.address() as { port: number };
    const wire = transport();
    const url = `http://127.0.0.1:${port}`;
    expect((await wire.call({ ...CALL, url })).status).toBe(200);
    expect((await transportFailure(wire.call({ ...CALL, url }))).sent).toBe(true);
    expect(requests).toBe(2);
  });

  test("give up a call after its time, as sent", async () => {
    const { url } = await peer(() => new Promise(() => undefined));
    const error = await transportFailure(transport().call({ ...CALL, url, timeoutMs: 30 }));
    expect(error.sent).toBe(true);
    expect(error.message).toContain("30 ms");
  });

  test("take no answer from a server that is no Gyre peer", async () => {
    const { createServer } = await import("node:net");
    const replies = [
      "220 mail.example ESMTP\r\n\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
      `HTTP/1.1 200 OK\r\nx: ${"y".repeat(40_000)}`,
      "",
    ];
    for (const reply of replies) {
      const server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.on("data", () => socket.end(reply, "latin1"));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      toEnd.push(() => void server.close());
      const { port } = server.address() as { port: number };
      const call = transport().call({ ...CALL, url: `http://127.0.0.1:${port}` });
      const outcome = await call.catch((error: unknown) => error);
      // A length that is no number we can hold is as good as none: an empty body, which no MAC covers.
      if (outcome instanceof TransportError) expect(outcome.sent).toBe(true);
      else expect((outcome as PeerResponse).body.length).toBe(0);
    }
  });

  test("closing lets the request under way finish, and then refuses connections", async () => {
    let release = (): void => undefined;
    const started = new Promise<void>((resolveStarted) => {
      void peer(async ({ body }) => {
        resolveStarted();
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return { status: 200, auth: "", body };
      }).then((made) => {
        listener = made;
        answer = wire.call({ ...CALL, url: made.url });
      });
    });
    const wire = transport();
    let listener: Listener | undefined;
    let answer: Promise<PeerResponse> | undefined;
    await started;
    const closed = listener?.close(5_000);
    release();
    expect((await answer)?.status).toBe(200);
    await closed;
    // Another transport, without a kept connection whose end it may not have seen yet.
    const refused = await transportFailure(transport().call({ ...CALL, url: listener?.url ?? "" }));
    expect(refused.sent).toBe(false);
  });

  test("closing does not wait longer than its grace for a request that does not end", async () => {
    const listener = await peer(() => new Promise(() => undefined));
    const error = transportFailure(transport().call({ ...CALL, url: listener.url }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await listener.close(20);
    expect((await error).sent).toBe(true);
  });
});

describe(`client listener on ${runtime}`, () => {
  test("HEAD carries GET's Content-Length and no body", async () => {
    const { url } = await client((request) => {
      const body = request.method === "HEAD" ? null : "hello";
      return new Response(body, { headers: { "content-length": "5", etag: '"x"' } });
    });
    const head = await raw(url, "HEAD /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    expect(header(head, "content-length")).toBe("5");
    expect(head.endsWith("\r\n\r\n")).toBe(true);
    const get = await raw(url, "GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    expect([header(get, "content-length"), get.slice(-5)]).toEqual(["5", "hello"]);
  });

  test("a HEAD answer does not disturb the next one on the connection", async () => {
    const { url } = await client((request) => {
      const body = request.method === "HEAD" ? null : "hello";
      return new Response(body, { headers: { "content-length": "5" } });
    });
    const both = await raw(
      url,
      "HEAD /a HTTP/1.1\r\nhost: x\r\n\r\nGET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    expect(both.split("HTTP/1.1 200").length).toBe(3);
    expect(both.split("hello").length).toBe(2);
  });

  test("a body arrives whole, in the head's packet or after it, and belongs to its own request", async () => {
    const { url } = await client(async (request) => {
      const bytes = new Uint8Array(await request.arrayBuffer());
      // What is kept of a body must not keep a socket's buffer alive, nor change with it.
      expect(bytes.buffer.byteLength).toBe(bytes.length);
      return new Response(`<${new TextDecoder().decode(bytes)}>`);
    });
    const put = (body: string, more = ""): string =>
      `PUT /a HTTP/1.1\r\nhost: x\r\n${more}content-length: ${body.length}\r\n\r\n${body}`;
    const close = "connection: close\r\n";
    const shown = (answer: string): string => answer.slice(answer.indexOf("<"));
    expect(shown(await raw(url, put("one", close)))).toBe("<one>");
    expect(shown(await raw(url, put("", close)))).toBe("<>");
    const pipelined = await raw(url, put("one") + put("") + put("three", close));
    expect(pipelined.match(/<\w*>/g)).toEqual(["<one>", "<>", "<three>"]);
    const long = "x".repeat(200_000);
    expect(shown(await raw(url, put(long, close))) === `<${long}>`).toBe(true);
    const pieces = [put("one", close).slice(0, -2), "ne"];
    expect(shown(await rawInPieces(url, pieces))).toBe("<one>");
  });

  test("304 and 204 have no body and no length of one", async () => {
    const { url } = await client(
      (request) => new Response(null, { status: request.url.endsWith("304") ? 304 : 204 }),
    );
    for (const status of ["304", "204"]) {
      const answer = await raw(
        url,
        `GET /${status} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      );
      expect(answer.split("\r\n")[0]).toContain(status);
      expect(["0", undefined]).toContain(header(answer, "content-length"));
      expect(answer.endsWith("\r\n\r\n")).toBe(true);
    }
  });

  test("an application that fails is a 500 without its stack", async () => {
    const { url } = await client(() => Promise.reject(new Error("secret detail")));
    const answer = await fetch(url);
    expect(answer.status).toBe(500);
    const text = await answer.text();
    expect(text).toContain('"code":"internal"');
    expect(text).not.toContain("secret detail");
  });

  test("a body just above the application's limit reaches the application", async () => {
    const { url } = await client(async (request) => {
      const { byteLength } = await request.arrayBuffer();
      return new Response(null, { status: byteLength > BODY_BYTES_MAX ? 413 : 204 });
    });
    const answer = await fetch(url, { method: "PUT", body: new Uint8Array(BODY_BYTES_MAX + 1) });
    expect(answer.status).toBe(413);
  });

  if (runtime === "node") {
    test("shows the request target as it was on the wire", async () => {
      const targets: (string | undefined)[] = [];
      const { url } = await client((_, { rawTarget }) => {
        targets.push(rawTarget);
        return new Response(null, { status: 204 });
      });
      await raw(url, "GET /v1/kv/a/%2e%2e/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      expect(targets).toEqual(["/v1/kv/a/%2e%2e/b"]);
    });

    test("refuses two Host headers and a target that is a whole URL", async () => {
      const { url } = await client(() => new Response("reached"));
      for (const head of [
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b",
        "GET http://a/ HTTP/1.1\r\nhost: a",
      ]) {
        const answer = await raw(url, `${head}\r\nconnection: close\r\n\r\n`);
        expect(answer.split("\r\n")[0]).toContain("400");
        expect(answer).not.toContain("reached");
      }
    });

    test("a request target that no URL can hold is the client's mistake", async () => {
      const { url } = await client(() => new Response("reached"));
      const answer = await raw(url, "GET /a\\b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      expect(answer.split("\r\n")[0]).toContain("400");
      expect(answer).toContain('"code":"bad_request"');
    });
  }
});
