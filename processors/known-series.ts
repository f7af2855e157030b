import { withRoom } from './columns.ts';

/**
 * The series of each device's last message, for messages of the same shape. A device's metrics mostly came together, so that their series
 * have numbers one after another, and the first is all there is to keep; an array for each device would take more than all the
 * state of its readings.
 */
export class KnownSeries {
  /** By device: its first series, or LISTED. */
  #base = new Int32Array(256);
  readonly #listed = new Map<number, Int32Array>();
  /** Filled anew by each call of `of`. */
  #run = new Int32Array(64);

  /** The series that `set` was given last for this device. Holds until the next call. */
  of(device: number, count: number): Int32Array {
    const base = this.#base[device];
    if (base === LISTED) return this.#listed.get(device)!;
    const run = this.#run;
    for (let i = 0; i < count; i++) run[i] = base + i;
    return run;
  }

  /** `found` may hold −1; it is kept where it cannot be told by its first. */
  set(device: number, found: Int32Array): void {
    this.#base = withRoom(this.#base, device, 0);
    if (isRun(found)) {
      this.#run = withRoom(this.#run, found.length, 0);
      this.#base[device] = found[0];
      this.#listed.delete(device);
    } else {
      this.#base[device] = LISTED;
      this.#listed.set(device, found);
    }
  }
}

const LISTED = -1;

function isRun(found: Int32Array): boolean {
  if (found.length === 0 || found[0] < 0) return false;
  for (let i = 1; i < found.length; i++) if (found[i] !== found[0] + i) return false;
  return true;
}
