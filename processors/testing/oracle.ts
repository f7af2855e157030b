import type { ThresholdRule } from '../../model/alarm.ts';
import type { Rollup } from '../../model/rollup.ts';
import type { TumblingWindow } from '../../model/window.ts';

/** One reading of a test, as it was decoded. */
export interface OracleReading {
  device: string;
  metric: string;
  /** Null: the message had no time. */
  ts: number | null;
  value: number;
  receivedMs: number;
}

interface OracleWindow {
  spec: TumblingWindow;
  device: string;
  metric: string;
  startMs: number;
  readings: { ts: number; value: number }[];
  revision: number;
  dirty: boolean;
  gone: boolean;
}

/**
 * What windows and alarms should give, in the plainest way: all readings are kept, everything is looked through each time.
 * Devices never become idle here.
 */
export class Oracle {
  readonly rollups: Rollup[] = [];
  readonly transitions: string[] = [];
  readonly stored: string[] = [];
  duplicates = 0;
  late = 0;
  readonly #specs: readonly TumblingWindow[];
  readonly #rules: readonly ThresholdRule[];
  readonly #skewMs: number;
  readonly #newest = new Map<string, number>();
  readonly #seen = new Set<string>();
  #windows: OracleWindow[] = [];
  readonly #evaluated = new Map<string, number>();
  readonly #alarms = new Map<string, { phase: string; since: number }>();

  constructor(specs: readonly TumblingWindow[], rules: readonly ThresholdRule[], skewMs: number) {
    this.#specs = specs;
    this.#rules = rules;
    this.#skewMs = skewMs;
  }

  frame(readings: readonly OracleReading[]): void {
    for (const reading of readings) this.#one(reading);
    for (const w of this.#windows) if (w.dirty) this.#emit(w);
    const next: OracleWindow[] = [];
    for (const w of this.#windows) {
      const watermark = (this.#newest.get(w.device) ?? -1) - w.spec.outOfOrderMs;
      const end = w.startMs + w.spec.sizeMs;
      if (w.revision === 0 && end <= watermark) this.#emit(w);
      if (end + w.spec.allowedLatenessMs > watermark) next.push(w);
    }
    this.#windows = next;
  }

  #one(r: OracleReading): void {
    const ts = r.ts ?? r.receivedMs;
    const ahead = ts > r.receivedMs + this.#skewMs;
    if (!ahead) this.#newest.set(r.device, Math.max(ts, this.#newest.get(r.device) ?? -1));
    const key = JSON.stringify([r.device, r.metric, ts]);
    const newest = this.#newest.get(r.device) ?? -1;
    const horizon = Math.max(60_000, ...this.#specs.map((s) => s.sizeMs + s.outOfOrderMs + s.allowedLatenessMs));
    if (r.ts !== null && !ahead && ts > newest - horizon) {
      if (this.#seen.has(key)) {
        this.duplicates++;
        return;
      }
      this.#seen.add(key);
    }
    this.stored.push(key);
    if (ahead) return;
    let late = false;
    for (const spec of this.#specs) if (!this.#window(spec, r, ts, newest)) late = true;
    if (late) this.late++;
    this.#rulesOf(r, ts);
  }

  #window(spec: TumblingWindow, r: OracleReading, ts: number, newest: number): boolean {
    if (spec.metrics.length > 0 && !spec.metrics.includes(r.metric)) return true;
    const startMs = ts - (ts % spec.sizeMs);
    if (startMs + spec.sizeMs + spec.allowedLatenessMs + spec.outOfOrderMs <= newest) return false;
    let w = this.#windows.find(
      (x) => x.spec === spec && x.device === r.device && x.metric === r.metric && x.startMs === startMs,
    );
    if (!w) {
      const { device, metric } = r;
      w = { spec, device, metric, startMs, readings: [], revision: 0, dirty: false, gone: false };
      this.#windows.push(w);
    }
    w.readings.push({ ts, value: r.value });
    if (w.revision > 0) w.dirty = true;
    return true;
  }

  #emit(w: OracleWindow): void {
    w.dirty = false;
    w.revision++;
    const values = w.readings.map((x) => x.value);
    const inTime = w.readings.map((x, i) => ({ ...x, i })).sort((a, b) => a.ts - b.ts || a.i - b.i);
    const newestTs = inTime[inTime.length - 1].ts;
    const sum = values.reduce((a, b) => a + b, 0);
    this.rollups.push({
      window: w.spec.name,
      device: w.device,
      metric: w.metric,
      startMs: w.startMs,
      endMs: w.startMs + w.spec.sizeMs,
      count: values.length,
      sum,
      min: Math.min(...values),
      max: Math.max(...values),
      avg: sum / values.length,
      first: inTime[0].value,
      last: (inTime.find((x) => x.ts === newestTs) as { value: number }).value,
      extra: null,
      label: '',
      revision: w.revision,
      phase: w.revision === 1 ? 'final' : 'corrected',
    });
  }

  #rulesOf(r: OracleReading, ts: number): void {
    const series = JSON.stringify([r.device, r.metric]);
    if (ts < (this.#evaluated.get(series) ?? -1)) return;
    this.#evaluated.set(series, ts);
    for (const rule of this.#rules) {
      if (rule.metric !== r.metric || (rule.devices.length > 0 && !rule.devices.includes(r.device))) continue;
      const key = JSON.stringify([rule.name, r.device]);
      const state = this.#alarms.get(key) ?? { phase: 'normal', since: 0 };
      this.#alarms.set(key, state);
      const beyond = rule.above !== null ? r.value > rule.above : r.value < (rule.below as number);
      const back = rule.above !== null ? r.value <= rule.clear : r.value >= rule.clear;
      if (state.phase === 'raised') {
        if (back) {
          state.phase = 'normal';
          this.transitions.push(`${rule.name} ${r.device} cleared ${ts} ${r.value}`);
        }
        continue;
      }
      if (!beyond) state.phase = 'normal';
      else {
        if (state.phase === 'normal') state.since = ts;
        state.phase = 'pending';
        if (ts - state.since >= rule.forMs) {
          state.phase = 'raised';
          this.transitions.push(`${rule.name} ${r.device} raised ${ts} ${r.value}`);
        }
      }
    }
  }
}
