import { unleash } from './chaos.ts';
import { check, checkBounds } from './checks.ts';
import { type Plan, planOf } from './faults.ts';
import { SimProgram } from './program.ts';
import type { Trace } from './scheduler.ts';
import { World } from './world.ts';

export interface Outcome {
  seed: number;
  plan: Plan;
  /** What was found wrong; empty when all is well. */
  failures: string[];
  /** Of the whole trace, when there is one: equal for equal runs. */
  hash: string;
  steps: number;
  virtualMs: number;
  counts: ReadonlyMap<string, number>;
  lines: readonly string[] | null;
}

/** After the faults have ended everything has to be done within this, of virtual time. */
const DRAIN_MS_MAX = 180_000;
/** An honest run takes some ten thousand steps. */
const STEPS_MAX = 400_000;

/** Runs one seed to its end and judges it. */
export async function simulate(seed: number, options: { trace?: Trace; plan?: Plan } = {}): Promise<Outcome> {
  const plan = options.plan ?? planOf(seed);
  const world = new World(seed, plan, options.trace ?? 'none');
  const { scheduler } = world;
  const failures: string[] = [];
  const unnoticed = (error: unknown) => {
    failures.push(`a promise was rejected and nobody noticed: ${error instanceof Error ? error.stack : error}`);
  };
  process.on('unhandledRejection', unnoticed);
  try {
    const program = new SimProgram(world);
    unleash(world, program);
    await work(world, program, failures);
    if (failures.length === 0) failures.push(...check(world, program));
    failures.push(...world.violations);
  } catch (error) {
    failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    process.off('unhandledRejection', unnoticed);
  }
  const { steps, nowMs, lines } = scheduler;
  return { seed, plan, failures, hash: scheduler.hash(), steps, virtualMs: nowMs, counts: world.counts, lines };
}

async function work(world: World, program: SimProgram, failures: string[]): Promise<void> {
  const { plan, scheduler } = world;
  const afterStep = () => {
    checkBounds(world, program);
    if (scheduler.steps > STEPS_MAX) throw new Error(`no end after ${STEPS_MAX} steps`);
  };
  const devicesDone = () =>
    !world.chaos && program.operators?.done !== false && program.devices.every((device) => device.done);
  const untilMs = plan.chaosMs + DRAIN_MS_MAX;
  if (!(await scheduler.run(devicesDone, untilMs, afterStep))) {
    failures.push('liveness: devices still wait for acknowledgements long after the faults have ended');
    return;
  }
  world.ticking = false;
  let doorsClosed = false;
  // A commit of a member that was put out has no effect; the next frame's has, and there is always a next tick.
  const tick = () => {
    if (!doorsClosed) for (const door of program.doors) door?.batcher.tick(door.process.clock.nowMs());
    scheduler.at(20_000, 'a late tick', tick);
  };
  scheduler.at(20_000, 'a late tick', tick);
  const isDrained = () => program.drained();
  if (!(await scheduler.run(isDrained, untilMs, afterStep))) {
    failures.push('liveness: the log was not worked off long after the faults have ended');
    return;
  }
  // As SIGTERM does it: first the doors, then the processors, when they have done what is on the log.
  doorsClosed = true;
  let closed = 0;
  const count = () => {
    closed++;
  };
  void program.closeDoors().then(count);
  const doorsAreDone = () => closed === 1 && program.drained();
  if (!(await scheduler.run(doorsAreDone, untilMs + 60_000, afterStep))) {
    failures.push('liveness: the doors do not close, or what they said last is not worked off');
    return;
  }
  void program.closeProcessors().then(count);
  const allAreDone = () => closed === 2;
  if (!(await scheduler.run(allAreDone, untilMs + 120_000, afterStep))) failures.push('liveness: it does not close');
}
