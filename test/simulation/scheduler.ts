import { createHash, type Hash } from 'node:crypto';
import type { Clock, TimerHandle } from '../../model/clock.ts';

export type Trace = 'none' | 'hash' | 'lines';

interface Event {
  atMs: number;
  order: number;
  label: string;
  run: (() => void) | null;
}

/**
 * All that happens, in one queue by virtual time: nothing else in the simulation waits for anything. After each event the
 * promises that it settled are run to their end (a turn of the real event loop, which has nothing else to do), so that an event
 * and everything that follows from it at once is one step. The same seed gives the same steps; the trace's hash tells.
 */
export class Scheduler {
  nowMs = 0;
  steps = 0;
  /** Lines of the trace, when they are kept. */
  readonly lines: string[] | null;
  readonly #hash: Hash | null;
  readonly #heap: Event[] = [];
  #order = 0;

  /** `trace`: nothing, its hash, or its lines as well. Most of what many seeds do would go into traces that nobody reads. */
  constructor(trace: Trace) {
    this.lines = trace === 'lines' ? [] : null;
    this.#hash = trace === 'none' ? null : createHash('sha256');
  }

  at(delayMs: number, label: string, run: () => void): TimerHandle {
    const event: Event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, label, run };
    this.#push(event);
    return {
      cancel: () => {
        event.run = null;
      },
    };
  }

  /** Notes what happens, for the trace. */
  note(text: string): void {
    if (this.#hash === null) return;
    const line = `${this.nowMs.toFixed(3)} ${text}`;
    this.#hash.update(line);
    this.lines?.push(line);
  }

  hash(): string {
    return this.#hash?.copy().digest('hex') ?? '';
  }

  /** Works at events until `done` says so, or `untilMs` has come, or there are none. `afterStep` may throw. */
  async run(done: () => boolean, untilMs: number, afterStep: () => void): Promise<boolean> {
    while (!done()) {
      const event = this.#pop();
      if (event === undefined || event.atMs > untilMs) return false;
      this.nowMs = event.atMs;
      if (event.run === null) continue;
      this.steps++;
      this.note(event.label);
      const { run } = event;
      event.run = null;
      run();
      await settled();
      afterStep();
    }
    return true;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >>> 1;
      if (!isBefore(event, heap[up])) break;
      heap[at] = heap[up];
      at = up;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && isBefore(heap[down + 1], heap[down])) down++;
      if (!isBefore(heap[down], last)) break;
      heap[at] = heap[down];
      at = down;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A turn of the event loop: promises, and what the production classes gave to setImmediate. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The clock of the machine, which an operator or NTP may set; timers do not follow it. */
export class HostClock {
  offsetMs: number;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, startMs: number) {
    this.#scheduler = scheduler;
    this.offsetMs = startMs;
  }

  nowMs(): number {
    return Math.floor(this.offsetMs + this.#scheduler.nowMs);
  }
}

/** A process that can be killed: from then on none of its timers fires and none of its calls is answered. */
export class Process {
  alive = true;
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly #onKill: (() => void)[] = [];

  constructor(name: string, scheduler: Scheduler, host: Pick<HostClock, 'nowMs'>) {
    this.name = name;
    this.scheduler = scheduler;
    this.clock = {
      nowMs: () => host.nowMs(),
      after: (delayMs, run) => this.after(delayMs, 'timer', run),
    };
  }

  after(delayMs: number, label: string, run: () => void): TimerHandle {
    if (!this.alive) return { cancel() {} };
    return this.scheduler.at(delayMs, `${this.name} ${label}`, () => {
      if (this.alive) run();
    });
  }

  /** What was sent when the process died has a fate of its own. */
  onKill(run: () => void): void {
    this.#onKill.push(run);
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    for (const run of this.#onKill.splice(0)) run();
  }
}
