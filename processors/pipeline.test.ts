import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Alarm, ThresholdRule } from '../model/alarm.ts';
import { SluiceError } from '../model/errors.ts';
import { encodeIdentity, FrameBuilder } from '../model/frame.ts';
import type { Rollup } from '../model/rollup.ts';
import type { TumblingWindow } from '../model/window.ts';
import type { BatchOutput } from './batch-output.ts';
import { DECODE_LIMITS } from './decode/decoder.ts';
import { PartitionPipeline, type PipelineOptions } from './pipeline.ts';
import { Oracle, type OracleReading } from './testing/oracle.ts';
import { linesOf, recordedBlocks } from './testing/recorded-blocks.ts';
import { frameOf, START_MS, type TestMessage, troubledFrames } from './testing/scenario.ts';

const window = (over: Partial<TumblingWindow> = {}): TumblingWindow => ({
  kind: 'tumbling',
  name: '10s',
  sizeMs: 10_000,
  metrics: [],
  outOfOrderMs: 0,
  allowedLatenessMs: 0,
  ...over,
});

const rule = (over: Partial<ThresholdRule> = {}): ThresholdRule => ({
  kind: 'threshold',
  name: 'hot',
  metric: 't',
  devices: [],
  above: 30,
  below: null,
  clear: 25,
  forMs: 0,
  severity: 'major',
  message: '{device} {metric}: {value} is above {threshold}',
  ...over,
});

const options = (over: Partial<PipelineOptions> = {}): PipelineOptions => ({
  payload: [],
  windows: [window()],
  rules: [rule()],
  limits: DECODE_LIMITS,
  clockSkewMaxMs: 60_000,
  idleMs: 1e12,
  ...over,
});

const open = (o: PipelineOptions, state: Uint8Array | null = null) =>
  new PartitionPipeline(0, o, { state, lastAlarm: null }, recordedBlocks());

/** All rows of a run; frames are cut into batches, and saved and restored, where the test says. */
class Run {
  readonly rows = {
    readings: [] as unknown[][],
    quarantine: [] as unknown[][],
    rollups: [] as unknown[][],
    alarms: [] as unknown[][],
  };
  readonly counts: Record<string, number> = {};
  alarmBytes = '';
  readonly #options: PipelineOptions;
  pipeline: PartitionPipeline;
  #offset = 0;

  constructor(o: PipelineOptions) {
    this.#options = o;
    this.pipeline = open(o);
  }

  frame(frame: Uint8Array): this {
    this.pipeline.process(this.#offset++, frame, null, true);
    return this;
  }

  messages(...messages: TestMessage[]): this {
    return this.frame(frameOf(messages));
  }

  cut(): this {
    const output: BatchOutput = this.pipeline.take();
    for (const table of ['readings', 'quarantine', 'rollups', 'alarms'] as const) {
      const rows = linesOf(output.blocks[table]);
      expect(output.rows[table]).toBe(rows.length);
      this.rows[table].push(...rows);
    }
    for (const [name, n] of Object.entries(output.counts)) this.counts[name] = (this.counts[name] ?? 0) + n;
    this.alarmBytes += output.alarmFrames.map((f) => Buffer.from(f).toString('latin1')).join('');
    return this;
  }

  restart(o = this.#options): this {
    this.cut();
    const state = this.pipeline.save();
    this.pipeline = open(o, state);
    expect(Buffer.from(this.pipeline.save()).equals(Buffer.from(state)) || o !== this.#options).toBe(true);
    return this;
  }

  rollups(): Rollup[] {
    return this.cut().rows.rollups.map(([r]) => r as Rollup);
  }

  alarms(): Alarm[] {
    return this.cut().rows.alarms.map(([a]) => a as Alarm);
  }
}

const at = (seconds: number) => START_MS + seconds * 1000;
const message = (device: string, receivedS: number, payload: object): TestMessage => ({
  device,
  receivedMs: at(receivedS),
  payload: JSON.stringify(payload),
});

/** Frames of readings over a minute: some in order, many not, some twice. */
const readingArbitrary = fc.record({
  device: fc.constantFrom('a', 'b', 'é'),
  metric: fc.constantFrom('t', 'u'),
  ts: fc.oneof(
    { weight: 10, arbitrary: fc.integer({ min: 0, max: 60 }).map((s) => at(s)) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 60_000 }).map((ms) => at(0) + ms) },
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 60, max: 400 }).map((s) => at(s)) },
  ),
  value: fc.integer({ min: 15, max: 40 }),
  receivedMs: fc.integer({ min: 0, max: 120 }).map((s) => at(s)),
});
const framesArbitrary = fc.array(fc.array(readingArbitrary, { maxLength: 8 }), { maxLength: 12 });

function frameOfReadings(readings: readonly OracleReading[]): Uint8Array {
  return frameOf(
    readings.map(({ device, metric, ts, value, receivedMs }) => ({
      device,
      receivedMs,
      payload: JSON.stringify(ts === null ? { [metric]: value } : { ts, [metric]: value }),
    })),
  );
}

describe('against an oracle', () => {
  const windows = fc.array(
    fc.record({
      sizeMs: fc.constantFrom(5000, 10_000, 60_000),
      outOfOrderMs: fc.constantFrom(0, 3000, 20_000),
      allowedLatenessMs: fc.constantFrom(0, 5000, 30_000),
      metrics: fc.constantFrom([], ['t']),
    }),
    { maxLength: 3 },
  );
  const rules = fc.array(
    fc.record({
      metric: fc.constantFrom('t', 'u'),
      up: fc.boolean(),
      level: fc.integer({ min: 20, max: 35 }),
      width: fc.integer({ min: 0, max: 5 }),
      forMs: fc.constantFrom(0, 2000, 10_000),
      devices: fc.constantFrom([], ['a'], ['a', 'é']),
    }),
    { maxLength: 4 },
  );

  it('gives its rollups, transitions, rows and counts', () => {
    fc.assert(
      fc.property(framesArbitrary, windows, rules, (frames, windowParts, ruleParts) => {
        const specs = windowParts.map((w, i) => window({ ...w, name: `w${i}` }));
        const defined = ruleParts.map(({ up, level, width, ...r }, i) =>
          up
            ? rule({ ...r, name: `r${i}`, above: level, clear: level - width })
            : rule({ ...r, name: `r${i}`, above: null, below: level, clear: level + width }),
        );
        const oracle = new Oracle(specs, defined, 60_000);
        const run = new Run(options({ windows: specs, rules: defined }));
        for (const frame of frames) {
          oracle.frame(frame);
          run.frame(frameOfReadings(frame));
        }
        const order = (r: Rollup) => JSON.stringify([r.window, r.device, r.metric, r.startMs, r.revision]);
        const sorted = (all: Rollup[]) => [...all].sort((x, y) => (order(x) < order(y) ? -1 : 1));
        expect(sorted(run.rollups())).toEqual(sorted(oracle.rollups));
        expect(
          run.alarms().map((a) => `${a.rule} ${a.device} ${a.state} ${a.clearedMs ?? a.raisedMs} ${a.value}`),
        ).toEqual(oracle.transitions);
        expect(run.rows.readings.map(([d, m, ts]) => JSON.stringify([d, m, ts]))).toEqual(oracle.stored);
        expect(run.counts.readingsDuplicate).toBe(oracle.duplicates);
        expect(run.counts.readingsLate).toBe(oracle.late);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same bytes however batches are cut, and wherever it is saved and restored', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat({ max: 2 }), { minLength: 40, maxLength: 40 }), (seed, steps) => {
        const o = options({
          windows: [window({ outOfOrderMs: 1000, allowedLatenessMs: 8000 }), window({ name: '3s', sizeMs: 3000 })],
          rules: [rule(), rule({ name: 'dry', metric: 'h', above: null, below: 40, clear: 60, forMs: 1500 })],
          idleMs: 5000,
        });
        const frames = troubledFrames(seed, 40, ['a', 'b', 'c']);
        const whole = new Run(o);
        for (const frame of frames) whole.frame(frame);
        const parts = new Run(o);
        frames.forEach((frame, i) => {
          parts.frame(frame);
          if (steps[i] === 1) parts.cut();
          if (steps[i] === 2) parts.restart();
        });
        whole.cut();
        parts.cut();
        expect(parts.rows).toEqual(whole.rows);
        expect(parts.alarmBytes).toBe(whole.alarmBytes);
        expect(parts.counts).toEqual(whole.counts);
        expect(Buffer.from(parts.pipeline.save()).equals(Buffer.from(whole.pipeline.save()))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('accounts for every message: readings, duplicates, or quarantine', () => {
    const run = new Run(options());
    for (const frame of troubledFrames(5, 200, ['a', 'b'])) run.frame(frame);
    run.cut();
    expect(run.counts.readingsDecoded).toBe(run.rows.readings.length + run.counts.readingsDuplicate);
    expect(run.counts.messagesQuarantined).toBe(run.rows.quarantine.length);
    const ended = new Set([...run.rows.readings.map((r) => `${r[6]}:${r[7]}`)]).size + run.rows.quarantine.length;
    expect(ended).toBeLessThanOrEqual(run.counts.messagesProcessed);
    expect(run.counts.messagesProcessed - ended).toBeLessThanOrEqual(run.counts.readingsDuplicate);
  });
});

describe('time', () => {
  it('closes the windows of a silent device by the clock of the partition, no earlier than its own time would', () => {
    const run = new Run(options({ idleMs: 5000 }));
    run.messages(message('a', 3, { ts: at(2), t: 1 }), message('b', 3, { ts: at(2), t: 1 }));
    const tick = (s: number) => run.messages({ device: '', receivedMs: at(s), payload: '' });
    tick(9);
    expect(run.rollups()).toEqual([]);
    for (let s = 10; s <= 16; s++) tick(s);
    expect(run.rollups().map((r) => [r.device, r.startMs, r.revision])).toEqual([
      ['a', at(0), 1],
      ['b', at(0), 1],
    ]);
    // It had buffered: what comes is in windows that were never there, and is not late.
    run.messages(message('a', 60, { ts: at(12), t: 2 }), message('a', 60, { ts: at(25), t: 3 }));
    expect(
      run
        .rollups()
        .slice(2)
        .map((r) => [r.startMs, r.count, r.revision]),
    ).toEqual([[at(10), 1, 1]]);
    expect(run.counts.readingsLate).toBe(0);
    // The window that is gone stays as it was.
    run.messages(message('a', 61, { ts: at(3), t: 9 }));
    expect(run.cut().counts.readingsLate).toBe(1);
    expect(run.rollups()).toHaveLength(3);
  });

  it('lets a device with a wild clock hurt nobody, itself included', () => {
    const run = new Run(options());
    run.messages(message('a', 1, { ts: at(1), t: 1 }));
    run.messages(message('a', 2, { ts: at(1_000_000), t: 99 }), message('b', 2, { ts: at(2), t: 1 }));
    run.messages(message('a', 3, { ts: at(3), t: 3 }));
    expect(run.rollups()).toEqual([]);
    expect(run.alarms()).toEqual([]);
    expect(run.counts.readingsAhead).toBe(1);
    expect(run.rows.readings).toHaveLength(4);
    run.messages(message('a', 11, { ts: at(11), t: 3 }));
    expect(run.rollups().map((r) => [r.device, r.count, r.max])).toEqual([['a', 2, 3]]);
  });

  it('corrects an emitted window once a frame, and counts what is too late', () => {
    const run = new Run(options({ windows: [window({ allowedLatenessMs: 10_000 })] }));
    run.messages(message('a', 1, { ts: at(1), t: 1 }), message('a', 11, { ts: at(11), t: 1 }));
    run.messages(message('a', 12, { ts: at(2), t: 5 }), message('a', 12, { ts: at(3), t: 7 }));
    run.messages(message('a', 20, { ts: at(20), t: 1 }), message('a', 20, { ts: at(4), t: 9 }));
    const ofFirst = run.rollups().filter((r) => r.startMs === at(0));
    expect(ofFirst.map((r) => [r.revision, r.count, r.max])).toEqual([
      [1, 1, 1],
      [2, 3, 7],
    ]);
    expect(run.counts.readingsLate).toBe(1);
  });
});

describe('changed configuration', () => {
  it('goes on with windows and rules that are the same, starts others afresh, and clears alarms that lost their rule', () => {
    const before = options({
      windows: [window(), window({ name: 'old', sizeMs: 5000 })],
      rules: [rule(), rule({ name: 'gone', above: 10, clear: 5 }), rule({ name: 'moved', above: 20, clear: 10 })],
    });
    const run = new Run(before).messages(message('a', 1, { ts: at(1), t: 40 }));
    const raised = run.alarms();
    expect(raised.map((a) => a.rule)).toEqual(['hot', 'gone', 'moved']);
    run.restart(
      options({
        windows: [window({ name: 'new', sizeMs: 5000 }), window()],
        rules: [rule({ name: 'moved', above: 35, clear: 10 }), rule({ severity: 'critical', message: 'other' })],
      }),
    );
    expect(run.pipeline.canSave).toBe(false);
    run.messages(message('a', 2, { ts: at(2), t: 39 }), message('a', 12, { ts: at(12), t: 20 }));
    const after = run.alarms().slice(3);
    expect(after.map((a) => [a.rule, a.state, a.id === raised.find((r) => r.rule === a.rule)?.id])).toEqual([
      ['gone', 'cleared', true],
      ['moved', 'cleared', true],
      ['moved', 'raised', false],
      ['hot', 'cleared', true],
    ]);
    expect(run.rollups().map((r) => [r.window, r.startMs, r.count])).toEqual([
      ['new', at(0), 1],
      ['10s', at(0), 2],
    ]);
  });

  it('refuses a damaged state with an error that says so, and nothing worse', () => {
    const run = new Run(options({ windows: [window({ allowedLatenessMs: 60_000 })] }));
    for (const frame of troubledFrames(9, 30, ['a', 'b'])) run.frame(frame);
    const state = run.pipeline.save();
    const attempt = (bytes: Uint8Array) => {
      try {
        open(options({ windows: [window({ allowedLatenessMs: 60_000 })] }), bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError);
        expect((error as SluiceError).code).toBe('CHECKPOINT_UNREADABLE');
        return false;
      }
      return true;
    };
    expect(attempt(state)).toBe(true);
    for (let cut = 0; cut < state.length; cut += 7) expect(attempt(state.slice(0, cut)), `cut at ${cut}`).toBe(false);
    fc.assert(
      fc.property(fc.nat({ max: state.length - 1 }), fc.nat({ max: 255 }), (where, byte) => {
        const bytes = state.slice();
        bytes[where] = byte;
        attempt(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

describe('whatever is on the log', () => {
  it('keeps the rest of a frame that cannot be read, and goes on', () => {
    const good = frameOf([message('a', 1, { ts: at(1), t: 1 })]);
    const run = new Run(options()).frame(Buffer.concat([good, Buffer.from('garbage')]));
    run.messages(message('a', 2, { ts: at(2), t: 2 })).cut();
    expect(run.rows.readings).toHaveLength(2);
    expect(run.rows.quarantine).toEqual([[expect.objectContaining({ payload: 'garbage', index: 1, offset: 0 })]]);
    expect((run.rows.quarantine[0][0] as { reason: string }).reason).toMatch(/^frame_malformed: /);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 80 }),
            fc
              .tuple(
                fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 52, 7_258_118_400_000, START_MS)),
                fc.string({ unit: 'binary', maxLength: 6 }),
                fc.oneof(
                  fc.json().map((text) => Buffer.from(text)),
                  fc.uint8Array({ maxLength: 60 }),
                ),
              )
              .map(([receivedMs, device, payload]) => {
                const builder = new FrameBuilder(256);
                builder.append(receivedMs, encodeIdentity(device, 'x'), payload, 0, payload.length);
                return new Uint8Array(builder.finish());
              }),
          ),
          { maxLength: 6 },
        ),
        (frames) => {
          // The real blocks, which check their own bounds.
          const pipeline = new PartitionPipeline(3, options(), { state: null, lastAlarm: null });
          for (const [offset, frame] of frames.entries()) pipeline.process(offset, frame, null, true);
          const output = pipeline.take();
          expect(output.counts.messagesQuarantined).toBe(output.rows.quarantine);
          new PartitionPipeline(3, options(), { state: pipeline.save(), lastAlarm: null });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('refuses a device that invents metrics, and not its neighbour', () => {
    const run = new Run(options());
    for (let i = 0; i < 1001; i++) {
      const values = Object.fromEntries(Array.from({ length: 10 }, (_, k) => [`m${i * 10 + k}`, 1]));
      run.messages(message('a', i, values), message('b', i, { t: 1 }));
    }
    run.cut();
    expect(run.rows.quarantine.map(([q]) => (q as { device: string; reason: string }).reason.split(':')[0])).toEqual([
      'too_many_metrics',
    ]);
    expect(run.rows.readings.filter(([device]) => device === 'b')).toHaveLength(1001);
  });

  it('takes an untimed reading every time, and two of one series in a message once', () => {
    const run = new Run(options());
    const untimed = message('a', 5, { t: 1 });
    run.messages(untimed, untimed).messages(untimed);
    run.messages({ ...untimed, payload: '[{"t":1},{"t":2},{"h":3}]' }).cut();
    expect(run.rows.readings).toHaveLength(5);
    expect(run.counts.readingsDuplicate).toBe(1);
  });
});
