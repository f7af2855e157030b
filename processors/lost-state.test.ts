import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlarmEvent, AlarmRule } from '../model/alarm.ts';
import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../model/frame.ts';
import { telemetryTopic } from '../model/topics.ts';
import { alarmAfter, type PastTransition } from './alarms/alarm-history.ts';
import { ruleOf } from './alarms/testing/rules.ts';
import type { LostState } from './lost-state.ts';
import { PartitionPipeline } from './pipeline.ts';
import { linesOf, recordedBlocks } from './testing/recorded-blocks.ts';
import { at, options } from './testing/run.ts';
import { randomOf } from './testing/scenario.ts';

const RULES: AlarmRule[] = [
  { ...ruleOf('threshold', { name: 'hot', above: 30, clear: 20 }), ackRequired: true },
  ruleOf('threshold', { name: 'held', above: 30, clear: 30, forMs: 3000 }),
  ruleOf('silence', { name: 'silent', afterMs: 5000, outageMs: 1e9 }),
  ruleOf('combination', { name: 'both', of: ['hot', 'held'], atLeast: 2 }),
];

/** One partition whose state may be lost: transitions are kept, as the store does. */
class Partition {
  readonly events: AlarmEvent[] = [];
  #pipeline = this.#open(null);
  #offset = 0;

  #open(lost: LostState | null, state: Uint8Array | null = null): PartitionPipeline {
    const opts = options({ rules: RULES, windows: [] });
    return new PartitionPipeline(0, opts, { state, lost, lastAlarm: null }, recordedBlocks());
  }

  frame(nowS: number, said: readonly { device: string; t: number }[]): void {
    const builder = new FrameBuilder(256);
    const none = new Uint8Array(0);
    builder.append(at(nowS), encodeIdentity('', TICK_TOPIC), none, 0, 0);
    for (const { device, t } of said) {
      const payload = Buffer.from(JSON.stringify({ ts: at(nowS), t }));
      builder.append(at(nowS), encodeIdentity(device, telemetryTopic(device)), payload, 0, payload.length);
    }
    this.#pipeline.process(this.#offset++, new Uint8Array(builder.finish()), null, true);
    for (const [event] of linesOf(this.#pipeline.take().blocks.alarm_events)) this.events.push(event as AlarmEvent);
  }

  lose(nowS: number): void {
    const of = new Map<string, PastTransition[]>();
    for (const event of this.events) of.set(event.alarm.id, [...(of.get(event.alarm.id) ?? []), transitionOf(event)]);
    const alarms = [...of.values()].map(alarmAfter).filter(({ alarm }) => alarm.life !== 'normal');
    for (const { alarm } of alarms) {
      const newest = this.events.findLast((event) => event.alarm.id === alarm.id)?.alarm;
      expect(alarm).toEqual(newest);
    }
    this.#pipeline = this.#open({ clockMs: at(nowS), devices: [], operations: [], facts: [], alarms });
    this.restart();
  }

  restart(): void {
    const state = this.#pipeline.save();
    this.#pipeline = this.#open(null, state);
    expect(Buffer.from(this.#pipeline.save()).equals(Buffer.from(state))).toBe(true);
  }

  /** Alarms that are raised, as `rule device`. */
  open(): string[] {
    const last = new Map(this.events.map(({ alarm }) => [alarm.id, alarm]));
    return [...last.values()]
      .filter(({ state }) => state === 'raised')
      .map(({ rule, device }) => `${rule} ${device}`)
      .sort();
  }
}

function transitionOf({ alarm, transition, atMs, by, comment }: AlarmEvent): PastTransition {
  const { id, version, rule, device, metric, severity, state, life, value, message, suppressed } = alarm;
  const { groupId, shelvedUntilMs, ruleVersion } = alarm;
  const rest = { suppressed, groupId, shelvedUntilMs, ruleVersion, transition, atMs, by, comment };
  return { id, version, rule, device, metric, severity, state, life, value, message, ...rest };
}

describe('a partition whose state was lost', () => {
  it('goes on with its open alarms: none is raised twice, and each ends as it would have', () => {
    let recovered = 0;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = randomOf(seed);
        const [here, there] = [new Partition(), new Partition()];
        const lostAtS = 5 + Math.floor(random() * 20);
        let values = [10, 10, 10];
        let mute = [false, false, false];
        for (let nowS = 0; nowS < 60; nowS++) {
          if (random() < 0.3) values = values.map((value) => (random() < 0.4 ? 5 + Math.floor(random() * 40) : value));
          if (random() < 0.1) mute = mute.map(() => random() < 0.3);
          // In the end each says something that decides.
          if (nowS > 45) [values, mute] = [values.map((value) => (value > 30 ? 40 : 10)), [false, false, false]];
          const said = values.flatMap((t, d) => (mute[d] ? [] : [{ device: `d${d}`, t }]));
          here.frame(nowS, said);
          there.frame(nowS, said);
          if (nowS === lostAtS) {
            recovered += there.open().length;
            there.lose(nowS);
          } else if (random() < 0.1) there.restart();
          expect(new Set(there.open()).size).toBe(there.open().length);
        }
        expect(there.open()).toEqual(here.open());
      }),
      { numRuns: 25 },
    );
    expect(recovered).toBeGreaterThan(10);
  });
});
