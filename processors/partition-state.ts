import type { WindowSpec } from '../model/window.ts';
import type { Orphan, ThresholdAlarms } from './alarms/threshold.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { SeenTimes } from './seen.ts';
import type { SeriesDictionary } from './series.ts';
import { StateReader, StateWriter } from './state-bytes.ts';
import type { EventTime } from './windows/event-time.ts';
import type { WindowOperator } from './windows/window.ts';

/**
 * The state of a partition, as its checkpoint holds it (forms: state-bytes.ts):
 *
 *     magic     varint 0x534c55 ("SLU")
 *     version   varint 2
 *     series    devices, metrics, and (device, metric) of each series
 *     seen      times that each series has had
 *     time      clock; newest, active, due of each device
 *     alarms    a part: rules, and slots that are not normal
 *     windows   count, then for each: name, definition, a part with its open windows
 *     ledger    a part: counts of open minutes, claims, numbers of devices; absent in version 1
 *
 * What the configuration has changed starts afresh: a window or rule goes on when its name and its definition are the same.
 */
export interface PartitionState {
  series: SeriesDictionary;
  seen: SeenTimes;
  time: EventTime;
  alarms: ThresholdAlarms;
  ledger: Ledger;
  windows: { spec: WindowSpec; operator: WindowOperator }[];
}

const MAGIC = 0x534c55;
const VERSION = 2;
/** The oldest version that is still read: what it lacks begins empty. */
const VERSION_MIN = 1;

/** At the end of a frame. */
export function saveState(state: PartitionState): Uint8Array<ArrayBuffer> {
  const out = new StateWriter();
  out.varint(MAGIC);
  out.varint(VERSION);
  state.series.save(out);
  state.seen.save(out, state.series.count);
  state.time.save(out);
  const alarms = new StateWriter();
  state.alarms.save(alarms);
  out.part(alarms);
  out.varint(state.windows.length);
  for (const { spec, operator } of state.windows) {
    out.text(spec.name);
    out.text(definitionOf(spec));
    const part = new StateWriter();
    operator.save(part);
    out.part(part);
  }
  const ledger = new StateWriter();
  state.ledger.save(ledger);
  out.part(ledger);
  return out.finish();
}

/**
 * Restores into a state that is empty; `seriesAdded` is told of each series. Returns the raised alarms that no rule looks after
 * any more. Throws CHECKPOINT_UNREADABLE, and the state is then to be thrown away.
 */
export function restoreState(
  state: PartitionState,
  bytes: Uint8Array,
  seriesAdded: (series: number) => void,
): Orphan[] {
  const from = new StateReader(bytes);
  if (from.varint() !== MAGIC) from.unreadable('it does not begin as a state of Sluice does');
  const version = from.varint();
  if (version < VERSION_MIN || version > VERSION)
    from.unreadable(`it is of version ${version}, and this program reads version ${VERSION}`);
  state.series.restore(from, seriesAdded);
  state.seen.restore(from, state.series.count);
  state.time.restore(from, state.series.devices.count);
  const alarms = from.part();
  const orphans = state.alarms.restore(alarms);
  alarms.end();
  for (let left = from.count(); left > 0; left--) {
    const name = from.text();
    const definition = from.text();
    const part = from.part();
    const window = state.windows.find((w) => w.spec.name === name && definitionOf(w.spec) === definition);
    if (window === undefined) continue;
    window.operator.restore(part);
    part.end();
  }
  if (version >= 2) {
    const ledger = from.part();
    state.ledger.restore(ledger, state.series.devices.count);
    ledger.end();
  }
  from.end();
  return orphans;
}

function definitionOf(spec: WindowSpec): string {
  return JSON.stringify([spec.kind, spec.sizeMs, spec.metrics, spec.outOfOrderMs, spec.allowedLatenessMs]);
}
