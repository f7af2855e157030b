import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SeriesDictionary } from './series.ts';

it('numbers series in the order in which they come, and finds each, however many a device has', () => {
  const pair = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 60 }));
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 200 }), (pairs) => {
      const series = new SeriesDictionary();
      for (const name of ['a', 'b', 'c']) series.devices.add(name);
      const known: string[] = [];
      for (const [device, metric] of pairs) {
        const key = `${device} ${metric}`;
        expect(series.find(device, `m${metric}`)).toBe(known.indexOf(key));
        if (!known.includes(key)) known.push(key);
        expect(series.add(device, `m${metric}`)).toBe(known.indexOf(key));
      }
      expect(series.count).toBe(known.length);
      known.forEach((key, at) => {
        const [device, metric] = key.split(' ').map(Number);
        expect(series.find(device, `m${metric}`)).toBe(at);
        expect([series.deviceOf(at), series.metric(at)]).toEqual([device, `m${metric}`]);
      });
    }),
  );
});
