import { apart, type Checkpoint, type CheckpointChange, type Checkpoints } from '../../log/checkpoints.ts';
import type { ConsumeOptions, Log, LogBounds, LogConsumer, LogFrame } from '../../log/log.ts';
import { SluiceError } from '../../model/errors.ts';
import { PatchedBytes } from '../../model/patch.ts';
import type { InsertOptions, Store, TableName } from '../../store/store.ts';
import { type NativeRow, readNative } from './native-rows.ts';

/**
 * A log, checkpoints and a store in memory, whose faults a test decides. They outlive a processor, as the real ones do. What
 * each promises is what log.ts, checkpoints.ts and store.ts say; the contract suites hold the real ones to it.
 */
export class MemoryLog implements Log {
  readonly partitions: number;
  readonly topics = new Map<string, LogFrame[][]>();
  /** Called before each append; may throw, or wait. */
  beforeAppend: (topic: string) => void | Promise<void> = () => {};
  readonly commits = new Map<number, number>();
  #consumers: MemoryConsumer[] = [];

  constructor(partitions: number) {
    this.partitions = partitions;
  }

  frames(topic: string, partition: number): LogFrame[] {
    let all = this.topics.get(topic);
    if (all === undefined) {
      all = Array.from({ length: this.partitions }, () => []);
      this.topics.set(topic, all);
    }
    return all[partition];
  }

  async append(topic: string, partition: number, frame: Uint8Array): Promise<number> {
    await this.beforeAppend(topic);
    const frames = this.frames(topic, partition);
    const offset = frames.length;
    frames.push({ partition, offset, appendedMs: offset, bytes: frame.slice() });
    for (const consumer of this.#consumers) if (topic === consumer.topic) consumer.wake(partition);
    return offset;
  }

  async read(topic: string, partition: number, offset: number, bytesMax: number): Promise<LogFrame[]> {
    const out: LogFrame[] = [];
    let bytes = 0;
    for (const frame of this.frames(topic, partition).slice(offset)) {
      bytes += frame.bytes.length;
      if (out.length > 0 && bytes > bytesMax) break;
      out.push({ ...frame, bytes: frame.bytes.slice() });
    }
    return out;
  }

  async bounds(topic: string, partition: number): Promise<LogBounds> {
    return { first: 0, next: this.frames(topic, partition).length };
  }

  async last(topic: string, partition: number): Promise<LogFrame | null> {
    return this.frames(topic, partition).at(-1) ?? null;
  }

  async consume(topic: string, options: ConsumeOptions): Promise<LogConsumer> {
    const consumer = new MemoryConsumer(this, topic, options, (gone) => {
      this.#consumers = this.#consumers.filter((c) => c !== gone);
    });
    this.#consumers.push(consumer);
    await consumer.begin();
    return consumer;
  }

  /** All processes that used the log are gone, without a word. */
  killConsumers(): void {
    for (const consumer of this.#consumers) consumer.killed = true;
    this.#consumers = [];
  }

  offsetAt(): Promise<number> {
    return Promise.resolve(0);
  }

  tail(): Promise<never> {
    return Promise.reject(new Error('not needed here'));
  }

  committed(): Promise<(number | null)[]> {
    return Promise.resolve(Array.from({ length: this.partitions }, (_, p) => this.commits.get(p) ?? null));
  }

  async close(): Promise<void> {}
}

class MemoryConsumer implements LogConsumer {
  killed = false;
  readonly topic: string;
  readonly #log: MemoryLog;
  readonly #options: ConsumeOptions;
  readonly #gone: (consumer: MemoryConsumer) => void;
  readonly #next: number[] = [];
  readonly #busy: (Promise<void> | null)[] = [];

  constructor(log: MemoryLog, topic: string, options: ConsumeOptions, gone: (consumer: MemoryConsumer) => void) {
    this.#log = log;
    this.topic = topic;
    this.#options = options;
    this.#gone = gone;
  }

  async begin(): Promise<void> {
    for (let p = 0; p < this.#log.partitions; p++) {
      this.#next[p] = (await this.#options.onAssign(p)) ?? 0;
      this.#busy[p] = null;
    }
    for (let p = 0; p < this.#log.partitions; p++) this.wake(p);
  }

  wake(partition: number): void {
    if (this.#busy[partition] !== null) return;
    this.#busy[partition] = this.#give(partition)
      .catch((error) => this.#options.onError(error))
      .finally(() => {
        this.#busy[partition] = null;
      });
  }

  async #give(partition: number): Promise<void> {
    while (!this.killed) {
      const frames = await this.#log.read(this.topic, partition, this.#next[partition], this.#options.bytesMax);
      if (frames.length === 0 || this.killed) return;
      this.#next[partition] = frames[frames.length - 1].offset + 1;
      await this.#options.onBatch(partition, frames);
    }
  }

  async commit(partition: number, offsetNext: number): Promise<void> {
    if (!this.killed) this.#log.commits.set(partition, offsetNext);
  }

  async close(): Promise<void> {
    this.killed = true;
    for (let p = 0; p < this.#log.partitions; p++) await this.#options.onRevoke(p);
    this.#gone(this);
  }
}

export class MemoryCheckpoints implements Checkpoints {
  readonly saved = new Map<number, Checkpoint>();
  saves = 0;
  beforeSave: () => void | Promise<void> = () => {};

  async load(partition: number): Promise<Checkpoint | null> {
    return this.saved.get(partition) ?? null;
  }

  async save(partition: number, checkpoint: Checkpoint): Promise<void> {
    await this.beforeSave();
    this.saved.set(partition, { ...checkpoint, state: checkpoint.state.slice() });
    this.saves++;
  }

  async saveChange(partition: number, { offsetNext, after, patch, stateBytes }: CheckpointChange): Promise<void> {
    await this.beforeSave();
    const before = this.saved.get(partition);
    const patched = new PatchedBytes(before?.state ?? new Uint8Array(0));
    if (before?.offsetNext !== after || !patched.apply(patch) || patched.length !== stateBytes) {
      throw apart(partition, 'it does not fit what is kept');
    }
    this.saved.set(partition, { offsetNext, state: patched.finish() });
    this.saves++;
  }

  async close(): Promise<void> {}
}

/** A store that keeps rows as they come, duplicates too, and knows tokens. */
export class MemoryStore implements Store {
  readonly rows: Record<TableName, NativeRow[]> = {
    readings: [],
    rollups: [],
    alarms: [],
    alarm_events: [],
    quarantine: [],
    ledger: [],
    devices: [],
  };
  readonly tokens = new Set<string>();
  inserts = 0;
  /** Called before an insert takes effect, and after it; may throw, or wait. */
  beforeInsert: (table: TableName) => void | Promise<void> = () => {};
  afterInsert: (table: TableName) => void | Promise<void> = () => {};
  async insert(
    table: TableName,
    blocks: readonly Uint8Array<ArrayBuffer>[],
    { token, signal, release }: InsertOptions,
  ): Promise<void> {
    await this.beforeInsert(table);
    if (signal?.aborted) throw new SluiceError('STORE_UNAVAILABLE', 'the insert was given up');
    this.inserts++;
    if (!this.tokens.has(token)) {
      this.tokens.add(token);
      for (const block of blocks) this.rows[table].push(...readNative(block));
    }
    await this.afterInsert(table);
    if (release) for (const block of blocks) structuredClone(block, { transfer: [block.buffer] });
  }

  /** Answers the two queries of resume.ts. */
  async query<Row>(sql: string, params: Record<string, unknown> = {}): Promise<Row[]> {
    const { partition, received } = params as Record<string, number>;
    const first = (params.first ?? params.offset) as number;
    const last = (params.last ?? Number.POSITIVE_INFINITY) as number;
    const byOffset = new Map<number, number[]>();
    for (const row of this.rows.readings) {
      const offset = row.offset as number;
      const receivedMs = row.received as number;
      if (row.partition !== partition || offset < first || offset > last || receivedMs < received) continue;
      byOffset.set(offset, [...(byOffset.get(offset) ?? []), receivedMs]);
    }
    if (!sql.includes('GROUP BY')) {
      return [{ offset_max: String(Math.max(0, ...byOffset.keys())), row_count: String(byOffset.size) }] as Row[];
    }
    return [...byOffset].map(([offset, times]) => ({
      offset: String(offset),
      row_count: String(times.length),
      min_ms: String(Math.min(...times)),
      max_ms: String(Math.max(...times)),
    })) as Row[];
  }

  async migrate(): Promise<void> {}
  async command(): Promise<void> {}
  async ping(): Promise<boolean> {
    return true;
  }
  async close(): Promise<void> {}
}
