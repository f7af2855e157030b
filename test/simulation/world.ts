import type { Plan } from './faults.ts';
import { Random } from './random.ts';
import { HostClock, Process, Scheduler, type Trace } from './scheduler.ts';

/** What every part of the simulated world needs. */
export class World {
  readonly seed: number;
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly host: HostClock;
  /** Draws of delays and of faults at an occasion. */
  readonly random: Random;
  /** Until nothing more is to come: ticks would go on for ever. */
  ticking = true;
  /** Until the faults end. */
  chaos = true;
  readonly excuses = new Excuses();
  /** Broken promises that were noticed on the way, of which those concerned would only write a line. */
  readonly violations: string[] = [];
  readonly ownership: Ownership;
  /** How often each fault has happened, and other counts for the report. */
  readonly counts = new Map<string, number>();
  #processes = 0;

  constructor(seed: number, plan: Plan, trace: Trace) {
    this.seed = seed;
    this.plan = plan;
    this.scheduler = new Scheduler(trace);
    this.host = new HostClock(this.scheduler, plan.startMs);
    this.random = new Random(seed, 'world');
    this.ownership = new Ownership();
  }

  /** A new process, on a host whose clock differs by so much. */
  process(role: string, skewMs = 0): Process {
    return new Process(`${role}#${++this.#processes}`, this.scheduler, { nowMs: () => this.host.nowMs() + skewMs });
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  /** Whether a fault of this probability happens now. */
  strikes(probability: number, what: string): boolean {
    if (!this.chaos || probability === 0 || !this.random.chance(probability)) return false;
    this.count(what);
    return true;
  }

  /** A delay of this mean in a world of this slowness. */
  delay(meanMs: number): number {
    return this.random.delay(meanMs) * (this.chaos ? this.plan.slowness : 1);
  }
}

/** Partitions in which rows, or events, may be double by a corner that ARCHITECTURE.md names ("Effectively once"). */
export class Excuses {
  readonly rows = new Map<number, string>();
  readonly events = new Map<number, string>();
}

/** Which process works at a partition; the epoch grows each time that somebody takes it over. */
export class Ownership {
  readonly #owners = new Map<number, { process: Process; epoch: number }>();

  take(partition: number, process: Process): void {
    this.#owners.set(partition, { process, epoch: this.epoch(partition) + 1 });
  }

  epoch(partition: number): number {
    return this.#owners.get(partition)?.epoch ?? 0;
  }

  /** Whether what the process sent in that epoch comes too late: somebody has begun on the partition since. */
  isPast(partition: number, process: Process, epoch: number): boolean {
    const owner = this.#owners.get(partition);
    return owner !== undefined && (owner.process !== process || owner.epoch !== epoch);
  }
}
