import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PatchedBytes, PatchWriter } from '../model/patch.ts';
import type { Checkpoints } from './checkpoints.ts';

export type OnDamaged = (problem: { partition: number; what: string }) => void;

export interface CheckpointsPlace {
  open(onDamaged: OnDamaged, partitions: number): Promise<Checkpoints>;
  /** Flips a bit of the newest checkpoint's state (while it is not open). */
  damageNewest(partition: number): Promise<void>;
  remove(): Promise<void>;
}

export interface CheckpointsContractOptions {
  place: () => Promise<CheckpointsPlace>;
  /** A state of several chunks. */
  largeBytes: number;
  skips: Readonly<Record<string, string>>;
}

const PARTITIONS = 3;

/** The promises of checkpoints.ts, for every engine. */
export function checkpointsContract(engine: string, options: CheckpointsContractOptions): void {
  let place: CheckpointsPlace;
  let damaged: { partition: number; what: string }[] = [];
  const opened: Checkpoints[] = [];
  const open = async (): Promise<Checkpoints> => {
    const checkpoints = await place.open((problem) => damaged.push(problem), PARTITIONS);
    opened.push(checkpoints);
    return checkpoints;
  };
  const test = (name: string, run: () => Promise<void>): void => {
    const reason = options.skips[name];
    if (reason !== undefined) it.skip(`${name} (${reason})`, run);
    else it(name, run);
  };

  describe(`checkpoints on ${engine}`, () => {
    beforeEach(async () => {
      place = await options.place();
      damaged = [];
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((c) => c.close()));
      await place.remove();
    });

    test('has none at first, and then the newest of each partition', async () => {
      const checkpoints = await open();
      expect(await checkpoints.load(0)).toBeNull();
      for (let i = 1; i <= 5; i++) await checkpoints.save(1, { offsetNext: i * 10, state: filled(100, i) });
      await checkpoints.save(2, { offsetNext: 7, state: new Uint8Array(0) });
      expect(await checkpoints.load(0)).toBeNull();
      expect(await checkpoints.load(1)).toEqual({ offsetNext: 50, state: filled(100, 5) });
      expect(await checkpoints.load(2)).toEqual({ offsetNext: 7, state: new Uint8Array(0) });
    });

    test('keeps them when it is opened again', async () => {
      const first = await open();
      await first.save(0, { offsetNext: 1, state: filled(10, 1) });
      await first.save(0, { offsetNext: 2, state: filled(20, 2) });
      await first.close();
      await expect(first.load(0)).rejects.toMatchObject({ code: 'LOG_CLOSED' });
      const again = await open();
      expect(await again.load(0)).toEqual({ offsetNext: 2, state: filled(20, 2) });
      await again.save(0, { offsetNext: 3, state: filled(5, 3) });
      expect(await again.load(0)).toEqual({ offsetNext: 3, state: filled(5, 3) });
    });

    test('keeps states of many chunks, growing and shrinking', async () => {
      const checkpoints = await open();
      const sizes = [options.largeBytes, 10, options.largeBytes + 1, options.largeBytes >> 1, 0, options.largeBytes];
      for (const [i, size] of sizes.entries()) {
        await checkpoints.save(0, { offsetNext: i, state: filled(size, i) });
        const found = (await checkpoints.load(0))!;
        expect(found.offsetNext).toBe(i);
        expect(Buffer.compare(found.state, filled(size, i))).toBe(0);
      }
      expect(damaged).toEqual([]);
    });

    test('saves one after another in the order of the calls', async () => {
      const checkpoints = await open();
      const saves = Array.from({ length: 10 }, (_, i) =>
        checkpoints.save(0, { offsetNext: i, state: filled(1000, i) }),
      );
      await checkpoints.close();
      await Promise.all(saves);
      expect((await (await open()).load(0))!.offsetNext).toBe(9);
    });

    test('passes over a damaged one for the one before it, and says so', async () => {
      const first = await open();
      await first.save(1, { offsetNext: 1, state: filled(1000, 1) });
      await first.save(1, { offsetNext: 2, state: filled(1000, 2) });
      await first.close();
      await place.damageNewest(1);
      const again = await open();
      expect(await again.load(1)).toEqual({ offsetNext: 1, state: filled(1000, 1) });
      expect(damaged).toHaveLength(1);
      expect(damaged[0].partition).toBe(1);
      // The good one stays while the next takes the place of the damaged one.
      await again.save(1, { offsetNext: 3, state: filled(1000, 3) });
      await again.close();
      await place.damageNewest(1);
      expect((await (await open()).load(1))!.offsetNext).toBe(1);
    });

    test('builds a checkpoint of changes upon changes, and the whole again when they become many', async () => {
      const first = await open();
      let state = filled(600_000, 1);
      await first.save(0, { offsetNext: 0, state });
      for (let i = 1; i <= 150; i++) {
        const { patch, after } = changed(state, i);
        state = after;
        await first.saveChange(0, { offsetNext: i, after: i - 1, patch, stateBytes: state.length });
        if (i % 50 === 1) expect((await first.load(0))!).toMatchObject({ offsetNext: i });
      }
      await first.close();
      const again = await open();
      const found = (await again.load(0))!;
      expect(found.offsetNext).toBe(150);
      expect(Buffer.compare(found.state, state)).toBe(0);
      expect(damaged).toEqual([]);
    });

    test('takes a change only upon what it saved itself last', async () => {
      const checkpoints = await open();
      const state = filled(100, 1);
      const { patch, after } = changed(state, 1);
      const change = { offsetNext: 2, after: 1, patch, stateBytes: after.length };
      await expect(checkpoints.saveChange(0, change)).rejects.toMatchObject({ code: 'CHECKPOINT_APART' });
      await checkpoints.save(0, { offsetNext: 1, state });
      await expect(checkpoints.saveChange(0, { ...change, after: 0 })).rejects.toMatchObject({
        code: 'CHECKPOINT_APART',
      });
      expect(await checkpoints.load(0)).toEqual({ offsetNext: 1, state });
    });

    test('passes over a damaged change for what came before it', async () => {
      const first = await open();
      const state = filled(1000, 1);
      await first.save(1, { offsetNext: 1, state });
      const one = changed(state, 1);
      await first.saveChange(1, { offsetNext: 2, after: 1, patch: one.patch, stateBytes: one.after.length });
      const two = changed(one.after, 2);
      await first.saveChange(1, { offsetNext: 3, after: 2, patch: two.patch, stateBytes: two.after.length });
      await first.close();
      await place.damageNewest(1);
      const again = await open();
      expect(await again.load(1)).toEqual({ offsetNext: 2, state: one.after });
      expect(damaged).toHaveLength(1);
      // A whole one takes the other place; changes of another state that lie there are not taken for its own.
      for (let i = 4; i < 8; i++) {
        await again.save(1, { offsetNext: i, state: filled(50, i) });
        expect(await again.load(1)).toEqual({ offsetNext: i, state: filled(50, i) });
      }
    });

    test('sees what another process saved', async () => {
      const [one, other] = [await open(), await open()];
      await one.save(0, { offsetNext: 1, state: filled(10, 1) });
      expect((await other.load(0))!.offsetNext).toBe(1);
      await other.save(0, { offsetNext: 2, state: filled(10, 2) });
      await other.save(0, { offsetNext: 3, state: filled(10, 3) });
      expect((await one.load(0))!.offsetNext).toBe(3);
    });
  });
}

function filled(bytes: number, seed: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) out[i] = (i * 31 + seed * 17) & 255;
  return out;
}

/** A few bytes are others, a few more than before. */
function changed(state: Uint8Array, seed: number): { patch: Uint8Array; after: Uint8Array } {
  const patch = new PatchWriter();
  const at = (seed * 7919) % state.length;
  patch.copy(0, at);
  patch.put(filled(3000, seed));
  patch.copy(at, state.length - at);
  const patched = new PatchedBytes(state);
  patched.apply(patch.finish());
  return { patch: patch.finish(), after: patched.finish() };
}
