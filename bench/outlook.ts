import { cpuOfCatchUp, memoryOfCatchUp } from './catch-up.ts';
import type { IdleResult, Report } from './result.ts';
import { medianRound } from './result.ts';
import { type GrowthResult, growthLines } from './studies/growth.ts';
import { count, markdownTable } from './table.ts';

/** What the measured costs come to for a large fleet. Nothing of it was measured at that size: it is arithmetic, and shown as such. */
export interface Fleet {
  devices: number;
  periodSeconds: number;
  metrics: number;
}

export const FLEETS: readonly Fleet[] = [
  { devices: 1_000_000, periodSeconds: 10, metrics: 3 },
  { devices: 1_000_000, periodSeconds: 1, metrics: 3 },
  { devices: 10_000_000, periodSeconds: 10, metrics: 3 },
];

/** What one of each thing costs, as measured. */
export interface UnitCosts {
  doorMicrosPerMessage: number;
  brokerMicrosPerMessage: number;
  /** Of a fleet of so many devices. */
  processorMicrosPerReading(devices: number): number;
  storeMicrosPerReading: number;
  doorBytesPerConnection: number;
  processorBytesPerSeries: number;
  diskBytesPerReading: number;
}

/** Cores are planned to be busy for this part of the time. */
const LOAD = 0.5;
/** A partition is worked by one thread; twice as many leave room to divide again. */
const PARTITIONS_PER_CORE = 2;
const PARTITIONS_MIN = 8;
const DAY_SECONDS = 86_400;

/** Null where something that it needs was not measured. */
export function unitCostsOf(
  report: Report,
  growth: GrowthResult | null,
  diskBytesPerReading: number | null,
): UnitCosts | null {
  const round = medianRound(report.runs.find(({ name }) => name === 'door-kafka')?.rounds ?? []);
  const idle: IdleResult | undefined = report.idle;
  const points = growth?.points.filter(({ along }) => along === 'devices') ?? [];
  const line = growth === null ? undefined : growthLines(growth).find(({ along }) => along === 'devices');
  if (round === null || idle === undefined || diskBytesPerReading === null || line === undefined) return null;
  const [few, many] = [points[0], points[points.length - 1]];
  const series = (many.devices - few.devices) * many.metrics;
  const grown = memoryOfCatchUp(many.run, 'processor') - memoryOfCatchUp(few.run, 'processor');
  const micros = (name: string) => round.processes.find((p) => p.name === name)?.cpuMicrosPerMessage ?? 0;
  // The line is of processor and store together; the store hardly grows with the fleet.
  const store = cpuOfCatchUp(many.run, 'store');
  return {
    doorMicrosPerMessage: micros('door'),
    brokerMicrosPerMessage: micros('kafka'),
    processorMicrosPerReading: (devices) =>
      Math.max(cpuOfCatchUp(many.run, 'processor'), line.base + line.each * Math.log10(devices / 1000) - store),
    storeMicrosPerReading: store,
    doorBytesPerConnection: idle.bytesEach,
    processorBytesPerSeries: Math.max(0, grown / series),
    diskBytesPerReading,
  };
}

export interface Outlook {
  fleet: Fleet;
  messagesPerSecond: number;
  readingsPerSecond: number;
  /** Cores at LOAD. */
  cores: { doors: number; broker: number; processors: number; store: number };
  memoryBytes: { doors: number; processors: number };
  diskBytesPerDay: number;
  partitions: number;
}

export function outlookOf(fleet: Fleet, costs: UnitCosts): Outlook {
  const { devices, periodSeconds, metrics } = fleet;
  const messagesPerSecond = devices / periodSeconds;
  const readingsPerSecond = messagesPerSecond * metrics;
  const cores = (perSecond: number, micros: number) => (perSecond * micros) / 1e6 / LOAD;
  const processors = cores(readingsPerSecond, costs.processorMicrosPerReading(devices));
  return {
    fleet,
    messagesPerSecond,
    readingsPerSecond,
    cores: {
      doors: cores(messagesPerSecond, costs.doorMicrosPerMessage),
      broker: cores(messagesPerSecond, costs.brokerMicrosPerMessage),
      processors,
      store: cores(readingsPerSecond, costs.storeMicrosPerReading),
    },
    memoryBytes: {
      doors: devices * costs.doorBytesPerConnection,
      processors: devices * metrics * costs.processorBytesPerSeries,
    },
    diskBytesPerDay: readingsPerSecond * DAY_SECONDS * costs.diskBytesPerReading,
    partitions: Math.max(PARTITIONS_MIN, Math.ceil(processors) * PARTITIONS_PER_CORE),
  };
}

export function outlookSection(costs: UnitCosts | null): string {
  if (costs === null)
    return 'Not worked out: a run of `npm run bench:all`, and the studies growth and scenario, are needed for it.';
  const all = FLEETS.map((fleet) => outlookOf(fleet, costs));
  const [first] = all;
  const gb = (bytes: number) => (bytes / 1e9).toFixed(1);
  const rows: [string, (o: Outlook) => string][] = [
    ['messages/s', (o) => count(o.messagesPerSecond)],
    ['readings/s', (o) => count(o.readingsPerSecond)],
    ['cores of doors', (o) => o.cores.doors.toFixed(1)],
    ['cores of brokers', (o) => o.cores.broker.toFixed(1)],
    ['cores of processors', (o) => o.cores.processors.toFixed(1)],
    ['cores of the store', (o) => o.cores.store.toFixed(1)],
    ['memory of doors, GB', (o) => gb(o.memoryBytes.doors)],
    ['memory of processors, GB', (o) => gb(o.memoryBytes.processors)],
    ['disk of the store, GB a day', (o) => gb(o.diskBytesPerDay)],
    ['partitions, at least', (o) => count(o.partitions)],
  ];
  const header = all.map(({ fleet }) => `${count(fleet.devices)} devices, each every ${fleet.periodSeconds} s`);
  const table = markdownTable(
    ['', ...header],
    rows.map(([what, of]) => [what, ...all.map(of)]),
    1,
  );
  const micros = costs.processorMicrosPerReading(first.fleet.devices);
  const sums = [
    `- messages/s = ${count(first.fleet.devices)} / ${first.fleet.periodSeconds}; readings/s = that × ${first.fleet.metrics}.`,
    `- cores = rate × µs / 1,000,000 / ${LOAD}, so that half of each stays free: doors ${count(first.messagesPerSecond)} × ${costs.doorMicrosPerMessage.toFixed(2)}, ` +
      `brokers × ${costs.brokerMicrosPerMessage.toFixed(2)} (one copy; three copies cost about three times that), ` +
      `processors ${count(first.readingsPerSecond)} × ${micros.toFixed(2)}, the store × ${costs.storeMicrosPerReading.toFixed(2)}.`,
    `- memory: ${costs.doorBytesPerConnection.toFixed(0)} bytes a connection, ${costs.processorBytesPerSeries.toFixed(0)} bytes a series (device and metric), each above what an idle process takes.`,
    `- disk: readings/s × ${count(DAY_SECONDS)} × ${costs.diskBytesPerReading.toFixed(2)} bytes, one copy.`,
    `- partitions: ${PARTITIONS_PER_CORE} for each core of the processors, ${PARTITIONS_MIN} at least; a partition is worked by one thread.`,
  ];
  return `${table}\n\nThe arithmetic, for the first column:\n\n${sums.join('\n')}`;
}
