/**
 * The client-facing Hono app. Calls about one key are dispatched by their raw path before Hono's router sees them: it
 * would decode and normalise the path, and a key is what stood on the wire. Everything else is ordinary Hono.
 */
import { Hono } from "hono";
import { bytesToHex } from "../core/bytes.ts";
import { BackupRoutes } from "./backup-routes.ts";
import { batchRoute } from "./batch-routes.ts";
import {
  answerProblem,
  answerThrown,
  type Call,
  type RequestInfo,
  respondPlainly,
} from "./call.ts";
import { ClusterRoutes } from "./cluster-routes.ts";
import type { HttpDeps } from "./deps.ts";
import { WireHeaderReader } from "./header-reader.ts";
import { HttpCounters } from "./http-counters.ts";
import type { HttpParts } from "./http-parts.ts";
import { KvRoutes } from "./kv-routes.ts";
import { listRoute } from "./list-routes.ts";
import { NamespaceRoutes } from "./namespace-routes.ts";
import { OpsRoutes } from "./ops-routes.ts";
import { createOriginGuard } from "./origin-guard.ts";
import { KV_PREFIX } from "./paths.ts";
import { HttpProblem } from "./problem.ts";
import { quarantineRoute } from "./quarantine-route.ts";
import { Representations } from "./representation.ts";
import type { Route } from "./route.ts";
import { targetOf } from "./target.ts";
import { Tokens } from "./tokens.ts";

export interface HttpApp {
  /** Never throws or rejects. A get that needs nobody else is answered at once: promises cost more than all the rest of it. */
  fetch(request: Request, info?: RequestInfo): Response | Promise<Response>;
  /** All that is answered: what /openapi.json must say as well. */
  readonly routes: readonly Route[];
}

interface Bindings {
  readonly Bindings: { readonly call: Call };
}

export function createApp(deps: HttpDeps): HttpApp {
  const parts: HttpParts = {
    deps,
    tokens: new Tokens(deps.env, deps.keyring, deps.confirmedWallMs),
    representations: new Representations(deps.env.hasher),
    counters: new HttpCounters(),
  };
  const kv = new KvRoutes(parts);
  const openCall = createCallOpener(deps);
  const routes = [
    ...kv.routes(),
    listRoute(parts),
    batchRoute(parts),
    ...new NamespaceRoutes(parts).routes(),
    ...new ClusterRoutes(parts).routes(),
    ...new OpsRoutes(parts).routes(),
    ...new BackupRoutes(parts).routes(),
    quarantineRoute(parts),
  ];
  const hono = createRouter(routes);

  const fetch = (request: Request, info?: RequestInfo): Response | Promise<Response> => {
    const call = openCall(request, info);
    if (call instanceof Response) return call;
    if (call.path.startsWith(KV_PREFIX)) return kv.handle(call);
    return routed(call);
  };
  const routed = async (call: Call): Promise<Response> => {
    const response = await hono.fetch(call.request, { call });
    parts.counters.count(call, response.status);
    return response;
  };
  return { fetch, routes };
}

function createRouter(routes: readonly Route[]): Hono<Bindings> {
  const hono = new Hono<Bindings>();
  const methods = new Map<string, string[]>();
  for (const route of routes) {
    const path = honoPath(route.path);
    hono.on(route.method, path, (c) => route.handler(c.env.call));
    const known = methods.get(path);
    if (known === undefined) methods.set(path, [route.method]);
    else known.push(route.method);
  }
  for (const [path, known] of methods) {
    const allow = (known.includes("GET") ? ["HEAD", ...known] : known).sort().join(", ");
    hono.all(path, () => {
      throw new HttpProblem("method_not_allowed", `Want one of ${allow}`, { headers: { allow } });
    });
  }
  hono.notFound((c) => {
    const problem = new HttpProblem("not_found", "There is no such call: /docs lists all of them");
    return answerProblem(c.env.call, problem);
  });
  hono.onError((error, c) => answerThrown(c.env.call, error));
  return hono;
}

/** `{key}` swallows slashes, also none: the raw path is parsed by the handler. */
function honoPath(path: string): string {
  return path.replace(/\/\{key\}$/, "/*").replaceAll(/\{(\w+)\}/g, ":$1");
}

type CallOpener = (request: Request, info: RequestInfo | undefined) => Call | Response;

/** Every request gets an id and a start before anything can go wrong with it. */
function createCallOpener(deps: HttpDeps): CallOpener {
  const { env, config } = deps;
  const guard = createOriginGuard({ ownUrl: config.url, corsOrigins: config.corsOrigins });
  const bodyTimeoutMs = config.requestTimeoutMs;
  // Unique across nodes and restarts by the prefix, within this process by the number.
  const prefix = `${bytesToHex(env.random.bytes(5))}-`;
  let count = 0;

  return (request, info) => {
    const { method } = request;
    const requestId = prefix + (count++).toString(36);
    const startedMs = env.clock.monotonicMs();
    const wire = info?.wireHeaders;
    const respond = info?.respond ?? respondPlainly;
    const headers = wire === undefined ? request.headers : new WireHeaderReader(wire);
    try {
      const { url } = request;
      const { path, query } = targetOf(url, info);
      const cors = guard.check(url, method, headers);
      if (method === "OPTIONS" && cors !== null) {
        return new Response(null, { status: 204, headers: guard.preflightHeaders(cors) });
      }
      return {
        request,
        method,
        headers,
        path,
        query,
        requestId,
        startedMs,
        respond,
        env,
        bodyTimeoutMs,
        cors,
      };
    } catch (error) {
      const times = { requestId, startedMs, bodyTimeoutMs };
      const known = { request, method, headers, respond, env, ...times };
      return answerThrown({ ...known, path: "/", query: "", cors: null }, error);
    }
  };
}
