import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafkaMissing } from './kafka.ts';
import { planOfKinds } from './torture/disturbances.ts';
import { type Rig, startRig, type Variant } from './torture/rig.ts';
import { runRound } from './torture/round.ts';
import type { Mode } from './torture/settings.ts';

/**
 * Real processes, real kills: a dozen rounds of `npm run torture` with fixed seeds (docs/reliability.md). In each, devices publish and
 * remember what was acknowledged while something breaks; then log, tables, alarm events and an oracle are compared.
 */

const noKafka = process.env.CI === 'true' ? null : kafkaMissing();
if (noKafka !== null) console.warn(`skipped: ${noKafka}`);

const PROGRAMS: { variant: Variant; mode: Mode; rounds: string[][] }[] = [
  {
    variant: 'embedded',
    mode: 'exact',
    rounds: [
      ['kill-door', 'kill-door'],
      ['kill-processor', 'kill-processor'],
      ['kill-store', 'kill-processor'],
      ['kill-thread', 'kill-gateway'],
      ['stop-door', 'stop-processor'],
      ['kill-all'],
      ['damage-checkpoint'],
      ['kill-supervisor'],
    ],
  },
  {
    variant: 'proxied',
    mode: 'idle',
    rounds: [
      ['store-cut', 'store-slow', 'store-cut'],
      ['store-away', 'kill-processor', 'store-swallow'],
    ],
  },
  {
    variant: 'embedded',
    mode: 'everything',
    rounds: [
      ['kill-processor', 'kill-door'],
      ['kill-all', 'damage-checkpoint'],
    ],
  },
  { variant: 'kafka', mode: 'idle', rounds: [['kafka-kill'], ['rebalance-kill']] },
];

describe.each(PROGRAMS)(
  '$variant $mode: what was acknowledged is there once, and in windows and alarms once, after',
  (p) => {
    const skip = p.variant === 'kafka' && noKafka !== null;
    let rig: Rig;

    beforeAll(async () => {
      if (!skip) rig = await startRig(p.variant, p.mode);
    }, 240_000);

    afterAll(async () => {
      await rig?.close();
    }, 240_000);

    it.skipIf(skip).each(p.rounds.map((kinds, i) => ({ name: kinds.join(', '), kinds, seed: 4_000 + i })))(
      '$name',
      async ({ kinds, seed }) => {
        const plan = planOfKinds(seed, kinds);
        const result = await runRound(rig, { seed, plan, messages: 35, blastMessages: 3_000 });
        expect(result.verdict, rig.program.output()).toEqual({
          lost: 0,
          doubled: 0,
          twiceOnDisk: 0,
          wrongRollups: 0,
          wrongAlarms: 0,
          disordered: 0,
          unbalanced: 0,
          notes: [],
        });
        expect(result.acknowledged).toBeGreaterThan(3_000);
        expect(result.rollups).toBeGreaterThan(100);
        expect(result.alarmEvents).toBeGreaterThan(10);
        if (p.mode === 'everything') expect(result.operations).toBeGreaterThan(3);
      },
      240_000,
    );
  },
);
