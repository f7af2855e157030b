import type { Rollup } from '../model/rollup.ts';
import type { PartitionState } from './partition-state.ts';
import { Kept } from './roster.ts';

/** Who is kept when others are forgotten. */
export interface Survivors {
  series: Kept;
  devices: Kept;
  seriesForgotten: number;
  devicesForgotten: number;
}

/** What the time to live is judged by besides the state. */
export interface Limits {
  ttlMs: number;
  /** Readings this far below the newest of a device are in no window. */
  horizonMs: number;
  clockSkewMaxMs: number;
}

/**
 * Who is to be forgotten at the end of a frame in which a step of the time to live began (lifetimes.ts): devices that have sent no message for
 * the time to live, and series of other devices that have had no reading for so long. It is a function of the state alone.
 *
 * Kept are devices with an entry in the registry; with an alarm that is not over, or a rule that holds; those that a rule may yet find to be
 * silent; those of which a window or the ledger has something to finish. Who is kept though silent has all its series kept, and so has who has an
 * alarm. Of others that speak, series are kept of which a window has something to finish, and all while the device's own time is so far behind
 * the clock that a reading from before could still be in a window.
 *
 * Null when nobody is, or so few that all the others are not to be written and read again for them; they wait for more.
 */
export function findSurvivors(state: PartitionState, { ttlMs, horizonMs, clockSkewMaxMs }: Limits): Survivors | null {
  const { series, time, registry, alarms, ledger, lifetimes, windows } = state;
  const sinceMs = time.clockMs - ttlMs;
  const isSilent = (device: number): boolean => time.active(device) <= sinceMs;
  const devices = new Uint8Array(series.devices.count);
  for (let d = 0; d < devices.length; d++) if (time.isAwaited(d)) devices[d] = KEPT;
  for (const needed of [registry.needed(sinceMs), ledger.needed()]) for (const device of needed) devices[device] = KEPT;
  for (const device of alarms.needed(sinceMs)) devices[device] = KEPT_WHOLE;
  const marks = new Uint8Array(series.count);
  const keep = (s: number): void => {
    marks[s] = 1;
    devices[series.deviceOf(s)] = Math.max(devices[series.deviceOf(s)], KEPT);
  };
  for (const { operator } of windows) operator.unfinished(keep, isSilent);
  const floorMs = floorOf(sinceMs, { ttlMs, horizonMs, clockSkewMaxMs });
  for (let s = 0; s < marks.length; s++) {
    const device = series.deviceOf(s);
    if (isSilent(device) ? devices[device] >= KEPT : devices[device] === KEPT_WHOLE) marks[s] = 1;
    else if (!isSilent(device) && (!lifetimes.isOld(s) || time.newest(device) < floorMs + horizonMs)) marks[s] = 1;
  }
  for (let d = 0; d < devices.length; d++) devices[d] = devices[d] >= KEPT || !isSilent(d) ? 1 : 0;
  const kept = { series: new Kept(marks), devices: new Kept(devices) };
  const seriesForgotten = marks.length - kept.series.size;
  const devicesForgotten = devices.length - kept.devices.size;
  const forgotten = seriesForgotten + devicesForgotten;
  const isWorthIt = forgotten > 0 && forgotten * FORGOTTEN_SHARE >= marks.length + devices.length;
  return !isWorthIt ? null : { ...kept, seriesForgotten, devicesForgotten };
}

/**
 * Before the state is written without those who are forgotten: unfinished windows that no time would finish are given as they are, groups are
 * judged without them, and what they send from before is made too late from now on, so that no window is begun a second time.
 */
export function takeLeave(
  state: PartitionState,
  survivors: Survivors,
  limits: Limits,
  emit: (rollup: Rollup) => void,
): void {
  const { series, time, alarms, lifetimes, windows } = state;
  const { horizonMs } = limits;
  for (const { operator } of windows) {
    if (operator.end === undefined) continue;
    for (let s = 0; s < series.count; s++) if (!survivors.series.has(s)) operator.end(s, emit);
  }
  const floorMs = floorOf(time.clockMs - limits.ttlMs, limits);
  for (let s = 0; s < series.count; s++) {
    const device = series.deviceOf(s);
    if (!survivors.series.has(s) && survivors.devices.has(device)) lifetimes.raiseFloor(device, floorMs);
  }
  for (let d = 0; d < series.devices.count; d++) {
    if (survivors.devices.has(d)) continue;
    alarms.deviceForgotten(d);
    const newestMs = time.active(d) === 0 ? -1 : time.newest(d);
    const ownMs = newestMs < 0 ? -1 : newestMs + horizonMs;
    lifetimes.bury(series.devices.name(d), Math.max(ownMs, lifetimes.floorMs(d)));
  }
  alarms.settleForgotten();
}

/** Above every window that holds a reading of a series which was heard last before `sinceMs`. */
function floorOf(sinceMs: number, { horizonMs, clockSkewMaxMs }: Limits): number {
  return sinceMs + clockSkewMaxMs + horizonMs;
}

/** At least one of so many series and devices is forgotten, or none. */
const FORGOTTEN_SHARE = 64;

const KEPT = 1;
/** With all its series, though it speaks. */
const KEPT_WHOLE = 2;
