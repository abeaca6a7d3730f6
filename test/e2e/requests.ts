/** What end-to-end tests ask of a node, and how they wait: for states, never for a time. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { gyreCommand } from "./dev-cluster.ts";

/** Longer than any deadline that a test gives a node: a request that is still open then was forgotten. */
const PATIENCE_MS = 45_000;
const POLL_MS = 100;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

export interface Asked {
  readonly method?: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** @throws TimeoutError when the node left the request unanswered; TypeError when it cannot be reached. */
export async function ask(url: string, asked: Asked = {}): Promise<Answer> {
  const response = await fetch(url, { ...asked, signal: AbortSignal.timeout(PATIENCE_MS) });
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, body };
}

export function jsonOf<T>(answer: Answer): T {
  return JSON.parse(answer.body.toString("utf8")) as T;
}

/** The members of a problem that tests look at. */
export interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly requestId: string;
  readonly indeterminate?: boolean;
  readonly needed?: number;
  readonly acks?: { readonly primary: number; readonly fallback: number; readonly of: number };
}

export interface ClusterView {
  readonly nodes: readonly {
    readonly id: string;
    readonly region: string;
    readonly url: string;
    readonly state: string;
  }[];
}

/** `gyre status --json`, as an operator runs it. @throws Error when it fails. */
export async function gyreStatus(url: string): Promise<ClusterView> {
  const [command, ...prefix] = gyreCommand("node");
  const run = promisify(execFile);
  const { stdout } = await run(command, [...prefix, "status", "--json", "--url", url]);
  return JSON.parse(stdout) as ClusterView;
}

/**
 * Polls until the probe gives a value. @throws Error, naming what was waited for, after `timeoutMs`: a bound on how long a
 * broken store can hold up the tests, generous enough for a loaded machine.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 60_000,
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > giveUpAt) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

/** Runs `act` for every item, so many at a time. */
export async function parallel<T>(
  items: readonly T[],
  workers: number,
  act: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const entries = items.entries();
  const work = async (): Promise<void> => {
    for (const [index, item] of entries) await act(item, index);
  };
  await Promise.all(Array.from({ length: workers }, work));
}

/** Every key of a namespace in the order of the listing. @throws Error when a page is not 200. */
export async function listAll(url: string, namespace: string, prefix = ""): Promise<string[]> {
  const names: string[] = [];
  let cursor = "";
  for (;;) {
    const query = `prefix=${encodeURIComponent(prefix)}&limit=1000${cursor}`;
    const answer = await ask(`${url}/v1/keys/${namespace}?${query}`);
    if (answer.status !== 200) throw new Error(`list: ${answer.status} ${answer.body}`);
    const page = jsonOf<{ keys: { name: string }[]; complete: boolean; cursor?: string }>(answer);
    names.push(...page.keys.map((key) => key.name));
    if (page.complete) return names;
    cursor = `&cursor=${encodeURIComponent(page.cursor ?? "")}`;
  }
}
