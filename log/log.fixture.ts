import { TELEMETRY } from '../model/topics.ts';
import type { ConsumeOptions, Log, LogConsumer, LogFrame } from './log.ts';

/** Collects frames and waits for a number of them. */
export class Collector {
  frames = new Map<number, LogFrame[]>();
  count = 0;
  error: Error | null = null;
  #waiting: (() => void)[] = [];

  take = (partition: number, frames: LogFrame[]): void => {
    const list = this.frames.get(partition) ?? [];
    this.frames.set(partition, list);
    list.push(...frames);
    this.count += frames.length;
    for (const look of this.#waiting) look();
  };

  fail = (error: Error): void => {
    this.error = error;
    for (const look of this.#waiting) look();
  };

  texts(partition: number): string[] {
    return (this.frames.get(partition) ?? []).map(textOf);
  }

  /** Waits until as many frames have come in all. */
  until(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.error !== null) reject(this.error);
        else if (this.count >= count) resolve();
      };
      this.#waiting.push(look);
      look();
    });
  }
}

/** A member of a group that keeps what it was given. */
export class Member extends Collector {
  consumer!: LogConsumer;
  assigned: number[] = [];
  revoked: number[] = [];
  readonly #log: Log;
  readonly #group: string;
  readonly #own: Partial<ConsumeOptions>;

  constructor(log: Log, group: string, own: Partial<ConsumeOptions> = {}) {
    super();
    this.#log = log;
    this.#group = group;
    this.#own = own;
  }

  async start(): Promise<this> {
    this.consumer = await this.#log.consume(TELEMETRY, {
      group: this.#group,
      bytesMax: this.#own.bytesMax ?? 1 << 20,
      onAssign: async (partition) => {
        this.assigned.push(partition);
        return (await this.#own.onAssign?.(partition)) ?? null;
      },
      onRevoke: async (partition) => {
        await this.#own.onRevoke?.(partition);
        this.revoked.push(partition);
      },
      onBatch: async (partition, frames) => {
        this.take(partition, frames);
        await this.#own.onBatch?.(partition, frames);
      },
      onError: this.#own.onError ?? this.fail,
    });
    return this;
  }
}

export async function readAll(log: Log, topic: string, partition: number): Promise<LogFrame[]> {
  const all: LogFrame[] = [];
  let { first: at } = await log.bounds(topic, partition);
  for (;;) {
    const frames = await log.read(topic, partition, at, 1 << 20);
    if (frames.length === 0) return all;
    all.push(...frames);
    at = frames[frames.length - 1].offset + 1;
  }
}

export async function eventually(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 50));
}

export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export function textOf(frame: LogFrame): string {
  return new TextDecoder().decode(frame.bytes);
}
