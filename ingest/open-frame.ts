import type { SluiceError } from '../model/errors.ts';

/** Whoever waits for PUBACKs or PUBRECs: a connection, or its Qos2Receipts. */
export interface AckReceiver {
  /** The messages with these packet ids are durable with their frame; the ids stand in order of arrival. `ids` is reused after the call. */
  acknowledge(ids: Uint16Array, count: number, frame: OpenFrame): void;
  /** A frame with unacknowledged messages of this receiver did not get onto the log. */
  appendFailed(error: SluiceError, frame: OpenFrame): void;
}

/** What a slower path than the lane is told about its message: nothing when it is durable, else why not. */
export type Settled = (error: SluiceError | null) => void;

/** Packet ids of one receiver in one frame, in order of arrival. Recycled, because there is one for each connection and frame. */
export class AckList {
  receiver: AckReceiver | null = null;
  ids = new Uint16Array(32);
  count = 0;

  push(id: number): void {
    if (this.count === this.ids.length) {
      const larger = new Uint16Array(this.ids.length * 2);
      larger.set(this.ids);
      this.ids = larger;
    }
    this.ids[this.count++] = id;
  }
}

const LISTS_MAX = 4096;
/** A list that once grew very large is not kept. */
const KEPT_IDS_MAX = 16 * 1024;

/** Lists that are not in use. */
export class AckLists {
  readonly #free: AckList[] = [];

  take(receiver: AckReceiver): AckList {
    const list = this.#free.pop() ?? new AckList();
    list.receiver = receiver;
    return list;
  }

  giveBack(list: AckList): void {
    list.receiver = null;
    list.count = 0;
    if (this.#free.length < LISTS_MAX && list.ids.length <= KEPT_IDS_MAX) this.#free.push(list);
  }
}

/**
 * What has to happen when one frame is durable, or is known never to be: the acknowledgement travels with its batch and
 * fires once.
 */
export class OpenFrame {
  /** Set when the frame is handed to the log. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  messages = 0;
  /** When its first message came, ms. */
  openedMs = 0;
  readonly #free: AckLists;
  readonly #lists: AckList[] = [];
  readonly #byReceiver = new Map<AckReceiver, AckList>();
  #last: AckList | null = null;
  #settled: Settled[] | null = null;

  constructor(free: AckLists) {
    this.#free = free;
  }

  /** Notes that a receiver waits for the acknowledgement of `id`. */
  expect(receiver: AckReceiver, id: number): void {
    let list = this.#last;
    if (list === null || list.receiver !== receiver) {
      list = this.#byReceiver.get(receiver) ?? null;
      if (list === null) {
        list = this.#free.take(receiver);
        this.#lists.push(list);
        this.#byReceiver.set(receiver, list);
      }
      this.#last = list;
    }
    list.push(id);
  }

  /** Calls back when the fate of the frame is known. */
  whenSettled(settled: Settled): void {
    this.#settled ??= [];
    this.#settled.push(settled);
  }

  succeed(): void {
    for (const list of this.#lists) {
      list.receiver!.acknowledge(list.ids, list.count, this);
      this.#free.giveBack(list);
    }
    this.#finish(null);
  }

  fail(error: SluiceError): void {
    for (const list of this.#lists) {
      list.receiver!.appendFailed(error, this);
      this.#free.giveBack(list);
    }
    this.#finish(error);
  }

  #finish(error: SluiceError | null): void {
    const settled = this.#settled;
    this.#lists.length = 0;
    this.#byReceiver.clear();
    this.#last = null;
    this.#settled = null;
    if (settled !== null) for (const call of settled) call(error);
  }
}
