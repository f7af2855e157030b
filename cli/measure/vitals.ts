import { statfsSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { type Clock, systemClock } from '../../model/clock.ts';
import type { Vitals } from '../../model/stats.ts';

/** How much the wall clock may move against the monotonic one from one look to the next before it is called a jump. */
const JUMP_MS_MIN = 1000;
/**
 * How often the event loop is looked at: each look wakes a process that has nothing to do. What is held up for a shorter time may be missed,
 * and of what is longer up to this much; health speaks of a second and more.
 */
const EVENT_LOOP_STEP_MS = 100;

export interface VitalsOptions {
  /** Folder whose disk is looked at; null for none. */
  dir: string | null;
  clock?: Clock;
  monotonicMs?: () => number;
}

/** How this process and its machine do. `read` is called about once a second. */
export class VitalSigns {
  readonly #dir: string | null;
  readonly #clock: Clock;
  readonly #monotonicMs: () => number;
  readonly #delay: IntervalHistogram;
  #skewMs: number;
  #clockJumps = 0;
  #clockJumpMs = 0;
  #clockJumpAtMs: number | null = null;
  /** The longest delay of this look and of the one before: one that ended just before a look still shows in the next. */
  #delaysMs: [number, number] = [0, 0];

  constructor({ dir, clock = systemClock, monotonicMs = () => performance.now() }: VitalsOptions) {
    this.#dir = dir;
    this.#clock = clock;
    this.#monotonicMs = monotonicMs;
    this.#skewMs = clock.nowMs() - monotonicMs();
    this.#delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_STEP_MS });
    this.#delay.enable();
  }

  read(): Vitals {
    this.#lookAtClock();
    // The measured value holds the step between two looks of its own.
    const delayMs = Math.max(0, this.#delay.max / 1e6 - EVENT_LOOP_STEP_MS);
    this.#delay.reset();
    this.#delaysMs = [this.#delaysMs[1], delayMs];
    return {
      eventLoopDelayMs: Math.max(...this.#delaysMs),
      ...this.#disk(),
      clockJumps: this.#clockJumps,
      clockJumpMs: this.#clockJumpMs,
      clockJumpAtMs: this.#clockJumpAtMs,
    };
  }

  close(): void {
    this.#delay.disable();
  }

  #lookAtClock(): void {
    const nowMs = this.#clock.nowMs();
    const skewMs = nowMs - this.#monotonicMs();
    const jumpMs = skewMs - this.#skewMs;
    // Slow drift is followed silently; it is what NTP corrects all the time.
    this.#skewMs = skewMs;
    if (Math.abs(jumpMs) < JUMP_MS_MIN) return;
    this.#clockJumps++;
    this.#clockJumpMs = Math.round(jumpMs);
    this.#clockJumpAtMs = nowMs;
  }

  #disk(): { diskFreeBytes: number | null; diskBytes: number | null } {
    if (this.#dir === null) return { diskFreeBytes: null, diskBytes: null };
    try {
      const { bavail, blocks, bsize } = statfsSync(this.#dir);
      return { diskFreeBytes: bavail * bsize, diskBytes: blocks * bsize };
    } catch {
      return { diskFreeBytes: null, diskBytes: null };
    }
  }
}
