import type { BlastResult } from '../device-sim/blast.ts';
import { DECODE_LIMITS, type DeviceMemory, MessageReadings } from '../processors/decode/decoder.ts';
import { FORMATS } from '../processors/decode/formats.ts';
import { compare, compareTexts } from './verify.ts';

/**
 * What was found at the end of a chain that has no table to ask: the records of a Kafka topic, the frames of a log, what a subscriber
 * got. It is counted by the same figures that verify.ts asks of the store: for each metric the readings, the distinct (device, ts)
 * among them, and the exact sum of the values.
 */
export class ContentTally {
  /** What could not be read, or is of nobody who published. */
  strange = 0;
  readonly #prefix: string;
  readonly #baseMs: number;
  readonly #tsEnd: number;
  readonly #metrics = new Map<string, MetricTally>();
  readonly #devices = new Map<string, DeviceTally>();
  readonly #decoder = FORMATS.json(DECODE_LIMITS);
  readonly #readings = new MessageReadings();

  constructor({ devicePrefix, baseMs, tsMaxMs }: Pick<BlastResult, 'devicePrefix' | 'baseMs' | 'tsMaxMs'>) {
    this.#prefix = `${devicePrefix}-`;
    this.#baseMs = baseMs;
    this.#tsEnd = tsMaxMs - baseMs + 1;
  }

  /** A message whose payload is `bytes[start, end)`, as a device has sent it. */
  addPayload(device: string, bytes: Uint8Array, start: number, end: number): void {
    const found = this.#deviceOf(device);
    const rows = this.#readings;
    if (found === null || this.#decoder.decode(bytes, start, end, 0, found.memory, rows) !== null) {
      this.strange++;
      return;
    }
    for (let i = 0; i < rows.count; i++)
      this.#add(found, rows.tsMs[i], rows.metricAt(i), rows.value[i], rows.textAt(i));
  }

  /** The values of one object that somebody else has decoded. */
  addValues(device: string, tsMs: number, values: Readonly<Record<string, unknown>>): void {
    const found = this.#deviceOf(device);
    if (found === null) this.strange++;
    else
      for (const [metric, value] of Object.entries(values)) {
        if (typeof value === 'number') this.#add(found, tsMs, metric, value, '');
        else this.#add(found, tsMs, metric, Number.NaN, String(value));
      }
  }

  /** What is wrong with it, in words; an empty list when it is what was acknowledged, each once. */
  problems({ expected, unacknowledged }: Pick<BlastResult, 'expected' | 'unacknowledged'>): string[] {
    const open = unacknowledged > 0;
    const problems: string[] = [];
    const none = { rows: 0, distinct: 0, sum: 0, texts: new Map<string, number>() };
    for (const [metric, { count, sum }] of Object.entries(expected.numbers)) {
      const wanted = { rows: count, distinct: count, sum };
      problems.push(...compare(metric, wanted, this.#metrics.get(metric) ?? none, open));
    }
    for (const [metric, texts] of Object.entries(expected.texts))
      problems.push(...compareTexts(metric, texts, (this.#metrics.get(metric) ?? none).texts, open));
    for (const metric of this.#metrics.keys())
      if (!(metric in expected.numbers || metric in expected.texts)) problems.push(`${metric}: nobody has sent it`);
    if (this.strange > 0) problems.push(`${this.strange} messages are there that nobody has sent, or cannot be read`);
    return problems;
  }

  #deviceOf(id: string): DeviceTally | null {
    const known = this.#devices.get(id);
    if (known !== undefined) return known;
    if (!id.startsWith(this.#prefix)) return null;
    const made = { memory: { shapes: null, misses: 0 }, seen: new Uint8Array(1024) };
    this.#devices.set(id, made);
    return made;
  }

  #add(device: DeviceTally, tsMs: number, name: string, value: number, text: string): void {
    const at = tsMs - this.#baseMs;
    if (!Number.isInteger(at) || at < 0 || at >= this.#tsEnd) {
      this.strange++;
      return;
    }
    let metric = this.#metrics.get(name);
    if (metric === undefined) {
      metric = { bit: 1 << this.#metrics.size, rows: 0, distinct: 0, sum: 0, texts: new Map() };
      this.#metrics.set(name, metric);
    }
    metric.rows++;
    if (at >= device.seen.length) device.seen = grown(device.seen, Math.min(this.#tsEnd, at * 2));
    // The values of a reading that is there twice count once, as the table would have it.
    if ((device.seen[at] & metric.bit) !== 0) return;
    device.seen[at] |= metric.bit;
    metric.distinct++;
    if (Number.isNaN(value)) metric.texts.set(text, (metric.texts.get(text) ?? 0) + 1);
    else metric.sum += value;
  }
}

interface MetricTally {
  /** Of the bytes in DeviceTally.seen: payloads have three metrics at most. */
  bit: number;
  rows: number;
  distinct: number;
  sum: number;
  texts: Map<string, number>;
}

interface DeviceTally {
  memory: DeviceMemory;
  /** By ts from the base on: which metrics were there. */
  seen: Uint8Array;
}

function grown(from: Uint8Array, length: number): Uint8Array {
  const to = new Uint8Array(length);
  to.set(from);
  return to;
}
