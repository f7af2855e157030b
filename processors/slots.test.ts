import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slot, type Thread } from './slots.ts';

/** A thread that answers when it is told to, and notes what it was given together. */
class ToldThread implements Thread {
  readonly given: string[][] = [];
  destroyed = false;
  readonly #open: {
    tasks: readonly unknown[];
    resolve: (answers: readonly unknown[]) => void;
    reject: (error: Error) => void;
  }[] = [];

  run(tasks: readonly unknown[]): Promise<readonly unknown[]> {
    this.given.push(tasks as string[]);
    return new Promise((resolve, reject) => this.#open.push({ tasks, resolve, reject }));
  }

  get outstanding(): number {
    return this.#open.length;
  }

  async answer(): Promise<void> {
    const first = this.#open.shift();
    first?.resolve(first.tasks.map((task) => `${String(task)}!`));
    await settled();
  }

  async destroy(): Promise<void> {
    this.destroyed = true;
    for (const { reject } of this.#open.splice(0)) reject(new Error('destroyed'));
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const KIB = 1024;

describe('a slot', () => {
  it('gives small tasks together, in the order in which they came, and each its own answer', async () => {
    const thread = new ToldThread();
    const slot = new Slot(() => thread);
    const answers = ['a', 'b', 'c'].map((task) => slot.run(task, { bytes: 8 * KIB }));
    await settled();
    expect(thread.given).toEqual([['a', 'b', 'c']]);
    await thread.answer();
    expect(await Promise.all(answers)).toEqual(['a!', 'b!', 'c!']);
  });

  it('gives no more together than some milliseconds of work, and others by themselves', async () => {
    const thread = new ToldThread();
    const slot = new Slot(() => thread);
    for (const [task, bytes] of [
      ['a', 160 * KIB],
      ['b', 120 * KIB],
      ['c', 120 * KIB],
      ['large', 257 * KIB],
      ['d', 1],
      ['save', undefined],
      ['e', 1],
    ] as const)
      void slot.run(task, bytes === undefined ? {} : { bytes });
    for (let i = 0; i < 6; i++) {
      await settled();
      expect(thread.outstanding).toBeLessThanOrEqual(2);
      await thread.answer();
    }
    expect(thread.given).toEqual([['a'], ['b', 'c'], ['large'], ['d'], ['save'], ['e']]);
  });

  it('lets small tasks through after each that is to be done soon, and large ones behind them', async () => {
    const thread = new ToldThread();
    const slot = new Slot(() => thread);
    const soon = (task: string) => void slot.run(task, { soon: true });
    const frames = (task: string, bytes: number) => void slot.run(task, { bytes });
    for (const task of ['take 1', 'take 2', 'take 3']) soon(task);
    frames('small 1', KIB);
    frames('small 2', KIB);
    await settled();
    frames('large', 300 * KIB);
    frames('small 3', KIB);
    for (let i = 0; i < 6; i++) await thread.answer();
    expect(thread.given).toEqual([['take 1'], ['small 1', 'small 2'], ['take 2'], ['take 3'], ['large'], ['small 3']]);
  });

  it('rejects what was meant for a thread that was replaced, and goes on with the new one', async () => {
    const threads: ToldThread[] = [];
    const slot = new Slot(() => {
      threads.push(new ToldThread());
      return threads[threads.length - 1];
    });
    const before = ['a', 'b', 'c', 'd'].map((task) => slot.run(task));
    const ends = Promise.allSettled(before);
    await settled();
    expect(threads[0].given).toEqual([['a'], ['b']]);
    await slot.restart();
    expect(slot.epoch).toBe(1);
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
    const after = slot.run('e');
    await settled();
    expect(threads[0].given).toEqual([['a'], ['b']]);
    await threads[1].answer();
    expect(await after).toBe('e!');
  });

  it('answers every task, and keeps the order of those that are not to be done soon', async () => {
    const task = fc.record({
      soon: fc.boolean(),
      bytes: fc.constantFrom(1, 120 * KIB, 256 * KIB, 800 * KIB),
      at: fc.nat(8),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(task, { maxLength: 40 }), async (tasks) => {
        const thread = new ToldThread();
        const slot = new Slot(() => thread);
        const answers: Promise<string>[] = [];
        for (const [i, { soon, bytes, at }] of tasks.entries()) {
          answers.push(slot.run<string>(`${soon ? 's' : 'f'}${i}`, soon ? { soon } : { bytes }));
          if (at === 0) await thread.answer();
        }
        await settled();
        while (thread.outstanding > 0) await thread.answer();
        expect(await Promise.all(answers)).toEqual(tasks.map(({ soon }, i) => `${soon ? 's' : 'f'}${i}!`));
        for (const kind of ['s', 'f']) {
          const order = thread.given
            .flat()
            .filter((name) => name.startsWith(kind))
            .map((name) => Number(name.slice(1)));
          expect(order).toEqual([...order].sort((a, b) => a - b));
        }
      }),
      { numRuns: 100 },
    );
  });
});
