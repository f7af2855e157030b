import { setTimeout as sleep } from 'node:timers/promises';
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import type { HistogramCounts } from '../model/histogram.ts';
import type { RoleStats } from '../model/stats.ts';
import type { Family, Sample } from './families.ts';
import { GATEWAY, type GatewaySource } from './gateway-families.ts';
import { DOOR, LOG, PROCESSOR, STORE, VITALS } from './role-families.ts';
import type { StatsBoard } from './stats-board.ts';

/** What Prometheus reads at /metrics: the only file that knows prom-client. Values are taken when asked. */
export interface MetricsText {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Before the names of what Node.js tells of the process. */
const PREFIX = 'sluice_';
/** Gauges whose names end like those of counters, against the conventions; each has one of its own without it. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** All roles, from their newest records, and the gateway's own process. Samples of a role carry the label `instance`. */
export function gatewayMetrics(source: GatewaySource, board: StatsBoard, nowMs: () => number): MetricsText {
  const all = (): RoleStats[] => [
    ...board.latest('door', nowMs()),
    ...board.latest('processor', nowMs()),
    ...board.latest('store', nowMs()),
  ];
  const vital = (): { role: string; instance: string; vitals?: RoleStats['vitals'] }[] => [
    ...all(),
    { role: 'gateway', instance: '', vitals: source.vitals },
  ];
  const register = (registry: Registry): void => {
    add(registry, DOOR, () => board.latest('door', nowMs()), byInstance);
    add(registry, PROCESSOR, () => board.latest('processor', nowMs()), byInstance);
    add(registry, STORE, () => board.latest('store', nowMs()), byInstance);
    add(registry, LOG, all, byInstance);
    add(registry, VITALS, vital, byInstance);
    addGateway(registry, source);
  };
  return textOf(register, () => source.size.refresh());
}

/** The gateway alone, for its own health listener. */
export function ownGatewayMetrics(source: GatewaySource): MetricsText {
  const register = (registry: Registry): void => {
    add(registry, VITALS, () => [source], noLabels);
    addGateway(registry, source);
  };
  return textOf(register, () => source.size.refresh());
}

/** One role, for its own health listener. `read` gives null as long as it has not begun. */
export function roleMetrics(role: RoleStats['role'], read: () => RoleStats | null): MetricsText {
  const records = (): RoleStats[] => {
    const record = read();
    return record === null ? [] : [record];
  };
  const register = (registry: Registry): void => {
    if (role === 'door') add(registry, DOOR, () => records().filter((r) => r.role === 'door'), noLabels);
    if (role === 'processor') add(registry, PROCESSOR, () => records().filter((r) => r.role === 'processor'), noLabels);
    if (role === 'store') add(registry, STORE, () => records().filter((r) => r.role === 'store'), noLabels);
    else add(registry, LOG, records, noLabels);
    add(registry, VITALS, records, noLabels);
  };
  return textOf(register, async () => {});
}

const noLabels = (): Record<string, string> => ({});
const byInstance = ({ instance }: { instance: string }): Record<string, string> => ({ instance });

function addGateway(registry: Registry, source: GatewaySource): void {
  add(registry, GATEWAY, () => [source], noLabels);
}

/** The event loop is looked at every 10 ms; before the first look its shortest delay would be told as 292 years. */
const FIRST_SAMPLE_MS = 25;

/** With what Node.js tells of the process: to watch its event loop wakes it a hundred times a second. */
async function processRegistry(register: (registry: Registry) => void): Promise<Registry> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: PREFIX });
  for (const name of MISNAMED) registry.removeSingleMetric(PREFIX + name);
  register(registry);
  await sleep(FIRST_SAMPLE_MS);
  return registry;
}

/** Nothing is registered before somebody asks: a process whose metrics nobody reads is not kept awake for them. */
function textOf(register: (registry: Registry) => void, refresh: () => Promise<void>): MetricsText {
  let making: Promise<Registry> | null = null;
  return {
    contentType: Registry.PROMETHEUS_CONTENT_TYPE,
    async text() {
      making ??= processRegistry(register);
      const registry = await making;
      await refresh();
      return registry.metrics();
    },
  };
}

interface Value {
  metricName?: string;
  labels: Sample['labels'];
  value: number;
}

/**
 * Registers families whose samples come from records. prom-client's own Counter and Histogram count by themselves and cannot be given
 * totals that another process has counted, so the registry is given objects of the shape that it prints.
 */
function add<R, S extends R>(
  registry: Registry,
  families: readonly Family<R>[],
  records: () => readonly S[],
  labelsOf: (record: S) => Record<string, string>,
): void {
  for (const { kind, name, help, read } of families) {
    const get = async (): Promise<{ name: string; help: string; type: string; values: Value[]; aggregator: 'sum' }> => {
      const values: Value[] = [];
      for (const record of records()) {
        for (const sample of read(record)) values.push(...valuesOf(name, sample, labelsOf(record)));
      }
      return { name, help, type: kind, values, aggregator: 'sum' };
    };
    registry.registerMetric({ name, help, type: kind, get } as unknown as Metric);
  }
}

function valuesOf(name: string, { labels: own, value }: Sample, more: Record<string, string>): Value[] {
  const labels = { ...own, ...more };
  if (typeof value === 'number') return [{ labels, value }];
  return histogramValues(name, value, labels);
}

function histogramValues(name: string, value: HistogramCounts, labels: Sample['labels']): Value[] {
  const bucket = (le: number | string, count: number): Value => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le },
    value: count,
  });
  return [
    ...value.bounds.map((bound, i) => bucket(bound, value.counts[i])),
    bucket('+Inf', value.count),
    { metricName: `${name}_sum`, labels, value: value.sum },
    { metricName: `${name}_count`, labels, value: value.count },
  ];
}
