import { matcher } from '../../model/pattern.ts';
import type { WindowBase } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';

/** What a window has not taken since it was asked last. */
export interface NotTaken {
  /** Readings of series beyond `seriesMax`. */
  ofSeries: number;
  /** Readings that `readingsMax` made leave before their time. */
  ofReadings: number;
}

/**
 * Which series a window takes, by its patterns for devices and metrics and by its bound, and what it does not take for want of room.
 * Those that come first are taken. The others are known as beyond, and come in when there is room again: after the bound was raised, or
 * others were forgotten (forgetting.ts). Nothing of it has to be saved, since series are told of again in their order.
 */
export class WindowLimits {
  /** Readings that a series (a device of a state window) has waiting at most. */
  readonly readingsMax: number;
  /** Series that it takes, and those that its patterns name and that there was no room for. */
  series = 0;
  seriesBeyond = 0;
  readonly #matches: (series: number) => boolean;
  readonly #seriesMax: number;
  /** By series: 1 for those beyond. Empty while there is none. */
  #beyond = new Uint8Array(0);
  #ofSeries = 0;
  #ofReadings = 0;

  constructor(
    { seriesMax, readingsMax, ...spec }: WindowBase,
    series: SeriesDictionary,
    matches: (series: number) => boolean = selection(spec, series),
  ) {
    this.readingsMax = readingsMax;
    this.#seriesMax = seriesMax ?? Number.POSITIVE_INFINITY;
    this.#matches = matches;
  }

  /** Asked once for each series, in order. */
  takes(series: number): boolean {
    if (!this.#matches(series)) return false;
    if (this.series < this.#seriesMax) {
      this.series++;
      return true;
    }
    this.seriesBeyond++;
    this.#beyond = withRoom(this.#beyond, series, 0);
    this.#beyond[series] = 1;
    return false;
  }

  /** A reading of a series that is not taken; counted when that is for want of room. Says that it was not late. */
  pass(series: number): true {
    if (series < this.#beyond.length && this.#beyond[series] === 1) this.#ofSeries++;
    return true;
  }

  /** So many readings had to leave. */
  displaced(readings: number): void {
    this.#ofReadings += readings;
  }

  /** What has been counted since the last call; null for nothing. */
  take(): NotTaken | null {
    if (this.#ofSeries === 0 && this.#ofReadings === 0) return null;
    const taken = { ofSeries: this.#ofSeries, ofReadings: this.#ofReadings };
    this.#ofSeries = 0;
    this.#ofReadings = 0;
    return taken;
  }
}

/** Whether patterns for devices and metrics name a series. */
export function selection(
  spec: Pick<WindowBase, 'devices' | 'metrics'>,
  series: SeriesDictionary,
): (series: number) => boolean {
  const device = matcher(spec.devices);
  const metric = matcher(spec.metrics);
  return (s) => metric(series.metric(s)) && device(series.device(s));
}

/** The first multiple of `everyMs` after a time: when early results are due next. */
export function earlyDueMs(everyMs: number, eventMs: number): number {
  return (Math.floor(eventMs / everyMs) + 1) * everyMs;
}
