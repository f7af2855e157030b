import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlarmRule } from '../../model/alarm.ts';
import { at, message, options, Run, window } from '../testing/run.ts';
import { frameOf, START_MS, type TestMessage, troubledFrames } from '../testing/scenario.ts';
import { ruleOf } from './testing/rules.ts';

/** Every kind, several of them looking at others. */
const ALL: AlarmRule[] = [
  ruleOf('threshold', { name: 'hot', levels: [{ severity: 'critical', threshold: 33, clear: 31 }], forMs: 1000 }),
  ruleOf('rate', { name: 'fast' }),
  ruleOf('rate', { name: 'steep', windowMs: 6000, above: 1, clear: 0.5 }),
  ruleOf('repeat', { name: 'often', times: 2, withinMs: 20_000 }),
  ruleOf('deviation', { name: 'odd' }),
  ruleOf('deviation', { name: 'odder', metric: 'h', method: 'mad', direction: 'up' }),
  ruleOf('silence', { name: 'silent', afterMs: 4000 }),
  ruleOf('silence', { name: 'learned', afterMinMs: 1000 }),
  ruleOf('silence', { name: 'no-h', metric: 'h', afterMs: 3000 }),
  ruleOf('clock', { name: 'wrong-clock', behindMs: 15_000 }),
  ruleOf('expression', { name: 'both', when: 'metrics.t > 28 && metrics.h > 40', forMs: 500 }),
  ruleOf('expression', {
    name: 'state',
    when: 'metrics.state == "on" && rollup["3s"].t.avg > 25',
    clearWhen: 'metrics.t < 20',
  }),
  ruleOf('combination', { name: 'all', of: ['hot', 'both', '!silent'], atLeast: 3, forMs: 2000 }),
  ruleOf('combination', { name: 'any', of: ['all', 'fast'], atLeast: 1 }),
];

describe('conditions of all kinds', () => {
  it('give the same bytes however batches are cut, and wherever they are saved and restored', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat({ max: 2 }), { minLength: 60, maxLength: 60 }), (seed, steps) => {
        const o = options({ windows: [window({ name: '3s', sizeMs: 3000 })], rules: ALL, idleMs: 5000 });
        const frames = troubledFrames(seed, 60, ['a', 'b', 'c']);
        const whole = new Run(o);
        for (const frame of frames) whole.frame(frame);
        const parts = new Run(o);
        frames.forEach((frame, i) => {
          parts.frame(frame);
          if (steps[i] === 1) parts.cut();
          if (steps[i] === 2) parts.restart();
        });
        whole.cut();
        parts.cut();
        expect(parts.rows.alarms).toEqual(whole.rows.alarms);
        expect(parts.alarmBytes).toBe(whole.alarmBytes);
        expect(Buffer.from(parts.pipeline.save()).equals(Buffer.from(whole.pipeline.save()))).toBe(true);
        const ids = whole.alarms().map(({ id, version }) => `${id} ${version}`);
        expect(new Set(ids).size).toBe(ids.length);
      }),
      { numRuns: 8 },
    );
  });

  it('all turn over such frames, without which the test before would say nothing of them', () => {
    const turned = new Set<string>();
    for (let seed = 1; seed <= 6; seed++) {
      const run = new Run(options({ windows: [window({ name: '3s', sizeMs: 3000 })], rules: ALL, idleMs: 5000 }));
      for (const frame of troubledFrames(seed, 120, ['a', 'b', 'c'])) run.frame(frame);
      for (const { rule } of run.alarms()) turned.add(rule);
    }
    expect([...turned].sort()).toEqual(ALL.map(({ name }) => name).sort());
  });
});

/** raised and cleared, as seconds after the start, of one rule. */
function turns(run: Run, rule: string): string[] {
  return run.alarms().flatMap((a) => {
    if (a.rule !== rule) return [];
    const ms = a.state === 'raised' ? a.raisedMs : (a.clearedMs ?? 0);
    return [`${a.device} ${a.state} ${(ms - START_MS) / 1000}`];
  });
}

describe('a silent device', () => {
  const run = (rules: AlarmRule[]) => new Run(options({ rules, windows: [] }));
  const ticks = (r: Run, fromS: number, toS: number) => {
    for (let s = fromS; s <= toS; s++) r.messages({ device: '', receivedMs: at(s), payload: '' });
  };
  const speak = (r: Run, device: string, fromS: number, toS: number, stepS: number) => {
    for (let s = fromS; s <= toS; s++) {
      if ((s - fromS) % stepS === 0) r.messages(message(device, s, { t: 1 }));
      else r.messages({ device: '', receivedMs: at(s), payload: '' });
    }
  };

  it('is told by its own cadence once that is known, and heard again', () => {
    const r = run([ruleOf('silence')]);
    speak(r, 'a', 0, 200, 20);
    ticks(r, 201, 300);
    r.messages(message('a', 301, { t: 1 }));
    // 200 + 3 · 20
    expect(turns(r, 'silence')).toEqual(['a raised 260', 'a cleared 301']);
  });

  it('is not told while the door was down, nor in the time that devices need to come back', () => {
    const r = run([ruleOf('silence', { afterMs: 30_000, graceMs: 20_000 })]);
    speak(r, 'a', 0, 10, 1);
    ticks(r, 11, 20);
    // The door is down for an hour. 10 s were lived before, and 20 s do not count after it: 20 s more from 3640 on.
    ticks(r, 3620, 3659);
    expect(turns(r, 'silence')).toEqual([]);
    ticks(r, 3660, 3660);
    expect(r.alarms().map(({ raisedMs }) => (raisedMs - START_MS) / 1000)).toEqual([3660]);
  });

  it('is not told by processing that lags: a frame of a whole day with everything in it raises nothing', () => {
    const r = run([ruleOf('silence', { afterMs: 5000 })]);
    const messages: TestMessage[] = Array.from({ length: 3600 }, (_, s) => message('a', s, { t: 1 }));
    r.frame(frameOf(messages));
    expect(turns(r, 'silence')).toEqual([]);
  });

  it('is told from a metric that is missing while the device speaks', () => {
    const rules = [
      ruleOf('silence', { name: 'device', afterMs: 10_000 }),
      ruleOf('silence', { name: 'metric', metric: 'h', afterMs: 10_000 }),
    ];
    const speaking = run(rules);
    speaking.messages(message('a', 0, { t: 1, h: 1 }));
    for (let s = 1; s <= 15; s++) speaking.messages(message('a', s, { t: 1 }));
    expect(turns(speaking, 'metric')).toEqual(['a raised 10']);
    expect(turns(speaking, 'device')).toEqual([]);
    const silent = run(rules);
    silent.messages(message('a', 0, { t: 1, h: 1 }));
    ticks(silent, 1, 15);
    expect(turns(silent, 'metric')).toEqual([]);
    expect(turns(silent, 'device')).toEqual(['a raised 10']);
  });

  it('keeps the gap between bursts in mind', () => {
    const r = run([ruleOf('silence')]);
    for (let burst = 0; burst < 6; burst++) {
      for (let i = 0; i < 30; i++)
        r.messages({ ...message('a', burst * 60, { t: i }), receivedMs: at(burst * 60) + i * 10 });
      ticks(r, burst * 60 + 1, burst * 60 + 59);
    }
    expect(turns(r, 'silence')).toEqual([]);
  });
});

describe('rules over others', () => {
  it('see what the others say of the same readings, in whatever order the metrics come', () => {
    const rules = [
      ruleOf('combination', { name: 'both', of: ['t-high', 'h-high'], atLeast: 2 }),
      ruleOf('threshold', { name: 't-high', raises: false }),
      ruleOf('threshold', { name: 'h-high', metric: 'h', raises: false }),
    ];
    const r = new Run(options({ rules, windows: [] }));
    r.messages(message('a', 0, { t: 40, h: 0 }));
    // Never both at once.
    r.messages(message('a', 1, { h: 40, t: 0 }));
    r.messages(message('a', 2, { t: 40, h: 0 }));
    expect(r.alarms()).toEqual([]);
    r.messages(message('a', 3, { t: 40, h: 40 }));
    expect(turns(r, 'both')).toEqual(['a raised 3']);
  });
});

describe('levels', () => {
  it('let the severity rise and fall while the alarm lasts', () => {
    const rule = ruleOf('threshold', {
      severity: 'warning',
      above: 80,
      clear: 75,
      levels: [{ severity: 'critical', threshold: 90, clear: 88 }],
    });
    const r = new Run(options({ rules: [rule], windows: [] }));
    for (const [s, t] of [70, 85, 95, 89, 87, 74].entries()) r.messages(message('a', s, { t }));
    expect(r.alarms().map((a) => `${a.state} ${a.severity} ${a.value}`)).toEqual([
      'raised warning 85',
      'raised critical 95',
      'raised warning 87',
      'cleared warning 74',
    ]);
    expect(new Set(r.alarms().map(({ id }) => id)).size).toBe(1);
  });
});
