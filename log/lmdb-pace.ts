import { type Clock, systemClock } from '../model/clock.ts';

export interface PaceOptions {
  /** Between looks of a process that has nothing else to do, and of one that uses a core or more. */
  pauseMs: number;
  pauseMaxMs: number;
  clock?: Clock;
  /** CPU that the process has used, ms. */
  cpuMs?: () => number;
}

/** What is paced is work of this machine: its time goes on whatever the log is told the time is. */
const STEADY_CLOCK: Clock = { nowMs: () => performance.now(), after: systemClock.after };

function cpuOfProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Lets followers of all partitions look at the same time, and not again for a while. A commit has frames of most partitions, and the next
 * one comes some ms later: to look after each costs more than to work at what it brought, since waking threads, and what they find
 * cold in their caches, cost the same however little they are given. The more of a core the process uses, the longer is the pause, so that
 * where cores are short they go to the frames themselves. Who has not looked for a while does not wait.
 */
export class Pace {
  readonly #options: Required<PaceOptions>;
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastCpuMs: number;
  /** How much of a core the process uses, over some turns. */
  #cores = 0;
  #turn: Promise<void> | null = null;
  #found = false;
  /** Turns with frames count up, those without count down. */
  #flow = 0;

  constructor({ clock = STEADY_CLOCK, cpuMs = cpuOfProcess, ...pauses }: PaceOptions) {
    this.#options = { clock, cpuMs, ...pauses };
    this.#lastCpuMs = cpuMs();
  }

  /** Nearly every turn of late has found frames: who finds none does better to wait for the next turn than to be woken. */
  get isFlowing(): boolean {
    return this.#flow >= FLOW_MAX / 2;
  }

  /** A follower has found frames. */
  found(): void {
    this.#found = true;
  }

  /** Resolves when it is time to look, for all who wait at once. */
  turn(): Promise<void> {
    this.#turn ??= this.#wait().then(() => this.#begin());
    return this.#turn;
  }

  #wait(): Promise<void> {
    const { pauseMs, pauseMaxMs, clock } = this.#options;
    const pause = pauseMs + (pauseMaxMs - pauseMs) * Math.min(1, this.#cores);
    const waitMs = this.#lastMs + pause - clock.nowMs();
    if (waitMs <= 0) return Promise.resolve();
    return new Promise((resolve) => clock.after(waitMs, resolve));
  }

  #begin(): void {
    const { clock, cpuMs } = this.#options;
    const [nowMs, nowCpuMs] = [clock.nowMs(), cpuMs()];
    const cores = (nowCpuMs - this.#lastCpuMs) / Math.max(1, nowMs - this.#lastMs);
    this.#cores += (cores - this.#cores) / SMOOTH_TURNS;
    this.#flow = this.#found ? Math.min(FLOW_MAX, this.#flow + 1) : Math.max(0, this.#flow - 2);
    this.#found = false;
    this.#lastMs = nowMs;
    this.#lastCpuMs = nowCpuMs;
    this.#turn = null;
  }
}

const FLOW_MAX = 16;
const SMOOTH_TURNS = 8;
