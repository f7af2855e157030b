import type { Rollup, RollupPhase } from '../../model/rollup.ts';
import type { CountWindow, StateWindow, WindowBase } from '../../model/window.ts';
import { type PlainReading, type PlainWindows, summary } from './window-oracle.ts';

/** Count and state windows: what was taken in time, in order of ts; and what the bound has hurried. */
class InOrder {
  readonly #spec: WindowBase;
  /** Who shares a bound and an order. */
  readonly #keyOf: (r: PlainReading) => string;
  /** Readings of one ts are taken together. */
  readonly #together: boolean;
  #waiting: PlainReading[] = [];
  readonly #taken = new Map<string, number>();
  hurried = 0;

  constructor(spec: WindowBase, keyOf: (r: PlainReading) => string, together: boolean) {
    this.#spec = spec;
    this.#keyOf = keyOf;
    this.#together = together;
  }

  push(r: PlainReading, newestMs: number): boolean {
    if (r.ts < newestMs - this.#spec.outOfOrderMs || r.ts < (this.#taken.get(this.#keyOf(r)) ?? -1)) return false;
    this.#waiting.push(r);
    return true;
  }

  /** What has become ready. */
  take(device: string, eventMs: number): PlainReading[] {
    const { outOfOrderMs, readingsMax } = this.#spec;
    const ready: PlainReading[] = [];
    const mine = this.#waiting.filter((r) => r.device === device).sort((a, b) => a.ts - b.ts || a.order - b.order);
    for (const key of new Set(mine.map(this.#keyOf))) {
      const all = mine.filter((r) => this.#keyOf(r) === key);
      const inTime = all.filter((r) => r.ts < eventMs - outOfOrderMs).length;
      let count = Math.max(inTime, all.length - readingsMax);
      while (this.#together && count > 0 && count < all.length && all[count].ts === all[count - 1].ts) count++;
      this.hurried += count - inTime;
      ready.push(...all.slice(0, count));
      if (count > 0) this.#taken.set(key, all[count - 1].ts);
    }
    this.#waiting = this.#waiting.filter((r) => !ready.includes(r));
    return ready.sort((a, b) => a.ts - b.ts || a.order - b.order);
  }
}

const seriesOf = (r: PlainReading): string => JSON.stringify([r.device, r.metric]);

export class PlainCount implements PlainWindows {
  readonly #spec: CountWindow;
  readonly #order: InOrder;
  readonly #open = new Map<
    string,
    { startMs: number; readings: PlainReading[]; revision: number; earlyMs: number | null }
  >();
  readonly #starts = new Map<string, number>();

  constructor(spec: CountWindow) {
    this.#spec = spec;
    this.#order = new InOrder(spec, seriesOf, false);
  }

  get displaced(): number {
    return this.#order.hurried;
  }

  push(r: PlainReading, newestMs: number): boolean {
    return this.#order.push(r, newestMs);
  }

  frameEnd(device: string, eventMs: number): Rollup[] {
    const { name, count, everyMs } = this.#spec;
    const out: Rollup[] = [];
    const grown = new Set<string>();
    const emit = (metric: string, phase: RollupPhase): void => {
      const w = this.#open.get(JSON.stringify([device, metric]))!;
      const endMs = Math.max(w.startMs, ...w.readings.map((r) => r.ts)) + 1;
      const span = { startMs: w.startMs, endMs };
      out.push({
        window: name,
        device,
        metric,
        ...span,
        ...summary(w.readings),
        label: '',
        revision: ++w.revision,
        phase,
      });
    };
    for (const r of this.#order.take(device, eventMs)) {
      const series = JSON.stringify([device, r.metric]);
      grown.add(series);
      if (!this.#open.has(series)) {
        const startMs = Math.max(r.ts, (this.#starts.get(series) ?? -1) + 1);
        this.#starts.set(series, startMs);
        this.#open.set(series, { startMs, readings: [], revision: 0, earlyMs: null });
      }
      this.#open.get(series)!.readings.push(r);
      if (this.#open.get(series)!.readings.length < count) continue;
      emit(r.metric, 'final');
      this.#open.delete(series);
    }
    for (const [series, w] of this.#open) {
      const [of, metric] = JSON.parse(series);
      if (of !== device || everyMs === null) continue;
      if (w.earlyMs !== null && w.earlyMs <= eventMs) {
        w.earlyMs = null;
        emit(metric, 'early');
      } else if (grown.has(series) && w.earlyMs === null) w.earlyMs = (Math.floor(eventMs / everyMs) + 1) * everyMs;
    }
    return out;
  }
}

interface OpenState {
  label: string;
  startMs: number;
  readings: PlainReading[];
  revisions: Map<string, number>;
  earlyMs: number | null;
}

export class PlainStates implements PlainWindows {
  readonly #spec: StateWindow;
  readonly #order: InOrder;
  readonly #open = new Map<string, OpenState>();

  constructor(spec: StateWindow) {
    this.#spec = spec;
    this.#order = new InOrder(spec, (r) => r.device, true);
  }

  get displaced(): number {
    return this.#order.hurried;
  }

  push(r: PlainReading, newestMs: number): boolean {
    return this.#order.push(r, newestMs);
  }

  frameEnd(device: string, eventMs: number): Rollup[] {
    const { state, everyMs, outOfOrderMs } = this.#spec;
    const out: Rollup[] = [];
    const ready = this.#order.take(device, eventMs);
    for (const ts of [...new Set(ready.map((r) => r.ts))]) {
      const together = ready.filter((r) => r.ts === ts);
      const now = together.filter((r) => r.metric === state).at(-1);
      const label = now && (now.text !== '' ? now.text : String(now.value));
      const before = this.#open.get(device);
      if (now && label !== undefined && before?.label !== label) {
        if (before) out.push(...this.#rollups(device, before, ts, 'final'));
        this.#open.set(device, { label, startMs: ts, readings: [], revisions: new Map(), earlyMs: null });
      }
      this.#open.get(device)?.readings.push(...together.filter((r) => r.metric !== state || r === now));
    }
    const open = this.#open.get(device);
    if (open === undefined || everyMs === null) return out;
    if (open.earlyMs !== null && open.earlyMs <= eventMs) {
      open.earlyMs = null;
      const newestTaken = Math.max(...open.readings.map((r) => r.ts));
      out.push(...this.#rollups(device, open, Math.max(eventMs - outOfOrderMs, newestTaken), 'early'));
    } else if (ready.length > 0 && open.earlyMs === null) open.earlyMs = (Math.floor(eventMs / everyMs) + 1) * everyMs;
    return out;
  }

  #rollups(device: string, w: OpenState, endMs: number, phase: RollupPhase): Rollup[] {
    return [...new Set(w.readings.map((r) => r.metric))].map((metric) => {
      const isState = metric === this.#spec.state;
      const readings = w.readings
        .filter((r) => r.metric === metric)
        .map((r) => (Number.isNaN(r.value) ? { ...r, value: 0 } : r));
      const revision = (w.revisions.get(metric) ?? 0) + 1;
      w.revisions.set(metric, revision);
      const extra = isState ? new Map([['duration_ms', endMs - w.startMs]]) : null;
      const span = { startMs: w.startMs, endMs };
      const { name: window } = this.#spec;
      return { window, device, metric, ...span, ...summary(readings), extra, label: w.label, revision, phase };
    });
  }
}
