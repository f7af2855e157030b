import { closeSync, constants, type FSWatcher, openSync, watch, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, TimerHandle } from '../model/clock.ts';

/**
 * How readers of a topic learn of a commit. Within a process `ring` wakes them directly; across processes the writer
 * writes to the file `wake` of the topic's directory, which readers watch (inotify), so that nobody asks again and again. A
 * slow poll stands behind it, for a watch that the system refused or an event that got lost.
 *
 * A reader notes `count` *before* it looks, and waits for a change from that count: a commit between its look and its wait
 * is not missed.
 */
export class Wake {
  count = 0;
  readonly #fd: number;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #pollMs: number;
  readonly #onWarning: (message: string, values: Record<string, unknown>) => void;
  #watcher: FSWatcher | null = null;
  #poll: TimerHandle | null = null;
  /** Of all who wait; null while nobody does. */
  #next: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  readonly #signals = new WeakSet<AbortSignal>();
  /** Events in a row that nobody waited for. */
  #unasked = 0;
  #isUnwatchable = false;
  #closed = false;

  constructor(
    dir: string,
    clock: Clock,
    onWarning: (message: string, values: Record<string, unknown>) => void,
    pollMs = 1000,
  ) {
    this.#path = join(dir, 'wake');
    this.#fd = openSync(this.#path, constants.O_RDWR | constants.O_CREAT);
    this.#clock = clock;
    this.#pollMs = pollMs;
    this.#onWarning = onWarning;
  }

  /** The writer has committed. */
  ring(): void {
    if (this.#closed) return;
    writeSync(this.#fd, '.', 0);
    this.wakeAll();
  }

  wakeAll(): void {
    this.count++;
    const wake = this.#wake;
    this.#next = null;
    this.#wake = null;
    wake?.();
  }

  /** Resolves when something may have changed since `count` was read, or `signal` is aborted. */
  changed(since: number, signal: AbortSignal): Promise<void> {
    if (this.count !== since || signal.aborted || this.#closed) return Promise.resolve();
    // A commit between the look and the watch is not told: who waited for it looks again.
    if (this.#listen()) return Promise.resolve();
    this.#wakeOnAbort(signal);
    this.#next ??= new Promise((resolve) => {
      this.#wake = resolve;
    });
    return this.#next;
  }

  /** One listener for all who wait, since to add and remove one costs more than a look. */
  #wakeOnAbort(signal: AbortSignal): void {
    if (this.#signals.has(signal)) return;
    this.#signals.add(signal);
    signal.addEventListener('abort', () => this.wakeAll(), { once: true });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watcher?.close();
    this.#poll?.cancel();
    closeSync(this.#fd);
    this.wakeAll();
  }

  /** True when the file was not watched before. */
  #listen(): boolean {
    this.#unasked = 0;
    if (this.#poll === null) this.#pollAgain();
    if (this.#watcher !== null || this.#isUnwatchable) return false;
    try {
      this.#watcher = watch(this.#path, { persistent: false }, () => this.#rung());
      this.#watcher.on('error', (error) => this.#unwatched(error));
    } catch (error) {
      this.#unwatched(error);
    }
    return true;
  }

  /** Readers that are busy do not wait: they are not to be woken for each commit, and watch again when they have come to the end. */
  #rung(): void {
    if (this.#next !== null) this.#unasked = 0;
    else if (++this.#unasked > UNASKED_MAX) {
      this.#watcher?.close();
      this.#watcher = null;
    }
    this.wakeAll();
  }

  #pollAgain(): void {
    this.#poll = this.#clock.after(this.#pollMs, () => {
      this.wakeAll();
      if (!this.#closed) this.#pollAgain();
    });
  }

  #unwatched(error: unknown): void {
    this.#watcher = null;
    this.#isUnwatchable = true;
    this.#onWarning('a topic cannot be watched; its readers ask for new frames once a second', {
      path: this.#path,
      error: String(error),
    });
  }
}

const UNASKED_MAX = 16;
