/** An app over a fake service, with a clock that stands still unless it is told to move. */

import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { Keyring } from "../../src/cluster/keyring.ts";
import type { CreateNamespaceOutcome, Membership } from "../../src/cluster/membership.ts";
import {
  DEFAULT_NAMESPACE_SETTINGS_WITHOUT_LIMITS,
  type NamespaceSettings,
} from "../../src/cluster/namespace-settings.ts";
import { type ActiveLayout, compileLayout } from "../../src/core/active-layout.ts";
import {
  type NodeId,
  parseClusterId,
  parseNamespaceId,
  parseNodeId,
  parseRegionId,
  parseZoneId,
} from "../../src/core/ids.ts";
import { type Key, makeKey } from "../../src/core/key.ts";
import type { LayoutDocument, NamespaceEntry, PlacementPolicy } from "../../src/core/layout.ts";
import { VALUE_BYTES_MAX } from "../../src/core/limits.ts";
import type { Metric } from "../../src/core/metrics.ts";
import type { Env } from "../../src/env/env.ts";
import { createApp, type HttpApp } from "../../src/http/app.ts";
import type { RequestInfo } from "../../src/http/call.ts";
import { FakeService } from "./fake-service.ts";
import { createTestHasher } from "./hasher.ts";

export const ORIGIN = "http://127.0.0.1:7070";
/** 2026-01-01T00:00:00Z. */
export const START_MS = 1_767_225_600_000;

export const NODE_A = parseNodeId("0".repeat(31).concat("a"));
export const NODE_B = parseNodeId("0".repeat(31).concat("b"));

interface Timed {
  readonly atMs: number;
  readonly act: () => void;
}

export interface HttpWorld {
  readonly app: HttpApp;
  readonly env: Env;
  readonly service: FakeService;
  readonly errors: { event: string; fields: unknown }[];
  settings: Map<number, NamespaceSettings>;
  layout: LayoutDocument | undefined;
  readiness: { ready: boolean; reason?: string };
  metrics: Metric[];
  createOutcome: CreateNamespaceOutcome | null;
  refreshes: number;
  /** Run by the next refreshLayout: as if a peer knew more. */
  onRefresh: () => void;
  storesSettings: boolean;
  advance(ms: number): void;
  /** The path is the raw target, as on the wire. */
  call(method: string, path: string, init?: CallInit): Promise<Response>;
  key(text: string, namespace?: number): Key;
}

export interface CallInit {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  /** Leaves the raw target out, as on Bun. */
  readonly hidesTarget?: boolean;
}

export interface WorldOptions {
  readonly url?: string;
  readonly corsOrigins?: readonly string[];
  readonly durability?: "power" | "process";
  readonly backup?: () => Promise<{ readonly path: string; readonly manifest: object }>;
}

export async function createHttpWorld(options: WorldOptions = {}): Promise<HttpWorld> {
  const hasher = await createTestHasher();
  let nowMs = START_MS;
  let timers: Timed[] = [];
  const errors: HttpWorld["errors"] = [];
  const env: Env = {
    clock: {
      wallMs: () => nowMs,
      monotonicMs: () => nowMs - START_MS,
      after: (delayMs, act) => {
        const timer = { atMs: nowMs + delayMs, act };
        timers.push(timer);
        return { cancel: () => (timers = timers.filter((other) => other !== timer)) };
      },
      endOfTurn: (act) => act(),
    },
    random: { bytes: (count) => new Uint8Array(count).fill(0xab), below: () => 0 },
    crypto: systemCrypto,
    hasher,
    logger: {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (event, fields) => errors.push({ event, fields }),
    },
    transport: { call: () => Promise.reject(new Error("no peers")) },
    failStop: (reason) => {
      throw new Error(reason);
    },
  };
  const service = new FakeService(hasher, () => nowMs);
  const world: Omit<HttpWorld, "app" | "call" | "key"> = {
    env,
    service,
    errors,
    settings: new Map(),
    layout: layoutOf([{ id: parseNamespaceId(1), name: "default", policy: "default" }]),
    readiness: { ready: true },
    metrics: [],
    createOutcome: null,
    refreshes: 0,
    onRefresh: () => undefined,
    storesSettings: true,
    advance: (ms) => {
      nowMs += ms;
      const due = timers.filter((timer) => timer.atMs <= nowMs);
      timers = timers.filter((timer) => timer.atMs > nowMs);
      for (const timer of due) timer.act();
    },
  };
  const app = createApp({
    env,
    membership: membershipOf(world),
    settings: {
      get: (id) => world.settings.get(id) ?? settingsWith({}),
      set: (id, settings) => {
        if (!world.storesSettings) return Promise.resolve("unavailable");
        world.settings.set(id, settings);
        return Promise.resolve("stored");
      },
    },
    service,
    keyring: new Keyring(systemCrypto, [new Uint8Array(32).fill(7)]),
    config: {
      url: options.url ?? ORIGIN,
      corsOrigins: options.corsOrigins ?? [],
      requestTimeoutMs: 5000,
      durability: options.durability ?? "power",
    },
    confirmedWallMs: () => env.clock.wallMs(),
    nodeInfo: () => ({
      version: "9.9.9",
      runtime: "test 1",
      antiEntropy: {
        trees: "built",
        mismatches: 0,
        rounds: 3,
        rowsSent: 1,
        rowsReceived: 2,
        peers: [{ id: "b", completedAtMs: 1_700_000_000_000, rows: 3 }],
      },
      reaping: {
        state: "resting",
        postponed: null,
        kept: {},
        restoredRows: 0,
        quarantinedRows: 0,
      },
    }),
    ready: () => world.readiness,
    counters: [() => world.metrics],
    backup: options.backup ?? null,
    quarantine: (cursor) =>
      cursor === null || cursor === "1.1.aw" ? { rows: [], cursor: null } : undefined,
    refreshLayout: () => {
      world.refreshes++;
      world.onRefresh();
      return Promise.resolve();
    },
  });
  return Object.assign(world, {
    app,
    call: (method: string, path: string, init: CallInit = {}) => send(app, method, path, init),
    key: (text: string, namespace = 1) => makeKey(hasher, parseNamespaceId(namespace), text),
  });
}

export function settingsWith(changes: Partial<NamespaceSettings>): NamespaceSettings {
  return {
    ...DEFAULT_NAMESPACE_SETTINGS_WITHOUT_LIMITS,
    valueBytesMax: VALUE_BYTES_MAX,
    ...changes,
  };
}

function send(app: HttpApp, method: string, path: string, init: CallInit): Promise<Response> {
  const headers = new Headers(init.headers);
  // Adapters see the length that came over the wire; a Request made here carries none.
  const { body } = init;
  if (body !== undefined && !(body instanceof ReadableStream) && !headers.has("content-length")) {
    const length = typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
    headers.set("content-length", String(length));
  }
  const request = new Request(ORIGIN + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: body as BodyInit, duplex: "half" }),
  });
  const info: RequestInfo = init.hidesTarget ? {} : { rawTarget: path };
  return Promise.resolve(app.fetch(request, info));
}

export function layoutOf(namespaces: readonly NamespaceEntry[]): LayoutDocument {
  const member = (id: NodeId, region: string) => ({
    id,
    region: parseRegionId(region),
    zone: parseZoneId("z1"),
    weight: 1,
    role: "storage" as const,
  });
  const owners = Array.from({ length: 16 }, () => [NODE_A, NODE_B]);
  return {
    clusterId: parseClusterId("c".repeat(32)),
    version: 3,
    parent: "",
    generation: 0,
    phase: "stable",
    expect: 2,
    formed: true,
    partitions: 16,
    members: [member(NODE_A, "eu"), member(NODE_B, "us")],
    electors: [NODE_A],
    removed: [],
    policies: { default: { n: 3 }, "eu-only": { regions: { eu: 3 } } },
    namespaces,
    nextNamespaceId: namespaces.length + 1,
    assignments: { default: owners, "eu-only": owners },
  };
}

/** Namespaces can be created and deleted; everything else stands still. */
function membershipOf(world: Omit<HttpWorld, "app" | "call" | "key">): Membership {
  const status = (id: NodeId, region: string, state: "up" | "down") => ({
    id,
    region: parseRegionId(region),
    zone: parseZoneId("z1"),
    role: "storage" as const,
    url: `http://${region}.test`,
    peerUrl: "",
    state,
    incarnation: 4,
    keys: 10,
    bytes: 100,
    hints: { count: 3, bytes: 30 },
    clockIsOff: false,
    inLayout: true,
  });
  const withNamespaces = (namespaces: readonly NamespaceEntry[]): void => {
    if (world.layout !== undefined) world.layout = { ...world.layout, namespaces };
  };
  let compiled: ActiveLayout | undefined;
  return {
    self: NODE_A,
    layout: () => {
      if (world.layout === undefined) return undefined;
      if (compiled?.document !== world.layout) compiled = compileLayout(world.layout);
      return compiled;
    },
    liveness: (node) => (node === NODE_A ? "up" : "down"),
    roundTripMs: () => 12.34,
    members: () => [status(NODE_A, "eu", "up"), status(NODE_B, "us", "down")],
    refusesWrites: () => false,
    createNamespace: (name: string, policy: { readonly name: string } | PlacementPolicy) => {
      if (world.createOutcome !== null) return Promise.resolve(world.createOutcome);
      const { namespaces, nextNamespaceId } = world.layout as LayoutDocument;
      const id = parseNamespaceId(nextNamespaceId + namespaces.length);
      withNamespaces([
        ...namespaces,
        { id, name, policy: "name" in policy ? policy.name : "eu-only" },
      ]);
      return Promise.resolve({ status: "created" });
    },
    deleteNamespace: (name: string) => {
      if (name === "default") return Promise.resolve("is-default");
      const { namespaces } = world.layout as LayoutDocument;
      const left = namespaces.filter((entry) => entry.name !== name);
      if (left.length === namespaces.length) return Promise.resolve("not-found");
      withNamespaces(left);
      return Promise.resolve("deleted");
    },
  };
}

/** The problem document of an answer, after checking that it is one and that it names the status it came with. */
export async function problemOf(response: Response): Promise<Record<string, unknown>> {
  const type = response.headers.get("content-type");
  if (type !== "application/problem+json")
    throw new Error(`Not a problem: ${response.status} ${type}`);
  const problem = (await response.json()) as Record<string, unknown>;
  if (problem["status"] !== response.status)
    throw new Error(`Status differs: ${JSON.stringify(problem)}`);
  if (problem["requestId"] !== response.headers.get("x-request-id"))
    throw new Error("requestId differs");
  return problem;
}
