import { getHeapStatistics } from 'node:v8';
import { describe, expect, it, vi } from 'vitest';
import { type QuietCollector, QuietGarbage } from './quiet-garbage.ts';

const MIB = 2 ** 20;

/** A process of the test's own. */
class TestProcess implements QuietCollector {
  cpuMs = 500;
  heapBytes = 10 * MIB;
  usedBytes = 8 * MIB;
  /** What a collection leaves. */
  leftBytes = 10 * MIB;
  collections = 0;
  waiting: (() => void)[] = [];

  read() {
    return { cpuMs: this.cpuMs, heapBytes: this.heapBytes, usedBytes: this.usedBytes };
  }

  collectAll(done: () => void): void {
    this.collections++;
    this.waiting.push(() => {
      this.cpuMs += 150;
      this.heapBytes = Math.min(this.heapBytes, this.leftBytes);
      done();
    });
  }

  /** Some seconds, of each of which so much is CPU time. */
  run(garbage: QuietGarbage, seconds: number, cpuMs: number): void {
    for (let i = 0; i < seconds; i++) {
      this.cpuMs += cpuMs;
      garbage.check();
      for (const finish of this.waiting.splice(0)) finish();
    }
  }
}

describe('QuietGarbage', () => {
  it('collects once when it has become quiet after the heap has grown, and never while it is busy', () => {
    const process = new TestProcess();
    const garbage = new QuietGarbage(1000, process);
    process.heapBytes = 100 * MIB;
    process.run(garbage, 60, 300);
    expect(process.collections).toBe(0);
    process.run(garbage, 1, 20);
    expect(process.collections).toBe(0); // one quiet second may be a pause
    process.run(garbage, 60, 20);
    expect(process.collections).toBe(1);
    process.heapBytes = 25 * MIB; // less than 16 MiB more than was left
    process.run(garbage, 60, 20);
    expect(process.collections).toBe(1);
    process.heapBytes = 27 * MIB;
    process.run(garbage, 60, 20);
    expect(process.collections).toBe(2);
  });

  it('does not try again what gave nothing', () => {
    const process = new TestProcess();
    const garbage = new QuietGarbage(1000, process);
    process.leftBytes = process.heapBytes = 90 * MIB;
    process.run(garbage, 100, 0);
    expect(process.collections).toBe(1);
    process.heapBytes = process.leftBytes = 60 * MIB; // V8 made it smaller by itself, and that counts
    process.run(garbage, 1, 0);
    process.heapBytes = 80 * MIB;
    process.run(garbage, 100, 0);
    expect(process.collections).toBe(2);
  });

  it('waits for a collection before it asks for another, and leaves large heaps alone', () => {
    const process = new TestProcess();
    const garbage = new QuietGarbage(1000, process);
    process.heapBytes = 50 * MIB;
    for (let i = 0; i < 10; i++) garbage.check();
    expect(process.collections).toBe(1);
    process.run(garbage, 1, 0);
    process.heapBytes = 500 * MIB;
    process.usedBytes = 400 * MIB;
    process.run(garbage, 10, 0);
    expect(process.collections).toBe(1);
  });

  it('really frees what is not in use', async () => {
    const inUse = () => getHeapStatistics().used_heap_size;
    const garbage = new QuietGarbage(1e9);
    let held: object[] | null = Array.from({ length: 300_000 }, (_, i) => ({ i, list: [i] }));
    const before = inUse();
    expect(held.length).toBe(300_000);
    held = null;
    garbage.check();
    garbage.check();
    await vi.waitUntil(() => inUse() < before - 10 * MIB, { timeout: 100_000 });
  });
});
