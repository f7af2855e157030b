import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../model/frame.ts';
import { partitionOf } from '../../model/partition.ts';
import type { CatchUp } from '../catch-up.ts';
import { outlookSection, unitCostsOf } from '../outlook.ts';
import type { Report, Round } from '../result.ts';
import { divisionSection } from './division.ts';
import { framesOf } from './fleet-of-frames.ts';
import { type GrowthResult, growthLines, growthSection } from './growth.ts';
import { profileSection } from './profile.ts';
import { bytesOfScenarios, scenarioSection } from './scenario.ts';
import { ratesOf, steadySection } from './steady.ts';

const caughtUp = (processor: number, store: number, bytes = 500e6): CatchUp => ({
  readings: 1_000_000,
  readingsPerSecond: 1_000_000,
  cpuMicrosPerReading: [
    { name: 'processor', micros: processor },
    { name: 'store', micros: store },
  ],
  peakMemoryBytes: [{ name: 'processor', bytes }],
});

const base = { devices: 1000, metrics: 3, partitions: 8, windows: 1, rules: 0 };
const growth: GrowthResult = {
  points: [
    ...[1000, 10_000, 100_000, 1_000_000].map((devices, i) => ({
      ...{ ...base, devices, along: 'devices' as const },
      run: caughtUp(0.5 + 0.1 * i, 1, 500e6 + (devices - 1000) * 3000),
    })),
    ...[0, 1, 5].map((windows) => ({
      ...base,
      windows,
      along: 'windows' as const,
      run: caughtUp(0.4 + 0.05 * windows, 1),
    })),
    ...[1, 10].map((metrics) => ({ ...base, metrics, along: 'metrics' as const, run: caughtUp(1, 1) })),
  ],
};

describe('the growth of the whole program', () => {
  it('has a line along each side of which enough was measured', () => {
    const [devices, windows, ...more] = growthLines(growth);
    expect(devices).toMatchObject({ along: 'devices', of: 'reading' });
    expect(devices.base).toBeCloseTo(1.5, 6);
    expect(devices.each).toBeCloseTo(0.1, 6);
    expect(windows.each).toBeCloseTo(0.05, 6);
    expect(more).toEqual([]);
    expect(growthSection(growth)).toContain('| 1,000,000 |');
  });

  it('leads to what a million devices take', () => {
    const round = { ackedPerSecond: 1, storedPerSecond: null, processes: [{ name: 'door', cpuMicrosPerMessage: 0.5 }] };
    const report = {
      runs: [{ name: 'door-kafka', rounds: [round as Round] }],
      idle: { connections: 10_000, bytesEach: 18_000 },
    } as Report;
    const costs = unitCostsOf(report, growth, 2)!;
    expect(costs.processorBytesPerSeries).toBeCloseTo(1000, 6);
    expect(costs.processorMicrosPerReading(1_000_000)).toBeCloseTo(0.8, 6);
    expect(costs.processorMicrosPerReading(10_000_000)).toBeCloseTo(0.9, 6);
    expect(outlookSection(costs)).toContain('1000 bytes a series');
    expect(unitCostsOf(report, null, 2)).toBeNull();
    expect(unitCostsOf(report, growth, null)).toBeNull();
  });
});

describe('frames of a fleet', () => {
  it('hold each message once, in the partition of its device', () => {
    const seen = new Set<string>();
    const reader = new FrameReader();
    for (const { partition, bytes } of framesOf({ devices: 7, metrics: 2, partitions: 4, messages: 50 })) {
      reader.reset(bytes);
      while (reader.next()) {
        expect(partitionOf(reader.device(), 4)).toBe(partition);
        const values = JSON.parse(Buffer.from(reader.payload()).toString());
        expect(Object.keys(values)).toEqual(['ts', 'metric_0', 'metric_1']);
        seen.add(`${reader.device()} ${values.ts}`);
      }
    }
    expect(seen.size).toBe(50);
  });
});

describe('sections', () => {
  it('compare two with one, by rate and by core', () => {
    const door = { log: 'kafka' as const, about: 'a', cpuMicrosPerMessage: 0.5, coresUsed: 1 };
    const text = divisionSection({
      cores: 2,
      doors: [
        { ...door, number: 1, ackedPerSecond: 1_000_000 },
        { ...door, number: 2, ackedPerSecond: 1_500_000, cpuMicrosPerMessage: 0.625 },
      ],
      processors: [],
    });
    expect(text).toContain('1.50×');
    expect(text).toContain('0.80×');
  });

  it('weigh scenarios by their readings', () => {
    const one = { about: '', devices: 1, parts: 2, columns: [{ name: 'value', bytesPerReading: 1 }] };
    const result = {
      scenarios: [
        { ...one, name: 'a', readings: 3000, bytesPerReading: 2 },
        { ...one, name: 'b', readings: 1000, bytesPerReading: 6 },
      ],
    };
    expect(bytesOfScenarios(result)).toBe(3);
    expect(scenarioSection(result)).toContain('value 1.00');
  });

  it('tell rates over time, and stages with their share', () => {
    const points = Array.from({ length: 31 }, (_, i) => ({
      ...{ atSeconds: i, rows: i * 1000, parts: 10, merges: 1 },
      memoryBytes: [{ name: 'store', bytes: 1e8 }],
    }));
    expect(ratesOf(points).every(({ y }) => y === 1000)).toBe(true);
    const round = {
      messages: 10,
      ackedPerSecond: 1,
      storedPerSecond: 1,
      readingsStoredPerSecond: 3,
      problems: ['lost'],
    };
    expect(steadySection({ round: round as unknown as Round, points })).toContain('**lost**');
    const well = { ...round, problems: [] } as unknown as Round;
    expect(steadySection({ round: well, points })).toContain('verified by content.');
    expect(steadySection({ round: well, points, verifySeconds: 21.4 })).toContain('verified by content, in 21 s.');
    const profile = profileSection({
      messages: 100,
      readings: 300,
      roles: [{ role: 'door', cpuMicrosPerMessage: 2, stages: [{ stage: 'x', cpuMicrosPerMessage: 2 }] }],
      events: { InsertedRows: 100, MergedRows: 250, InsertQuery: 3 },
    });
    expect(profile).toContain('100.0 %');
    expect(profile).toContain('2.50 rows for each');
  });
});
