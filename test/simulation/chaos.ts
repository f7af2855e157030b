import type { Faults } from './faults.ts';
import type { SimProgram } from './program.ts';
import { Random } from './random.ts';
import type { World } from './world.ts';

/** Faults that come by themselves, at intervals of their own mean, until the plan's chaos is over; then everything heals. */
export function unleash(world: World, program: SimProgram): void {
  const { plan, scheduler } = world;
  const random = new Random(world.seed, 'chaos');
  const anyProcessor = () => random.int(0, plan.processors - 1);
  const anyDoor = () => random.int(0, plan.doors - 1);
  const forAWhile = (meanMs: number, what: string, end: () => void) => scheduler.at(random.delay(meanMs), what, end);
  const every = (name: keyof Faults, strike: () => void) => {
    const meanMs = plan.faults[name];
    if (meanMs === 0) return;
    const next = () =>
      scheduler.at(random.delay(meanMs), name, () => {
        if (!world.chaos) return;
        world.count(name);
        strike();
        next();
      });
    next();
  };
  every('doorCrashMs', () => program.crashDoor(anyDoor()));
  every('doorRestartMs', () => program.restartDoor(anyDoor()));
  every('processorCrashMs', () => program.crashProcessor(anyProcessor()));
  every('processorRestartMs', () => void program.restartProcessor(anyProcessor()));
  every('storeCrashMs', () => program.crashStore(false));
  every('storeAwayMs', () => {
    program.store.up = false;
    forAWhile(3000, 'store is back', () => {
      program.store.up = true;
    });
  });
  every('powerLossMs', () => program.losePower());
  every('workerDeathMs', () => program.killWorker());
  every('logFullMs', () => {
    program.log.full = true;
    forAWhile(2000, 'disk has room', () => {
      program.log.full = false;
    });
  });
  every('logAwayMs', () => {
    program.log.away = true;
    forAWhile(1500, 'broker is back', () => {
      program.log.away = false;
    });
  });
  every('slowDiskMs', () => {
    program.log.slowness = random.between(5, 100);
    forAWhile(2000, 'disk is quick', () => {
      program.log.slowness = 1;
    });
  });
  every('clockJumpMs', () => {
    world.host.offsetMs += random.delay(100_000);
  });
  every('clockJumpBackMs', () => {
    world.host.offsetMs -= random.delay(100_000);
  });
  every('linkLossMs', () => random.pick(program.devices).dropLink());
  every('rebalanceMs', () => program.rebalance(random));
  every('checkpointRotMs', () => {
    const isOfMerges = program.merges !== null && random.chance(0.3);
    (isOfMerges ? program.merges : program.checkpoints)?.rot();
  });
  every('mergeMs', () => program.store.merge());
  scheduler.at(plan.chaosMs, 'faults end', () => {
    world.chaos = false;
    program.log.full = false;
    program.log.away = false;
    program.log.slowness = 1;
    program.store.up = true;
  });
}
