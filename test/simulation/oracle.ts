import { createHash } from 'node:crypto';
import type { LogFrame } from '../../log/log.ts';
import type { ThresholdRule } from '../../model/alarm.ts';
import { FrameReader } from '../../model/frame.ts';
import type { TumblingWindow } from '../../model/window.ts';
import { OracleTime } from './oracle-time.ts';

export interface OracleSettings {
  windows: readonly TumblingWindow[];
  rules: readonly ThresholdRule[];
  clockSkewMaxMs: number;
  idleMs: number;
}

interface Reading {
  device: string;
  metric: string;
  ts: number;
  untimed: boolean;
  /** A text has none. */
  value: number | null;
  offset: number;
  index: number;
  ordinal: number;
}

interface OpenWindow {
  spec: TumblingWindow;
  device: string;
  metric: string;
  startMs: number;
  readings: { ts: number; value: number }[];
  revision: number;
  dirty: boolean;
}

interface RuleState {
  phase: 'normal' | 'pending' | 'raised';
  since: number;
  id: string;
  raisedMs: number;
}

/**
 * What one partition's log should have given, in the plainest way: every message is parsed by JSON.parse, all readings are kept,
 * everything is looked through each time. It shares no code with the processors but the reader of frames.
 */
export class Oracle {
  /** One line for each: readings that are stored (with their place on the log), messages in quarantine, rollups, alarm rows. */
  readonly readings: string[] = [];
  readonly quarantine: string[] = [];
  readonly rollups: string[] = [];
  readonly alarms: string[] = [];
  /** Payloads of each device, in the order of the log. */
  readonly payloads: { device: string; payload: string }[] = [];
  readonly #settings: OracleSettings;
  readonly #partition: number;
  readonly #time: OracleTime;
  readonly #seen = new Set<string>();
  readonly #judged = new Map<string, number>();
  readonly #states = new Map<string, RuleState>();
  readonly #gone = new Map<string, number>();
  #windows: OpenWindow[] = [];

  constructor(partition: number, settings: OracleSettings) {
    this.#partition = partition;
    this.#settings = settings;
    this.#time = new OracleTime(settings.idleMs);
  }

  frame({ offset, bytes }: LogFrame): void {
    const reader = new FrameReader();
    reader.reset(bytes);
    while (reader.next()) {
      const device = reader.device();
      if (device === '') {
        this.#time.clockMs = Math.max(this.#time.clockMs, reader.receivedMs);
        continue;
      }
      const payload = Buffer.from(reader.payload()).toString();
      this.payloads.push({ device, payload });
      this.#time.message(device, reader.receivedMs);
      const readings = readingsOf(payload, reader.receivedMs);
      if (readings === null) this.quarantine.push(`${device} ${this.#partition}/${offset}/${reader.index} ${payload}`);
      else this.#message(readings, device, reader.receivedMs, offset, reader.index);
    }
    for (const w of this.#windows) if (w.dirty) this.#emit(w);
    this.#time.endFrame((device, eventMs) => this.#advance(device, eventMs));
  }

  #message(
    found: Omit<Reading, 'device' | 'offset' | 'index'>[],
    device: string,
    received: number,
    offset: number,
    index: number,
  ) {
    const own = new Set<string>();
    for (const one of found) {
      const reading = { ...one, device, offset, index };
      const { metric, ts, untimed } = reading;
      const ahead = ts > received + this.#settings.clockSkewMaxMs;
      if (!ahead) this.#time.reading(device, ts);
      const key = JSON.stringify([device, metric, ts]);
      if (untimed) {
        if (own.has(metric)) continue;
        own.add(metric);
      } else if (!ahead && ts > this.#time.newest(device) - this.#horizonMs()) {
        if (this.#seen.has(key)) continue;
        this.#seen.add(key);
      }
      this.readings.push(lineOf(this.#partition, reading));
      if (ahead || reading.value === null) continue;
      for (const spec of this.#settings.windows) this.#window(spec, reading, reading.value);
      this.#rules(reading, reading.value);
    }
  }

  #horizonMs(): number {
    return Math.max(60_000, ...this.#settings.windows.map((w) => w.sizeMs + w.outOfOrderMs + w.allowedLatenessMs));
  }

  #window(spec: TumblingWindow, { device, metric, ts }: Reading, value: number): void {
    if (spec.metrics.length > 0 && !spec.metrics.includes(metric)) return;
    const startMs = Math.floor(ts / spec.sizeMs) * spec.sizeMs;
    const endMs = startMs + spec.sizeMs;
    const passed = endMs + spec.allowedLatenessMs + spec.outOfOrderMs <= this.#time.newest(device);
    let window = this.#windows.find(
      (w) => w.spec === spec && w.device === device && w.metric === metric && w.startMs === startMs,
    );
    if (passed || (endMs <= (this.#gone.get(`${spec.name} ${device}`) ?? 0) && ts < this.#time.newest(device))) return;
    if (window === undefined) {
      if (endMs <= (this.#gone.get(`${spec.name} ${device}`) ?? 0)) return;
      window = { spec, device, metric, startMs, readings: [], revision: 0, dirty: false };
      this.#windows.push(window);
      this.#time.wake(device, endMs + spec.outOfOrderMs);
    }
    window.readings.push({ ts, value });
    if (window.revision > 0) window.dirty = true;
  }

  /** The device's event time has come to `eventMs`: closes what it has passed, and tells when it is due next. */
  #advance(device: string, eventMs: number): number {
    let dueMs = Number.POSITIVE_INFINITY;
    this.#windows = this.#windows.filter((w) => {
      if (w.device !== device) return true;
      const { name, sizeMs, outOfOrderMs, allowedLatenessMs } = w.spec;
      const endMs = w.startMs + sizeMs;
      if (w.revision === 0 && endMs <= eventMs - outOfOrderMs) this.#emit(w);
      if (endMs + allowedLatenessMs <= eventMs - outOfOrderMs) {
        const key = `${name} ${device}`;
        this.#gone.set(key, Math.max(endMs, this.#gone.get(key) ?? 0));
        return false;
      }
      dueMs = Math.min(dueMs, endMs + outOfOrderMs + (w.revision > 0 ? allowedLatenessMs : 0));
      return true;
    });
    return dueMs;
  }

  #emit(w: OpenWindow): void {
    w.dirty = false;
    w.revision++;
    const values = w.readings.map((r) => r.value);
    const sum = values.reduce((a, b) => a + b, 0);
    const oldest = w.readings.reduce((a, b) => (b.ts < a.ts ? b : a));
    const newest = w.readings.reduce((a, b) => (b.ts > a.ts ? b : a));
    this.rollups.push(
      JSON.stringify([
        ...[w.spec.name, w.device, w.metric, w.startMs, w.startMs + w.spec.sizeMs, values.length, sum],
        ...[Math.min(...values), Math.max(...values), sum / values.length, oldest.value, newest.value, w.revision],
      ]),
    );
  }

  #rules(reading: Reading, value: number): void {
    const { device, metric, ts } = reading;
    const series = JSON.stringify([device, metric]);
    if (ts < (this.#judged.get(series) ?? 0)) return;
    this.#judged.set(series, ts);
    for (const rule of this.#settings.rules) {
      if (rule.metric !== metric) continue;
      if (rule.devices.length > 0 && !rule.devices.some((d) => d === device || (d === 'd*' && device.startsWith('d'))))
        continue;
      this.#rule(rule, reading, value, `${rule.name} ${device}`);
    }
  }

  #rule(rule: ThresholdRule, { device, ts, offset, index, ordinal }: Reading, value: number, key: string): void {
    const state = this.#states.get(key) ?? { phase: 'normal', since: 0, id: '', raisedMs: 0 };
    this.#states.set(key, state);
    const active = rule.above !== null ? value > rule.above : value < rule.below!;
    const clears = rule.above !== null ? value <= rule.clear : value >= rule.clear;
    if (state.phase === 'raised') {
      if (!clears) return;
      this.alarms.push(JSON.stringify([state.id, rule.name, device, 'cleared', state.raisedMs, ts, value, 2]));
      state.phase = 'normal';
      return;
    }
    if (!active) {
      state.phase = 'normal';
      return;
    }
    if (state.phase === 'normal') state.since = ts;
    state.phase = 'pending';
    if (ts - state.since < rule.forMs) return;
    const place = JSON.stringify([rule.name, device, this.#partition, offset, index, ordinal]);
    state.id = createHash('sha256').update(place).digest('hex').slice(0, 20);
    state.phase = 'raised';
    state.raisedMs = ts;
    this.alarms.push(JSON.stringify([state.id, rule.name, device, 'raised', ts, null, value, 1]));
  }
}

/** One line for a stored reading: the key of its row, where it is on the log, its value. */
function lineOf(partition: number, { device, metric, ts, untimed, value, offset, index }: Reading): string {
  return JSON.stringify([device, metric, ts, untimed ? 1 : 0, partition, offset, index, value]);
}

type Found = Omit<Reading, 'device' | 'offset' | 'index'>;

/** The readings of a payload; null when it belongs in the quarantine. */
function readingsOf(payload: string, receivedMs: number): Found[] | null {
  let root: unknown;
  try {
    root = JSON.parse(payload);
  } catch {
    return null;
  }
  const found: Found[] = [];
  for (const item of Array.isArray(root) ? root : [root]) {
    if (typeof item !== 'object' || item === null) return null;
    const { ts: given, values, ...others } = item as Record<string, unknown>;
    let ts = receivedMs;
    if (typeof given === 'string') ts = Date.parse(given);
    else if (typeof given === 'number') ts = given < 1e12 ? Math.round(given * 1000) : given;
    if (Number.isNaN(ts)) return null;
    for (const [metric, value] of [...Object.entries(values ?? {}), ...Object.entries(others)]) {
      if (value === null) continue;
      if (typeof value === 'object') return null;
      const number = typeof value === 'string' ? null : Number(value);
      found.push({ metric, ts, untimed: given === undefined, value: number, ordinal: found.length });
    }
  }
  return found.length === 0 ? null : found;
}
