import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomOf } from '../../processors/testing/scenario.ts';
import { eventually, kill9 } from '../program.ts';
import { damageCheckpoints } from './checkpoint-damage.ts';
import { PARTITIONS } from './log-contents.ts';
import type { Weather } from './proxy.ts';
import type { Rig, Variant } from './rig.ts';

/** One trouble of a round. */
export interface Disturbance {
  kind: string;
  /** Since the trouble before it was over, or the round began. */
  afterMs: number;
  /** How long it goes on, where it has a length. */
  forMs: number;
  /** 0 to 1, for what the kind chooses by itself. */
  choice: number;
}

interface Kind {
  /** What it belongs to, for --only. */
  group: 'kill' | 'stop' | 'checkpoint' | 'store' | 'kafka' | 'rebalance';
  variants: readonly Variant[];
  /** How often it is drawn, against 1. */
  weight?: number;
  run(rig: Rig, disturbance: Disturbance): Promise<void>;
}

const EVERYWHERE: readonly Variant[] = ['embedded', 'proxied', 'kafka'];
const EMBEDDED: readonly Variant[] = ['embedded', 'proxied'];

const KINDS: Record<string, Kind> = {
  'kill-door': { group: 'kill', variants: EVERYWHERE, run: (rig) => killRole(rig, 'door') },
  'kill-processor': { group: 'kill', variants: EVERYWHERE, weight: 2, run: (rig) => killRole(rig, 'processor') },
  'kill-store': { group: 'kill', variants: EVERYWHERE, run: (rig) => killRole(rig, 'store') },
  'kill-gateway': { group: 'kill', variants: EVERYWHERE, weight: 0.3, run: (rig) => killRole(rig, 'gateway') },
  'kill-thread': { group: 'kill', variants: EVERYWHERE, run: (rig) => signalRole(rig, 'processor', 'SIGUSR2') },
  'kill-supervisor': { group: 'kill', variants: EVERYWHERE, weight: 0.5, run: killSupervisor },
  'kill-all': {
    group: 'kill',
    variants: EVERYWHERE,
    async run(rig, { forMs }) {
      await rig.killAll();
      await pause(forMs / 4);
      await rig.program.restart();
    },
  },
  'stop-door': { group: 'stop', variants: EVERYWHERE, run: (rig, d) => freezeRole(rig, 'door', d.forMs) },
  'stop-processor': { group: 'stop', variants: EVERYWHERE, run: (rig, d) => freezeRole(rig, 'processor', d.forMs) },
  'stop-store': { group: 'stop', variants: EVERYWHERE, run: (rig, d) => freezeRole(rig, 'store', d.forMs) },
  'damage-checkpoint': { group: 'checkpoint', variants: EMBEDDED, run: (rig, d) => damaged(rig, 'flip', d.choice) },
  'tear-checkpoint': { group: 'checkpoint', variants: EMBEDDED, run: (rig, d) => damaged(rig, 'tear', d.choice) },
  'damage-checkpoint-file': {
    group: 'checkpoint',
    variants: EMBEDDED,
    run: (rig, d) => damaged(rig, 'file', d.choice),
  },
  'lose-checkpoints': {
    group: 'checkpoint',
    variants: EMBEDDED,
    weight: 0.5,
    async run(rig) {
      await rig.killAll();
      await rm(join(rig.program.dataDir, 'checkpoints'), { recursive: true, force: true });
      await rig.program.restart();
    },
  },
  'store-slow': { group: 'store', variants: ['proxied'], run: weather('slow') },
  'store-cut': { group: 'store', variants: ['proxied'], weight: 2, run: weather('cut') },
  'store-swallow': { group: 'store', variants: ['proxied'], run: weather('swallow') },
  'store-away': { group: 'store', variants: ['proxied'], run: weather('away', 2) },
  'kafka-kill': {
    group: 'kafka',
    variants: ['kafka'],
    weight: 2,
    async run(rig, { forMs }) {
      await rig.broker!.kill();
      await pause(forMs);
      await rig.broker!.restart();
    },
  },
  'kafka-restart': { group: 'kafka', variants: ['kafka'], run: (rig) => rig.broker!.restart() },
  'rebalance-leave': { group: 'rebalance', variants: ['kafka'], run: (rig, d) => rebalance(rig, 'SIGTERM', d.forMs) },
  'rebalance-kill': { group: 'rebalance', variants: ['kafka'], run: (rig, d) => rebalance(rig, 'SIGKILL', d.forMs) },
};

/** The troubles of a round, from its seed alone. `only` holds names of kinds or of groups; empty means all. */
export function planOf(seed: number, variant: Variant, only: readonly string[] = []): Disturbance[] {
  const random = randomOf(seed * 7919 + 1);
  const possible = Object.entries(KINDS).filter(
    ([name, kind]) =>
      kind.variants.includes(variant) && (only.length === 0 || only.includes(name) || only.includes(kind.group)),
  );
  if (possible.length === 0) return [];
  const total = possible.reduce((sum, [, kind]) => sum + (kind.weight ?? 1), 0);
  const draw = (): string => {
    let at = random() * total;
    for (const [name, kind] of possible) {
      at -= kind.weight ?? 1;
      if (at < 0) return name;
    }
    return possible[possible.length - 1][0];
  };
  return Array.from({ length: 1 + Math.floor(random() * 3) }, () => shaped(draw(), random));
}

/** A plan of these kinds, whose times are from the seed. */
export function planOfKinds(seed: number, kinds: readonly string[]): Disturbance[] {
  const random = randomOf(seed * 7919 + 1);
  return kinds.map((kind) => shaped(kind, random));
}

function shaped(kind: string, random: () => number): Disturbance {
  const afterMs = 100 + Math.floor(random() * 900);
  return { kind, afterMs, forMs: 300 + Math.floor(random() * 2000), choice: random() };
}

/** What a plan may hide from a subscriber of alarm events: it hears those that come while it is connected to a living door. */
export function interruptsSubscribers(plan: readonly Disturbance[]): boolean {
  return plan.some(({ kind }) => /door|all|supervisor|checkpoint/.test(kind));
}

export async function disturb(rig: Rig, disturbance: Disturbance): Promise<void> {
  await pause(disturbance.afterMs);
  await KINDS[disturbance.kind].run(rig, disturbance);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const pidOf = (rig: Rig, role: string): Promise<number> =>
  eventually(`a ${role} that runs`, () => rig.pid(role), 30_000);

async function killRole(rig: Rig, role: string): Promise<void> {
  kill9(await pidOf(rig, role));
}

async function signalRole(rig: Rig, role: string, signal: NodeJS.Signals): Promise<void> {
  const pid = await pidOf(rig, role);
  // One that has only just been started has not got its handler yet, and would be killed by the signal: that is a test as well.
  process.kill(pid, signal);
}

async function freezeRole(rig: Rig, role: string, forMs: number): Promise<void> {
  const pid = await pidOf(rig, role);
  process.kill(pid, 'SIGSTOP');
  await pause(forMs);
  process.kill(pid, 'SIGCONT');
}

/** The roles notice that their supervisor is gone, drain and end; then somebody starts the program again. */
async function killSupervisor(rig: Rig): Promise<void> {
  const roles = [...(await rig.program.pids()).values()];
  kill9(rig.program.pid());
  await eventually('the roles to end after their supervisor', async () => roles.every((pid) => !isAlive(pid)), 60_000);
  await rig.program.restart();
}

async function damaged(rig: Rig, how: 'flip' | 'tear' | 'file', choice: number): Promise<void> {
  await rig.killAll();
  await damageCheckpoints(join(rig.program.dataDir, 'checkpoints'), how, choice);
  await rig.program.restart();
}

function weather(name: Weather, times = 1): Kind['run'] {
  return async (rig, { forMs }) => {
    rig.proxy!.weather = name;
    await pause(forMs * times);
    rig.proxy!.weather = 'pass';
  };
}

async function rebalance(rig: Rig, end: NodeJS.Signals, forMs: number): Promise<void> {
  const second = rig.secondProcessor();
  // Until both have partitions, as they tell it themselves; a second one that never gets any is seen in its own tests.
  await eventually('two processors that share the partitions', () => isShared(rig), 15_000).catch(() => undefined);
  await pause(forMs / 2);
  second.kill(end);
  await new Promise((resolve) => (second.exitCode !== null ? resolve(null) : second.once('exit', resolve)));
}

async function isShared(rig: Rig): Promise<boolean> {
  const text = await (await fetch(`${rig.program.httpUrl}/metrics`)).text();
  const counts = [...text.matchAll(/^sluice_processor_partitions\{[^}]*\} (\d+)$/gm)].map((m) => Number(m[1]));
  return counts.length > 1 && counts.every((n) => n > 0) && counts.reduce((a, b) => a + b) === PARTITIONS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
