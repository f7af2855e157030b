import { matcher } from '../../model/pattern.ts';
import type { WindowBase } from '../../model/window.ts';
import type { SeriesDictionary } from '../series.ts';

/** Which series a window takes, by its patterns for devices and metrics. Asked once for each series. */
export function selection(spec: WindowBase, series: SeriesDictionary): (series: number) => boolean {
  const device = matcher(spec.devices);
  const metric = matcher(spec.metrics);
  return (s) => metric(series.metric(s)) && device(series.device(s));
}

/** The first multiple of `everyMs` after a time: when early results are due next. */
export function earlyDueMs(everyMs: number, eventMs: number): number {
  return (Math.floor(eventMs / everyMs) + 1) * everyMs;
}
