/**
 * Figures as plain values: whoever counts hands out a MetricSource, and http renders them all as Prometheus text. A source
 * is asked only when somebody scrapes, so counting itself stays a bare addition.
 */

export type MetricLabels = Readonly<Record<string, string>>;

interface MetricHead {
  /** `gyre_` + subject + unit, such as `gyre_commit_seconds`; counters end in `_total`. */
  readonly name: string;
  /** One line for the operator. */
  readonly help: string;
  readonly labels?: MetricLabels;
}

export interface ScalarMetric extends MetricHead {
  readonly type: "counter" | "gauge";
  readonly value: number;
}

export interface HistogramMetric extends MetricHead {
  readonly type: "histogram";
  /** Sum of all observed values, in the unit of the name. */
  readonly value: number;
  /** Upper bounds, rising, without +Inf. */
  readonly bounds: readonly number[];
  /** Observations per bucket (not cumulative): one more than `bounds`, the last beyond all of them. */
  readonly counts: readonly number[];
}

export type Metric = ScalarMetric | HistogramMetric;

/** Metrics of one name differ in labels and stand side by side. Called on each scrape; must not block. */
export type MetricSource = () => readonly Metric[];
