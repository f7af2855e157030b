import type { Position } from '../model/alarm.ts';
import { SluiceError } from '../model/errors.ts';
import { FrameReader } from '../model/frame.ts';
import { decodeClaim } from '../model/ledger.ts';
import { decodeOperation, type Operation } from '../model/operation.ts';
import { matcher } from '../model/pattern.ts';
import { decodeTold, type Told } from '../model/told.ts';
import type { QuarantineRow } from '../store/blocks.ts';
import type { Explanation } from './alarms/condition.ts';
import { BatchBuilder, type Blocks, type ReceivedSpan, STORE_BLOCKS } from './batch-builder.ts';
import type { BatchOutput, LastAlarm, StoredFrames } from './batch-output.ts';
import {
  type DeviceMemory,
  MessageReadings,
  type PayloadDecoder,
  type Rejection,
  reject,
  type Shape,
} from './decode/decoder.ts';
import { FORMATS, type FormatName } from './decode/formats.ts';
import { TS_END_MS } from './decode/time.ts';
import { findSurvivors, type Limits, type Survivors, takeLeave } from './forgetting.ts';
import { MessageTopics } from './groups/message-topics.ts';
import { KnownSeries } from './known-series.ts';
import type { LostState } from './lost-state.ts';
import { ownKindOf } from './own-messages.ts';
import { type OpenedState, openState } from './partition-open.ts';
import { PartitionSaves } from './partition-saves.ts';
import { type PartitionState, stateOf } from './partition-state.ts';
import type { PipelineOptions } from './pipeline-options.ts';

export type { PipelineOptions } from './pipeline-options.ts';

/** Different metrics of one device; a device that invents names must not fill the memory of all. */
const METRICS_PER_DEVICE_MAX = 10_000;

const NO_SERIES = new Int32Array(0);

/** How often a partition tells all of its facts again, by its clock; the topic keeps them for longer. */
const FACTS_AGAIN_MS = 3_600_000;

/**
 * One partition at work: frames in, rows and alarm events out. Everything that it gives is a function of the state that it began
 * with and the frames in their order; where batches begin and end, the thread and the time of day have no part in it.
 *
 *     message ─▶ device ─▶ decode ─▶ series ─▶ redelivery? ─▶ readings ─▶ windows ─▶ alarm rules       end of frame: rollups
 *                            └─▶ quarantine
 */
export class PartitionPipeline {
  readonly saves: PartitionSaves;
  readonly #partition: number;
  readonly #out: BatchBuilder;
  readonly #options: PipelineOptions;
  readonly #limits: Limits | null;
  #opened: OpenedState;
  readonly #decoders: PayloadDecoder[];
  readonly #formatOf: ((device: string) => boolean)[];
  readonly #seriesMax: number;
  readonly #reader = new FrameReader();
  readonly #message = new MessageReadings();
  #topics = new MessageTopics();

  /** By device. */
  #memory: DeviceMemory[] = [];
  #decoder: PayloadDecoder[] = [];
  #shape: (Shape | null)[] = [];
  #shapeSeries = new KnownSeries();
  #found: Int32Array = NO_SERIES;

  #offset = 0;
  #index = 0;

  /** `state` is that of a checkpoint, or null to begin with nothing, or with what is left of one that was `lost`; throws CHECKPOINT_UNREADABLE. */
  constructor(
    partition: number,
    options: PipelineOptions,
    start: { state: Uint8Array | null; lastAlarm: LastAlarm | null; lost?: LostState | null },
    blocks: Blocks = STORE_BLOCKS,
  ) {
    this.#partition = partition;
    this.#seriesMax = options.seriesMax ?? Number.POSITIVE_INFINITY;
    const formats = [...options.payload, { match: '*', format: 'json' as const }];
    const made = new Map<FormatName, PayloadDecoder>();
    for (const { format } of formats) if (!made.has(format)) made.set(format, FORMATS[format](options.limits));
    this.#formatOf = formats.map(({ match }) => matcher([match]));
    this.#decoders = formats.map(({ format }) => made.get(format) as PayloadDecoder);
    this.#options = options;
    this.#out = new BatchBuilder(partition, start.lastAlarm, blocks);
    this.#opened = this.#open(start.state);
    this.saves = new PartitionSaves(this.#opened.state);
    const { stateTtlMs = null, clockSkewMaxMs } = options;
    this.#limits =
      stateTtlMs === null ? null : { ttlMs: stateTtlMs, clockSkewMaxMs, horizonMs: this.#opened.evaluation.horizonMs };
    if (start.lost) this.#recover(start.lost);
  }

  #recover(lost: LostState): void {
    const { time, registry, alarms } = this.#state;
    time.tick(lost.clockMs);
    registry.recover(
      lost.devices,
      lost.operations.filter((operation) => operation.kind === 'device'),
    );
    this.#opened.orphans.push(...alarms.recover(lost));
  }

  #open(bytes: Uint8Array | null): OpenedState {
    this.#topics = new MessageTopics();
    const [options, partition] = [this.#options, this.#partition];
    const around = { partition, options, topics: this.#topics, out: this.#out, place: () => this.#place() };
    const opened = openState(bytes, around);
    this.#out.speakOf(opened.state.series);
    return opened;
  }

  get #state(): PartitionState {
    return this.#opened.state;
  }

  /** False while something of the state that it began with has yet to be emitted; it cannot be saved before. */
  get canSave(): boolean {
    return this.#opened.orphans.length === 0;
  }

  /** How near each rule is for a device; nothing for one that was never heard of. */
  explain(device: string): Explanation[] {
    const number = this.#state.series.devices.numberOf(device);
    return number === -1 ? [] : this.#state.alarms.explain(number);
  }

  /** The state before the next frame. */
  save(): Uint8Array<ArrayBuffer> {
    return this.saves.whole().bytes;
  }

  /**
   * Works at a frame. Never throws for what is in it. `stored` says what the store holds of the batch already, in a replay; its
   * readings are then not given again. `counted` false keeps it out of the counts, which had it before. `told`: what other partitions
   * have told that is not on the log, to be known before the frame.
   */
  process(
    offset: number,
    frame: Uint8Array,
    stored: StoredFrames | null,
    counted: boolean,
    told: readonly Told[] = [],
  ): void {
    this.#offset = offset;
    this.#index = 0;
    const hour = Math.floor(this.#state.time.clockMs / FACTS_AGAIN_MS);
    this.#state.ledger.beginFrame(offset);
    this.#out.beginFrame(offset, stored, counted);
    if (this.#opened.orphans.length > 0 && !this.#out.isBehind(offset)) this.#clearOrphans();
    for (const one of told) this.#state.alarms.hear(one, this.#place(), this.#out.alarm);
    const received = this.#messages(frame);
    const { alarms, registry, ledger, time, lifetimes } = this.#state;
    this.#opened.evaluation.endFrame(offset);
    alarms.endFrame({ partition: this.#partition, offset, index: 0 }, this.#out.alarm);
    const survivors = lifetimes.isDue ? this.#takeLeave() : null;
    alarms.tell(offset, this.#out.fact, Math.floor(time.clockMs / FACTS_AGAIN_MS) !== hour);
    registry.endFrame(offset, this.#out.device);
    ledger.endFrame(time.clockMs, this.#out.ledger);
    this.#out.endFrame(offset, stored, received);
    if (survivors !== null) this.#forget(survivors);
  }

  /** A step of the time to live has begun: who is to be forgotten, null for nobody. */
  #takeLeave(): Survivors | null {
    this.#state.lifetimes.isDue = false;
    const survivors = this.#limits === null ? null : findSurvivors(this.#state, this.#limits);
    if (survivors === null || this.#limits === null) return null;
    takeLeave(this.#state, survivors, this.#limits, this.#out.rollup);
    this.#out.counts.seriesForgotten += survivors.seriesForgotten;
    this.#out.counts.devicesForgotten += survivors.devicesForgotten;
    return survivors;
  }

  /**
   * The frame is through: the state is written without those who are forgotten, and read again, as it would be after a restart from
   * a checkpoint. So nothing of them is left, and those who stay go on as they do there. The next checkpoint is whole.
   */
  #forget(survivors: Survivors): void {
    const { devices } = survivors;
    const before = this.#opened.orphans;
    this.#opened = this.#open(stateOf(this.#state, survivors));
    this.saves.follow(this.#state);
    // With the same settings the state has nothing to say of itself, but what was still to be said at its start.
    const ofState = this.#opened.orphans.filter(({ isOfState }) => isOfState);
    this.#opened.orphans = before.length === 0 ? [] : [...before.filter(({ isOfState }) => !isOfState), ...ofState];
    this.#memory = this.#memory.filter((_, device) => devices.has(device));
    this.#decoder = this.#decoder.filter((_, device) => devices.has(device));
    this.#shape = this.#memory.map(() => null);
    this.#shapeSeries = new KnownSeries();
  }

  /** What has come of the frames since the last call. Rows stay while they are no more than `heldRowsMax`: they make larger blocks later. */
  take(heldRowsMax = 0): BatchOutput {
    return this.#out.take(heldRowsMax);
  }

  /** Every message of a frame; returns the span of their times received. */
  #messages(frame: Uint8Array): ReceivedSpan {
    const reader = this.#reader;
    reader.reset(frame);
    const span = { minMs: Number.POSITIVE_INFINITY, maxMs: Number.NEGATIVE_INFINITY };
    let readTo = 0;
    try {
      while (reader.next()) {
        if (reader.receivedMs < span.minMs) span.minMs = reader.receivedMs;
        if (reader.receivedMs > span.maxMs) span.maxMs = reader.receivedMs;
        this.#one(reader);
        readTo = reader.payloadEnd;
      }
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'FRAME_MALFORMED') throw error;
      // Bytes of another producer that are no message. They are kept, and the partition goes on behind them.
      this.#state.ledger.nameless(this.#state.time.clockMs);
      this.#refuse({
        device: '',
        topic: '',
        receivedMs: this.#state.time.clockMs,
        reason: reject('frame_malformed').reason,
        payload: frame.subarray(readTo),
        index: reader.index + 1,
      });
    }
    return span;
  }

  #one(reader: FrameReader): void {
    const state = this.#state;
    const bytes = reader.bytes;
    const receivedMs = reader.receivedMs;
    const noDevice = reader.deviceStart === reader.deviceEnd;
    if (noDevice && this.#isOwn(reader, receivedMs)) return;
    this.#out.counts.messagesProcessed++;
    if (receivedMs >= TS_END_MS || noDevice) {
      const why = noDevice ? reject('no_device') : reject('received_range');
      const countedMs = Math.min(receivedMs, TS_END_MS - 1);
      if (noDevice) state.ledger.nameless(countedMs);
      else {
        const device = state.series.devices.find(bytes, reader.deviceStart, reader.deviceEnd);
        state.ledger.quarantined(state.ledger.message(device, countedMs));
      }
      this.#refuseMessage(reader, why, countedMs);
      return;
    }
    const device = state.series.devices.find(bytes, reader.deviceStart, reader.deviceEnd);
    if (device >= this.#memory.length) this.#deviceAdded(device);
    if (state.time.active(device) === 0) state.lifetimes.begins(state.series.devices.name(device), device);
    state.time.message(device, receivedMs);
    state.lifetimes.clock(state.time.clockMs, state.series.count);
    state.registry.heard(device, receivedMs);
    this.#topics.heard(device, bytes, reader.topicStart, reader.topicEnd);
    const ledgerRow = state.ledger.message(device, receivedMs);
    const message = this.#message;
    const decoder = this.#decoder[device];
    const rejection =
      decoder.decode(bytes, reader.payloadStart, reader.payloadEnd, receivedMs, this.#memory[device], message) ??
      this.#findSeries(device);
    if (rejection !== null) {
      state.ledger.quarantined(ledgerRow);
      this.#refuseMessage(reader, rejection, receivedMs);
    } else
      this.#opened.evaluation.take(message, this.#found, {
        device,
        receivedMs,
        offset: this.#offset,
        index: reader.index,
        ledgerRow,
      });
  }

  /** Whether a message without a device is the door's own: a tick, a claim for the ledger, an operation, or a fact. */
  #isOwn(reader: FrameReader, receivedMs: number): boolean {
    const kind = ownKindOf(reader);
    if (kind === null) return false;
    this.#index = reader.index;
    try {
      const told = kind === 'fact' ? decodeTold(reader.payload()) : null;
      const operation = kind === 'operation' ? decodeOperation(reader.payload()) : null;
      if (kind === 'claim') this.#state.ledger.claim(decodeClaim(reader.payload()));
      if (receivedMs < TS_END_MS) {
        this.#state.time.tick(receivedMs);
        this.#state.lifetimes.clock(this.#state.time.clockMs, this.#state.series.count);
        this.#state.alarms.clock();
      }
      if (operation !== null) this.#operation(operation);
      if (told !== null) this.#state.alarms.hear(told, this.#place(), this.#out.alarm);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'INPUT_INVALID') throw error;
      return false;
    }
    return true;
  }

  /** What people asked for, at its place between the readings. The same operation may come again. */
  #operation(operation: Operation): void {
    if (operation.kind === 'device') this.#state.registry.apply(operation);
    else this.#state.alarms.operate(operation, this.#place(), this.#out.alarm);
  }

  /** Of the message of the door's own that is at hand. */
  #place(): Position {
    return { partition: this.#partition, offset: this.#offset, index: this.#index };
  }

  /** Finds the series of the decoded message's readings, making those that are new while there is room. */
  #findSeries(device: number): Rejection | null {
    const message = this.#message;
    if (message.shape !== null && this.#shape[device] === message.shape) {
      this.#found = this.#shapeSeries.of(device, message.count);
      return null;
    }
    const series = this.#state.series;
    const count = message.count;
    const found = new Int32Array(count);
    let missing = 0;
    for (let i = 0; i < count; i++) {
      found[i] = series.find(device, message.metricAt(i));
      if (found[i] === -1) missing++;
    }
    if (missing > 0 && series.count < this.#seriesMax) {
      if (series.ofDevice(device) + missing > METRICS_PER_DEVICE_MAX) {
        return reject('too_many_metrics', `at most ${METRICS_PER_DEVICE_MAX}`);
      }
      for (let i = 0; i < count; i++) {
        if (found[i] !== -1) continue;
        const before = series.count;
        const metric = message.metricAt(i);
        // Beyond the bound only what this message itself has just brought is found.
        found[i] = before < this.#seriesMax ? series.add(device, metric) : series.find(device, metric);
        if (series.count > before) this.#opened.evaluation.seriesAdded(found[i]);
      }
    }
    this.#found = found;
    if (message.shape !== null) {
      this.#shape[device] = message.shape;
      this.#shapeSeries.set(device, found);
    }
    return null;
  }

  /** Devices up to and with this one get what is kept for each; a restored dictionary has many at once. */
  #deviceAdded(device: number): void {
    for (let d = this.#memory.length; d <= device; d++) {
      const name = this.#state.series.devices.name(d);
      this.#memory.push({ shapes: null, misses: 0 });
      this.#decoder.push(this.#decoders[this.#formatOf.findIndex((matches) => matches(name))]);
      this.#shape.push(null);
    }
  }

  /** Raised alarms whose rule is no more are cleared with the first frame whose events are not on the log yet. */
  #clearOrphans(): void {
    const position = { partition: this.#partition, offset: this.#offset, index: 0 };
    for (const orphan of this.#opened.orphans) orphan(this.#state.time.clockMs, position, this.#out.alarm);
    this.#opened.orphans = [];
  }

  #refuseMessage(reader: FrameReader, { reason }: Rejection, receivedMs: number): void {
    const [device, topic, payload, index] = [reader.device(), reader.topic(), reader.payload(), reader.index];
    this.#refuse({ device, topic, receivedMs, reason, payload, index });
  }

  #refuse(row: Omit<QuarantineRow, 'partition' | 'offset'>): void {
    this.#out.refuse({ ...row, partition: this.#partition, offset: this.#offset });
  }
}
