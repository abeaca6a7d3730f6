/**
 * A headless Chromium over its own debugging protocol: enough to open a page and run JavaScript in it as a person's
 * browser would. No driver package, because this is the one test that needs one.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export const CHROMIUM = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => existsSync(path));

const POLL_MS = 50;
const PATIENCE_MS = 15_000;

export interface BrowserPage {
  /** The value of an expression, awaited; `undefined` for what JSON cannot hold. */
  run(expression: string): Promise<unknown>;
  /** Resolves with the first truthy value of the expression. */
  until(expression: string): Promise<unknown>;
  /** Errors of scripts and refusals of the Content-Security-Policy so far. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** REQUIRES: CHROMIUM. */
export async function openPage(url: string): Promise<BrowserPage> {
  const profile = mkdtempSync(join(tmpdir(), "gyre-chromium-"));
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const child = spawn(
    CHROMIUM ?? "",
    [
      "--headless",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      ...sandbox,
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const connection = await connect(await debuggerUrl(child));
  const complaints: string[] = [];
  connection.onEvent = ({ method, params }) => {
    if (method === "Runtime.exceptionThrown" || method === "Audits.issueAdded") {
      complaints.push(JSON.stringify(params));
    }
  };
  const created = await connection.send("Target.createTarget", { url: "about:blank" });
  const attached = await connection.send("Target.attachToTarget", {
    targetId: created["targetId"],
    flatten: true,
  });
  const session = String(attached["sessionId"]);
  for (const domain of ["Runtime", "Page", "Audits"]) {
    await connection.send(`${domain}.enable`, {}, session);
  }
  // A page behind another one draws nothing, and a dialog says that it was closed only when it is drawn.
  await connection.send("Page.bringToFront", {}, session);
  await connection.send("Page.navigate", { url }, session);

  const run = async (expression: string): Promise<unknown> => {
    const answer = await connection.send(
      "Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true },
      session,
    );
    if (answer["exceptionDetails"] !== undefined) {
      throw new Error(`${expression}: ${JSON.stringify(answer["exceptionDetails"])}`);
    }
    return (answer["result"] as { value?: unknown }).value;
  };
  const until = async (expression: string): Promise<unknown> => {
    for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
      const value = await run(expression);
      if (value) return value;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`Still not so after ${PATIENCE_MS} ms: ${expression}`);
  };
  const close = async (): Promise<void> => {
    await connection.send("Browser.close", {});
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  };
  return { run, until, complaints, close };
}

/** Chromium says where it listens in one line on standard error. */
function debuggerUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`Chromium ended: ${text}`)));
    child.stderr?.on("data", (chunk: Uint8Array) => {
      text += String(chunk);
      const url = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}

interface Connection {
  send(
    method: string,
    params: Record<string, unknown>,
    sessionId?: string,
  ): Promise<Record<string, unknown>>;
  onEvent: (message: Message) => void;
}

function connect(url: string): Promise<Connection> {
  const socket = new WebSocket(url);
  const waiting = new Map<number, (message: Message) => void>();
  let count = 0;
  const connection: Connection = {
    onEvent: () => undefined,
    send: (method, params, sessionId) =>
      new Promise((resolve, reject) => {
        const id = ++count;
        waiting.set(id, ({ result, error }) => {
          if (error === undefined) resolve(result ?? {});
          else reject(new Error(`${method}: ${error.message}`));
        });
        socket.send(JSON.stringify({ id, method, params, sessionId }));
      }),
  };
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(String(event.data)) as Message;
    if (message.id === undefined) connection.onEvent(message);
    else waiting.get(message.id)?.(message);
  });
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => resolve(connection));
    socket.addEventListener("error", () => reject(new Error(`Cannot connect to ${url}`)));
  });
}
