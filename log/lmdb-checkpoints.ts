import { mkdirSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { SluiceError } from '../model/errors.ts';
import { PatchedBytes } from '../model/patch.ts';
import { apart, type Checkpoint, type CheckpointChange, type Checkpoints, isTooMuch } from './checkpoints.ts';
import {
  changeKey,
  chunkKey,
  decodeChange,
  decodeSlot,
  encodeChange,
  encodeSlot,
  type Slot,
  slotKey,
} from './lmdb-checkpoint-codec.ts';
import { encodeLayout, LAYOUT_KEY } from './lmdb-codec.ts';
import { type Env, openWritableEnv } from './lmdb-env.ts';
import { checkLayout } from './lmdb-reader.ts';
import { takeWriterLock, type WriterLock } from './writer-lock.ts';

/**
 * Checkpoints in an LMDB environment of the processor's own. Each partition has two slots (ss, 0 and 1) that are written in
 * turn, so that the one before the newest is always whole:
 *
 *     00                    layout, as in lmdb-codec.ts
 *     03 pppp ss            u64 sequence   u64 offsetNext   u64 stateBytes   u32 crc32 of those and the state
 *     04 pppp ss cccccccc   chunk c of the state, CHUNK_BYTES each but the last
 *     05 pppp ss nnnnnnnn   change n (1 …) of the slot's state: u32 crc32 of what follows   u32 crc32 of the record 03   u32 n
 *                           u64 offsetNext   u64 stateBytes   patch (model/patch.ts)
 *
 * A checkpoint is a slot's state with the changes 1 … n upon it. When these have become much, the whole is read back and written to the
 * other slot. The record 03 of a slot is removed before its chunks are written, and written after them: a slot that was left half
 * written has none. A state of one chunk is written in one transaction.
 */
export interface LmdbCheckpointsOptions {
  dir: string;
  partitions: number;
  onDamaged: (problem: { partition: number; what: string }) => void;
}

const CHUNK_BYTES = 8 << 20;
/** Address space, and what a state can have at most; the file grows as needed. */
const MAP_BYTES = 16 * 2 ** 30;

/** What was saved last by this object, which the next change lies upon. */
interface Chain {
  slot: Slot;
  offsetNext: number;
  changes: number;
  changeBytes: number;
}

/** Rejects with LOG_LOCKED when another process has them open, with LOG_LAYOUT for another number of partitions. */
export async function openLmdbCheckpoints(options: LmdbCheckpointsOptions): Promise<Checkpoints> {
  mkdirSync(options.dir, { recursive: true });
  const lock = takeWriterLock(options.dir);
  try {
    const env = openWritableEnv(options.dir, MAP_BYTES);
    if (!checkLayout(env, 'checkpoints', options.partitions)) {
      await env.commit([[LAYOUT_KEY, encodeLayout(options.partitions)]]);
    }
    return new LmdbCheckpoints(env, lock, options.onDamaged);
  } catch (error) {
    lock.release();
    throw error;
  }
}

class LmdbCheckpoints implements Checkpoints {
  readonly #env: Env;
  readonly #lock: WriterLock;
  readonly #onDamaged: LmdbCheckpointsOptions['onDamaged'];
  /** Saves of a partition run one after another. */
  readonly #saving = new Map<number, Promise<void>>();
  /** The newest slot of a partition that is known to be whole: the other one is written next. */
  readonly #whole = new Map<number, Slot>();
  readonly #chains = new Map<number, Chain>();
  #closed = false;

  constructor(env: Env, lock: WriterLock, onDamaged: LmdbCheckpointsOptions['onDamaged']) {
    this.#env = env;
    this.#lock = lock;
    this.#onDamaged = onDamaged;
  }

  async load(partition: number): Promise<Checkpoint | null> {
    this.#check();
    for (const slot of this.#slots(partition)) {
      const state = this.#state(partition, slot);
      if (state !== null) {
        this.#whole.set(partition, slot);
        return this.#changed(partition, slot, state);
      }
      this.#onDamaged({
        partition,
        what: `the checkpoint at offset ${slot.offsetNext} does not match its checksum; the one before it is used`,
      });
    }
    return null;
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

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#saving.values());
    await this.#env.close();
    this.#lock.release();
  }

  async #saveChange(partition: number, change: CheckpointChange): Promise<void> {
    const chain = this.#chains.get(partition);
    if (chain === undefined || chain.offsetNext !== change.after) throw apart(partition, 'another came between');
    const { offsetNext, patch, stateBytes } = change;
    this.#chains.delete(partition);
    const { slot } = chain;
    const changes = chain.changes + 1;
    const changeBytes = chain.changeBytes + patch.length;
    if (isTooMuch(changes, changeBytes, slot.stateBytes)) {
      const base = this.#state(partition, slot);
      const before = base === null ? null : this.#changed(partition, slot, base);
      const patched = before === null ? null : new PatchedBytes(before.state);
      if (before?.offsetNext !== change.after || !patched?.apply(patch)) {
        throw apart(partition, 'what it lies upon cannot be read');
      }
      return this.#save(partition, { offsetNext, state: patched.finish() });
    }
    const value = encodeChange(slot, changes, { offsetNext, patch, stateBytes });
    // Whatever lies behind it was of another state.
    await this.#env.commit([[changeKey(partition, slot.slot, changes), value]]);
    this.#chains.set(partition, { slot, offsetNext, changes, changeBytes });
  }

  /** A slot's state with the changes upon it, as far as these are whole. */
  #changed(partition: number, slot: Slot, state: Uint8Array): Checkpoint {
    const patched = new PatchedBytes(state);
    let { offsetNext } = slot;
    for (let n = 1; ; n++) {
      const value = this.#env.read((get) => get(changeKey(partition, slot.slot, n)));
      if (value === undefined) break;
      const change = decodeChange(slot, n, value);
      if (change === 'apart') break;
      if (change === 'damaged' || !patched.apply(change.patch) || patched.length !== change.stateBytes) {
        const what = `the change ${n} of the checkpoint at offset ${slot.offsetNext} is damaged; what came before it is used`;
        this.#onDamaged({ partition, what });
        break;
      }
      offsetNext = change.offsetNext;
    }
    return { offsetNext, state: offsetNext === slot.offsetNext ? state : patched.finish() };
  }

  async #save(partition: number, { offsetNext, state }: Checkpoint): Promise<void> {
    this.#chains.delete(partition);
    const slots = this.#slots(partition);
    const whole = this.#whole.get(partition) ?? slots.find((s) => this.#state(partition, s) !== null);
    const slot = whole === undefined ? 0 : 1 - whole.slot;
    const old = slots.find((s) => s.slot === slot);
    const sequence = Math.max(0, ...slots.map((s) => s.sequence)) + 1;
    const record = sealed({ slot, sequence, offsetNext, stateBytes: state.length, crc: 0 }, state);

    const chunks = Math.ceil(state.length / CHUNK_BYTES);
    const surplus: Uint8Array[] = [];
    // A damaged record may say any length; no state is longer than the map.
    const oldChunks = Math.ceil(Math.min(old?.stateBytes ?? 0, MAP_BYTES) / CHUNK_BYTES);
    for (let c = chunks; c < oldChunks; c++) {
      surplus.push(chunkKey(partition, slot, c));
    }
    for (let n = 1; this.#env.read((get) => get(changeKey(partition, slot, n))) !== undefined; n++) {
      surplus.push(changeKey(partition, slot, n));
    }
    const puts: [Uint8Array, Uint8Array][] = [[slotKey(partition, slot), encodeSlot(record)]];
    if (chunks === 1) puts.push([chunkKey(partition, slot, 0), state]);
    else if (chunks > 1) {
      if (old !== undefined) await this.#env.commit([], [slotKey(partition, slot)]);
      for (let c = 0; c < chunks; c++) {
        const chunk = state.subarray(c * CHUNK_BYTES, (c + 1) * CHUNK_BYTES);
        await this.#env.commit([[chunkKey(partition, slot, c), chunk]]);
      }
    }
    await this.#env.commit(puts, surplus);
    this.#whole.set(partition, record);
    this.#chains.set(partition, { slot: record, offsetNext, changes: 0, changeBytes: 0 });
  }

  /** Newest first. */
  #slots(partition: number): Slot[] {
    return this.#env.read((get) =>
      [0, 1]
        .flatMap((slot) => {
          const value = get(slotKey(partition, slot));
          return value?.length === 28 ? [decodeSlot(slot, value)] : [];
        })
        .sort((a, b) => b.sequence - a.sequence),
    );
  }

  /** Null when it is not whole. */
  #state(partition: number, slot: Slot): Uint8Array | null {
    if (slot.stateBytes > MAP_BYTES) return null;
    const state = new Uint8Array(slot.stateBytes);
    let at = 0;
    for (let c = 0; at < state.length; c++) {
      const chunk = this.#env.read((get) => get(chunkKey(partition, slot.slot, c)));
      if (chunk === undefined || chunk.length === 0 || at + chunk.length > state.length) return null;
      state.set(chunk, at);
      at += chunk.length;
    }
    return sealed(slot, state).crc === slot.crc ? state : null;
  }

  #check(): void {
    if (this.#closed) throw new SluiceError('LOG_CLOSED', 'the checkpoints are closed');
  }
}

function sealed(slot: Slot, state: Uint8Array): Slot {
  const head = crc32(encodeSlot(slot).subarray(0, 24));
  // zlib answers 0 for no bytes, whatever came before them.
  return { ...slot, crc: state.length === 0 ? head : crc32(state, head) };
}
