import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SluiceError } from '../model/errors.ts';
import { PatchedBytes } from '../model/patch.ts';
import { apart, type Checkpoint, type CheckpointChange, type Checkpoints, isTooMuch } from './checkpoints.ts';
import {
  type Admin,
  EARLIEST,
  type KafkaClient,
  type KafkaClientOptions,
  type KafkaConnection,
  kafkaClient,
  LATEST,
  persistently,
  unavailable,
} from './kafka-client.ts';
import { fetchOnce } from './kafka-fetch.ts';
import { RecordProducer } from './kafka-producer.ts';
import { ensureTopic } from './kafka-topics.ts';
import { readU64, writeU64 } from './lmdb-codec.ts';

/**
 * Checkpoints on a compacted Kafka topic, {prefix}checkpoints-{group}: those of partition p are in partition p, so that whoever
 * takes p over finds them. A checkpoint is one or more records:
 *
 *     key      slot / chunk, such as 1/0: slots 0 and 1 are written in turn, and compaction keeps the newest of each
 *     value    16 bytes id   u32 chunk   u32 chunks   u64 offsetNext   u64 stateBytes   u32 crc32   u8 slot   the chunk
 *
 * A change of a checkpoint is one more record, of at most one chunk, with the id of the checkpoint that it lies upon:
 *
 *     key      slot / p number, such as 1/p3: the number counts from 1
 *     value    the same, with the number for the chunk, 0 for the chunks, and the patch (model/patch.ts) for the chunk's bytes
 *
 * crc32 is of offsetNext, stateBytes and the whole state (of a change: the id, the number and the patch besides). A checkpoint is complete when all chunks of an id are there and the checksum holds; the newest complete one counts, whoever wrote
 * it. What lies before the previous one is deleted after a save, so that loading reads two or three checkpoints.
 */
export interface KafkaCheckpointsOptions extends KafkaClientOptions {
  topicPrefix: string;
  group: string;
  partitions: number;
  replicationFactor?: number | null;
  onDamaged: (problem: { partition: number; what: string }) => void;
  /** Bytes of the state in one record. */
  chunkBytes?: number;
}

const CHUNK_BYTES = 4 << 20;
const HEADER_BYTES = 45;
const READ_BYTES = 8 << 20;

/** Rejects with LOG_UNAVAILABLE, or LOG_LAYOUT for another number of partitions. */
export async function openKafkaCheckpoints(options: KafkaCheckpointsOptions): Promise<Checkpoints> {
  const client = kafkaClient(options);
  const admin = client.admin();
  const topic = `${options.topicPrefix}checkpoints-${options.group}`;
  const chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
  try {
    await admin.connect();
    await ensureTopic(admin, topic, {
      partitions: options.partitions,
      replicationFactor: options.replicationFactor ?? null,
      config: {
        // With `delete` the broker lets us remove what is no longer needed; by itself it keeps everything.
        'cleanup.policy': 'compact,delete',
        'retention.ms': '-1',
        'retention.bytes': '-1',
        'segment.bytes': String(64 << 20),
        'min.cleanable.dirty.ratio': '0.1',
        'max.message.bytes': String(Math.max(chunkBytes, CHUNK_BYTES) + (1 << 20)),
      },
    });
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    throw error instanceof SluiceError ? error : unavailable(`connecting to ${options.brokers.join(', ')}`, error);
  }
  return new KafkaCheckpoints(client, admin, topic, chunkBytes, options.onDamaged);
}

/** What is known of the checkpoints of a partition. */
interface Known {
  slot: number;
  /** Where the newest complete one begins. */
  begin: number;
  /** Of those that this object has saved: what the next change lies upon. */
  chain: { id: Buffer; offsetNext: number; stateBytes: number; changes: number; changeBytes: number } | null;
}

interface Found {
  id: string;
  slot: number;
  begin: number;
  chunks: Map<number, Uint8Array>;
  count: number;
  offsetNext: number;
  stateBytes: number;
  crc: number;
  /** By number. */
  changes: Map<number, Change>;
}

interface Change {
  offsetNext: number;
  stateBytes: number;
  patch: Uint8Array;
  isWhole: boolean;
}

class KafkaCheckpoints implements Checkpoints {
  readonly #admin: Admin;
  readonly #reader: KafkaConnection;
  readonly #producer: RecordProducer;
  readonly #topic: string;
  readonly #chunkBytes: number;
  readonly #onDamaged: KafkaCheckpointsOptions['onDamaged'];
  readonly #known = new Map<number, Known>();
  readonly #saving = new Map<number, Promise<void>>();
  #closed = false;

  constructor(
    client: KafkaClient,
    admin: Admin,
    topic: string,
    chunkBytes: number,
    onDamaged: KafkaCheckpointsOptions['onDamaged'],
  ) {
    this.#admin = admin;
    this.#reader = client.connection();
    this.#producer = new RecordProducer(client.connection(), chunkBytes + (512 << 10));
    this.#topic = topic;
    this.#chunkBytes = chunkBytes;
    this.#onDamaged = onDamaged;
  }

  async load(partition: number): Promise<Checkpoint | null> {
    if (this.#closed) throw new SluiceError('LOG_CLOSED', 'the checkpoints are closed');
    return this.#newest(partition);
  }

  async #newest(partition: number): Promise<Checkpoint | null> {
    const found = await persistently(this.#reader, `loading a checkpoint of partition ${partition}`, () =>
      this.#read(partition),
    );
    for (const candidate of found.reverse()) {
      const state = assemble(candidate);
      if (state !== null) {
        const chain = this.#known.get(partition)?.chain ?? null;
        this.#known.set(partition, { slot: candidate.slot, begin: candidate.begin, chain });
        return this.#changed(partition, candidate, state);
      }
      this.#onDamaged({
        partition,
        what:
          `the checkpoint at offset ${candidate.offsetNext} has ${candidate.chunks.size} of ${candidate.count} parts` +
          ' or does not match its checksum; the one before it is used',
      });
    }
    return null;
  }

  /** A state with the changes upon it, as far as these are whole. */
  #changed(partition: number, found: Found, state: Uint8Array): Checkpoint {
    const patched = new PatchedBytes(state);
    let { offsetNext } = found;
    for (let n = 1; ; n++) {
      const change = found.changes.get(n);
      if (change === undefined) break;
      if (!change.isWhole || !patched.apply(change.patch) || patched.length !== change.stateBytes) {
        const what = `the change ${n} of the checkpoint at offset ${found.offsetNext} is damaged; what came before it is used`;
        this.#onDamaged({ partition, what });
        break;
      }
      offsetNext = change.offsetNext;
    }
    return { offsetNext, state: offsetNext === found.offsetNext ? state : patched.finish() };
  }

  save(partition: number, checkpoint: Checkpoint): Promise<void> {
    return this.#inOrder(partition, () => this.#save(partition, checkpoint));
  }

  saveChange(partition: number, change: CheckpointChange): Promise<void> {
    return this.#inOrder(partition, () => this.#saveChange(partition, change));
  }

  #inOrder(partition: number, save: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.reject(new SluiceError('LOG_CLOSED', 'the checkpoints are closed'));
    const run = (this.#saving.get(partition) ?? Promise.resolve()).catch(() => undefined).then(save);
    this.#saving.set(partition, run);
    return run;
  }

  async #saveChange(partition: number, { offsetNext, after, patch, stateBytes }: CheckpointChange): Promise<void> {
    const known = this.#known.get(partition);
    const chain = known?.chain ?? null;
    if (known === undefined || chain === null || chain.offsetNext !== after) {
      throw apart(partition, 'another came between');
    }
    known.chain = null;
    const changes = chain.changes + 1;
    const changeBytes = chain.changeBytes + patch.length;
    if (patch.length > this.#chunkBytes || isTooMuch(changes, changeBytes, chain.stateBytes)) {
      const before = await this.#newest(partition);
      const patched = new PatchedBytes(before?.state ?? new Uint8Array(0));
      if (before?.offsetNext !== after || !patched.apply(patch) || patched.length !== stateBytes) {
        throw apart(partition, 'what it lies upon cannot be read');
      }
      return this.#save(partition, { offsetNext, state: patched.finish() });
    }
    const head = { id: chain.id, chunk: changes, chunks: 0, offsetNext, stateBytes, slot: known.slot };
    const value = record(head, patch, (of) => checksum(of.subarray(0, 40), patch));
    const key = Buffer.from(`${known.slot}/p${changes}`);
    await this.#producer.append({ topic: this.#topic, partition, key, value });
    known.chain = { ...chain, offsetNext, changes, changeBytes };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#saving.values());
    await this.#producer.close();
    await this.#reader.close();
    await this.#admin.disconnect().catch(() => undefined);
  }

  async #save(partition: number, { offsetNext, state }: Checkpoint): Promise<void> {
    // Another process may have saved the newest one; the slot of that is not to be written over.
    if (!this.#known.has(partition)) await this.#newest(partition);
    const before = this.#known.get(partition) ?? null;
    if (before !== null) before.chain = null;
    const slot = before === null ? 0 : 1 - before.slot;
    const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex');
    const count = Math.max(1, Math.ceil(state.length / this.#chunkBytes));
    let begin = 0;
    let crc = 0;
    for (let c = 0; c < count; c++) {
      const chunk = state.subarray(c * this.#chunkBytes, (c + 1) * this.#chunkBytes);
      const head = { id, chunk: c, chunks: count, offsetNext, stateBytes: state.length, slot };
      const value = record(head, chunk, (of) => {
        if (c === 0) crc = checksum(of.subarray(24, 40), state);
        return crc;
      });
      const offset = await this.#producer.append({
        topic: this.#topic,
        partition,
        key: Buffer.from(`${slot}/${c}`),
        value,
      });
      if (c === 0) begin = offset;
    }
    const chain = { id, offsetNext, stateBytes: state.length, changes: 0, changeBytes: 0 };
    this.#known.set(partition, { slot, begin, chain });
    if (before !== null) await this.#forget(partition, before.begin);
  }

  /** Lets go of what lies before the previous checkpoint. Not needed for anything but room and speed, so a failure is no failure. */
  async #forget(partition: number, before: number): Promise<void> {
    await this.#admin
      .deleteTopicRecords({ topic: this.#topic, partitions: [{ partition, offset: String(before) }] })
      .catch(() => undefined);
  }

  /** All that is held of checkpoints, complete or not, in the order in which they were begun. */
  async #read(partition: number): Promise<Found[]> {
    const found = new Map<string, Found>();
    let at = await this.#reader.offsetOf(this.#topic, partition, EARLIEST);
    const end = await this.#reader.offsetOf(this.#topic, partition, LATEST);
    while (at < end) {
      const { frames, next } = await fetchOnce(this.#reader, this.#topic, partition, at, READ_BYTES);
      for (const { offset, bytes } of frames) addChunk(found, offset, bytes);
      at = Math.max(next, at + 1);
    }
    return [...found.values()];
  }
}

interface Head {
  id: Uint8Array;
  chunk: number;
  chunks: number;
  offsetNext: number;
  stateBytes: number;
  slot: number;
}

/** `crcOf` is given what stands before the checksum. */
function record(head: Head, bytes: Uint8Array, crcOf: (before: Buffer) => number): Buffer {
  const value = Buffer.allocUnsafeSlow(HEADER_BYTES + bytes.length);
  value.set(head.id, 0);
  value.writeUInt32BE(head.chunk, 16);
  value.writeUInt32BE(head.chunks, 20);
  writeU64(value, 24, head.offsetNext);
  writeU64(value, 32, head.stateBytes);
  value.writeUInt32BE(crcOf(value), 40);
  value[44] = head.slot;
  value.set(bytes, HEADER_BYTES);
  return value;
}

function addChunk(found: Map<string, Found>, offset: number, bytes: Uint8Array): void {
  if (bytes.length < HEADER_BYTES) return;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const id = view.toString('hex', 0, 16);
  let one = found.get(id);
  const chunk = bytes.subarray(HEADER_BYTES);
  if (view.readUInt32BE(20) === 0) {
    // One whose state is not there (any more) says nothing.
    one?.changes.set(view.readUInt32BE(16), {
      offsetNext: readU64(view, 24),
      stateBytes: readU64(view, 32),
      patch: chunk,
      isWhole: checksum(view.subarray(0, 40), chunk) === view.readUInt32BE(40),
    });
    return;
  }
  if (one === undefined) {
    one = {
      id,
      slot: bytes[44],
      begin: offset,
      chunks: new Map(),
      count: view.readUInt32BE(20),
      offsetNext: readU64(view, 24),
      stateBytes: readU64(view, 32),
      crc: view.readUInt32BE(40),
      changes: new Map(),
    };
    found.set(id, one);
  }
  one.chunks.set(view.readUInt32BE(16), chunk);
}

function assemble(found: Found): Uint8Array | null {
  let bytes = 0;
  for (const chunk of found.chunks.values()) bytes += chunk.length;
  if (found.chunks.size !== found.count || bytes !== found.stateBytes) return null;
  const state = new Uint8Array(bytes);
  let at = 0;
  for (let c = 0; c < found.count; c++) {
    const chunk = found.chunks.get(c);
    if (chunk === undefined) return null;
    state.set(chunk, at);
    at += chunk.length;
  }
  const sizes = new Uint8Array(16);
  writeU64(sizes, 0, found.offsetNext);
  writeU64(sizes, 8, found.stateBytes);
  return checksum(sizes, state) === found.crc ? state : null;
}

/** zlib answers 0 for no bytes, whatever came before them. */
function checksum(sizes: Uint8Array, state: Uint8Array): number {
  return state.length === 0 ? crc32(sizes) : crc32(state, crc32(sizes));
}
