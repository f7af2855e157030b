import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../model/frame.ts';
import { encodeOperation, OPERATION_TOPIC } from '../../model/operation.ts';
import { partitionOf } from '../../model/partition.ts';
import type { Rollup } from '../../model/rollup.ts';
import { telemetryTopic } from '../../model/topics.ts';
import type { WindowSpec } from '../../model/window.ts';
import { PartitionPipeline, type PipelineOptions } from '../pipeline.ts';
import { recordedBlocks } from '../testing/recorded-blocks.ts';
import { at, options, window } from '../testing/run.ts';
import { GroupMerge } from './merge.ts';
import { decodePartial } from './partial.ts';

const DEVICES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const SITES: Record<string, string> = { a: 'north', b: 'south', c: 'north', d: 'north', e: 'south', f: '', g: 'east' };

interface Sent {
  device: string;
  receivedMs: number;
  ts: number;
  value: number;
}

function frameOf(messages: readonly { receivedMs: number; device: string; topic: string; payload: Uint8Array }[]) {
  const builder = new FrameBuilder(1024);
  for (const { receivedMs, device, topic, payload } of messages) {
    builder.append(receivedMs, encodeIdentity(device, topic), payload, 0, payload.length);
  }
  return new Uint8Array(builder.finish());
}

const tick = (receivedMs: number) =>
  frameOf([{ receivedMs, device: '', topic: TICK_TOPIC, payload: new Uint8Array(0) }]);
const place = (device: string, site: string, version = 1) =>
  frameOf([
    {
      receivedMs: at(0),
      device: '',
      topic: OPERATION_TOPIC,
      payload: encodeOperation({
        kind: 'device',
        id: `${device} ${version}`,
        atMs: at(0),
        by: '',
        device,
        version,
        expects: null,
        source: 'config',
        entry: { id: device, name: '', site, model: '', tags: new Map(), thresholds: new Map() },
      }),
    },
  ]);
const readings = (sent: readonly Sent[]) =>
  frameOf(
    sent.map(({ device, receivedMs, ts, value }) => ({
      device,
      receivedMs,
      topic: telemetryTopic(device),
      payload: Buffer.from(JSON.stringify({ ts, t: value })),
    })),
  );

/** Partitions, each with its own log, and one who merges what they tell. */
class Plant {
  readonly rollups: Rollup[] = [];
  readonly #options: PipelineOptions;
  readonly #partitions: number;
  #pipelines: PartitionPipeline[];
  #offsets: number[];
  #merge: GroupMerge;

  constructor(o: PipelineOptions, partitions: number) {
    this.#options = o;
    this.#partitions = partitions;
    this.#pipelines = Array.from({ length: partitions }, (_, p) => this.#open(p, null));
    this.#offsets = this.#pipelines.map(() => 0);
    this.#merge = new GroupMerge(o.windows, partitions);
  }

  #open(partition: number, state: Uint8Array | null): PartitionPipeline {
    return new PartitionPipeline(partition, this.#options, { state, lastAlarm: null }, recordedBlocks());
  }

  partition(device: string): number {
    return partitionOf(device, this.#partitions);
  }

  frame(partition: number, frame: Uint8Array): void {
    this.#pipelines[partition].process(this.#offsets[partition]++, frame, null, true);
  }

  /** What was told comes to the merge, twice when `again`, as after a replay. */
  tell(again = false): void {
    for (const pipeline of this.#pipelines) {
      const { partials } = pipeline.take();
      for (let time = again ? 2 : 1; time > 0; time--) {
        for (const { bytes } of partials) this.#merge.take(decodePartial(bytes), (r) => this.rollups.push(r));
      }
      this.#merge.endFrame((r) => this.rollups.push(r));
    }
  }

  restart(): void {
    this.tell(true);
    this.#pipelines = this.#pipelines.map((pipeline, p) => {
      const state = pipeline.save();
      const next = this.#open(p, state);
      expect(Buffer.from(next.save()).equals(Buffer.from(state))).toBe(true);
      return next;
    });
    const merge = new GroupMerge(this.#options.windows, this.#partitions);
    merge.restore(this.#merge.save());
    this.#merge = merge;
  }

  all(frame: (partition: number) => Uint8Array): void {
    for (let p = 0; p < this.#partitions; p++) this.frame(p, frame(p));
  }
}

const bySite = (over: object = {}): WindowSpec =>
  window({ name: 'site', by: { kind: 'site' }, outOfOrderMs: 1000, allowedLatenessMs: 1e9, ...over });

/** The newest result of each window. */
function newest(rollups: readonly Rollup[]): Map<string, Rollup> {
  const found = new Map<string, Rollup>();
  for (const rollup of rollups) {
    const key = `${rollup.window} ${rollup.device} ${rollup.metric} ${rollup.startMs - at(0)}`;
    expect(rollup.revision).toBe((found.get(key)?.revision ?? 0) + 1);
    expect(rollup.phase).toBe(rollup.revision === 1 ? 'final' : 'corrected');
    found.set(key, rollup);
  }
  return found;
}

describe('windows of groups', () => {
  const batches = fc.array(
    fc.record({
      sent: fc.array(
        fc.record({
          device: fc.constantFrom(...DEVICES),
          lateS: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 3 }) }, { weight: 1, arbitrary: fc.nat({ max: 60 }) }),
          ms: fc.nat({ max: 999 }),
          // Which of 0 and −0 is the least depends on the order.
          value: fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((v) => v + 0),
        }),
        { maxLength: 6 },
      ),
      onS: fc.oneof({ weight: 8, arbitrary: fc.nat({ max: 4 }) }, { weight: 1, arbitrary: fc.nat({ max: 90 }) }),
      step: fc.nat({ max: 5 }),
    }),
    { maxLength: 30 },
  );

  it('are those of all readings together, however devices are spread', () => {
    fc.assert(
      fc.property(batches, fc.constantFrom(1, 2, 8), fc.constantFrom(0, 5000), (input, partitions, hopMs) => {
        const hopping = { kind: 'hopping', name: 'hop', hopMs } as object;
        const aggregates = [
          { kind: 'percentile', percent: 50 },
          { kind: 'delta' },
          { kind: 'rate' },
          { kind: 'time_avg' },
        ] as const;
        const windows = [bySite({ aggregates }), ...(hopMs > 0 ? [bySite(hopping)] : [])];
        const plant = new Plant(options({ windows, idleMs: 5000, rules: [] }), partitions);
        for (const device of DEVICES) plant.frame(plant.partition(device), place(device, SITES[device]));
        const sent: Sent[] = [];
        let second = 100;
        for (const { sent: some, onS, step } of input) {
          second += onS;
          for (const { device, lateS, ms, value } of some) {
            const one = { device, receivedMs: at(second), ts: at(second - lateS) + ms, value };
            if (!sent.some((other) => other.device === device && other.ts === one.ts)) sent.push(one);
            plant.frame(plant.partition(device), readings([one]));
          }
          if (step > 0) plant.all(() => tick(at(second)));
          if (step === 4) plant.tell(true);
          if (step === 5) plant.restart();
        }
        plant.all(() => tick(at(second + 30)));
        plant.all(() => tick(at(second + 1000)));
        plant.tell();
        const found = newest(plant.rollups);
        const expected = new Map<string, number[]>();
        const ofDevices = new Map<string, Map<string, Sent[]>>();
        for (const [name, step] of [['site', 10_000] as const, ...(hopMs > 0 ? [['hop', hopMs] as const] : [])]) {
          for (const { device, ts, value } of sent) {
            if (SITES[device] === '') continue;
            for (let start = ts - (ts % step); start > ts - 10_000; start -= step) {
              const key = `${name} ${SITES[device]} t ${start - at(0)}`;
              expected.set(key, [...(expected.get(key) ?? []), value]);
              const own = ofDevices.get(key) ?? new Map<string, Sent[]>();
              ofDevices.set(key, own.set(device, [...(own.get(device) ?? []), { device, receivedMs: 0, ts, value }]));
            }
          }
        }
        expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
        for (const [key, values] of expected) {
          const rollup = found.get(key) as Rollup;
          expect(rollup).toMatchObject({ grouping: 'site', count: values.length });
          expect(rollup.min).toBe(Math.min(...values));
          expect(rollup.max).toBe(Math.max(...values));
          const sum = values.reduce((a, b) => a + b, 0);
          expect(Math.abs(rollup.sum - sum)).toBeLessThanOrEqual(1e-9 * values.reduce((a, b) => a + Math.abs(b), 1));
          if (!key.startsWith('site')) continue;
          expect(rollup.extra?.has('p50')).toBe(true);
          // These go along each device by itself, and add up.
          let [delta, rate, rates, area, time] = [0, 0, 0, 0, 0];
          for (const own of (ofDevices.get(key) as Map<string, Sent[]>).values()) {
            const sorted = own.sort((a, b) => a.ts - b.ts);
            const [first, last] = [sorted[0], sorted[sorted.length - 1]];
            delta += last.value - first.value;
            if (sorted.length > 1) rates++;
            for (let i = 1; i < sorted.length; i++) {
              const [from, to] = [sorted[i - 1].value, sorted[i].value];
              rate += ((to < from ? to : to - from) / (last.ts - first.ts)) * 1000;
              area += from * (sorted[i].ts - sorted[i - 1].ts);
              time += sorted[i].ts - sorted[i - 1].ts;
            }
          }
          expect(Math.abs((rollup.extra?.get('delta') as number) - delta)).toBeLessThan(1e-6);
          if (rates === 0) expect(rollup.extra?.has('rate')).toBe(false);
          else {
            expect(Math.abs((rollup.extra?.get('rate') as number) - rate)).toBeLessThan(1e-6 * (1 + Math.abs(rate)));
            expect(Math.abs((rollup.extra?.get('time_avg') as number) - area / time)).toBeLessThan(
              1e-6 * (1 + Math.abs(area / time)),
            );
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('wait for all partitions, and not for a device that is silent', () => {
    const plant = new Plant(options({ windows: [bySite()], idleMs: 5000, rules: [] }), 2);
    const [one, other] = [
      DEVICES.find((d) => plant.partition(d) === 0),
      DEVICES.find((d) => plant.partition(d) === 1),
    ] as [string, string];
    for (const device of [one, other]) plant.frame(plant.partition(device), place(device, 'north'));
    plant.frame(0, readings([{ device: one, receivedMs: at(101), ts: at(101), value: 1 }]));
    plant.frame(1, readings([{ device: other, receivedMs: at(102), ts: at(102), value: 2 }]));
    plant.frame(0, readings([{ device: one, receivedMs: at(112), ts: at(112), value: 1 }]));
    plant.tell();
    expect(plant.rollups).toEqual([]);
    plant.frame(1, tick(at(130)));
    plant.frame(0, tick(at(112)));
    plant.tell();
    expect(plant.rollups.map((r) => [r.device, r.count, r.sum, r.revision])).toEqual([['north', 2, 3, 1]]);
    plant.frame(1, readings([{ device: other, receivedMs: at(131), ts: at(103), value: 5 }]));
    plant.tell();
    expect(plant.rollups[1]).toMatchObject({ count: 3, sum: 8, revision: 2, phase: 'corrected' });
  });

  it('go by a level of the topic, which a device may change from message to message', () => {
    const on = (topic: string, device: string, second: number, value: number) => ({
      receivedMs: at(second),
      device,
      topic,
      payload: Buffer.from(JSON.stringify({ ts: at(second), t: value })),
    });
    const windows = [bySite({ name: 'line', by: { kind: 'topic', level: 3 } })];
    for (const restart of [false, true]) {
      const plant = new Plant(options({ windows, idleMs: 5000, rules: [] }), 1);
      plant.frame(0, frameOf([on('plant/hall/line-1/a', 'a', 101, 1), on('plant/hall/line-1/b', 'b', 101, 2)]));
      if (restart) plant.restart();
      plant.frame(0, frameOf([on('plant/hall/line-2/a', 'a', 102, 4), on('plant/hall', 'b', 103, 8)]));
      plant.frame(0, frameOf([on('plant/hall/line-1/a', 'a', 104, 16), on('devices/b/telemetry', 'b', 105, 32)]));
      plant.frame(0, tick(at(200)));
      plant.tell();
      const told = plant.rollups.map((r) => [r.device, r.grouping, r.count, r.sum]);
      expect(told).toEqual([
        ['line-1', 'topic:3', 3, 19],
        ['line-2', 'topic:3', 1, 4],
        ['telemetry', 'topic:3', 1, 32],
      ]);
    }
  });

  it('count a device for the site that it is at when its reading comes', () => {
    const plant = new Plant(options({ windows: [bySite()], rules: [] }), 1);
    plant.frame(0, place('a', 'north'));
    plant.frame(0, readings([{ device: 'a', receivedMs: at(101), ts: at(101), value: 1 }]));
    plant.frame(0, place('a', 'south', 2));
    plant.frame(0, readings([{ device: 'a', receivedMs: at(102), ts: at(102), value: 2 }]));
    plant.frame(0, readings([{ device: 'a', receivedMs: at(115), ts: at(115), value: 3 }]));
    plant.tell();
    expect(plant.rollups.map((r) => [r.device, r.sum])).toEqual([
      ['north', 1],
      ['south', 2],
    ]);
  });
});
