import { describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { Pace } from './lmdb-pace.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Looks of whoever asks, and when they came. */
function paced(cores = 0) {
  const clock = new ManualClock(1000);
  const pace = new Pace({ pauseMs: 5, pauseMaxMs: 15, clock, cpuMs: () => cores * clock.nowMs() });
  const looks: string[] = [];
  const look = async (who: string) => {
    await pace.turn();
    looks.push(`${who} ${clock.nowMs()}`);
  };
  return { clock, pace, looks, look };
}

describe('the pace of followers', () => {
  it('lets those look at once who have not looked for a while, and all together', async () => {
    const { clock, looks, look } = paced();
    void look('a');
    void look('b');
    await settled();
    expect(looks).toEqual(['a 1000', 'b 1000']);
    clock.advance(2);
    void look('a');
    await settled();
    void look('b');
    clock.advance(2);
    await settled();
    expect(looks).toHaveLength(2);
    clock.advance(1);
    await settled();
    expect(looks.slice(2)).toEqual(['a 1005', 'b 1005']);
    clock.advance(5);
    void look('b');
    await settled();
    expect(looks.slice(4)).toEqual(['b 1010']);
  });

  it.each([
    [0, 5],
    [0.5, 10],
    [1, 15],
    [4, 15],
  ])('of a process that uses %d cores comes to %d ms between looks', async (cores, pauseMs) => {
    const { clock, looks, look } = paced(cores);
    for (let ms = 0; ms < 1500; ms++) {
      if (looks.length === 0 || looks.at(-1) === `a ${clock.nowMs()}`) void look('a');
      await settled();
      clock.advance(1);
    }
    const times = looks.map((entry) => Number(entry.slice(2)));
    const last = times.slice(-4);
    for (let i = 1; i < last.length; i++) expect(last[i] - last[i - 1]).toBe(pauseMs);
  });

  it('says that frames flow while nearly every turn finds some', async () => {
    const { clock, pace } = paced();
    const turns = async (count: number, finds: (turn: number) => boolean) => {
      for (let i = 0; i < count; i++) {
        await Promise.all([pace.turn(), clock.advance(5)]);
        if (finds(i)) pace.found();
      }
    };
    await turns(4, () => true);
    expect(pace.isFlowing).toBe(false);
    await turns(40, (i) => i % 8 !== 0);
    expect(pace.isFlowing).toBe(true);
    await turns(6, () => false);
    expect(pace.isFlowing).toBe(false);
    await turns(100, (i) => i % 2 === 0);
    expect(pace.isFlowing).toBe(false);
  });
});
