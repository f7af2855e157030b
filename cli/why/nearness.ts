import type { AlarmEvent, AlarmRule } from '../../model/alarm.ts';
import type { Reading } from '../../model/reading.ts';
import type { Explanation } from '../../processors/alarms/condition.ts';

/** How near a rule came to its alarm on a device over a span of time. */
export interface Nearness {
  rule: string;
  device: string;
  kind: AlarmRule['kind'];
  span: { fromMs: number; toMs: number };
  /** What must be so before anything is compared, and whether it is. */
  conditions: { met: boolean; what: string }[];
  /** Metrics that the device sent. */
  heard: Heard[];
  /** By what was compared, and level. */
  levels: NearLevel[];
  /** As it stands at the end of the span. */
  now: Explanation[];
  /** Raises in the span, in order; and for how many of them nobody was notified. */
  raised: { id: string; atMs: number; suppressed: string; notified: boolean }[];
}

export interface Heard {
  metric: string;
  readings: number;
  texts: number;
  firstMs: number;
  lastMs: number;
}

export interface NearLevel {
  metric: string;
  severity: string;
  direction: 'above' | 'below';
  threshold: number;
  forMs: number;
  /** The highest (for below: lowest) number that was compared, and when; null when there was none. */
  nearest: { value: number; atMs: number } | null;
  /** The longest time that it was beyond without that being long enough, and how often that was. */
  longest: { lastedMs: number; fromMs: number } | null;
  pendings: number;
  /** Whether the level was reached and held. */
  active: boolean;
}

/** Looks on while the device's past goes through the engine. */
export class NearnessWatch {
  readonly raised: Nearness['raised'] = [];
  readonly heard = new Map<string, Heard>();
  readonly levels = new Map<string, NearLevel & { pendingFromMs: number | null }>();
  now: Explanation[] = [];
  readonly #rule: AlarmRule;
  readonly #device: string;
  readonly #span: { fromMs: number; toMs: number };
  /** The value compared is the reading itself, of which several may come between two looks. */
  readonly #ownMetric: string | null;

  constructor(rule: AlarmRule, device: string, span: { fromMs: number; toMs: number }) {
    this.#rule = rule;
    this.#device = device;
    this.#span = span;
    this.#ownMetric = rule.kind === 'threshold' ? rule.metric : null;
  }

  readonly reading = ({ device, metric, tsMs, value }: Reading): void => {
    if (device !== this.#device || !this.#inSpan(tsMs)) return;
    const heard = this.heard.get(metric) ?? { metric, readings: 0, texts: 0, firstMs: tsMs, lastMs: tsMs };
    this.heard.set(metric, heard);
    heard.readings++;
    if (Number.isNaN(value)) heard.texts++;
    heard.lastMs = Math.max(heard.lastMs, tsMs);
    heard.firstMs = Math.min(heard.firstMs, tsMs);
    if (metric !== this.#ownMetric || Number.isNaN(value)) return;
    for (const level of this.levels.values()) compare(level, value, tsMs);
  };

  readonly event = ({ alarm, transition, atMs, notify }: AlarmEvent): void => {
    if (alarm.rule !== this.#rule.name || alarm.device !== this.#device || !this.#inSpan(atMs)) return;
    if (transition !== 'raised' && transition !== 'chattering') return;
    this.raised.push({ id: alarm.id, atMs, suppressed: alarm.suppressed, notified: notify });
  };

  /** What the engine says of the device after a frame. */
  look(explanations: readonly Explanation[]): void {
    this.now = explanations.filter(({ rule }) => rule === this.#rule.name);
    for (const explanation of this.now) {
      const { metric, lastMs, value } = explanation;
      if (lastMs === null || !this.#inSpan(lastMs)) continue;
      explanation.levels.forEach(({ severity, direction, threshold, phase, sinceMs }, i) => {
        const key = `${i} ${metric}`;
        let level = this.levels.get(key);
        if (level === undefined) {
          const { forMs } = this.#rule;
          level = { metric, severity, direction, threshold, forMs, ...NOTHING_YET };
          this.levels.set(key, level);
        }
        level.threshold = threshold;
        if (value !== null) compare(level, value, lastMs);
        if (phase === 'active') level.active = true;
        if (phase !== 'pending' || sinceMs === null) level.pendingFromMs = null;
        else {
          if (level.pendingFromMs !== sinceMs) level.pendings++;
          level.pendingFromMs = sinceMs;
          const lastedMs = lastMs - sinceMs;
          if (level.longest === null || lastedMs > level.longest.lastedMs)
            level.longest = { lastedMs, fromMs: sinceMs };
        }
      });
    }
  }

  #inSpan(tsMs: number): boolean {
    return tsMs >= this.#span.fromMs && tsMs < this.#span.toMs;
  }
}

const NOTHING_YET = { nearest: null, longest: null, pendings: 0, active: false, pendingFromMs: null };

function compare(level: NearLevel, value: number, atMs: number): void {
  const sign = level.direction === 'above' ? 1 : -1;
  if (level.nearest === null || value * sign > level.nearest.value * sign) level.nearest = { value, atMs };
}
