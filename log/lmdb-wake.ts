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
  #waiting: (() => void)[] = [];
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
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Resolves when something may have changed since `count` was read, or `signal` is aborted. */
  changed(since: number, signal: AbortSignal): Promise<void> {
    if (this.count !== since || signal.aborted || this.#closed) return Promise.resolve();
    this.#listen();
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done);
      this.#waiting.push(done);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watcher?.close();
    this.#poll?.cancel();
    closeSync(this.#fd);
    this.wakeAll();
  }

  #listen(): void {
    if (this.#poll !== null) return;
    try {
      this.#watcher = watch(this.#path, { persistent: false }, () => this.wakeAll());
      this.#watcher.on('error', (error) => this.#unwatched(error));
    } catch (error) {
      this.#unwatched(error);
    }
    const poll = (): void => {
      this.#poll = this.#clock.after(this.#pollMs, () => {
        this.wakeAll();
        if (!this.#closed) poll();
      });
    };
    poll();
  }

  #unwatched(error: unknown): void {
    this.#watcher = null;
    this.#onWarning('a topic cannot be watched; its readers ask for new frames once a second', {
      path: this.#path,
      error: String(error),
    });
  }
}
