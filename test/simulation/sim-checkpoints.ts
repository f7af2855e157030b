import { apart, type Checkpoint, type CheckpointChange, type Checkpoints } from '../../log/checkpoints.ts';
import { SluiceError } from '../../model/errors.ts';
import { PatchedBytes } from '../../model/patch.ts';
import type { Process } from './scheduler.ts';
import type { World } from './world.ts';

interface Kept extends Checkpoint {
  /** Its checksum does not fit: it is passed over. */
  damaged: boolean;
  /** Less than that is left of one that was cut short. */
  savedBytes: number;
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
      save: (partition, checkpoint) => this.#save(process, partition, checkpoint, false),
      saveChange: (partition, change) => this.#saveChange(process, partition, change),
      close: async () => {},
    };
  }

  #of(partition: number): Kept[] {
    return this.#kept.get(partition) ?? [];
  }

  /** Upon a state that has rotted meanwhile, which nobody has looked at, a change is worth nothing either. */
  #saveChange(process: Process, partition: number, change: CheckpointChange): Promise<void> {
    const { offsetNext, after, patch, stateBytes } = change;
    const [newest] = this.#of(partition);
    if (newest?.offsetNext !== after) return Promise.reject(apart(partition, 'another came between'));
    const patched = new PatchedBytes(newest.state);
    const fits = patched.apply(patch) && patched.length === stateBytes;
    // One that lies upon such a state is as lost, though nothing of its own is missing.
    if (!fits && !newest.damaged && newest.state.length === newest.savedBytes) {
      this.#world.violations.push(`a change of the checkpoint of partition ${partition} does not fit what was saved`);
    }
    this.#world.count('checkpoint changed');
    return this.#save(process, partition, { offsetNext, state: patched.finish() }, newest.damaged || !fits);
  }

  #save(process: Process, partition: number, { offsetNext, state }: Checkpoint, isLost: boolean): Promise<void> {
    const world = this.#world;
    const kept = { offsetNext, state: state.slice(), savedBytes: state.length, damaged: isLost };
    const fails = world.strikes(world.plan.faults.saveFails, 'save failed');
    let saved = false;
    const save = (damaged: boolean) => {
      saved = true;
      this.furthest.set(partition, Math.max(offsetNext, this.furthest.get(partition) ?? 0));
      const before = this.#of(partition).find((k) => !k.damaged);
      this.#kept.set(partition, [{ ...kept, damaged: damaged || isLost }, ...(before === undefined ? [] : [before])]);
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
