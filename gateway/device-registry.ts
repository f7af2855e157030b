import { randomUUID } from 'node:crypto';
import type { Log, LogTail } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { type DeviceEntry, type DeviceFields, type DeviceSource, sameDevice } from '../model/device.ts';
import { FrameReader } from '../model/frame.ts';
import type { Logger } from '../model/logger.ts';
import { type DeviceOperation, decodeOperation } from '../model/operation.ts';
import { OPERATIONS } from '../model/topics.ts';
import { saidOf } from './device-queries.ts';
import type { OperationWriter } from './operations.ts';
import { HttpProblem } from './problem.ts';
import type { StoreGate } from './store-gate.ts';

/** What was said of a device last; version 0 when nobody said anything. */
export interface Said {
  version: number;
  entry: DeviceEntry | null;
}

/** A change that is wanted. */
export interface Wanted {
  id: string;
  /** Null removes the entry. */
  fields: DeviceFields | null;
}

/** Devices of the settings and of the file that they name. */
export interface Declared {
  source: 'config' | 'file';
  fields: DeviceFields;
}

export interface DeviceRegistryParts {
  log: Log;
  gate: StoreGate;
  writer: OperationWriter;
  clock: Clock;
  logger: Logger;
}

/** An operation reaches the table within a second or two; for this long the newest ones are known here as well. */
const RECENT_MS = 600_000;
/** The store may come later than the gateway. */
const RETRY_MS = 2000;
const NOTHING: Said = { version: 0, entry: null };

/**
 * What the gateway knows of entries: those of the table, and over them the operations of the last minutes, which may not have got
 * there yet. Changes go out one after another, so that each builds on the one before.
 */
export class DeviceRegistry {
  readonly #parts: DeviceRegistryParts;
  readonly #recent = new Map<string, Said & { atMs: number }>();
  #declared = new Map<string, Declared>();
  #turn: Promise<unknown> = Promise.resolve();
  #tail: LogTail | null = null;
  #retry: TimerHandle | null = null;
  #closed = false;

  constructor(parts: DeviceRegistryParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { log, clock, logger } = this.#parts;
    const from = await log.offsetAt(OPERATIONS, 0, clock.nowMs() - RECENT_MS);
    this.#tail = await log.tail(OPERATIONS, {
      from: () => from,
      onFrames: (_partition, frames) => {
        for (const { bytes } of frames) this.#heard(bytes);
      },
      onError: (error) => logger.error('operations can no longer be followed', { reason: error.message }),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#tail?.close();
    await this.#turn.catch(() => undefined);
  }

  /** Where a device is declared outside of the API; null where it is not. */
  declaredIn(id: string): 'config' | 'file' | null {
    return this.#declared.get(id)?.source ?? null;
  }

  /** What was said of a device in the last minutes; null: the table has it. */
  recent(id: string): Said | null {
    return this.#recent.get(id) ?? null;
  }

  /** What was said of each of these devices last. */
  async said(ids: readonly string[]): Promise<Map<string, Said>> {
    const stored = await saidOf(this.#parts.gate, ids);
    return new Map(ids.map((id) => [id, newer(stored.get(id), this.#recent.get(id))]));
  }

  /**
   * Decides and appends in one turn: `decide` is given what was said of the devices last, and returns what is to be said of them;
   * it throws to leave all as it was. Resolves with the version of each change when all are durable.
   */
  change(
    ids: readonly string[],
    source: Exclude<DeviceSource, 'seen'>,
    by: string,
    decide: (said: Map<string, Said>) => Wanted[],
  ): Promise<Map<string, number>> {
    return this.#inTurn(async () => {
      const said = await this.said(ids);
      return this.#append(decide(said), said, () => source, by);
    });
  }

  /**
   * Makes what settings and file declare hold: what differs is said anew, and what comes from them and is declared no longer is
   * removed. Tries until it is done.
   */
  declare(declared: readonly Declared[]): void {
    this.#declared = new Map(declared.map((one) => [one.fields.id, one]));
    this.#retry?.cancel();
    this.#retry = null;
    void this.#inTurn(() => this.#declare()).catch((error: Error) => {
      if (this.#closed || this.#retry !== null) return;
      this.#parts.logger.debug?.('declared devices wait for the store', { reason: error.message });
      this.#retry = this.#parts.clock.after(RETRY_MS, () => this.declare([...this.#declared.values()]));
    });
  }

  async #declare(): Promise<void> {
    const declared = this.#declared;
    const stored = await saidOf(this.#parts.gate, [...declared.keys()]);
    const ids = new Set([...stored.keys(), ...declared.keys(), ...this.#recent.keys()]);
    const said = new Map([...ids].map((id) => [id, newer(stored.get(id), this.#recent.get(id))]));
    const wanted: Wanted[] = [];
    for (const [id, { source, fields }] of declared) {
      const entry = said.get(id)?.entry ?? null;
      if (entry === null || entry.source !== source || !sameDevice(entry, fields)) wanted.push({ id, fields });
    }
    for (const [id, { entry }] of said) {
      if (entry !== null && entry.source !== 'http' && !declared.has(id)) wanted.push({ id, fields: null });
    }
    if (wanted.length === 0) return;
    const sourceOf = (id: string) => declared.get(id)?.source ?? said.get(id)?.entry?.source ?? 'config';
    await this.#append(wanted, said, sourceOf, '');
    this.#parts.logger.info('declared devices were put on the log', {
      changed: wanted.filter(({ fields }) => fields !== null).length,
      removed: wanted.filter(({ fields }) => fields === null).length,
    });
  }

  async #append(
    wanted: readonly Wanted[],
    said: Map<string, Said>,
    sourceOf: (id: string) => DeviceSource,
    by: string,
  ): Promise<Map<string, number>> {
    const atMs = this.#parts.clock.nowMs();
    const operations = wanted.map(({ id, fields }): DeviceOperation => {
      const before = said.get(id) ?? NOTHING;
      const version = Math.max(atMs, before.version + 1);
      const common = { kind: 'device' as const, id: randomUUID(), atMs, by, device: id, version, expects: null };
      return { ...common, source: sourceOf(id), entry: fields };
    });
    await this.#parts.writer.append(operations);
    for (const operation of operations) this.#note(operation);
    return new Map(operations.map(({ device, version }) => [device, version]));
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn
      .catch(() => undefined)
      .then(() => {
        if (this.#closed) throw new HttpProblem(503, 'GATEWAY_CLOSING', 'the gateway is closing');
        return run();
      });
    this.#turn = turn;
    return turn;
  }

  #heard(frame: Uint8Array): void {
    const reader = new FrameReader();
    reader.reset(frame);
    try {
      while (reader.next()) {
        const operation = decodeOperation(reader.payload());
        if (operation.kind === 'device') this.#note(operation);
      }
    } catch (error) {
      this.#parts.logger.warn('an operation on the log could not be read', { reason: (error as Error).message });
    }
  }

  #note({ device, version, source, entry }: DeviceOperation): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const [id, { atMs }] of this.#recent) {
      if (nowMs - atMs < RECENT_MS) break;
      this.#recent.delete(id);
    }
    if ((this.#recent.get(device)?.version ?? 0) >= version) return;
    this.#recent.delete(device);
    this.#recent.set(device, { version, atMs: nowMs, entry: entry === null ? null : { ...entry, source, version } });
  }
}

function newer(a: Said | undefined, b: Said | undefined): Said {
  if (a === undefined || b === undefined) return a ?? b ?? NOTHING;
  return b.version >= a.version ? b : a;
}
