import type { ConsumeOptions, Log, LogBounds, LogConsumer, LogFrame } from '../../log/log.ts';
import { SluiceError } from '../../model/errors.ts';
import { ALARMS, FACTS, PARTIALS, TELEMETRY } from '../../model/topics.ts';
import type { Process } from './scheduler.ts';
import type { World } from './world.ts';

interface Pending {
  partition: number;
  frame: Uint8Array;
  epoch: number;
  resolve: (offset: number) => void;
  reject: (error: SluiceError) => void;
}

/** Who consumes as a member of a group: log/lmdb.ts gives everything to one, Kafka divides among many. */
export interface Group {
  consume(process: Process, options: ConsumeOptions): LogConsumer;
}

/**
 * What is on the log and outlives every process, with the promises of log/log.ts. Two engines are modelled:
 * - *disk* (LMDB): the appends of a topic are committed in groups, one commit at a time; until it is flushed nobody sees a frame; a
 *   crash leaves a commit that was under way whole or not at all. The disk may be full or slow, and a flush may fail.
 * - *kafka*: each append is a request of its own. Its answer may be lost although it landed; it may land after its sender has
 *   given up or died. Offsets have holes.
 */
export class SimLog {
  readonly partitions: number;
  readonly #commits = new Map<string, Map<number, number>>();
  full = false;
  away = false;
  slowness = 1;
  readonly #world: World;
  readonly #topics = new Map<string, LogFrame[][]>();
  readonly #next = new Map<string, number[]>();
  readonly #waiting = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
    this.partitions = world.plan.partitions;
    for (const topic of [TELEMETRY, ALARMS, PARTIALS, FACTS]) {
      this.#topics.set(
        topic,
        Array.from({ length: this.partitions }, () => []),
      );
      this.#next.set(topic, new Array<number>(this.partitions).fill(0));
    }
  }

  /** Of the topic's consumer group, by partition. */
  commits(topic: string): Map<number, number> {
    const commits = this.#commits.get(topic) ?? new Map<number, number>();
    this.#commits.set(topic, commits);
    return commits;
  }

  frames(topic: string, partition: number): LogFrame[] {
    return this.#topics.get(topic)![partition];
  }

  next(topic: string, partition: number): number {
    return this.#next.get(topic)![partition];
  }

  /** The log as one process sees it. */
  open(process: Process, groupOf: (topic: string) => Group): Log {
    return new Handle(this, this.#world, process, groupOf);
  }

  land(topic: string, { partition, frame, epoch }: Pending, process: Process): number {
    const next = this.#next.get(topic)!;
    const hole = this.#world.plan.log === 'kafka' && this.#world.random.chance(0.1) ? this.#world.random.int(1, 3) : 0;
    const offset = next[partition] + hole;
    next[partition] = offset + 1;
    const frames = this.frames(topic, partition);
    const appendedMs = Math.max(this.#world.host.nowMs(), frames.at(-1)?.appendedMs ?? 0);
    frames.push({ partition, offset, appendedMs, bytes: frame.slice() });
    if (topic === ALARMS && this.#world.ownership.isPast(partition, process, epoch)) {
      this.#world.excuses.events.set(
        partition,
        `an append of ${process.name} landed after the partition was taken over`,
      );
    }
    this.#world.scheduler.note(`landed ${topic}/${partition}@${offset} ${frame.length} B`);
    for (const wake of [...this.#waiting]) wake();
    return offset;
  }

  read(topic: string, partition: number, offset: number, bytesMax: number): LogFrame[] {
    const out: LogFrame[] = [];
    let bytes = 0;
    for (const frame of this.frames(topic, partition)) {
      if (frame.offset < offset) continue;
      bytes += frame.bytes.length;
      if (out.length > 0 && bytes > bytesMax) break;
      out.push({ ...frame, bytes: frame.bytes.slice() });
    }
    return out;
  }

  /** Calls once when a frame has landed. */
  onLanded(run: () => void): void {
    const once = () => {
      this.#waiting.delete(once);
      run();
    };
    this.#waiting.add(once);
  }
}

class Handle implements Log {
  readonly partitions: number;
  readonly #log: SimLog;
  readonly #world: World;
  readonly #process: Process;
  readonly #groupOf: (topic: string) => Group;
  readonly #queues = new Map<string, Pending[]>();
  readonly #committing = new Set<string>();

  constructor(log: SimLog, world: World, process: Process, groupOf: (topic: string) => Group) {
    this.#log = log;
    this.partitions = log.partitions;
    this.#world = world;
    this.#process = process;
    this.#groupOf = groupOf;
  }

  append(topic: string, partition: number, frame: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      if (!this.#process.alive) return;
      const epoch = this.#world.ownership.epoch(partition);
      const pending = { partition, frame, epoch, resolve, reject };
      if (this.#world.plan.log === 'disk') this.#enqueue(topic, pending);
      else this.#send(topic, pending);
    });
  }

  #enqueue(topic: string, pending: Pending): void {
    if (this.#log.full) {
      this.#process.after(0, 'refused', () =>
        pending.reject(new SluiceError('LOG_FULL', 'the simulated disk is full')),
      );
      return;
    }
    const queue = this.#queues.get(topic) ?? [];
    this.#queues.set(topic, queue);
    queue.push(pending);
    if (!this.#committing.has(topic)) this.#commit(topic, queue);
  }

  #commit(topic: string, queue: Pending[]): void {
    const world = this.#world;
    this.#committing.add(topic);
    let batch: Pending[] = [];
    let flushed = false;
    this.#process.after(0, `commit ${topic}`, () => {
      batch = queue.splice(0);
      const fails = world.strikes(world.plan.faults.appendFails, 'flush failed');
      this.#process.after(world.delay(3) * this.#log.slowness, `flushed ${topic} x${batch.length}`, () => {
        flushed = true;
        for (const pending of batch) {
          if (fails) pending.reject(new SluiceError('LOG_UNAVAILABLE', 'the simulated flush failed'));
          else pending.resolve(this.#log.land(topic, pending, this.#process));
        }
        this.#committing.delete(topic);
        if (queue.length > 0) this.#commit(topic, queue);
      });
      this.#process.onKill(() => {
        // The commit was under way: it is there as a whole, or not at all.
        if (flushed || fails || !world.random.chance(0.5)) return;
        for (const pending of batch) this.#log.land(topic, pending, this.#process);
      });
    });
  }

  #send(topic: string, pending: Pending): void {
    const world = this.#world;
    const { faults } = world.plan;
    const scheduler = world.scheduler;
    const fails = world.strikes(faults.appendFails, 'append failed');
    const landsThen = fails && world.random.chance(faults.appendLands);
    let arrived = false;
    const arrive = () => {
      if (arrived) return;
      arrived = true;
      if (fails && !landsThen) return;
      const offset = this.#log.land(topic, pending, this.#process);
      if (fails && topic === ALARMS) world.excuses.events.set(pending.partition, 'an append landed and failed');
      this.#process.after(world.delay(1), 'appended', () => {
        if (!fails) pending.resolve(offset);
      });
    };
    const send = () => {
      if (arrived) return;
      if (this.#log.away) scheduler.at(100, 'append waits', send);
      else arrive();
    };
    scheduler.at(world.delay(3) * this.#log.slowness, `${this.#process.name} append ${topic}`, send);
    if (fails) {
      const givesUpMs = world.random.between(1, 2000);
      this.#process.after(givesUpMs, 'append given up', () => {
        // It never arrives once given up, or may still: a request in a broker's queue has no owner any more.
        if (!landsThen) arrived = true;
        pending.reject(new SluiceError('LOG_UNAVAILABLE', 'the simulated broker does not answer'));
      });
    }
    this.#process.onKill(() => {
      if (arrived || world.strikes(faults.landsLate, 'append landed late')) return;
      if (world.random.chance(0.5)) arrive();
      arrived = true;
    });
  }

  /** An answer after a while, or a failure that the engine did not get over. */
  #answer<T>(label: string, read: () => T): Promise<T> {
    const fails = this.#world.strikes(this.#world.plan.faults.readFails, 'read failed');
    return new Promise((resolve, reject) => {
      const look = () => {
        if (fails) reject(new SluiceError('LOG_UNAVAILABLE', `the simulated log did not answer: ${label}`));
        else if (this.#log.away) this.#process.after(100, 'read waits', look);
        else resolve(read());
      };
      this.#process.after(this.#world.delay(0.5), label, look);
    });
  }

  read(topic: string, partition: number, offset: number, bytesMax: number): Promise<LogFrame[]> {
    return this.#answer(`read ${topic}/${partition}@${offset}`, () =>
      this.#log.read(topic, partition, offset, bytesMax),
    );
  }

  bounds(topic: string, partition: number): Promise<LogBounds> {
    return this.#answer('bounds', () => ({ first: 0, next: this.#log.next(topic, partition) }));
  }

  last(topic: string, partition: number): Promise<LogFrame | null> {
    return this.#answer('last', () => this.#log.frames(topic, partition).at(-1) ?? null);
  }

  async consume(topic: string, options: ConsumeOptions): Promise<LogConsumer> {
    return this.#groupOf(topic).consume(this.#process, options);
  }

  offsetAt(): Promise<number> {
    return Promise.reject(new Error('not used by the core'));
  }

  tail(): Promise<never> {
    return Promise.reject(new Error('not used by the core'));
  }

  committed(): Promise<(number | null)[]> {
    return Promise.resolve(
      Array.from({ length: this.partitions }, (_, p) => this.#log.commits(TELEMETRY).get(p) ?? null),
    );
  }

  async close(): Promise<void> {}
}
