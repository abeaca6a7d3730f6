import type { Metric, MetricLabels, MetricSource } from "../core/metrics.ts";

/** Content type of the Prometheus text exposition format, version 0.0.4. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Renders all sources. Metrics of one name are put together under one HELP and TYPE line, as the format demands. */
export function renderMetrics(sources: readonly MetricSource[]): string {
  const families = new Map<string, Metric[]>();
  for (const source of sources) {
    for (const metric of source()) {
      const family = families.get(metric.name);
      if (family === undefined) families.set(metric.name, [metric]);
      else family.push(metric);
    }
  }
  let text = "";
  for (const [name, metrics] of families) {
    const first = metrics[0] as Metric;
    text += `# HELP ${name} ${escapeHelp(first.help)}\n# TYPE ${name} ${first.type}\n`;
    for (const metric of metrics) text += renderMetric(metric);
  }
  return text;
}

function renderMetric(metric: Metric): string {
  if (metric.type !== "histogram") {
    return `${metric.name}${renderLabels(metric.labels)} ${renderNumber(metric.value)}\n`;
  }
  let text = "";
  let cumulative = 0;
  for (let i = 0; i < metric.counts.length; i++) {
    cumulative += metric.counts[i] ?? 0;
    const bound = metric.bounds[i];
    const le = bound === undefined ? "+Inf" : String(bound);
    text += `${metric.name}_bucket${renderLabels({ ...metric.labels, le })} ${cumulative}\n`;
  }
  const labels = renderLabels(metric.labels);
  text += `${metric.name}_sum${labels} ${renderNumber(metric.value)}\n`;
  return `${text}${metric.name}_count${labels} ${cumulative}\n`;
}

function renderLabels(labels: MetricLabels | undefined): string {
  if (labels === undefined) return "";
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function renderNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
