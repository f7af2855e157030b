import type { Clock, TimerHandle } from '../model/clock.ts';

/** What the door tells on `$SYS/broker/…`, by the names that other brokers use where they have one. */
export interface DoorStatus {
  'clients/connected': number;
  'messages/received': number;
  'messages/acknowledged': number;
  'bytes/received': number;
  'connections/refused': number;
  'packets/refused': number;
}

const PERIOD_MS = 10_000;

/**
 * Publishes the door's own figures as plain numbers every ten seconds, not retained. Only named operators may have them
 * (access.ts).
 */
export class DoorStatusPublisher {
  readonly #read: () => DoorStatus;
  readonly #publish: (topic: string, payload: string) => Promise<void>;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #timer: TimerHandle | null = null;

  constructor(read: () => DoorStatus, publish: (topic: string, payload: string) => Promise<void>, clock: Clock) {
    this.#read = read;
    this.#publish = publish;
    this.#clock = clock;
    this.#startedMs = clock.nowMs();
  }

  start(): void {
    this.#timer = this.#clock.after(PERIOD_MS, () => {
      const uptime = Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000);
      // A broker that is closing takes none of these, and nobody is there to miss them.
      for (const [name, value] of Object.entries({ uptime, ...this.#read() }))
        this.#publish(`$SYS/broker/${name}`, String(value)).catch(() => {});
      this.start();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }
}
