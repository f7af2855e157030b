import { createHash } from 'node:crypto';
import type { ThresholdRule } from '../../model/alarm.ts';
import type { TumblingWindow } from '../../model/window.ts';
import type { LogMessage } from './log-contents.ts';

/**
 * What the tables should hold, worked out from the messages on the log in the plainest way: every reading is kept, windows are
 * added up from their readings, and nothing is shared with the engine. Devices are taken never to fall idle; what idleness
 * changes is the number of a revision, never a value, as long as no window is gone.
 */
export interface OracleSettings {
  windows: readonly TumblingWindow[];
  rules: readonly ThresholdRule[];
  clockSkewMaxMs: number;
}

export interface ReadingRow {
  device: string;
  metric: string;
  tsMs: number;
  value: number | null;
  text: string;
  /** `partition/offset/index` of its message; empty for a reading ahead of time, of which any repetition may stay. */
  position: string;
}

export interface RollupRow {
  window: string;
  device: string;
  metric: string;
  startMs: number;
  count: number;
  sum: number;
  min: number;
  max: number;
  first: number;
  last: number;
  revision: number;
}

export interface AlarmRow {
  id: string;
  rule: string;
  device: string;
  state: 'raised' | 'cleared';
  raisedMs: number;
  clearedMs: number | null;
  value: number;
}

interface OpenWindow {
  spec: TumblingWindow;
  device: string;
  metric: string;
  startMs: number;
  readings: { tsMs: number; value: number }[];
  revision: number;
  dirty: boolean;
}

interface Value {
  metric: string;
  tsMs: number;
  untimed: boolean;
  value: number;
  text: string;
}

/** Redeliveries are told within this time at least (README, "Redeliveries"). */
const HORIZON_MS_MIN = 60_000;

export class TortureOracle {
  readonly readings = new Map<string, ReadingRow>();
  readonly quarantine = new Map<string, { device: string; payload: string }>();
  readonly rollups = new Map<string, RollupRow>();
  readonly alarms = new Map<string, AlarmRow>();
  /** CloudEvent ids of all transitions, by partition, in their order. */
  readonly events = new Map<number, string[]>();
  duplicates = 0;
  late = 0;
  /** Readings ahead of time that came again: stored each time, and one under FINAL. */
  repeatedAhead = 0;
  readonly #settings: OracleSettings;
  readonly #newest = new Map<string, number>();
  readonly #windows = new Map<string, OpenWindow[]>();
  readonly #judged = new Map<string, number>();
  readonly #phases = new Map<string, { phase: 'normal' | 'pending' | 'raised'; sinceMs: number; id: string }>();
  readonly #horizonMs: number;

  constructor(settings: OracleSettings) {
    this.#settings = settings;
    const horizons = settings.windows.map((w) => w.sizeMs + w.outOfOrderMs + w.allowedLatenessMs);
    this.#horizonMs = Math.max(HORIZON_MS_MIN, ...horizons);
  }

  /** The messages of one frame, in order. */
  frame(messages: readonly LogMessage[]): void {
    const touched = new Set<string>();
    for (const message of messages) {
      const values = decode(message);
      const position = `${message.partition}/${message.offset}/${message.index}`;
      if (values === null) {
        this.quarantine.set(position, { device: message.device, payload: message.payload });
        continue;
      }
      touched.add(message.device);
      values.forEach((value, ordinal) => {
        this.#value(message, value, ordinal, position);
      });
    }
    for (const device of touched) this.#endFrame(device);
  }

  #value(message: LogMessage, v: Value, ordinal: number, position: string): void {
    const { device, receivedMs } = message;
    const ahead = v.tsMs > receivedMs + this.#settings.clockSkewMaxMs;
    if (!ahead) this.#newest.set(device, Math.max(v.tsMs, this.#newest.get(device) ?? -1));
    const newest = this.#newest.get(device) ?? -1;
    const key = JSON.stringify([device, v.metric, v.tsMs, v.untimed ? position : '']);
    if (this.readings.has(key)) {
      // Of an earlier message, or of this one: the first counts. Older than the horizon, the store's key would decide.
      if (!v.untimed && v.tsMs <= newest - this.#horizonMs) throw new Error(`${key} is repeated beyond the horizon`);
      if (ahead) this.repeatedAhead++;
      this.duplicates++;
      return;
    }
    const { metric, tsMs, text } = v;
    this.readings.set(key, {
      device,
      metric,
      tsMs,
      value: text === '' ? v.value : null,
      text,
      position: ahead ? '' : position,
    });
    if (ahead || text !== '') return;
    let late = false;
    for (const spec of this.#settings.windows) if (!this.#intoWindow(spec, device, v, newest)) late = true;
    if (late) this.late++;
    this.#judge(message, v, ordinal);
  }

  #intoWindow(spec: TumblingWindow, device: string, v: Value, newest: number): boolean {
    const startMs = v.tsMs - (v.tsMs % spec.sizeMs);
    if (startMs + spec.sizeMs + spec.allowedLatenessMs + spec.outOfOrderMs <= newest) return false;
    const windows = this.#windows.get(device) ?? [];
    this.#windows.set(device, windows);
    let window = windows.find((w) => w.spec === spec && w.metric === v.metric && w.startMs === startMs);
    if (window === undefined) {
      window = { spec, device, metric: v.metric, startMs, readings: [], revision: 0, dirty: false };
      windows.push(window);
    }
    window.readings.push({ tsMs: v.tsMs, value: v.value });
    if (window.revision > 0) window.dirty = true;
    return true;
  }

  #endFrame(device: string): void {
    const newest = this.#newest.get(device) ?? -1;
    const kept: OpenWindow[] = [];
    for (const window of this.#windows.get(device) ?? []) {
      if (window.dirty) this.#emit(window);
      const watermark = newest - window.spec.outOfOrderMs;
      const endMs = window.startMs + window.spec.sizeMs;
      if (window.revision === 0 && endMs <= watermark) this.#emit(window);
      if (endMs + window.spec.allowedLatenessMs > watermark) kept.push(window);
    }
    this.#windows.set(device, kept);
  }

  #emit(w: OpenWindow): void {
    w.dirty = false;
    w.revision++;
    const values = w.readings.map((r) => r.value);
    const byTime = w.readings.map((r, i) => ({ ...r, i })).sort((a, b) => a.tsMs - b.tsMs || a.i - b.i);
    this.rollups.set(JSON.stringify([w.spec.name, w.device, w.metric, w.startMs]), {
      window: w.spec.name,
      device: w.device,
      metric: w.metric,
      startMs: w.startMs,
      count: values.length,
      sum: values.reduce((a, b) => a + b, 0),
      min: Math.min(...values),
      max: Math.max(...values),
      first: byTime[0].value,
      // Of several at the newest time the first that came, as a redelivery changes nothing either.
      last: byTime.find((r) => r.tsMs === byTime[byTime.length - 1].tsMs)!.value,
      revision: w.revision,
    });
  }

  #judge(message: LogMessage, v: Value, ordinal: number): void {
    const { device, partition, offset, index } = message;
    const series = JSON.stringify([device, v.metric]);
    if (v.tsMs < (this.#judged.get(series) ?? -1)) return;
    this.#judged.set(series, v.tsMs);
    for (const rule of this.#settings.rules) {
      if (rule.metric !== v.metric) continue;
      const key = JSON.stringify([rule.name, device]);
      const state = this.#phases.get(key) ?? { phase: 'normal', sinceMs: 0, id: '' };
      this.#phases.set(key, state);
      const beyond = rule.above !== null ? v.value > rule.above : v.value < (rule.below as number);
      const back = rule.above !== null ? v.value <= rule.clear : v.value >= rule.clear;
      if (state.phase === 'raised') {
        if (!back) continue;
        state.phase = 'normal';
        const alarm = this.alarms.get(state.id) as AlarmRow;
        this.alarms.set(state.id, { ...alarm, state: 'cleared', clearedMs: v.tsMs, value: v.value });
        this.#event(partition, `${state.id}-2`);
        continue;
      }
      if (!beyond) {
        state.phase = 'normal';
        continue;
      }
      if (state.phase === 'normal') state.sinceMs = v.tsMs;
      state.phase = 'pending';
      if (v.tsMs - state.sinceMs < rule.forMs) continue;
      state.phase = 'raised';
      const place = JSON.stringify([rule.name, device, partition, offset, index, ordinal]);
      state.id = createHash('sha256').update(place).digest('hex').slice(0, 20);
      const { id } = state;
      const row: AlarmRow = {
        id,
        rule: rule.name,
        device,
        state: 'raised',
        raisedMs: v.tsMs,
        clearedMs: null,
        value: v.value,
      };
      this.alarms.set(id, row);
      this.#event(partition, `${id}-1`);
    }
  }

  #event(partition: number, id: string): void {
    const events = this.events.get(partition) ?? [];
    events.push(id);
    this.events.set(partition, events);
  }
}

/** The values of a payload, or null where it belongs into the quarantine. Knows what the fleet of these tests sends. */
function decode({ payload, receivedMs }: LogMessage): Value[] | null {
  let root: unknown;
  try {
    root = JSON.parse(payload);
  } catch {
    return null;
  }
  const out: Value[] = [];
  for (const item of Array.isArray(root) ? root : [root]) {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return null;
    const { ts, values, ...rest } = item as Record<string, unknown>;
    const untimed = ts === undefined;
    if (!untimed && (typeof ts !== 'number' || ts < 1e12 || ts > 5e12)) return null;
    const tsMs = untimed ? receivedMs : (ts as number);
    for (const [metric, value] of Object.entries({ ...rest, ...(values as Record<string, unknown> | undefined) })) {
      if (typeof value === 'number') out.push({ metric, tsMs, untimed, value, text: '' });
      else if (typeof value === 'boolean') out.push({ metric, tsMs, untimed, value: value ? 1 : 0, text: '' });
      else if (typeof value === 'string') out.push({ metric, tsMs, untimed, value: Number.NaN, text: value });
      else if (value !== null) return null;
    }
  }
  return out.length === 0 ? null : out;
}
