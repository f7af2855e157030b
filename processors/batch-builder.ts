import type { AlarmEvent } from '../model/alarm.ts';
import type { DeviceRow } from '../model/device.ts';
import type { Fact } from '../model/fact.ts';
import type { LedgerRow } from '../model/ledger.ts';
import type { Rollup } from '../model/rollup.ts';
import {
  AlarmEventsBlock,
  AlarmsBlock,
  DevicesBlock,
  LedgerBlock,
  QuarantineBlock,
  type QuarantineRow,
  ReadingsBlock,
  RollupsBlock,
  type SeriesNames,
} from '../store/blocks.ts';
import { AlarmOutbox } from './alarm-outbox.ts';
import {
  addNotTaken,
  type BatchCounts,
  type BatchOutput,
  countTransition,
  type LastAlarm,
  NOTHING,
  noCounts,
  type StoredFrames,
} from './batch-output.ts';
import { BeyondReadings } from './beyond.ts';

import type { OutgoingPartial } from './groups/partial.ts';
import type { NotTaken } from './windows/limits.ts';

/** Where rows go: the blocks of the store, or what a test puts in their place. */
export interface Blocks {
  /** False where nobody puts alarm events on a log, so that they need not be encoded. */
  readonly appendsEvents?: boolean;
  readings(names: SeriesNames, partition: number): Pick<ReadingsBlock, 'rows' | 'add' | 'markLate' | 'finish'>;
  rollups(): Pick<RollupsBlock, 'rows' | 'add' | 'finish'>;
  alarms(): Pick<AlarmsBlock, 'rows' | 'add' | 'finish'>;
  alarmEvents(): Pick<AlarmEventsBlock, 'rows' | 'add' | 'finish'>;
  quarantine(): Pick<QuarantineBlock, 'rows' | 'add' | 'finish'>;
  ledger(): Pick<LedgerBlock, 'rows' | 'add' | 'finish'>;
  devices(): Pick<DevicesBlock, 'rows' | 'add' | 'finish'>;
}

const NO_NAMES: SeriesNames = { device: () => '', metric: () => '' };

export const STORE_BLOCKS: Blocks = {
  readings: (names, partition) => new ReadingsBlock(names, partition),
  rollups: () => new RollupsBlock(),
  alarms: () => new AlarmsBlock(),
  alarmEvents: () => new AlarmEventsBlock(),
  quarantine: () => new QuarantineBlock(),
  ledger: () => new LedgerBlock(),
  devices: () => new DevicesBlock(),
};

/** The times received of a frame's messages. */
export interface ReceivedSpan {
  minMs: number;
  maxMs: number;
}

/**
 * Gathers what comes of the frames of one partition, until `take`. In a replay it leaves out the readings of frames that the
 * store holds completely: a frame's readings are counted, and compared with the rows of that offset. Rows of the other tables are
 * given again; their keys make them one.
 */
export class BatchBuilder {
  /** The block that readings of the open frame go to. */
  readings: ReturnType<Blocks['readings']>;
  /** The counts of the open frame. */
  counts: BatchCounts = noCounts();
  readonly #partition: number;
  #names: SeriesNames = NO_NAMES;
  readonly #blocks: Blocks;
  readonly #outbox: AlarmOutbox;
  #ownReadings: ReturnType<Blocks['readings']>;
  /** Made when there is one to be put into. */
  #beyond: BeyondReadings | null = null;
  #ownBeyond: BeyondReadings | null = null;
  readonly #rollups: ReturnType<Blocks['rollups']>;
  readonly #alarms: ReturnType<Blocks['alarms']>;
  readonly #alarmEvents: ReturnType<Blocks['alarmEvents']>;
  readonly #quarantine: ReturnType<Blocks['quarantine']>;
  readonly #ledger: ReturnType<Blocks['ledger']>;
  readonly #devices: ReturnType<Blocks['devices']>;
  #counted: BatchCounts = this.counts;
  /** Of frames that were given before, and of series as they were numbered before. */
  #earlierBlocks: Uint8Array<ArrayBuffer>[] = [];
  #earlierRows = 0;
  #partials: OutgoingPartial[] = [];
  #facts: Fact[] = [];
  #notTaken = new Map<string, NotTaken>();

  /** `speakOf` says of which series its rows are, before the first frame. */
  constructor(partition: number, lastAlarm: LastAlarm | null, blocks: Blocks) {
    this.#partition = partition;
    this.#blocks = blocks;
    this.#outbox = new AlarmOutbox(lastAlarm);
    this.#ownReadings = blocks.readings(NO_NAMES, partition);
    this.readings = this.#ownReadings;
    this.#rollups = blocks.rollups();
    this.#alarms = blocks.alarms();
    this.#alarmEvents = blocks.alarmEvents();
    this.#quarantine = blocks.quarantine();
    this.#ledger = blocks.ledger();
    this.#devices = blocks.devices();
  }

  /** From now on rows are of other series. Between frames. */
  speakOf(names: SeriesNames): void {
    this.#earlierRows += this.#ownReadings.rows;
    this.#earlierBlocks.push(...this.#ownReadings.finish());
    this.#names = names;
    this.#ownReadings = this.#blocks.readings(names, this.#partition);
    this.readings = this.#ownReadings;
  }

  /** Whether alarm events of this frame, or some of them, are on the log already. */
  isBehind(offset: number): boolean {
    return this.#outbox.isBehind(offset);
  }

  beginFrame(offset: number, stored: StoredFrames | null, counted: boolean): void {
    this.counts = counted ? this.#counted : noCounts();
    if (!stored?.offsets.includes(offset)) return;
    this.readings = this.#blocks.readings(this.#names, this.#partition);
    this.#beyond = null;
  }

  /** Where the readings of the open frame go whose series is not known. */
  beyond(device: string, metric: string): BeyondReadings {
    if (this.#beyond === null) {
      this.#beyond = new BeyondReadings(this.#blocks, this.#partition);
      if (this.readings === this.#ownReadings) this.#ownBeyond = this.#beyond;
    }
    return this.#beyond.of(device, metric);
  }

  endFrame(offset: number, stored: StoredFrames | null, received: ReceivedSpan): void {
    this.#outbox.endFrame(offset);
    if (stored === null || this.readings === this.#ownReadings) return;
    const at = stored.offsets.indexOf(offset);
    const rows = this.readings.rows + (this.#beyond?.rows ?? 0);
    // The times received tell this frame from one that had the same offset on an earlier log.
    const isStored =
      stored.rows[at] >= rows &&
      stored.receivedMinMs[at] >= received.minMs &&
      stored.receivedMaxMs[at] <= received.maxMs;
    if (!isStored) {
      this.#earlierRows += rows;
      this.#earlierBlocks.push(...this.readings.finish(), ...(this.#beyond?.finish() ?? []));
    }
    this.readings = this.#ownReadings;
    this.#beyond = this.#ownBeyond;
  }

  readonly partial = (partial: OutgoingPartial): void => {
    this.#partials.push(partial);
  };

  readonly fact = (fact: Fact): void => {
    this.#facts.push(fact);
  };

  /** What a window did not take in the open frame for want of room. */
  notTaken(window: string, notTaken: NotTaken): void {
    if (this.counts === this.#counted) addNotTaken(this.#notTaken, new Map([[window, notTaken]]));
  }

  readonly rollup = (rollup: Rollup): void => {
    this.counts.rollupsEmitted++;
    this.#rollups.add(rollup, this.#partition);
  };

  readonly alarm = (event: AlarmEvent): void => {
    countTransition(this.counts, event);
    this.#alarms.add(event);
    this.#alarmEvents.add(event);
    if (this.#blocks.appendsEvents !== false) this.#outbox.add(event);
  };

  readonly ledger = (row: LedgerRow): void => {
    this.#ledger.add(row);
  };

  readonly device = (row: DeviceRow): void => {
    this.#devices.add(row);
  };

  refuse(row: QuarantineRow): void {
    this.counts.messagesQuarantined++;
    this.#quarantine.add(row);
  }

  #rows(): BatchOutput['rows'] {
    return {
      readings: this.#earlierRows + this.#ownReadings.rows + (this.#ownBeyond?.rows ?? 0),
      quarantine: this.#quarantine.rows,
      rollups: this.#rollups.rows,
      alarms: this.#alarms.rows,
      alarm_events: this.#alarmEvents.rows,
      ledger: this.#ledger.rows,
      devices: this.#devices.rows,
    };
  }

  /** What has come of the frames since the last call. Rows stay while they are no more than `heldRowsMax`. Not within a frame. */
  take(heldRowsMax = 0): BatchOutput {
    const held = this.#held();
    const stay = held <= heldRowsMax;
    const rows = stay ? NOTHING.rows : this.#rows();
    const blocks = stay ? NOTHING.blocks : this.#finish();
    const alarmFrames = this.#outbox.take();
    const partials = this.#partials.length === 0 ? NOTHING.partials : this.#partials;
    const facts = this.#facts.length === 0 ? NOTHING.facts : this.#facts;
    const notTaken = this.#notTaken.size === 0 ? NOTHING.notTaken : this.#notTaken;
    const counts = this.#counted;
    if (partials === this.#partials) this.#partials = [];
    if (facts === this.#facts) this.#facts = [];
    if (notTaken === this.#notTaken) this.#notTaken = new Map();
    this.#counted = noCounts();
    return { blocks, rows, held: stay ? held : 0, alarmFrames, partials, facts, counts, notTaken };
  }

  /** Rows of all tables. */
  #held(): number {
    const readings = this.#earlierRows + this.#ownReadings.rows + (this.#ownBeyond?.rows ?? 0);
    const ofAlarms = this.#alarms.rows + this.#alarmEvents.rows;
    return readings + this.#quarantine.rows + this.#rollups.rows + ofAlarms + this.#ledger.rows + this.#devices.rows;
  }

  #finish(): BatchOutput['blocks'] {
    const blocks = {
      readings: [...this.#earlierBlocks, ...this.#ownReadings.finish(), ...(this.#ownBeyond?.finish() ?? [])],
      quarantine: this.#quarantine.finish(),
      rollups: this.#rollups.finish(),
      alarms: this.#alarms.finish(),
      alarm_events: this.#alarmEvents.finish(),
      ledger: this.#ledger.finish(),
      devices: this.#devices.finish(),
    };
    this.#beyond = null;
    this.#ownBeyond = null;
    this.#earlierBlocks = [];
    this.#earlierRows = 0;
    return blocks;
  }
}
