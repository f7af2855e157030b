import type { Rollup, RollupPhase } from '../../model/rollup.ts';
import type { HoppingWindow, SessionWindow, WindowBase, WindowSpec } from '../../model/window.ts';
import { PlainCount, PlainStates } from './window-oracle-order.ts';
import { PlainSliding } from './window-oracle-sliding.ts';

/** A reading as it was decoded; a text has a NaN in its value. */
export interface PlainReading {
  device: string;
  metric: string;
  ts: number;
  value: number;
  text: string;
  /** The order in which it came. */
  order: number;
}

/** One kind of window, in the plainest way: it keeps all that it needs as readings, and looks through everything each time. */
export interface PlainWindows {
  /** Returns false when the reading came too late. */
  push(reading: PlainReading, newestMs: number): boolean;
  /** Readings that its bound made leave before their time. */
  readonly displaced?: number;
  /** At the end of a frame, for one device: its event time. */
  frameEnd(device: string, eventMs: number): Rollup[];
}

interface Plain {
  device: string;
  metric: string;
  startMs: number;
  endMs: number;
  readings: PlainReading[];
  revision: number;
  state: 'open' | 'final' | 'again';
  emittedEndMs: number;
  toEmit: boolean;
  changed: boolean;
  earlyMs: number | null;
}

const plain = (r: PlainReading, startMs: number, endMs: number): Plain => ({
  device: r.device,
  metric: r.metric,
  startMs,
  endMs,
  readings: [],
  revision: 0,
  state: 'open',
  emittedEndMs: 0,
  toEmit: false,
  changed: false,
  earlyMs: null,
});

/** What a rollup says of some readings. */
export function summary(readings: readonly PlainReading[]) {
  const values = readings.map((r) => r.value);
  const inTime = [...readings].sort((a, b) => a.ts - b.ts || a.order - b.order);
  const newestMs = inTime[inTime.length - 1].ts;
  const sum = values.reduce((a, b) => a + b, 0);
  return {
    count: values.length,
    sum,
    min: Math.min(...values),
    max: Math.max(...values),
    avg: sum / values.length,
    first: inTime[0].value,
    last: inTime.filter((r) => r.ts === newestMs)[0].value,
    extra: null,
  };
}

function rollupOf(spec: WindowBase, w: Plain, phase: RollupPhase): Rollup {
  const { device, metric, startMs, endMs } = w;
  w.emittedEndMs = endMs;
  const revision = ++w.revision;
  return { window: spec.name, device, metric, startMs, endMs, ...summary(w.readings), label: '', revision, phase };
}

/** What both kinds below do at the end of a frame. */
function frameEndOf(spec: WindowBase, windows: Plain[], eventMs: number): { out: Rollup[]; left: Plain[] } {
  const out: Rollup[] = [];
  for (const w of windows) {
    if (w.toEmit) out.push(rollupOf(spec, w, w.state === 'final' ? 'corrected' : 'early'));
    else if (w.changed && spec.everyMs !== null && w.state !== 'final' && w.earlyMs === null)
      w.earlyMs = (Math.floor(eventMs / spec.everyMs) + 1) * spec.everyMs;
    w.toEmit = false;
    w.changed = false;
  }
  const watermark = eventMs - spec.outOfOrderMs;
  for (const w of windows) {
    if (w.state === 'final') continue;
    if (w.endMs <= watermark) {
      out.push(rollupOf(spec, w, w.state === 'again' ? 'corrected' : 'final'));
      w.state = 'final';
      w.earlyMs = null;
    } else if (w.earlyMs !== null && w.earlyMs <= eventMs) {
      out.push(rollupOf(spec, w, 'early'));
      w.earlyMs = null;
    }
  }
  return { out, left: windows.filter((w) => w.endMs + spec.allowedLatenessMs > watermark) };
}

/** Tumbling windows too: with hop = size. */
export class PlainHopping implements PlainWindows {
  readonly #spec: Omit<HoppingWindow, 'kind'>;
  #windows: Plain[] = [];

  constructor(spec: Omit<HoppingWindow, 'kind'>) {
    this.#spec = spec;
  }

  push(r: PlainReading, newestMs: number): boolean {
    const { sizeMs, hopMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    let complete = true;
    for (let start = Math.floor(r.ts / hopMs) * hopMs; start + sizeMs > r.ts; start -= hopMs) {
      if (start + sizeMs + outOfOrderMs + allowedLatenessMs <= newestMs) {
        complete = false;
        continue;
      }
      let w = this.#windows.find((x) => x.device === r.device && x.metric === r.metric && x.startMs === start);
      if (w === undefined) {
        w = plain(r, start, start + sizeMs);
        this.#windows.push(w);
      }
      w.readings.push(r);
      w.changed = true;
      if (w.state === 'final') w.toEmit = true;
    }
    return complete;
  }

  frameEnd(device: string, eventMs: number): Rollup[] {
    const mine = this.#windows.filter((w) => w.device === device);
    const { out, left } = frameEndOf(this.#spec, mine, eventMs);
    this.#windows = [...this.#windows.filter((w) => w.device !== device), ...left];
    return out;
  }
}

export class PlainSessions implements PlainWindows {
  readonly #spec: SessionWindow;
  #sessions: Plain[] = [];
  #retracted: Rollup[] = [];
  readonly #gone = new Map<string, number>();

  constructor(spec: SessionWindow) {
    this.#spec = spec;
  }

  push(r: PlainReading, newestMs: number): boolean {
    const { gapMs, sizeMaxMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    const isPast = (endMs: number): boolean => endMs + outOfOrderMs + allowedLatenessMs <= newestMs;
    const series = JSON.stringify([r.device, r.metric]);
    const mine = this.#sessions
      .filter((s) => s.device === r.device && s.metric === r.metric)
      .sort((a, b) => a.startMs - b.startMs);
    const before = mine.filter((s) => s.startMs <= r.ts).at(-1);
    const after = mine.find((s) => s.startMs > r.ts);
    const joins =
      before && (r.ts <= lastMs(before) || (r.ts - lastMs(before) < gapMs && r.ts < before.startMs + sizeMaxMs));
    if (before && joins && !isPast(before.endMs)) {
      const wasLast = lastMs(before);
      before.readings.push(r);
      if (
        after &&
        r.ts > wasLast &&
        after.startMs - r.ts < gapMs &&
        lastMs(after) - before.startMs < sizeMaxMs &&
        !isPast(after.endMs)
      ) {
        this.#retract(after);
        before.readings.push(...after.readings);
        if (after.revision > 0) before.toEmit = true;
        this.#sessions = this.#sessions.filter((s) => s !== after);
        if (before.state === 'open' && after.state !== 'open')
          before.state = this.#end(before) + outOfOrderMs <= newestMs ? after.state : 'again';
      }
      this.#changed(before, newestMs);
      return true;
    }
    if (before && r.ts <= lastMs(before)) return false;
    if (after && after.startMs - r.ts < gapMs && lastMs(after) - r.ts < sizeMaxMs && !isPast(after.endMs)) {
      this.#retract(after);
      if (after.revision > 0) after.toEmit = true;
      after.revision = 0;
      after.startMs = r.ts;
      after.readings.push(r);
      this.#changed(after, newestMs);
      return true;
    }
    if (isPast(r.ts + gapMs) || r.ts + gapMs <= (this.#gone.get(series) ?? 0)) return false;
    const made = plain(r, r.ts, 0);
    made.readings.push(r);
    this.#sessions.push(made);
    this.#changed(made, newestMs);
    return true;
  }

  #end(s: Plain): number {
    return Math.min(lastMs(s) + this.#spec.gapMs, s.startMs + this.#spec.sizeMaxMs);
  }

  #changed(s: Plain, newestMs: number): void {
    s.endMs = this.#end(s);
    s.changed = true;
    if (s.state !== 'final') return;
    s.toEmit = true;
    if (s.endMs > s.emittedEndMs && s.endMs + this.#spec.outOfOrderMs > newestMs) s.state = 'again';
  }

  #retract(s: Plain): void {
    if (s.revision === 0) return;
    const none = { count: 0, sum: 0, min: 0, max: 0, avg: 0, first: 0, last: 0, extra: null, label: '' };
    const { device, metric, startMs, revision } = s;
    const window = this.#spec.name;
    this.#retracted.push({
      window,
      device,
      metric,
      startMs,
      endMs: startMs,
      ...none,
      revision: revision + 1,
      phase: 'corrected',
    });
  }

  frameEnd(device: string, eventMs: number): Rollup[] {
    const retracted = this.#retracted.filter((r) => r.device === device);
    this.#retracted = this.#retracted.filter((r) => r.device !== device);
    const mine = this.#sessions.filter((s) => s.device === device);
    const { out, left } = frameEndOf(this.#spec, mine, eventMs);
    for (const s of mine) {
      if (left.includes(s)) continue;
      const series = JSON.stringify([s.device, s.metric]);
      this.#gone.set(series, Math.max(this.#gone.get(series) ?? 0, lastMs(s) + this.#spec.gapMs));
    }
    this.#sessions = [...this.#sessions.filter((s) => s.device !== device), ...left];
    return [...retracted, ...out];
  }
}

const lastMs = (s: Plain): number => Math.max(...s.readings.map((r) => r.ts));

function plainOf(spec: WindowSpec): PlainWindows {
  switch (spec.kind) {
    case 'tumbling':
      return new PlainHopping({ ...spec, hopMs: spec.sizeMs });
    case 'hopping':
      return new PlainHopping(spec);
    case 'session':
      return new PlainSessions(spec);
    case 'sliding':
      return new PlainSliding(spec);
    case 'count':
      return new PlainCount(spec);
    case 'state':
      return new PlainStates(spec);
  }
}

function isNamed(spec: WindowSpec, r: { device: string; metric: string }): boolean {
  return (
    glob(spec.devices, r.device) && (glob(spec.metrics, r.metric) || (spec.kind === 'state' && spec.state === r.metric))
  );
}

/** How far below the newest ts a kind takes readings. */
function horizonOf(spec: WindowSpec): number {
  const lateMs = spec.outOfOrderMs + spec.allowedLatenessMs;
  switch (spec.kind) {
    case 'session':
      return spec.gapMs + spec.sizeMaxMs + lateMs;
    case 'count':
    case 'state':
      return spec.outOfOrderMs + 1;
    default:
      return spec.sizeMs + lateMs;
  }
}

const glob = (patterns: readonly string[], name: string): boolean =>
  patterns.length === 0 || patterns.some((p) => (p.endsWith('*') ? name.startsWith(p.slice(0, -1)) : p === name));

/** What the windows of a partition should give. Devices never become idle here. */
export class WindowOracle {
  readonly rollups: Rollup[] = [];
  late = 0;
  duplicates = 0;
  /** Readings that a window did not take because it had as many series as it may. */
  beyond = 0;
  readonly #kinds: { spec: WindowSpec; windows: PlainWindows; taken: Set<string> }[];
  readonly #skewMs: number;
  readonly #horizonMs: number;
  readonly #newest = new Map<string, number>();
  readonly #seen = new Set<string>();
  #order = 0;

  constructor(specs: readonly WindowSpec[], skewMs: number) {
    this.#kinds = specs.map((spec) => ({ spec, windows: plainOf(spec), taken: new Set() }));
    this.#skewMs = skewMs;
    this.#horizonMs = Math.max(60_000, ...specs.map(horizonOf));
  }

  frame(readings: readonly (Omit<PlainReading, 'order'> & { receivedMs: number; isTimed: boolean })[]): void {
    for (const r of readings) this.#one(r);
    for (const { windows } of this.#kinds)
      for (const [device, newestMs] of this.#newest) this.rollups.push(...windows.frameEnd(device, newestMs));
  }

  /** Readings that bounds made leave before their time. */
  get displaced(): number {
    return this.#kinds.reduce((sum, { windows }) => sum + (windows.displaced ?? 0), 0);
  }

  /** All devices have been silent for a long time: what is open is given. */
  silence(): void {
    for (const { windows } of this.#kinds)
      for (const [device, newestMs] of this.#newest) this.rollups.push(...windows.frameEnd(device, newestMs + 1e8));
  }

  #one(r: Omit<PlainReading, 'order'> & { receivedMs: number; isTimed: boolean }): void {
    const series = JSON.stringify([r.device, r.metric]);
    for (const { spec, taken } of this.#kinds)
      if (isNamed(spec, r) && taken.size < (spec.seriesMax ?? Number.POSITIVE_INFINITY)) taken.add(series);
    const isAhead = r.ts > r.receivedMs + this.#skewMs;
    if (!isAhead) this.#newest.set(r.device, Math.max(r.ts, this.#newest.get(r.device) ?? -1));
    const newestMs = this.#newest.get(r.device) ?? -1;
    const key = JSON.stringify([r.device, r.metric, r.ts]);
    if (r.isTimed && !isAhead && r.ts > newestMs - this.#horizonMs) {
      if (this.#seen.has(key)) {
        this.duplicates++;
        return;
      }
      this.#seen.add(key);
    }
    if (isAhead) return;
    let isLate = false;
    const reading = { ...r, order: this.#order++ };
    for (const { spec, windows, taken } of this.#kinds) {
      const isState = spec.kind === 'state' && spec.state === r.metric;
      if (!isNamed(spec, r) || (!isState && Number.isNaN(r.value))) continue;
      if (!taken.has(series)) {
        this.beyond++;
        continue;
      }
      if (!windows.push(reading, newestMs)) isLate = true;
    }
    if (isLate) this.late++;
  }
}
