import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AlarmEvent } from '../../model/alarm.ts';
import { FACT_TOPIC } from '../../model/fact.ts';
import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../model/frame.ts';
import { encodeGroupResult, type GroupResult } from '../../model/group-result.ts';
import { decodeTold } from '../../model/told.ts';
import { definitionHash } from '../groups/partial.ts';
import { PartitionPipeline } from '../pipeline.ts';
import { linesOf, recordedBlocks } from '../testing/recorded-blocks.ts';
import { at, options, window } from '../testing/run.ts';
import { ruleOf } from './testing/rules.ts';

const bySite = window({ name: 'site', by: { kind: 'site' } });
const rules = [
  ruleOf('expression', { name: 'high', when: 'rollup["site"].t.max > 10.0' }),
  ruleOf('expression', { name: 'both', when: 'alarm["high"].active && rollup["site"].t.count > 2.0' }),
  ruleOf('expression', { name: 'reading', when: 'metrics.t > 10.0' }),
];

interface Told {
  site: string;
  window: number;
  revision: number;
  max: number;
  count: number;
}

const resultOf = ({ site, window: k, revision, max, count }: Told): GroupResult => ({
  kind: 'rollup',
  definition: definitionHash(bySite),
  rollup: {
    ...{ window: 'site', device: site, grouping: 'site', metric: 't', startMs: at(k * 10), endMs: at(k * 10 + 10) },
    ...{ count, sum: 0, min: 0, max, avg: 0, first: 0, last: 0, label: '', extra: new Map([['p50', Number.NaN]]) },
    ...{ revision, phase: revision === 1 ? 'final' : 'corrected' },
  },
});

function frameOf(told: readonly GroupResult[]): Uint8Array {
  const builder = new FrameBuilder(1024);
  builder.append(at(0), encodeIdentity('', TICK_TOPIC), new Uint8Array(0), 0, 0);
  for (const result of told) {
    const payload = encodeGroupResult(result);
    builder.append(at(0), encodeIdentity('', FACT_TOPIC), payload, 0, payload.length);
  }
  return new Uint8Array(builder.finish());
}

/** Whether each rule holds at each site after each of them, taken one by one: the newest result counts, of one window the last revision. */
function plainly(told: readonly Told[]): string[] {
  const events: string[] = [];
  const newest = new Map<string, Told>();
  const up = new Set<string>();
  for (const one of told) {
    const before = newest.get(one.site);
    if (before && (before.window > one.window || (before.window === one.window && before.revision >= one.revision)))
      continue;
    newest.set(one.site, one);
    const high = one.max > 10;
    for (const [rule, holds] of [['high', high] as const, ['both', high && one.count > 2] as const]) {
      const key = `${rule} site=${one.site}`;
      if (holds === up.has(key)) continue;
      if (holds) up.add(key);
      else up.delete(key);
      events.push(`${key} ${holds ? 'raised' : 'cleared'} ${at(one.window * 10 + 10)}`);
    }
  }
  return events;
}

it('results go over the log as they are, but for numbers that JSON does not have', () => {
  const result = resultOf({ site: 'north', window: 3, revision: 2, max: 1e300, count: 4 });
  expect(decodeTold(encodeGroupResult(result))).toEqual(result);
  const damaged = JSON.parse(Buffer.from(encodeGroupResult(result)).toString());
  for (const member of Object.keys(damaged.rollup)) {
    const bytes = Buffer.from(JSON.stringify({ ...damaged, rollup: { ...damaged.rollup, [member]: {} } }));
    expect(() => decodeTold(bytes), member).toThrow(/of a group's result/);
  }
});

it('rules over groups are judged with each result, however often it is told', () => {
  const results = fc.array(
    fc.record({
      site: fc.constantFrom('north', 'so/uth'),
      window: fc.nat({ max: 4 }),
      revision: fc.integer({ min: 1, max: 3 }),
      max: fc.constantFrom(5, 15),
      count: fc.nat({ max: 4 }),
    }),
    { maxLength: 25 },
  );
  fc.assert(
    fc.property(results, fc.array(fc.nat({ max: 4 })), (drawn, steps) => {
      // A revision of a window says one thing, whoever tells it again.
      const first = new Map<string, Told>();
      const told = drawn.map((one) => {
        const key = `${one.site} ${one.window} ${one.revision}`;
        if (!first.has(key)) first.set(key, one);
        return first.get(key) as Told;
      });
      const o = options({ windows: [bySite], rules });
      const open = (state: Uint8Array | null) =>
        new PartitionPipeline(0, o, { state, lastAlarm: null }, recordedBlocks());
      let pipeline = open(null);
      const events: AlarmEvent[] = [];
      const take = () => {
        for (const [event] of linesOf(pipeline.take().blocks.alarm_events)) events.push(event as AlarmEvent);
      };
      let offset = 0;
      for (let i = 0; i < told.length; ) {
        const step = steps[offset % Math.max(1, steps.length)] ?? 1;
        const some = told.slice(i, i + 1 + step).map(resultOf);
        // What another definition of the window gave is nothing to these rules.
        const foreign = { ...some[0], definition: 7, rollup: { ...some[0].rollup, max: 99, revision: 9 } };
        pipeline.process(offset++, frameOf(step === 3 ? [foreign, ...some] : some), null, true);
        i += 1 + step;
        if (step < 2) continue;
        take();
        const state = pipeline.save();
        pipeline = open(state);
        expect(Buffer.from(pipeline.save()).equals(Buffer.from(state))).toBe(true);
      }
      take();
      const found = events.map(({ alarm, transition, atMs }) => `${alarm.rule} ${alarm.device} ${transition} ${atMs}`);
      expect(found).toEqual(plainly(told).map((line) => line.replace('so/uth', 'so_uth')));
    }),
    { numRuns: 100 },
  );
});
