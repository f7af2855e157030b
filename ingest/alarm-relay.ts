import type { Log, LogTail } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { FrameReader } from '../model/frame.ts';
import type { Logger } from '../model/logger.ts';
import { ALARMS } from '../model/topics.ts';

/** After a failure the relay starts again this much later. */
const RESTART_MS = 1000;

/**
 * Follows the alarm events on the log and publishes each on its MQTT topic. A message of an alarm frame is
 * `[at_ms, device, alarms/{device}/{rule}, CloudEvent]`, so topic and payload are taken as they stand; one without a topic is of a muted
 * alarm (shelved, suppressed, one of a flood) and goes to nobody. Starts at the end of the
 * log: an event is for those who are subscribed now (and for persistent sessions); history is the store's.
 */
export class AlarmRelay {
  published = 0;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #publish: (topic: string, payload: Uint8Array) => Promise<void>;
  /** Where each partition goes on when the tail has to be opened again. */
  readonly #next = new Map<number, number>();
  #tail: LogTail | null = null;
  #restart: TimerHandle | null = null;
  #closed = false;

  constructor(log: Log, publish: (topic: string, payload: Uint8Array) => Promise<void>, clock: Clock, logger: Logger) {
    this.#log = log;
    this.#publish = publish;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Resolves when the log is followed, or when a later try has been arranged. Never rejects. */
  async start(): Promise<void> {
    try {
      const tail = await this.#log.tail(ALARMS, {
        from: (partition) => this.#from(partition),
        onFrames: async (partition, frames) => {
          for (const frame of frames) {
            await this.#relay(frame.bytes);
            this.#next.set(partition, frame.offset + 1);
          }
        },
        onError: (error) => this.#failed(error),
      });
      if (this.#closed) await tail.close();
      else this.#tail = tail;
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#restart?.cancel();
    await this.#tail?.close();
  }

  async #from(partition: number): Promise<number> {
    const bounds = await this.#log.bounds(ALARMS, partition);
    return Math.max(bounds.first, Math.min(this.#next.get(partition) ?? bounds.next, bounds.next));
  }

  async #relay(bytes: Uint8Array): Promise<void> {
    const reader = new FrameReader();
    reader.reset(bytes);
    try {
      while (reader.next()) {
        if (reader.deviceStart === reader.deviceEnd) continue; // a tick
        if (reader.topicStart === reader.topicEnd) continue; // of a muted alarm, for the log alone
        await this.#publish(reader.topic(), reader.payload().slice());
        this.published++;
      }
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#logger.error('a frame of alarm events cannot be read and is passed over', { reason: error.message });
    }
  }

  #failed(error: Error): void {
    if (this.#closed) return;
    this.#logger.warn('alarm events cannot be followed for now', { reason: error.message });
    this.#tail = null;
    this.#restart = this.#clock.after(RESTART_MS, () => void this.start());
  }
}
