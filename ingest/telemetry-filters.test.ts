import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TelemetryFilters } from './telemetry-filters.ts';

/** Section 4.7 of MQTT 3.1.1, level by level. */
function matches(filter: string, topic: string): boolean {
  const f = filter.split('/');
  const t = topic.split('/');
  for (let i = 0; i < f.length; i++) {
    if (f[i] === '#') return true;
    if (i >= t.length || (f[i] !== '+' && f[i] !== t[i])) return false;
  }
  // `a/#` also matches `a`; that is the return above, one level past the topic's end.
  return f.length === t.length;
}

const level = fc.constantFrom('devices', 'telemetry', 'd1', 'd2', '+', '', 'x');
const filter = fc
  .tuple(fc.array(level, { minLength: 0, maxLength: 4 }), fc.boolean())
  .map(([levels, hash]) => [...levels, ...(hash || levels.length === 0 ? ['#'] : [])].join('/'));

describe('telemetry filters', () => {
  it('know who is listened to, as the rules of matching say', () => {
    fc.assert(
      fc.property(fc.array(filter, { maxLength: 8 }), fc.nat(), (filters, removed) => {
        const counted = new TelemetryFilters();
        for (const one of filters) counted.add(one);
        const left = [...filters];
        for (let i = 0; i < removed % (filters.length + 1); i++) counted.remove(left.pop()!);
        for (const device of ['d1', 'd2', 'd3']) {
          expect(counted.matches(device)).toBe(left.some((f) => matches(f, `devices/${device}/telemetry`)));
        }
      }),
      { numRuns: 3000 },
    );
  });
});
