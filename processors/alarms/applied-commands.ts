import type { StateReader, StateWriter } from '../state-bytes.ts';

/** Operations of which it is known that they were carried out; one that comes again comes soon. */
const KEPT = 1000;

/** The ids of the last operations, so that one that is on the log twice is carried out once. */
export class AppliedCommands {
  readonly #ids = new Set<string>();

  /** Whether it is the first time; it is kept. */
  isNew(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > KEPT) {
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest);
        break;
      }
    }
    return true;
  }

  save(out: StateWriter): void {
    out.varint(this.#ids.size);
    for (const id of this.#ids) out.text(id);
  }

  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) this.#ids.add(from.text());
  }
}
