/** Reads compose.yaml and says which processes make the same deployment on this machine without containers. */
import { parse } from "yaml";

const CLIENT_PORT = 7070;
const PEER_PORT = 7071;
/** Peer listeners lie this far above the published client ports. */
const PEER_PORT_OFFSET = 1000;

export interface PlannedNode {
  readonly name: string;
  readonly region: string;
  readonly url: string;
  /** The node's options, as compose.yaml gives them, with this machine's addresses and paths in place of the containers'. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface PlanOptions {
  /** The text of compose.yaml. */
  readonly compose: string;
  readonly directory: string;
  readonly secretFile: string;
  /** Added to every published port, so that several deployments fit on one machine. */
  readonly portShift: number;
  /** Values for `${NAME:-default}` in the file. */
  readonly variables: Readonly<Record<string, string | undefined>>;
}

interface Service {
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** One node per service that has a region. @throws Error when a service publishes no client port. */
export function planRegions(options: PlanOptions): PlannedNode[] {
  const { services } = parse(options.compose, { merge: true }) as {
    services: Record<string, Service>;
  };
  const nodes = Object.entries(services).filter(
    ([, service]) => service.environment?.["GYRE_REGION"] !== undefined,
  );
  const ports = new Map(
    nodes.map(([name, service]) => [name, publishedPort(name, service) + options.portShift]),
  );
  return nodes.map(([name, service]) => {
    const port = ports.get(name) ?? 0;
    const given = Object.entries(service.environment ?? {}).map(([key, value]) => [
      key,
      here(interpolate(String(value), options.variables), ports),
    ]);
    const environment: Record<string, string> = {
      ...Object.fromEntries(given),
      GYRE_LISTEN: `127.0.0.1:${port}`,
      GYRE_PEER_LISTEN: `127.0.0.1:${port + PEER_PORT_OFFSET}`,
      GYRE_DATA: `${options.directory}/${name}`,
      GYRE_CLUSTER_SECRET_FILE: options.secretFile,
    };
    const url = `http://127.0.0.1:${port}`;
    return { name, region: environment["GYRE_REGION"] ?? "", url, environment };
  });
}

function publishedPort(name: string, service: Service): number {
  const published = service.ports?.map((port) => port.split(":").map(Number).slice(-2)) ?? [];
  const host = published.find(([, container]) => container === CLIENT_PORT)?.[0];
  if (host === undefined) {
    throw new Error(`Cannot plan service ${name}: it publishes no port for ${CLIENT_PORT}`);
  }
  return host;
}

/** `http://eu-1:7071` in a container's network is another port of this machine. */
function here(value: string, ports: ReadonlyMap<string, number>): string {
  return value.replaceAll(/http:\/\/([\w-]+):(\d+)/g, (whole, name: string, container: string) => {
    const port = ports.get(name);
    if (port === undefined) return whole;
    return `http://127.0.0.1:${Number(container) === PEER_PORT ? port + PEER_PORT_OFFSET : port}`;
  });
}

function interpolate(value: string, variables: PlanOptions["variables"]): string {
  return value.replaceAll(/\$\{(\w+):-([^}]*)\}/g, (_, name: string, fallback: string) => {
    const given = variables[name];
    return given === undefined || given === "" ? fallback : given;
  });
}
