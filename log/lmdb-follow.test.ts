import { describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { Pace } from './lmdb-follow.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the pace of followers', () => {
  it('lets those look at once who have not looked for a while, and all together', async () => {
    const clock = new ManualClock(1000);
    const pace = new Pace(5, clock);
    const looks: string[] = [];
    const look = async (who: string) => {
      await pace.turn();
      looks.push(`${who} ${clock.nowMs()}`);
    };
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
});
