import { constants, PerformanceObserver } from 'node:perf_hooks';
import { describe, expect, it, vi } from 'vitest';
import { type Collector, nextCheckMs, YoungGarbage } from './young-garbage.ts';

const MIB = 2 ** 20;

class CountingCollector implements Collector {
  bufferMib = 100;
  heapMib = 20;
  collections: number[] = [];
  growths: number[] = [];

  read(): { bufferBytes: number; heapBytes: number } {
    return { bufferBytes: this.bufferMib * MIB, heapBytes: this.heapMib * MIB };
  }

  collectYoung(): void {
    this.collections.push(this.bufferMib);
  }

  allowGrowth(percent: number): void {
    this.growths.push(percent);
  }
}

describe('YoungGarbage', () => {
  it('collects each time that 16 MiB more are there than the least since the last time', () => {
    const collector = new CountingCollector();
    const garbage = new YoungGarbage(collector);
    const feed = (...levels: number[]) => {
      for (const mib of levels) {
        collector.bufferMib = mib;
        garbage.check();
      }
    };
    feed(110, 115.9, 116, 120, 131.9, 132, 140);
    expect(collector.collections).toEqual([116, 132]);
    feed(60, 75.9, 55, 70.9, 71);
    expect(collector.collections).toEqual([116, 132, 71]);
  });

  it('lets a small heap grow, and leaves a large one to V8', () => {
    const collector = new CountingCollector();
    const garbage = new YoungGarbage(collector);
    for (const mib of [63, 64, 500, 40, 20]) {
      collector.heapMib = mib;
      garbage.check();
    }
    expect(collector.growths).toEqual([200, 0, 200]);
  });

  it('tells how much was made, for the next check to come in time', () => {
    const collector = new CountingCollector();
    const garbage = new YoungGarbage(collector);
    collector.bufferMib = 110;
    expect(garbage.check()).toBe(10 * MIB);
    expect(garbage.check()).toBe(0);
    collector.bufferMib = 104;
    expect(garbage.check()).toBe(-6 * MIB);
  });

  it('checks often while buffers come quickly, and seldom while hardly any do', () => {
    expect(nextCheckMs(0, 25)).toBe(250);
    expect(nextCheckMs(0, 250)).toBe(250);
    expect(nextCheckMs(100 * MIB, 250)).toBe(25);
    expect(nextCheckMs(10 * MIB, 25)).toBe(25);
    expect(nextCheckMs(MIB, 25)).toBeCloseTo(50, -1);
    // Some were freed meanwhile: as before.
    expect(nextCheckMs(-MIB, 25)).toBe(25);
    expect(nextCheckMs(-MIB, 130)).toBe(130);
  });

  it('has V8 collect its young heap', async () => {
    let asked = 0;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { kind, flags } = (entry as unknown as { detail: { kind: number; flags: number } }).detail;
        const isAsked = (flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0;
        if (kind === constants.NODE_PERFORMANCE_GC_MINOR && isAsked) asked++;
      }
    });
    observer.observe({ entryTypes: ['gc'] });
    const garbage = new YoungGarbage();
    for (let i = 0; i < 1000; i++) {
      Buffer.allocUnsafeSlow(MIB);
      garbage.check();
    }
    await vi.waitUntil(() => asked > 10, { timeout: 100_000 });
    observer.disconnect();
    expect(asked).toBeLessThan(100);
  });
});
