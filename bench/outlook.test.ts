import { describe, expect, it } from 'vitest';
import { FLEETS, outlookOf, outlookSection, type UnitCosts } from './outlook.ts';

const costs: UnitCosts = {
  doorMicrosPerMessage: 0.5,
  brokerMicrosPerMessage: 0.25,
  processorMicrosPerReading: (devices) => (devices > 1_000_000 ? 2 : 1),
  storeMicrosPerReading: 1.5,
  doorBytesPerConnection: 18_000,
  processorBytesPerSeries: 900,
  diskBytesPerReading: 2,
};

describe('the outlook', () => {
  it('multiplies what was measured, and nothing else', () => {
    const outlook = outlookOf({ devices: 1_000_000, periodSeconds: 10, metrics: 3 }, costs);
    expect(outlook).toMatchObject({ messagesPerSecond: 100_000, readingsPerSecond: 300_000, partitions: 8 });
    expect(outlook.cores.doors).toBeCloseTo(0.1, 9);
    expect(outlook.cores.broker).toBeCloseTo(0.05, 9);
    expect(outlook.cores.processors).toBeCloseTo(0.6, 9);
    expect(outlook.cores.store).toBeCloseTo(0.9, 9);
    expect(outlook.memoryBytes).toEqual({ doors: 18e9, processors: 2.7e9 });
    expect(outlook.diskBytesPerDay).toBeCloseTo(300_000 * 86_400 * 2, 0);
  });

  it('has more partitions than threads that work at them', () => {
    const { cores, partitions } = outlookOf({ devices: 10_000_000, periodSeconds: 1, metrics: 3 }, costs);
    expect(cores.processors).toBeCloseTo(120, 9);
    expect(partitions).toBe(240);
  });

  it('shows its arithmetic, and says when it lacks something', () => {
    const text = outlookSection(costs);
    expect(text).toContain('100,000 × 0.50');
    for (const { devices } of FLEETS) expect(text).toContain(`${devices.toLocaleString('en')} devices`);
    expect(outlookSection(null)).toMatch(/^Not worked out/);
  });
});
