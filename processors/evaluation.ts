import type { Rollup } from '../model/rollup.ts';
import type { BatchBuilder } from './batch-builder.ts';
import { withRoom } from './columns.ts';
import type { MessageReadings } from './decode/decoder.ts';
import type { DerivedMetrics, OnDerived } from './derived/derived.ts';
import type { PartitionState } from './partition-state.ts';
import type { WindowOperator } from './windows/window.ts';

/** The message that readings came in. */
export interface MessageAt {
  device: number;
  receivedMs: number;
  offset: number;
  index: number;
  ledgerRow: number;
}

export interface EvaluationOptions {
  partition: number;
  /** A ts further ahead of the time received than this is stored, and moves no time. */
  clockSkewMaxMs: number;
  /** Name of the value in which devices number their messages; empty where they do not. */
  seq: string;
}

type TextOperator = WindowOperator & Required<Pick<WindowOperator, 'pushText'>>;

function takesTexts(operator: WindowOperator): operator is TextOperator {
  return operator.pushText !== undefined;
}

/** Redeliveries are known for at least this long, also where no window needs it. */
const DEDUPLICATION_MS_MIN = 60_000;

/**
 * What becomes of decoded readings, in the order of the log: redeliveries are told, the others are stored, and go into windows and
 * before alarm rules. At the end of a frame come the corrections and the windows whose time has come.
 */
export class Evaluation {
  readonly #options: EvaluationOptions;
  readonly #state: PartitionState;
  readonly #out: BatchBuilder;
  /** Readings this far below the newest of their device are in no window, and not told from redeliveries. */
  readonly horizonMs: number;
  /** By device: the series of the numbers that it gives its messages; −1 for none. */
  #seqSeries = new Int32Array(256).fill(-1);
  /** By series: the number of the last message that had an untimed reading of it. No longer than there was any. */
  #untimedIn = new Float64Array(0);
  #messageNumber = 0;
  /** The windows that have a use for texts. */
  readonly #ofTexts: readonly TextOperator[];
  #derivedOfMessage = 0;

  constructor(options: EvaluationOptions, state: PartitionState, out: BatchBuilder) {
    this.#options = options;
    this.#state = state;
    this.#out = out;
    state.alarms.attach(options.partition, out.alarm);
    this.horizonMs = Math.max(DEDUPLICATION_MS_MIN, ...state.windows.map((w) => w.operator.horizonMs));
    this.#ofTexts = state.windows.map((w) => w.operator).filter(takesTexts);
  }

  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void {
    this.#state.lifetimes.seriesAdded(series);
    const { series: dictionary, windows, alarms } = this.#state;
    if (dictionary.metric(series) === this.#options.seq) {
      const device = dictionary.deviceOf(series);
      this.#seqSeries = withRoom(this.#seqSeries, device, -1);
      this.#seqSeries[device] = series;
    }
    for (const { operator } of windows) operator.seriesAdded(series);
    this.#state.derived?.seriesAdded(series);
    alarms.seriesAdded(series);
  }

  /** The readings of a message; `found` has the series of each, −1 for one beyond the bound. */
  take(message: MessageReadings, found: Int32Array, at: MessageAt): void {
    const { seen, time, windows, alarms, ledger, derived, lifetimes } = this.#state;
    const { device, receivedMs, offset, index, ledgerRow } = at;
    const { clockSkewMaxMs } = this.#options;
    const count = message.count;
    const aheadMs = receivedMs + clockSkewMaxMs;
    const number = ++this.#messageNumber;
    this.#derivedOfMessage = 0;
    const { counts, readings } = this.#out;
    counts.readingsDecoded += count;
    const seqSeries = this.#seqSeries[device];
    let duplicates = 0;
    let lates = 0;
    let unchecked = 0;
    let newestMs = Number.NEGATIVE_INFINITY;
    const floorMs = lifetimes.floorMs(device);
    alarms.beginMessage(device, offset, index);
    for (let i = 0; i < count; i++) {
      const series = found[i];
      const tsMs = message.tsMs[i];
      const untimed = message.untimed[i] === 1;
      const value = message.value[i];
      const ahead = tsMs > aheadMs;
      if (!ahead) time.reading(device, tsMs);
      if (series < 0) {
        if (!untimed && tsMs > newestMs) newestMs = tsMs;
        this.#beyond(message, i, at);
        unchecked++;
        continue;
      }
      lifetimes.heard(series);
      if (tsMs <= floorMs) {
        if (!untimed && tsMs > newestMs) newestMs = tsMs;
        const row = readings.rows;
        readings.add(
          series,
          tsMs,
          message.value[i],
          message.hasText ? message.text[i] : '',
          receivedMs,
          offset,
          index,
          untimed,
        );
        readings.markLate(row);
        unchecked++;
        lates++;
        continue;
      }
      if (untimed) {
        // Two values of one series in one message have the same time; the first counts, as with a time of the device's.
        if (series >= this.#untimedIn.length) this.#untimedIn = withRoom(this.#untimedIn, series, 0);
        if (this.#untimedIn[series] === number) {
          duplicates++;
          continue;
        }
        this.#untimedIn[series] = number;
      } else if (!ahead) {
        const horizonMs = time.newest(device) - this.horizonMs;
        if (tsMs <= horizonMs) unchecked++;
        else if (!seen.record(series, tsMs, horizonMs)) {
          duplicates++;
          continue;
        }
      } else unchecked++;
      if (!untimed && tsMs > newestMs) newestMs = tsMs;
      if (series === seqSeries) ledger.sequence(ledgerRow, device, value);
      const text = message.hasText ? message.text[i] : '';
      const row = readings.rows;
      readings.add(series, tsMs, value, text, receivedMs, offset, index, untimed);
      if (ahead) {
        counts.readingsAhead++;
        continue;
      }
      if (derived !== null) {
        if (derived.isBefore(tsMs)) this.#derive(derived, at, count);
        derived.reading(series, device, tsMs, value, text, untimed);
      }
      let late = false;
      if (Number.isNaN(value)) {
        for (const operator of this.#ofTexts) if (!operator.pushText(series, device, tsMs, text)) late = true;
        if (late) {
          lates++;
          readings.markLate(row);
        }
        if (alarms.wantsTexts) alarms.text(series, device, tsMs, text, i);
        continue;
      }
      for (let w = 0; w < windows.length; w++) {
        if (!windows[w].operator.push(series, device, tsMs, value)) late = true;
      }
      if (late) {
        lates++;
        readings.markLate(row);
      }
      alarms.push(series, device, tsMs, value, i);
    }
    if (derived?.isDue) this.#derive(derived, at, count);
    alarms.endMessage(device, newestMs === Number.NEGATIVE_INFINITY ? Number.NaN : newestMs - receivedMs);
    counts.readingsDuplicate += duplicates;
    counts.readingsLate += lates;
    ledger.readings(ledgerRow, count, duplicates, lates, unchecked);
  }

  /** A reading of a series that there was no room for: it is stored, and does no more. The store's key makes redeliveries one. */
  #beyond(message: MessageReadings, i: number, { device, receivedMs, offset, index }: MessageAt): void {
    const { counts } = this.#out;
    const tsMs = message.tsMs[i];
    counts.readingsBeyond++;
    if (tsMs > receivedMs + this.#options.clockSkewMaxMs) counts.readingsAhead++;
    const text = message.hasText ? message.text[i] : '';
    const name = this.#state.series.devices.name(device);
    this.#out
      .beyond(name, message.metricAt(i))
      .add(tsMs, message.value[i], text, receivedMs, offset, index, message.untimed[i] === 1);
  }

  /** What follows from the readings before goes the way of every reading. `ordinal`: behind those of the message. */
  #derive(derived: DerivedMetrics, { device, receivedMs, offset, index }: MessageAt, ordinal: number): void {
    const { windows, alarms, lifetimes } = this.#state;
    const { counts, readings } = this.#out;
    const emit: OnDerived = (series, tsMs, value, untimed) => {
      lifetimes.heard(series);
      counts.readingsDerived++;
      readings.add(series, tsMs, value, '', receivedMs, offset, index, untimed, true);
      for (const { operator } of windows) operator.push(series, device, tsMs, value);
      alarms.push(series, device, tsMs, value, ordinal + this.#derivedOfMessage++);
    };
    derived.flush(emit);
    counts.derivedUnknown += derived.unknown;
    derived.unknown = 0;
  }

  /** The frame has ended: corrections, then the windows that are due, then what the time that has passed means for alarms. */
  endFrame(offset: number): void {
    const { windows, time, alarms } = this.#state;
    alarms.beginFrameEnd(offset);
    const emit = alarms.wantsRollups ? this.#judgedRollup : this.#out.rollup;
    for (const { operator } of windows) operator.emitCorrections(emit);
    time.endFrame((device, eventMs) => {
      let next = Number.POSITIVE_INFINITY;
      for (const { operator } of windows) next = Math.min(next, operator.advance(device, eventMs, emit));
      return next;
    });
    for (const { spec, operator } of windows) {
      const notTaken = operator.limits.take();
      if (notTaken !== null) this.#out.notTaken(spec.name, notTaken);
    }
    alarms.judgeTimers();
    let told = 0;
    for (const group of this.#state.groups) told = group.tell(offset, told, this.#out.partial);
  }

  readonly #judgedRollup = (rollup: Rollup): void => {
    this.#out.rollup(rollup);
    this.#state.alarms.rollup(rollup);
  };
}
