import type { Log } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../model/frame.ts';
import { Histogram } from '../model/histogram.ts';
import { LEDGER_TOPIC } from '../model/ledger.ts';
import type { Logger } from '../model/logger.ts';
import { TELEMETRY } from '../model/topics.ts';
import { DoorLedger } from './ledger.ts';
import { AckLists, OpenFrame } from './open-frame.ts';
import type { Pressure } from './pressure.ts';
import { SpareFrames } from './spare-frames.ts';

export interface BatchOptions {
  /** How long the first message of a frame waits for company while nothing of its partition is in flight; 0: until the sockets that are ready have been read. */
  lingerMs: number;
  /** A frame is handed to the log when the next message would make it larger; a single larger message has a frame of its own. */
  frameBytesMax: number;
  /** Bytes that may wait for their append, over all partitions, before sockets are paused. */
  inFlightBytesMax: number;
  /** A partition that has had no frame for this long gets a tick. */
  tickMs: number;
  /** Counts of devices and minutes are written into the partitions this often; absent: they are not kept. */
  ledger?: { door: string; flushMs: number };
}

/** First room of a frame; it then follows what the partition's frames turn out to need. */
const FRAME_ROOM_MIN = 1024;
/** CBOR around a message besides its identity and payload, at most (model/frame.ts). */
const ITEM_OVERHEAD = 15;
/** While the log is full the same frame is offered again after this long. */
const FULL_RETRY_MS = 250;
const TICK_IDENTITY = encodeIdentity('', TICK_TOPIC);
const LEDGER_IDENTITY = encodeIdentity('', LEDGER_TOPIC);
const NO_PAYLOAD = new Uint8Array(0);

/**
 *             add                       seal                     append
 *   message ──────▶ open frame ────────────────▶ waiting frames ────────▶ log ──▶ acknowledgements
 *                 (one a partition)  full, linger,  (in order)   one at a time
 *                                    or last append           for each partition
 *                                        done
 *
 * One append at a time for each partition: what arrives meanwhile makes the next frame larger, so batches grow with the load
 * by themselves; and a frame that the log has no room for can be offered again without being overtaken. All partitions that
 * are due are appended in the same turn of the event loop, so that a log with group commit makes one commit of them.
 */
interface PartitionState {
  index: number;
  builder: FrameBuilder;
  /** Acknowledgements of the messages in `builder`. */
  open: OpenFrame;
  waiting: OpenFrame[];
  appending: OpenFrame | null;
  /** Size of the frames lately, which the next one gets room for. */
  roomBytes: number;
  lastFrameMs: number;
}

export class Batcher {
  messagesReceived = 0;
  messagesAcknowledged = 0;
  messagesInFlight = 0;
  messagesFailed = 0;
  /** From the first message of a frame to its acknowledgements, once for each message. */
  readonly ackSeconds = new Histogram();
  /** True while the log refuses frames for want of room. */
  logFull = false;
  readonly #log: Log;
  readonly #options: BatchOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pressure: Pressure;
  readonly #partitions: PartitionState[] = [];
  readonly #ackLists = new AckLists();
  readonly #spare = new SpareFrames();
  readonly #ledger: DoorLedger | null = null;
  #scheduled = false;
  #linger: TimerHandle | null = null;
  #lastFailureLogMs = Number.NEGATIVE_INFINITY;
  #idle: (() => void)[] = [];
  #aborted: SluiceError | null = null;
  /** Called when the log says that it will never take a frame again from here. */
  onFatal: (error: SluiceError) => void = () => {};

  constructor(log: Log, options: BatchOptions, pressure: Pressure, clock: Clock, logger: Logger) {
    this.#log = log;
    this.#options = options;
    this.#pressure = pressure;
    this.#clock = clock;
    this.#logger = logger;
    if (options.ledger !== undefined)
      this.#ledger = new DoorLedger(
        options.ledger,
        log.partitions,
        (p, payload) => void this.note(p, LEDGER_IDENTITY, payload),
      );
    for (let index = 0; index < log.partitions; index++) {
      this.#partitions.push({
        index,
        builder: new FrameBuilder(FRAME_ROOM_MIN),
        open: new OpenFrame(this.#ackLists),
        waiting: [],
        appending: null,
        roomBytes: FRAME_ROOM_MIN,
        lastFrameMs: clock.nowMs(),
      });
    }
  }

  get partitions(): number {
    return this.#partitions.length;
  }

  /** What whoever notes many messages at once should not go beyond before they are durable, bytes. */
  get notedBytesMax(): number {
    return Math.min(this.#options.frameBytesMax, this.#options.inFlightBytesMax);
  }

  /**
   * Takes one message into the open frame of its partition; the payload `source[start, end)` is copied. Returns the frame, on
   * which the caller notes who waits for it, before anything else is added.
   */
  add(
    partition: number,
    nowMs: number,
    identity: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
  ): OpenFrame {
    const state = this.#partitions[partition];
    const builder = state.builder;
    const before = builder.bytes;
    if (before > 0 && before + identity.length + (end - start) + ITEM_OVERHEAD > this.#options.frameBytesMax) {
      this.#seal(state);
      this.#pump(state);
      return this.add(partition, nowMs, identity, source, start, end);
    }
    const open = state.open;
    if (before === 0) {
      open.openedMs = nowMs;
      if (state.appending === null && !this.#scheduled) this.#schedule(this.#options.lingerMs);
    }
    builder.append(nowMs, identity, source, start, end);
    this.#pressure.add(builder.bytes - before);
    if (this.#ledger !== null) this.#ledger.count(partition, nowMs, identity);
    open.messages++;
    this.messagesReceived++;
    this.messagesInFlight++;
    return open;
  }

  /**
   * Takes a message of the door's own, which names no device: a claim of the ledger, or an operation. It is not counted among
   * the messages received. Returns its frame, as `add` does.
   */
  note(partition: number, identity: Uint8Array, payload: Uint8Array): OpenFrame {
    const state = this.#partitions[partition];
    if (state.builder.bytes + payload.length + identity.length + ITEM_OVERHEAD > this.#options.frameBytesMax) {
      if (state.builder.bytes > 0) this.#seal(state);
      this.#pump(state);
    }
    const before = state.builder.bytes;
    if (before === 0) {
      state.open.openedMs = this.#clock.nowMs();
      if (state.appending === null && !this.#scheduled) this.#schedule(this.#options.lingerMs);
    }
    const { open } = state;
    state.builder.append(this.#clock.nowMs(), identity, payload, 0, payload.length);
    this.#pressure.add(state.builder.bytes - before);
    return open;
  }

  /**
   * Appends a tick to each partition that has had no frame for `tickMs`, so that whoever reads the log can tell that time has
   * passed there. A partition with work in flight needs none. The ledger's claims are written at the same pace.
   */
  tick(nowMs: number): void {
    this.#ledger?.tick(nowMs);
    for (const state of this.#partitions) {
      if (state.appending !== null || state.builder.bytes > 0) continue;
      const sinceMs = nowMs - state.lastFrameMs;
      // Negative when the clock was set back: the partition does not wait until it is where it was.
      if (sinceMs >= 0 && sinceMs < this.#options.tickMs) continue;
      state.builder.append(nowMs, TICK_IDENTITY, NO_PAYLOAD, 0, 0);
      this.#pressure.add(state.builder.bytes);
      this.#seal(state);
      this.#pump(state);
    }
  }

  /** Resolves when nothing is open, waiting or being appended any more. New messages may be added meanwhile. */
  async drain(): Promise<void> {
    this.#ledger?.flush(this.#clock.nowMs());
    this.#flush();
    if (this.#busy()) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Gives up on everything that is not durable yet: its fate is an error, and later messages fail at once. */
  abort(error: SluiceError): void {
    this.#aborted = error;
    for (const state of this.#partitions) {
      this.#failWaiting(state, error);
      if (state.appending !== null) this.#settle(state, state.appending, error);
    }
    this.#tellIdle();
  }

  /** Lets the linger run, or reads on in the sockets that are ready (a turn of the event loop), and then flushes. */
  #schedule(delayMs: number): void {
    this.#scheduled = true;
    if (delayMs > 0) this.#linger = this.#clock.after(delayMs, () => this.#flush());
    else setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    this.#linger?.cancel();
    this.#linger = null;
    for (const state of this.#partitions) {
      if (state.appending !== null || state.builder.bytes === 0) continue;
      this.#seal(state);
      this.#pump(state);
    }
  }

  /** Closes the open frame and puts it behind those that wait. */
  #seal(state: PartitionState): void {
    const frame = state.open;
    const bytes = state.builder.bytes;
    state.roomBytes = Math.max(FRAME_ROOM_MIN, bytes + (bytes >>> 2), state.roomBytes - (state.roomBytes >>> 3));
    const room = Math.min(state.roomBytes, this.#options.frameBytesMax);
    frame.bytes = state.builder.finish(this.#spare.take(room) ?? room);
    state.open = new OpenFrame(this.#ackLists);
    state.waiting.push(frame);
    state.lastFrameMs = this.#clock.nowMs();
  }

  #pump(state: PartitionState): void {
    if (state.appending !== null) return;
    const frame = state.waiting.shift();
    if (frame === undefined) return;
    state.appending = frame;
    this.#append(state, frame);
  }

  #append(state: PartitionState, frame: OpenFrame): void {
    if (this.#aborted !== null) {
      this.#failed(state, frame, this.#aborted);
      return;
    }
    this.#log.append(TELEMETRY, state.index, frame.bytes).then(
      () => this.#succeeded(state, frame),
      (error: unknown) => this.#failed(state, frame, asSluiceError(error)),
    );
  }

  #succeeded(state: PartitionState, frame: OpenFrame): void {
    if (state.appending !== frame) return; // given up on meanwhile
    if (this.logFull) {
      this.logFull = false;
      this.#logger.info('the log takes frames again');
    }
    this.messagesAcknowledged += frame.messages;
    this.ackSeconds.add((this.#clock.nowMs() - frame.openedMs) / 1000, frame.messages);
    this.#settle(state, frame, null);
    this.#goOn(state);
  }

  /**
   * A full log is waited for: the frame stays at the head of its partition, nothing is acknowledged, and the sockets are
   * paused once `inFlightBytesMax` is reached. Any other error is final (the engine has retried): the devices are told
   * nothing and their connections are closed so that they send again, and so are those of later messages of the partition,
   * which would otherwise reach the log before the repeated ones.
   */
  #failed(state: PartitionState, frame: OpenFrame, error: SluiceError): void {
    if (state.appending !== frame) return;
    if (error.code === 'LOG_FULL' && this.#aborted === null) {
      if (!this.logFull)
        this.#logger.error('the log is full: devices are held until it has room', {
          ...error.values,
          reason: error.message,
          remedy: error.remedy,
        });
      this.logFull = true;
      this.#clock.after(FULL_RETRY_MS, () => {
        if (state.appending === frame) this.#append(state, frame);
      });
      return;
    }
    this.#logFailure(state, frame, error);
    if (!error.retryable && error.code !== 'FRAME_TOO_LARGE') this.onFatal(error);
    this.#settle(state, frame, error);
    this.#failWaiting(state, error);
    this.#goOn(state);
  }

  #settle(state: PartitionState, frame: OpenFrame, error: SluiceError | null): void {
    state.appending = null;
    this.messagesInFlight -= frame.messages;
    const frameBytes = frame.bytes.length;
    if (error === null) {
      frame.succeed();
      this.#spare.give(frame.bytes);
      frame.bytes = NO_PAYLOAD;
    } else {
      this.messagesFailed += frame.messages;
      this.#ledger?.failed(state.index, frame.bytes);
      frame.fail(error);
    }
    this.#pressure.release(frameBytes);
  }

  #failWaiting(state: PartitionState, error: SluiceError): void {
    if (state.builder.bytes > 0) this.#seal(state);
    for (const frame of state.waiting.splice(0)) {
      const appending = state.appending;
      this.#settle(state, frame, error);
      state.appending = appending;
    }
  }

  #goOn(state: PartitionState): void {
    this.#pump(state);
    if (state.appending === null && state.builder.bytes > 0 && !this.#scheduled) {
      // What came during the append has waited already; it goes on at once when that was as long as the linger. A clock that
      // was set back meanwhile says that it has waited less than nothing.
      const { lingerMs } = this.#options;
      const waitedMs = this.#clock.nowMs() - state.open.openedMs;
      this.#schedule(Math.min(lingerMs, Math.max(0, lingerMs - waitedMs)));
    }
    this.#tellIdle();
  }

  #busy(): boolean {
    return this.#partitions.some((s) => s.appending !== null || s.waiting.length > 0 || s.builder.bytes > 0);
  }

  #tellIdle(): void {
    if (this.#idle.length === 0 || this.#busy()) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #logFailure(state: PartitionState, frame: OpenFrame, error: SluiceError): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastFailureLogMs < 1000) return; // with many partitions one line a second tells it
    this.#lastFailureLogMs = nowMs;
    this.#logger.error('the log did not take a frame; its messages are not acknowledged', {
      code: error.code,
      reason: error.message,
      partition: state.index,
      messages: frame.messages,
    });
  }
}

function asSluiceError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError(
    'LOG_UNAVAILABLE',
    `the log failed: ${error instanceof Error ? error.message : String(error)}`,
    {
      cause: error,
    },
  );
}
