import type { Rollup } from '../../model/rollup.ts';
import type { WindowSpec } from '../../model/window.ts';
import type { Registry } from '../registry/registry.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { CountWindow } from './count.ts';
import type { EventTime } from './event-time.ts';
import { FilteredWindow } from './filtered.ts';
import { HoppingWindow } from './hopping.ts';
import type { WindowLimits } from './limits.ts';
import { SessionWindow } from './session.ts';
import { SlidingWindow } from './sliding.ts';
import { StateWindow } from './state.ts';
import { TumblingWindow } from './tumbling.ts';

/**
 * A window declaration at work on one partition. All calls come in the order of the log. What it emits is a function of the
 * frames alone: results of windows whose time has come and corrections are emitted at the end of a frame.
 */
export interface WindowOperator {
  /** A device's readings at or below newest − this are never taken. */
  readonly horizonMs: number;
  /** Which series it takes, and what there was no room for. */
  readonly limits: WindowLimits;
  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void;
  /** Takes a numeric reading. Returns false when it came too late for its window. */
  push(series: number, device: number, tsMs: number, value: number): boolean;
  /** Takes a reading that is a text, for kinds that have a use for one; else as push. */
  pushText?(series: number, device: number, tsMs: number, text: string): boolean;
  /** Emits the corrections that the frame has caused. */
  emitCorrections(emit: (rollup: Rollup) => void): void;
  /**
   * The device's event time has come to `eventMs`: emits what is complete and lets go of what takes no more. Returns the event time at
   * which there is something to do next, Infinity for never.
   */
  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number;
  /** How many windows are open. */
  readonly open: number;
  /**
   * The series that have something which will be finished by time, so that they cannot be forgotten now. `isSilent` tells of a device that
   * it was silent for long enough to be forgotten.
   */
  unfinished(keep: (series: number) => void, isSilent: (device: number) => boolean): void;
  /** The series will be forgotten: a window that no time would finish is given as it is. */
  end?(series: number, emit: (rollup: Rollup) => void): void;
  save(out: StateWriter): void;
  restore(from: StateReader): void;
}

/** The operator of a declaration; `registry` says what filters ask of a device. */
export function openWindow(
  spec: WindowSpec,
  series: SeriesDictionary,
  time: EventTime,
  registry: Pick<Registry, 'entry'> | null = null,
): WindowOperator {
  const window = openKind(spec, series, time);
  return spec.where === '' ? window : new FilteredWindow(spec, window, series, registry);
}

/** Window kinds. A new kind is one file and one row. */
function openKind(spec: WindowSpec, series: SeriesDictionary, time: EventTime): WindowOperator {
  switch (spec.kind) {
    case 'tumbling':
      // Early results are the hopping window's; a tumbling one pays nothing for them when nobody asks.
      if (spec.everyMs !== null) return new HoppingWindow({ ...spec, hopMs: spec.sizeMs }, series, time);
      return new TumblingWindow(spec, series, time);
    case 'hopping':
      return new HoppingWindow(spec, series, time);
    case 'session':
      return new SessionWindow(spec, series, time);
    case 'sliding':
      return new SlidingWindow(spec, series, time);
    case 'count':
      return new CountWindow(spec, series, time);
    case 'state':
      return new StateWindow(spec, series, time);
  }
}
