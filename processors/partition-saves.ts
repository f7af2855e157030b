import { cutState, type PartitionState, type SavedState } from './partition-state.ts';
import type { KnownBlocks } from './state-blocks.ts';
import type { StateSave } from './state-save.ts';

/** The saves of one partition's state, of which one at most is under way. Cuts are made between frames. */
export class PartitionSaves {
  #state: PartitionState;
  /** Of the state that was saved last. */
  #blocks: KnownBlocks | null = null;
  #open: StateSave | null = null;
  /** The save under way is of a state that another has taken the place of. */
  #isOfEarlier = false;

  constructor(state: PartitionState) {
    this.#state = state;
  }

  /**
   * Another state takes the place of this one, which nobody changes any more. A save that is under way goes on to its end: it is of what
   * was before, and as good as it was. The next one is whole.
   */
  follow(state: PartitionState): void {
    this.#state = state;
    this.#blocks = null;
    this.#isOfEarlier = this.#open !== null;
  }

  /** All of the state as it is now, at once. */
  whole(): SavedState {
    this.begin(true);
    return this.goOn(Number.POSITIVE_INFINITY) as SavedState;
  }

  /** The same as what makes it out of the state that was saved last; whole when none was. */
  change(): SavedState {
    this.begin(false);
    return this.goOn(Number.POSITIVE_INFINITY) as SavedState;
  }

  /** Begins to save the state as it is now, in place of a save that is not through. `goOn` continues it, also between later frames. */
  begin(whole: boolean): void {
    this.#open = cutState(this.#state, whole || this.#open !== null ? null : this.#blocks);
    this.#isOfEarlier = false;
  }

  /** Writes about so many bytes of the save that was begun; returns the state when it is through, else null. */
  goOn(bytesMax: number): SavedState | null {
    const saved = this.#open?.step(bytesMax) ?? null;
    if (saved === null) return null;
    this.#open = null;
    this.#blocks = this.#isOfEarlier ? null : saved.blocks;
    return saved;
  }
}
