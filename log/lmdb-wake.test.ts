import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { Wake } from './lmdb-wake.ts';

let dir = '';
const open: Wake[] = [];

/** Its clock stands still, so that no poll helps. */
function wake(): Wake {
  const made = new Wake(dir, new ManualClock(), (message) => expect.fail(message));
  open.push(made);
  return made;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('waking readers', () => {
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-wake-'));
  });

  afterEach(() => {
    for (const one of open.splice(0)) one.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('wakes who waits, also after commits that nobody waited for, and lets nobody wait for what came before the watch', async () => {
    const [writer, reader] = [wake(), wake()];
    const { signal } = new AbortController();
    for (let round = 0; round < 3; round++) {
      // At once where the file was not watched: a commit may have come before the watch.
      await reader.changed(reader.count, signal);
      const waits = [reader.changed(reader.count, signal), reader.changed(reader.count, signal)];
      writer.ring();
      await Promise.all(waits);
      const seen = reader.count;
      for (let i = 0; i < 40; i++) {
        writer.ring();
        await turn();
        await turn();
      }
      // It stopped watching on the way.
      expect(reader.count - seen).toBeLessThan(40);
      writer.ring();
    }
  });

  it('lets go of all who wait when their signal is aborted, or it is closed', async () => {
    const reader = wake();
    const abort = new AbortController();
    await reader.changed(reader.count, abort.signal);
    const waits = [reader.changed(reader.count, abort.signal), reader.changed(reader.count, abort.signal)];
    abort.abort();
    await Promise.all(waits);
    const last = reader.changed(reader.count, new AbortController().signal);
    reader.close();
    await last;
    expect(reader.count).toBeGreaterThan(0);
  });
});
