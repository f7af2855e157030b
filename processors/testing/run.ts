import { expect } from 'vitest';
import type { Alarm, ThresholdRule } from '../../model/alarm.ts';
import type { Rollup } from '../../model/rollup.ts';
import { type TumblingWindow, WINDOW_DEFAULTS } from '../../model/window.ts';
import { addNotTaken, type BatchOutput } from '../batch-output.ts';
import { DECODE_LIMITS } from '../decode/decoder.ts';
import { PartitionPipeline, type PipelineOptions } from '../pipeline.ts';
import type { NotTaken } from '../windows/limits.ts';
import { linesOf, recordedBlocks } from './recorded-blocks.ts';
import { frameOf, START_MS, type TestMessage } from './scenario.ts';

export const window = (over: Partial<TumblingWindow> = {}): TumblingWindow => ({
  ...WINDOW_DEFAULTS,
  kind: 'tumbling',
  name: '10s',
  sizeMs: 10_000,
  metrics: [],
  outOfOrderMs: 0,
  allowedLatenessMs: 0,
  ...over,
});

export const rule = (over: Partial<ThresholdRule> = {}): ThresholdRule => ({
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

export const options = (over: Partial<PipelineOptions> = {}): PipelineOptions => ({
  payload: [],
  windows: [window()],
  rules: [rule()],
  derived: [],
  limits: DECODE_LIMITS,
  clockSkewMaxMs: 60_000,
  idleMs: 1e12,
  ledgerMs: 10_000,
  seq: 'seq',
  ...over,
});

export const open = (o: PipelineOptions, state: Uint8Array | null = null) =>
  new PartitionPipeline(0, o, { state, lastAlarm: null }, recordedBlocks());

/** All rows of a run; frames are cut into batches, and saved and restored, where the test says. */
export class Run {
  readonly rows = {
    readings: [] as unknown[][],
    quarantine: [] as unknown[][],
    rollups: [] as unknown[][],
    alarms: [] as unknown[][],
    alarm_events: [] as unknown[][],
    ledger: [] as unknown[][],
    devices: [] as unknown[][],
  };
  readonly counts: Record<string, number> = {};
  readonly notTaken = new Map<string, NotTaken>();
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
    for (const table of ['readings', 'quarantine', 'rollups', 'alarms', 'alarm_events', 'ledger', 'devices'] as const) {
      const rows = linesOf(output.blocks[table]);
      expect(output.rows[table]).toBe(rows.length);
      this.rows[table].push(...rows);
    }
    for (const [name, n] of Object.entries(output.counts)) this.counts[name] = (this.counts[name] ?? 0) + n;
    addNotTaken(this.notTaken, output.notTaken);
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

  /** Another run that goes on from the state of this one, at the same place of the log. */
  fork(): Run {
    const other = new Run(this.#options);
    other.pipeline = open(this.#options, this.pipeline.save());
    other.#offset = this.#offset;
    return other;
  }

  rollups(): Rollup[] {
    return this.cut().rows.rollups.map(([r]) => r as Rollup);
  }

  alarms(): Alarm[] {
    return this.cut().rows.alarms.map(([a]) => a as Alarm);
  }
}

export const at = (seconds: number) => START_MS + seconds * 1000;
export const message = (device: string, receivedS: number, payload: object): TestMessage => ({
  device,
  receivedMs: at(receivedS),
  payload: JSON.stringify(payload),
});
