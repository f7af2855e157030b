import { FrameReader } from '../model/frame.ts';
import { type Claim, type ClaimRow, encodeClaim, LEDGER_TOPIC, MINUTE_MS } from '../model/ledger.ts';

/** Messages of one identity (device and topic) since they were last gathered. */
interface Tally {
  partition: number;
  count: number;
}

/** Messages that were taken and that failed, of one partition: by minute, by device. */
type Counts = Map<number, Map<string, { received: number; failed: number }>>;

interface PartitionClaims {
  counts: Counts;
  /** Claims whose append failed. They are written again as they are, before any other. */
  again: Uint8Array[];
  n: number;
}

/** Identities between two gatherings. The broker's way has one for each message; they are gathered sooner then. */
const TALLIES_MAX = 16_384;
/** About the size of one claim, which is one message on the log. */
const CLAIM_BYTES = 32 * 1024;

/**
 * What the door says of itself: how many messages it took of each device in each minute of the time received, and how many of
 * them failed. A claim stands on the log behind the messages that it counts, in their partition; since frames of a partition are
 * appended in order and a failure fails those behind it, a claim that is on the log counts only messages that are settled:
 * acknowledged, or failed. See ARCHITECTURE.md, "The ledger".
 */
export class DoorLedger {
  readonly #door: string;
  readonly #flushMs: number;
  readonly #write: (partition: number, payload: Uint8Array) => void;
  readonly #partitions: PartitionClaims[];
  readonly #tallies = new Map<Uint8Array, Tally>();
  #last: Uint8Array | null = null;
  #tally: Tally = { partition: 0, count: 0 };
  #minuteMs = 0;
  #dueMs = Number.NEGATIVE_INFINITY;

  /** `door` names this life of this door: never used again. `write` appends behind all that was counted. */
  constructor(
    options: { door: string; flushMs: number },
    partitions: number,
    write: (partition: number, payload: Uint8Array) => void,
  ) {
    this.#door = options.door;
    this.#flushMs = options.flushMs;
    this.#write = write;
    this.#partitions = Array.from({ length: partitions }, () => ({ counts: new Map(), again: [], n: 0 }));
  }

  /** A message was taken. `identity` is the same object for messages of one device that follow each other, as a rule. */
  count(partition: number, receivedMs: number, identity: Uint8Array): void {
    const sinceMs = receivedMs - this.#minuteMs;
    if (sinceMs >= MINUTE_MS || sinceMs < 0) {
      this.#gather();
      this.#minuteMs = receivedMs - (receivedMs % MINUTE_MS);
    }
    if (identity !== this.#last) this.#choose(partition, identity);
    this.#tally.count++;
  }

  #choose(partition: number, identity: Uint8Array): void {
    let tally = this.#tallies.get(identity);
    if (tally === undefined) {
      if (this.#tallies.size >= TALLIES_MAX) this.#gather();
      tally = { partition, count: 0 };
      this.#tallies.set(identity, tally);
    }
    this.#last = identity;
    this.#tally = tally;
  }

  /** A frame did not get onto the log: its messages failed, and its claims are still to be made. */
  failed(partition: number, frame: Uint8Array): void {
    const { again } = this.#partitions[partition];
    const reader = new FrameReader();
    reader.reset(frame);
    while (reader.next()) {
      if (reader.deviceStart < reader.deviceEnd) this.#add(partition, reader.receivedMs, reader.device(), 0, 1);
      else if (reader.topic() === LEDGER_TOPIC) again.push(reader.payload().slice());
    }
  }

  /** Writes what is to be claimed when it is due. */
  tick(nowMs: number): void {
    if (nowMs >= this.#dueMs || nowMs < this.#dueMs - this.#flushMs) this.flush(nowMs);
  }

  flush(nowMs: number): void {
    this.#dueMs = nowMs - (nowMs % this.#flushMs) + this.#flushMs;
    this.#gather();
    for (const [partition, claims] of this.#partitions.entries()) {
      for (const payload of claims.again.splice(0)) this.#write(partition, payload);
      if (claims.counts.size === 0) continue;
      const counts = claims.counts;
      claims.counts = new Map();
      for (const rows of chunks(counts)) {
        const claim: Claim = { door: this.#door, n: ++claims.n, rows };
        this.#write(partition, encodeClaim(claim));
      }
    }
  }

  #gather(): void {
    for (const [identity, { partition, count }] of this.#tallies) {
      if (count > 0) this.#add(partition, this.#minuteMs, deviceOf(identity), count, 0);
    }
    this.#tallies.clear();
    this.#last = null;
  }

  #add(partition: number, receivedMs: number, device: string, received: number, failed: number): void {
    const { counts } = this.#partitions[partition];
    const minute = Math.floor(receivedMs / MINUTE_MS);
    let devices = counts.get(minute);
    if (devices === undefined) {
      devices = new Map();
      counts.set(minute, devices);
    }
    const known = devices.get(device);
    if (known === undefined) devices.set(device, { received, failed });
    else {
      known.received += received;
      known.failed += failed;
    }
  }
}

function* chunks(counts: Counts): Generator<ClaimRow[]> {
  let rows: ClaimRow[] = [];
  let bytes = 0;
  for (const [minute, devices] of counts) {
    for (const [device, { received, failed }] of devices) {
      rows.push([minute, device, received, failed]);
      bytes += device.length + 24;
      if (bytes < CLAIM_BYTES) continue;
      yield rows;
      rows = [];
      bytes = 0;
    }
  }
  if (rows.length > 0) yield rows;
}

/** The first of the two CBOR texts of an identity (model/frame.ts). */
function deviceOf(identity: Uint8Array): string {
  const info = identity[0] & 31;
  const width = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : 0;
  let length = width === 0 ? info : 0;
  for (let i = 1; i <= width; i++) length = length * 256 + identity[i];
  return Buffer.from(identity.buffer, identity.byteOffset + 1 + width, length).toString('utf8');
}
