import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { Supervision } from '../model/stats.ts';

/**
 * Keeps a set of child processes alive.
 *
 *     start ──▶ waiting ──ready──▶ running ──exit──▶ (back-off) ──▶ start …
 *                   └───────exit────────────────────────┘
 *
 * Children are started in the given order, each after those before it are ready, and stopped in the order of `stopOrder`,
 * each after the one before it has ended, so that what is upstream drains into what is still running.
 */
export interface ChildSpec {
  name: string;
  /** Starts the process. */
  spawn(): Child;
  /** Whether later children wait until this one says that it is ready. */
  awaitReady: boolean;
}

/** A started process, as far as the supervisor needs it. */
export interface Child {
  readonly pid: number | undefined;
  onReady(listener: () => void): void;
  /** Called once; `reason` is for people: "exit code 1", "signal SIGKILL", "cannot be started: …". */
  onExit(listener: (reason: string, code: number | null) => void): void;
  /** Everything is going to stop: the child goes on until `stop`, even when it is sent a signal of its own meanwhile. */
  announceStop(): void;
  /** Tells the child what has become of the others; absent where nobody wants to know. */
  tell?(supervision: Supervision): void;
  /** Asks the child to drain and exit. */
  stop(): void;
  kill(): void;
}

export interface SupervisorOptions {
  children: readonly ChildSpec[];
  stopOrder: readonly string[];
  clock: Clock;
  logger: Logger;
  /** First wait before a restart; doubles with each failure in a row. */
  backoffMinMs?: number;
  backoffMaxMs?: number;
  /** A child that has run this long is healthy: its next failure starts at backoffMinMs again. */
  healthyAfterMs?: number;
  /** How long a child may take to drain before it is killed. */
  drainMaxMs?: number;
  /**
   * A child that exits with this code before it was ever ready says that a restart cannot help (wrong configuration, address
   * in use). One that ran before is started again whatever it says: what stopped it may pass.
   */
  fatalExitCode?: number;
}

interface Slot {
  spec: ChildSpec;
  child: Child | null;
  startedMs: number;
  backoffMs: number;
  restarts: number;
  /** How often it ended for each reason. */
  reasons: Map<string, number>;
  waitMs: number;
  timer: TimerHandle | null;
  ready: boolean;
  everReady: boolean;
  killed: boolean;
  ended: (() => void)[];
}

/** Exit code by which a role says that starting it again cannot help. */
export const FATAL_EXIT_CODE = 78;

export class Supervisor {
  /** Resolves when a child could not be started for good, with its name; never otherwise. */
  readonly failed: Promise<string>;
  readonly #options: Required<SupervisorOptions>;
  readonly #slots: Slot[];
  #fail!: (name: string) => void;
  #stopping = false;
  #waiters: (() => void)[] = [];

  constructor(options: SupervisorOptions) {
    this.#options = {
      backoffMinMs: 250,
      backoffMaxMs: 10_000,
      healthyAfterMs: 30_000,
      drainMaxMs: 30_000,
      fatalExitCode: FATAL_EXIT_CODE,
      ...options,
    };
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#slots = options.children.map((spec) => ({
      spec,
      child: null,
      startedMs: 0,
      backoffMs: this.#options.backoffMinMs,
      restarts: 0,
      reasons: new Map(),
      waitMs: 0,
      timer: null,
      ready: false,
      everReady: false,
      killed: false,
      ended: [],
    }));
  }

  /** Starts all children in order. Resolves when every child that says so is ready, or when stop was called meanwhile. */
  async start(): Promise<void> {
    for (const slot of this.#slots) {
      if (this.#stopping) return;
      this.#launch(slot);
      while (slot.spec.awaitReady && !slot.ready && !this.#stopping) await this.#change();
    }
  }

  /** Process ids of the children that run now. */
  pids(): Map<string, number> {
    const out = new Map<string, number>();
    for (const slot of this.#slots) if (slot.child?.pid !== undefined) out.set(slot.spec.name, slot.child.pid);
    return out;
  }

  /** How often each child was started again, and why. */
  supervision(): Supervision {
    return {
      restarts: this.#slots.flatMap(({ spec, reasons }) =>
        [...reasons].map(([reason, count]) => ({ role: spec.name, reason, count })),
      ),
      backoffMs: this.#slots.map(({ spec, waitMs }) => ({ role: spec.name, ms: waitMs })),
    };
  }

  /** Stops everything in order; a child that does not drain in time is killed. Resolves true when all drained. */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    this.#changed();
    for (const slot of this.#slots) {
      slot.timer?.cancel();
      slot.child?.announceStop();
    }
    const first = this.#options.stopOrder;
    const ordered = [...this.#slots].sort((a, b) => rank(first, a.spec.name) - rank(first, b.spec.name));
    let clean = true;
    for (const slot of ordered) clean = (await this.#end(slot)) && clean;
    return clean;
  }

  /** Kills whatever still runs; a `stop` under way then ends at once, and says that not all drained. */
  kill(): void {
    for (const slot of this.#slots) {
      slot.killed = slot.child !== null;
      slot.child?.kill();
    }
  }

  #launch(slot: Slot): void {
    const { clock, logger } = this.#options;
    slot.timer = null;
    slot.ready = false;
    slot.waitMs = 0;
    slot.startedMs = clock.nowMs();
    const child = slot.spec.spawn();
    slot.child = child;
    child.onReady(() => {
      slot.ready = true;
      slot.everReady = true;
      this.#tellAll();
      this.#changed();
    });
    child.onExit((reason, code) => {
      if (slot.child !== child) return;
      slot.child = null;
      slot.ready = false;
      for (const done of slot.ended.splice(0)) done();
      if (this.#stopping) return;
      if (code === this.#options.fatalExitCode && !slot.everReady) {
        logger.error(`${slot.spec.name} cannot run`, { reason });
        this.#fail(slot.spec.name);
        return;
      }
      if (clock.nowMs() - slot.startedMs >= this.#options.healthyAfterMs) slot.backoffMs = this.#options.backoffMinMs;
      const backoffMs = slot.backoffMs;
      slot.backoffMs = Math.min(backoffMs * 2, this.#options.backoffMaxMs);
      slot.restarts++;
      slot.reasons.set(reason, (slot.reasons.get(reason) ?? 0) + 1);
      slot.waitMs = backoffMs;
      this.#tellAll();
      logger.warn(`${slot.spec.name} ended and is started again`, { reason, backoffMs, restarts: slot.restarts });
      slot.timer = clock.after(backoffMs, () => this.#launch(slot));
    });
  }

  async #end(slot: Slot): Promise<boolean> {
    const child = slot.child;
    if (!child) return true;
    let clean = true;
    const ended = new Promise<void>((resolve) => slot.ended.push(resolve));
    const timer = this.#options.clock.after(this.#options.drainMaxMs, () => {
      clean = false;
      this.#options.logger.error(`${slot.spec.name} did not drain in time and is killed`, {
        drainMaxMs: this.#options.drainMaxMs,
      });
      child.kill();
    });
    child.stop();
    await ended;
    timer.cancel();
    return clean && !slot.killed;
  }

  #tellAll(): void {
    const supervision = this.supervision();
    for (const { child } of this.#slots) child?.tell?.(supervision);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #changed(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

function rank(order: readonly string[], name: string): number {
  const at = order.indexOf(name);
  return at < 0 ? -1 : at;
}
