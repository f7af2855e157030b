import type { Alarm } from '../model/alarm.ts';
import { findAlarm } from './alarm-queries.ts';
import type { StoreGate } from './store-gate.ts';

/** Alarms of the newest events that are kept; the store has the others by then. */
const KEPT = 10_000;

/** What operators may mean by the id of an alarm: as its newest event said, or as the store has it. */
export class AlarmDirectory {
  readonly #gate: StoreGate;
  readonly #alarms = new Map<string, Alarm>();

  constructor(gate: StoreGate) {
    this.#gate = gate;
  }

  /** An event from the log. */
  heard(alarm: Alarm): void {
    const before = this.#alarms.get(alarm.id);
    if (before !== undefined && before.version >= alarm.version) return;
    this.#alarms.delete(alarm.id);
    this.#alarms.set(alarm.id, alarm);
    if (this.#alarms.size <= KEPT) return;
    for (const oldest of this.#alarms.keys()) {
      this.#alarms.delete(oldest);
      break;
    }
  }

  async find(id: string): Promise<Alarm | null> {
    return this.#alarms.get(id) ?? (await findAlarm(this.#gate, id));
  }
}
