import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { at, rule } from '../testing/run.ts';
import { high, low, Plant, wait } from './testing/plant.ts';

describe('an alarm with a delay before it clears', () => {
  it('waits before it clears, and is the same raise when the condition comes back meanwhile', () => {
    const plant = new Plant([rule({ clearForMs: 10_000, latch: 'off' })]);
    plant.steps(high(), low(), high(), low(), wait(9), high('d1', 50), low(), wait(9), wait(1), wait(20), high());
    expect(plant.events().map(({ transition, atMs, alarm }) => [transition, atMs, alarm.clearedMs])).toEqual([
      ['raised', at(1), null],
      // The condition ceased at 15.
      ['cleared', at(25), at(15)],
      ['raised', at(46), null],
    ]);
  });

  it('is, with a delay before it clears, what the plain rule gives when each short gap is filled', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 60 }), (drawn) => {
        const ups = [...drawn, 0];
        const plant = new Plant([rule({ clearForMs: 4000 })]);
        // A second each; it clears in the fourth second after the one in which it ceased.
        for (const up of ups) plant.step(up === 1 ? high() : low());
        plant.steps(wait(10));
        const last = (i: number) => ups.slice(0, i + 1).lastIndexOf(1);
        const filled = ups.map((_, i) => (last(i) >= 0 && i - last(i) < 5 ? 1 : 0));
        const story: string[] = [];
        [...filled, 0].forEach((up, i) => {
          if (up !== (filled[i - 1] ?? 0)) story.push(up === 1 ? 'raised unacknowledged' : 'cleared normal');
        });
        expect(plant.story()).toEqual(story);
      }),
    );
  });
});
