import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlarmRule } from '../../model/alarm.ts';
import { options, Run } from '../testing/run.ts';
import { frameOf, START_MS, type TestMessage } from '../testing/scenario.ts';
import { ruleOf } from './testing/rules.ts';

/**
 * Conditions held to an account in the plainest words: all that was ever received is kept, and what should have been raised and
 * cleared is worked out from it after each frame. Levels, clocks, expressions, combinations and silence are here; rates, repetitions
 * and deviations in conditions/measures.test.ts.
 */

const SKEW_MS = 60_000;
const SILENT_MS = 4_000;
const DEVICES = ['a', 'b', 'c'];

const RULES: AlarmRule[] = [
  ruleOf('threshold', {
    name: 'levels',
    severity: 'warning',
    forMs: 1000,
    levels: [{ severity: 'critical', threshold: 33, clear: 31 }],
  }),
  ruleOf('threshold', { name: 'cold', above: null, below: 8, clear: 12 }),
  ruleOf('clock', { name: 'clock', aheadMs: 3000, behindMs: 6000 }),
  ruleOf('expression', { name: 'both', when: 'metrics.t > 20 && metrics.h > 20' }),
  ruleOf('expression', { name: 'until', when: 'metrics.t > 30', clearWhen: 'metrics.h < 10' }),
  ruleOf('combination', { name: 'not-cold', of: ['hot', '!cold'], atLeast: 2 }),
  ruleOf('combination', { name: 'any', of: ['both', 'cold'], atLeast: 1 }),
  ruleOf('threshold', { name: 'hot', above: 25, clear: 25, raises: false }),
  ruleOf('silence', { name: 'silent', afterMs: SILENT_MS, outageMs: 1e9 }),
];

interface Sent {
  device: string;
  receivedMs: number;
  tsMs: number;
  t?: number;
  h?: number;
}

/** What one step of time brings: who sends, how late or early the reading is dated, and what it says. */
const step = fc.record({
  device: fc.nat({ max: 4 }),
  passesMs: fc.oneof(fc.nat({ max: 900 }), fc.nat({ max: 2500 })),
  datedMs: fc.oneof(
    { weight: 6, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: -8000, max: 0 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 7000 }) },
    { weight: 1, arbitrary: fc.constant(SKEW_MS * 3) },
  ),
  t: fc.option(fc.nat({ max: 40 }), { nil: undefined, freq: 4 }),
  h: fc.option(fc.nat({ max: 40 }), { nil: undefined, freq: 3 }),
  again: fc.nat({ max: 9 }),
  endsFrame: fc.boolean(),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Frames of what was sent; a null is a tick. */
function sendingsOf(steps: readonly Step[]): (Sent | { tickMs: number })[][] {
  const frames: (Sent | { tickMs: number })[][] = [[]];
  const sent: Sent[] = [];
  let nowMs = START_MS;
  for (const { device, passesMs, datedMs, t, h, again, endsFrame } of steps) {
    nowMs += passesMs;
    const frame = frames[frames.length - 1];
    if (again === 0 && sent.length > 0) frame.push({ ...sent[sent.length - 1], receivedMs: nowMs });
    else if (device >= DEVICES.length || (t === undefined && h === undefined)) frame.push({ tickMs: nowMs });
    else {
      const one = { device: DEVICES[device], receivedMs: nowMs, tsMs: nowMs + datedMs, t, h };
      sent.push(one);
      frame.push(one);
    }
    if (endsFrame) frames.push([]);
  }
  return frames.filter((frame) => frame.length > 0);
}

function bytesOf(frame: readonly (Sent | { tickMs: number })[]): Uint8Array {
  const messages = frame.map((item): TestMessage => {
    if ('tickMs' in item) return { device: '', receivedMs: item.tickMs, payload: '' };
    const { device, receivedMs, tsMs, t, h } = item;
    return { device, receivedMs, payload: JSON.stringify({ ts: tsMs, t, h }) };
  });
  return frameOf(messages);
}

type Metric = 't' | 'h';

/** One device, with everything it ever said. */
class PlainDevice {
  readonly seen = new Set<string>();
  /** Newest value of each metric by ts; of equal ts the later one. */
  readonly newest = new Map<Metric, { ts: number; value: number }>();
  /** By level: since when it is pending, whether it is active. */
  readonly rungs = new Map<string, { since: number | null; active: boolean }>();
  readonly active = new Map<string, string>();
  heardMs: number | null = null;
}

class Plain {
  readonly events: string[] = [];
  readonly #devices = new Map<string, PlainDevice>();
  #clockMs = 0;

  /** `silent`: whom the engine called silent at the end of this frame. It must be by a second after its time, and may be from its time on. */
  frame(items: readonly (Sent | { tickMs: number })[], silent: ReadonlySet<string>): void {
    for (const item of items) {
      this.#clockMs = Math.max(this.#clockMs, 'tickMs' in item ? item.tickMs : item.receivedMs);
      if (!('tickMs' in item)) this.#message(item);
    }
    for (const [name, device] of this.#devices) {
      const dueMs = (device.heardMs ?? 0) + SILENT_MS;
      if (this.#clockMs >= dueMs + 1000 || (this.#clockMs >= dueMs && silent.has(name)))
        this.#turn(name, device, 'silent', 'major');
    }
  }

  #message({ device: name, receivedMs, tsMs, t, h }: Sent): void {
    const device = this.#devices.get(name) ?? new PlainDevice();
    this.#devices.set(name, device);
    device.heardMs = this.#clockMs;
    this.#turn(name, device, 'silent', null);
    let touched = false;
    // A redelivery says nothing of the clock; what is too far ahead to count for anything else does.
    let isNew = false;
    for (const [metric, value] of [
      ['t', t],
      ['h', h],
    ] as const) {
      if (value === undefined || device.seen.has(`${metric} ${tsMs}`)) continue;
      isNew = true;
      if (tsMs > receivedMs + SKEW_MS) continue;
      device.seen.add(`${metric} ${tsMs}`);
      const newest = device.newest.get(metric);
      if (newest !== undefined && tsMs < newest.ts) continue;
      device.newest.set(metric, { ts: tsMs, value });
      touched = true;
      if (metric === 't') this.#thresholds(name, device, tsMs, value);
    }
    const value = (metric: Metric) => device.newest.get(metric)?.value;
    const [newT, newH] = [value('t'), value('h')];
    if (newT !== undefined && newH !== undefined)
      this.#turn(name, device, 'both', newT > 20 && newH > 20 ? 'major' : null);
    // An expression is looked at when something that it names has changed.
    if (!touched) {
      // Nothing to look at.
    } else if (device.active.has('until')) {
      if (newH !== undefined && newH < 10) this.#turn(name, device, 'until', null);
    } else if (newT !== undefined && newT > 30) this.#turn(name, device, 'until', 'major');
    const holds = (rule: string) => device.active.has(rule);
    this.#turn(name, device, 'not-cold', holds('hot') && !holds('cold') ? 'major' : null);
    this.#turn(name, device, 'any', holds('both') || holds('cold') ? 'major' : null);
    const aheadMs = tsMs - receivedMs;
    if (!isNew) return;
    if (aheadMs > 3000 || -aheadMs > 6000) this.#turn(name, device, 'clock', 'major');
    else this.#turn(name, device, 'clock', null);
  }

  #thresholds(name: string, device: PlainDevice, ts: number, value: number): void {
    const warning = this.#rung(device, 'warning', ts, value > 30, value <= 25, 1000);
    const critical = this.#rung(device, 'critical', ts, value > 33, value <= 31, 1000);
    this.#turn(name, device, 'levels', critical ? 'critical' : warning ? 'warning' : null);
    this.#turn(name, device, 'cold', this.#rung(device, 'cold', ts, value < 8, value >= 12, 0) ? 'major' : null);
    this.#turn(name, device, 'hot', value > 25 ? 'major' : null);
  }

  #rung(device: PlainDevice, rung: string, ts: number, beyond: boolean, back: boolean, forMs: number): boolean {
    const state = device.rungs.get(rung) ?? { since: null, active: false };
    device.rungs.set(rung, state);
    if (state.active) {
      if (back) {
        state.active = false;
        state.since = null;
      }
      return state.active;
    }
    state.since = beyond ? (state.since ?? ts) : null;
    state.active = state.since !== null && ts - state.since >= forMs;
    return state.active;
  }

  #turn(name: string, device: PlainDevice, rule: string, severity: string | null): void {
    const before = device.active.get(rule) ?? null;
    if (before === severity) return;
    if (severity === null) device.active.delete(rule);
    else device.active.set(rule, severity);
    if (rule === 'hot') return;
    this.events.push(severity === null ? `${name} ${rule} cleared` : `${name} ${rule} raised ${severity}`);
  }
}

describe('levels, clocks, expressions, combinations and silence', () => {
  it('turn when a plain account of all readings says so', () => {
    const told = new Set<string>();
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 30, maxLength: 90 }),
        fc.array(fc.nat({ max: 2 }), { minLength: 10 }),
        (steps, cuts) => {
          const run = new Run(options({ rules: RULES, windows: [], clockSkewMaxMs: SKEW_MS }));
          const plain = new Plain();
          sendingsOf(steps).forEach((frame, i) => {
            run.frame(bytesOf(frame) as Uint8Array<ArrayBuffer>);
            const before = run.rows.alarms.length;
            const raised = run
              .alarms()
              .slice(before)
              .filter((alarm) => alarm.rule === 'silent' && alarm.state === 'raised');
            plain.frame(frame, new Set(raised.map(({ device }) => device)));
            if (cuts[i % cuts.length] > 0) run.restart();
          });
          const own = run
            .alarms()
            .map(({ device, rule, state, severity }) =>
              state === 'raised' ? `${device} ${rule} raised ${severity}` : `${device} ${rule} cleared`,
            );
          // What one message decides comes in an order that follows the rules; the order in which each rule turns is what counts.
          const byRule = (events: readonly string[]) =>
            DEVICES.flatMap((device) =>
              RULES.map(({ name }) => events.filter((event) => event.startsWith(`${device} ${name} `)).join('; ')),
            );
          expect(
            byRule(own),
            JSON.stringify(
              sendingsOf(steps).map((f) =>
                f.map((x) =>
                  'tickMs' in x
                    ? x.tickMs - START_MS
                    : [x.device, x.receivedMs - START_MS, x.tsMs - START_MS, x.t, x.h],
                ),
              ),
            ),
          ).toEqual(byRule(plain.events));
          for (const event of own) told.add(event.slice(2));
        },
      ),
      { numRuns: 25 },
    );
    // All of it happened, or the comparison would say little.
    for (const { name } of RULES)
      if (name !== 'hot')
        expect(
          [...told].some((event) => event.startsWith(name)),
          name,
        ).toBe(true);
  });
});
