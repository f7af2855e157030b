import { type BlastResult, blastDevice } from '../device-sim/blast.ts';
import { tsStepMs } from '../device-sim/blast-payload.ts';
import { type Clock, systemClock } from '../model/clock.ts';
import { type Ask, type Series, type Slice, type Stored, seriesOf, slicesOf } from './stored-series.ts';

export interface VerifyOptions {
  /** No slice is begun later than this. */
  withinMs?: number;
  /** Readings that one query counts, about; never less than a device. */
  sliceReadings?: number;
  clock?: Pick<Clock, 'nowMs'>;
}

const WITHIN_MS = 60_000;
/** About a second of one thread of the store, which gives a reader no more. */
const SLICE_READINGS = 8_000_000;
/** Slices that are read at a time. */
const LANES = 2;
/** Names that are told of. */
const STRANGE_MAX = 5;

/**
 * Compares what is stored with what was acknowledged: for each metric the number of rows, of distinct (device, ts), and the sum
 * of the values, which is exact because the values are multiples of 0.25; for each device and metric the very times. What is sent and never
 * acknowledged may be stored or not. Returns what is wrong, in words; an empty list when all is well.
 *
 * That the times are those is proven and not sampled. A device's messages have the ms from baseMs on, one after another, so n of them
 * are the whole numbers from 0 to n - 1. `groupBitmap` counts distinct numbers exactly (a compressed bitmap, no sketch), and where n
 * distinct whole numbers lie between 0 and n - 1, each of these is there. As many rows as distinct times: each is there once.
 *
 * It takes each row once, whatever the number of metrics (stored-series.ts). Rows are counted as they lie; only series of which there are
 * too many are read again with FINAL, which is what promises each once.
 *
 * A slice that cannot be read is told of, as is what the time was not enough for; what the others have shown is kept.
 */
export async function verifyStored(ask: Ask, result: BlastResult, options: VerifyOptions = {}): Promise<string[]> {
  const { withinMs = WITHIN_MS, sliceReadings = SLICE_READINGS, clock = systemClock } = options;
  const startMs = clock.nowMs();
  const slices = slicesOf(result, sliceReadings);
  const tally = new StoredTally(result);
  const problems: string[] = [];
  let next = 0;
  const lane = async () => {
    while (next < slices.length && clock.nowMs() - startMs < withinMs) {
      const slice = slices[next++];
      const [from, to] = [slice.from, slice.to - 1].map((p) => blastDevice(result.devicePrefix, p, result.connections));
      try {
        tally.add(slice, await seriesOf(ask, result, slice));
      } catch (error) {
        const [why] = String((error as Error).message ?? error).split('\n');
        problems.push(`${from} to ${to} could not be verified: ${why}`);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  if (next < slices.length) {
    const left = result.connections - slices[next].from;
    problems.push(`${left} of ${result.connections} devices were not verified within ${withinMs / 1000} s`);
  }
  problems.push(...tally.problems(problems.length === 0));
  const quarantined = await ask<{ n: number }>(
    `SELECT count() AS n FROM sluice.quarantine WHERE startsWith(device, '${result.devicePrefix}-')`,
  );
  if (Number(quarantined[0].n) > 0) problems.push(`${quarantined[0].n} messages in quarantine, none was broken`);
  return problems;
}

/** What was found so far, by metric, and the devices whose times are not those that were acknowledged. */
class StoredTally {
  readonly #result: BlastResult;
  readonly #numbers = new Map<string, Stored>();
  readonly #texts = new Map<string, Map<string, number>>();
  readonly #strange = new Set<string>();
  readonly #wrong = new Map<string, string[]>();

  constructor(result: BlastResult) {
    this.#result = result;
    for (const metric of Object.keys(result.expected.numbers))
      this.#numbers.set(metric, { rows: 0, distinct: 0, sum: 0 });
    for (const metric of Object.keys(result.expected.texts)) this.#texts.set(metric, new Map());
  }

  /** All that there is of the devices of a slice. */
  add({ from, to }: Slice, found: readonly Series[]): void {
    const { devicePrefix, connections } = this.#result;
    const places = new Map<string, Map<string, { distinct: number; last: number }>>();
    for (let place = from; place < to; place++) places.set(blastDevice(devicePrefix, place, connections), new Map());
    for (const { device, metric, word, rows, distinct, sum, last } of found) {
      const number = this.#numbers.get(metric);
      const texts = this.#texts.get(metric);
      if (number !== undefined) {
        number.rows += rows;
        number.distinct += distinct;
        number.sum += sum;
      } else if (texts !== undefined) texts.set(word, (texts.get(word) ?? 0) + distinct);
      else this.#strange.add(metric);
      const times = places.get(device);
      if (times === undefined) this.#strange.add(device);
      else {
        const before = times.get(metric) ?? { distinct: 0, last: -1 };
        times.set(metric, { distinct: before.distinct + distinct, last: Math.max(before.last, last) });
      }
    }
    let place = from;
    for (const [device, times] of places) this.#compareTimes(device, place++, times);
  }

  #compareTimes(device: string, place: number, found: ReadonlyMap<string, { distinct: number; last: number }>): void {
    const { payload, acknowledgedByConnection, unacknowledged } = this.#result;
    const count = acknowledgedByConnection[place] * tsStepMs(payload);
    for (const metric of [...this.#numbers.keys(), ...this.#texts.keys()]) {
      const { distinct, last } = found.get(metric) ?? { distinct: 0, last: -1 };
      if (distinct === count && last === count - 1) continue;
      if (unacknowledged > 0 && distinct >= count) continue;
      const devices = this.#wrong.get(metric) ?? [];
      this.#wrong.set(metric, devices);
      devices.push(`${device} has ${distinct} until ${last} ms instead of ${count}`);
    }
  }

  /** `whole`: all slices were read, so that sums over all devices tell something. */
  problems(whole: boolean): string[] {
    const { expected, unacknowledged } = this.#result;
    const open = unacknowledged > 0;
    const problems: string[] = [];
    for (const [metric, stored] of this.#numbers) {
      const { count, sum } = expected.numbers[metric];
      if (whole) problems.push(...compare(metric, { rows: count, distinct: count, sum }, stored, open));
      else if (stored.rows !== stored.distinct) problems.push(doubled(metric, stored));
    }
    if (whole)
      for (const [metric, found] of this.#texts)
        problems.push(...compareTexts(metric, expected.texts[metric], found, open));
    for (const [metric, devices] of this.#wrong)
      problems.push(`${metric}: the times of ${devices.length} devices are not those acknowledged: ${devices[0]}`);
    if (this.#strange.size > 0)
      problems.push(`nobody has sent: ${[...this.#strange].sort().slice(0, STRANGE_MAX).join(', ')}`);
    return problems;
  }
}

function doubled(metric: string, { rows, distinct }: Stored): string {
  return `${metric}: ${rows - distinct} readings are stored twice`;
}

/** `open`: some messages were not acknowledged, so that more than expected may be stored. */
export function compare(metric: string, expected: Stored, stored: Stored, open: boolean): string[] {
  const problems: string[] = [];
  if (stored.rows !== stored.distinct) problems.push(doubled(metric, stored));
  if (stored.distinct < expected.distinct)
    problems.push(`${metric}: ${expected.distinct - stored.distinct} readings are missing`);
  if (open) return problems;
  if (stored.distinct > expected.distinct) {
    problems.push(`${metric}: ${stored.distinct - expected.distinct} readings are stored that were never sent`);
  }
  if (stored.sum !== expected.sum) problems.push(`${metric}: the sum is ${stored.sum} instead of ${expected.sum}`);
  return problems;
}

/** The same for a metric of texts: how often each was acknowledged and how often it was found. */
export function compareTexts(
  metric: string,
  expected: Readonly<Record<string, number>>,
  stored: ReadonlyMap<string, number>,
  open: boolean,
): string[] {
  const problems: string[] = [];
  for (const [text, count] of Object.entries(expected)) {
    const n = stored.get(text) ?? 0;
    if (n < count || (n > count && !open)) problems.push(`${metric} = '${text}': ${count} acknowledged, ${n} stored`);
  }
  for (const [text, n] of stored)
    if (!(text in expected)) problems.push(`${metric} = '${text}': ${n} stored, none was sent`);
  return problems;
}
