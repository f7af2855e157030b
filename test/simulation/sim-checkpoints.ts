import type { Checkpoint, Checkpoints } from '../../log/checkpoints.ts';
import { SluiceError } from '../../model/errors.ts';
import type { Process } from './scheduler.ts';
import type { World } from './world.ts';

interface Kept extends Checkpoint {
  /** Its checksum does not fit: it is passed over. */
  damaged: boolean;
}

/** Checkpoints as log/checkpoints.ts promises them: the newest and the one before, each with a checksum. */
export class SimCheckpoints {
  readonly #world: World;
  readonly #kept = new Map<number, Kept[]>();
  /** The furthest that somebody has saved each partition at. */
  readonly furthest = new Map<number, number>();

  constructor(world: World) {
    this.#world = world;
  }

  open(process: Process): Checkpoints {
    const world = this.#world;
    return {
      load: (partition) =>
        new Promise((resolve) => {
          process.after(world.delay(2), `load checkpoint ${partition}`, () => {
            const good = this.#of(partition).find((kept) => !kept.damaged);
            resolve(good === undefined ? null : { offsetNext: good.offsetNext, state: good.state.slice() });
          });
        }),
      save: (partition, checkpoint) => this.#save(process, partition, checkpoint),
      close: async () => {},
    };
  }

  #of(partition: number): Kept[] {
    return this.#kept.get(partition) ?? [];
  }

  #save(process: Process, partition: number, { offsetNext, state }: Checkpoint): Promise<void> {
    const world = this.#world;
    const kept = { offsetNext, state: state.slice(), damaged: false };
    const fails = world.strikes(world.plan.faults.saveFails, 'save failed');
    let saved = false;
    const save = (damaged: boolean) => {
      saved = true;
      this.furthest.set(partition, Math.max(offsetNext, this.furthest.get(partition) ?? 0));
      const before = this.#of(partition).find((k) => !k.damaged);
      this.#kept.set(partition, [{ ...kept, damaged }, ...(before === undefined ? [] : [before])]);
      world.scheduler.note(`checkpoint ${partition}@${offsetNext}${damaged ? ' torn' : ''}`);
    };
    process.onKill(() => {
      if (saved) return;
      const fate = world.random.int(0, 2);
      if (fate === 1) save(false);
      if (fate === 2) {
        save(true);
        world.count('checkpoint torn');
      }
    });
    return new Promise((resolve, reject) => {
      process.after(world.delay(5), `save checkpoint ${partition}`, () => {
        if (saved) return;
        if (fails) {
          saved = true;
          reject(new SluiceError('LOG_UNAVAILABLE', 'the simulated checkpoint was not saved'));
          return;
        }
        save(false);
        resolve();
      });
    });
  }

  /** A bit flips at rest: in the newest, in both, or in a way that the checksum does not see and the reader does. */
  rot(): void {
    const partition = this.#world.random.int(0, this.#world.plan.partitions - 1);
    const kept = this.#of(partition);
    if (kept.length === 0) return;
    const how = this.#world.random.next();
    if (how < 0.2) for (const one of kept) one.damaged = true;
    else if (how < 0.35) kept[0].state = kept[0].state.slice(0, -3);
    else kept[0].damaged = true;
    this.#world.count('checkpoint rotten');
  }
}
