import type { AlarmEvent } from '../model/alarm.ts';
import type { Fact } from '../model/fact.ts';
import type { TableName } from '../store/store.ts';
import type { OutgoingPartial } from './groups/partial.ts';
import type { NotTaken } from './windows/limits.ts';

/** What came of a batch of frames of one partition: blocks for the store, events for the log, and counts. */
export interface BatchOutput {
  blocks: Readonly<Record<TableName, readonly Uint8Array<ArrayBuffer>[]>>;
  rows: Readonly<Record<TableName, number>>;
  /** Rows that have stayed with the thread; when there are none, all rows of the frames so far have left it. */
  held: number;
  /** Frames for ALARMS, in order. */
  alarmFrames: readonly Uint8Array<ArrayBuffer>[];
  /** What is told of the windows of groups, in order. */
  partials: readonly OutgoingPartial[];
  /** What the other partitions are told, in order. */
  facts: readonly Fact[];
  counts: BatchCounts;
  /** By window, for those that had no room for something. */
  notTaken: ReadonlyMap<string, NotTaken>;
}

/** The order in which the tables are filled: the devices that others speak of, what people count, the history of alarms before how they stand, and last what counts it: what the ledger has, the tables have. */
export const TABLES: readonly TableName[] = [
  'devices',
  'readings',
  'quarantine',
  'rollups',
  'alarm_events',
  'alarms',
  'ledger',
];

/** Counters of model/stats.ts that grow with the frames. */
export interface BatchCounts {
  messagesProcessed: number;
  readingsDecoded: number;
  readingsDuplicate: number;
  readingsLate: number;
  /** Readings whose ts was too far ahead of the time received: stored, and taken by no window and no rule. */
  readingsAhead: number;
  /** Readings of series beyond `seriesMax`: stored, and taken by no window and no rule. */
  readingsBeyond: number;
  /** Readings that were computed from others; they are in none of the counts above. */
  readingsDerived: number;
  /** How often such a computation had no result. */
  derivedUnknown: number;
  messagesQuarantined: number;
  /** Series and devices that were not heard of for the time to live. */
  seriesForgotten: number;
  devicesForgotten: number;
  rollupsEmitted: number;
  alarmsRaised: number;
  alarmsCleared: number;
  /** What operators did: acknowledged, commented, shelved, taken out of service, and back. */
  alarmsOperated: number;
  /** Alarms that began to chatter. */
  alarmsChattering: number;
  /** Groups that began to stand for their members. */
  alarmsFloods: number;
  /** Transitions that subscribers were not told of: of shelved, suppressed and grouped alarms. */
  alarmsMuted: number;
}

export function noCounts(): BatchCounts {
  return {
    messagesProcessed: 0,
    readingsDecoded: 0,
    readingsDuplicate: 0,
    readingsLate: 0,
    readingsAhead: 0,
    readingsBeyond: 0,
    readingsDerived: 0,
    derivedUnknown: 0,
    messagesQuarantined: 0,
    seriesForgotten: 0,
    devicesForgotten: 0,
    rollupsEmitted: 0,
    alarmsRaised: 0,
    alarmsCleared: 0,
    alarmsOperated: 0,
    alarmsChattering: 0,
    alarmsFloods: 0,
    alarmsMuted: 0,
  };
}

/** A chattering alarm is raised by that; a flood is told of again as it grows, and counts once. */
export function countTransition(counts: BatchCounts, { alarm, transition, by, notify }: AlarmEvent): void {
  if (!notify) counts.alarmsMuted++;
  if (by !== '') counts.alarmsOperated++;
  if (transition === 'raised' || transition === 'chattering') counts.alarmsRaised++;
  if (transition === 'chattering') counts.alarmsChattering++;
  if (transition === 'flood' && alarm.version === 1) counts.alarmsFloods++;
  if (transition === 'cleared' && alarm.groupId !== alarm.id) counts.alarmsCleared++;
}

/** What comes of frames beside the counts. */
export type Said = Omit<BatchOutput, 'held' | 'counts'>;

/** What comes of most batches: their rows stay with the thread. One for all of them, since many batches are small. */
export const NOTHING: Said = {
  blocks: { devices: [], readings: [], quarantine: [], rollups: [], alarm_events: [], alarms: [], ledger: [] },
  rows: { devices: 0, readings: 0, quarantine: 0, rollups: 0, alarm_events: 0, alarms: 0, ledger: 0 },
  alarmFrames: [],
  partials: [],
  facts: [],
  notTaken: new Map(),
};

/** Whether there is something for the log. */
export function tells({ alarmFrames, partials, facts }: Said): boolean {
  return alarmFrames.length > 0 || partials.length > 0 || facts.length > 0;
}

export function addCounts(to: BatchCounts, counts: BatchCounts): void {
  for (const name of Object.keys(to) as (keyof BatchCounts)[]) to[name] += counts[name];
}

export function addNotTaken(to: Map<string, NotTaken>, from: ReadonlyMap<string, NotTaken>): void {
  for (const [window, { ofSeries, ofReadings }] of from) {
    const sum = to.get(window);
    to.set(window, { ofSeries: (sum?.ofSeries ?? 0) + ofSeries, ofReadings: (sum?.ofReadings ?? 0) + ofReadings });
  }
}

/** What the store holds already of a run of frames, found when it is replayed: by offset, the rows and their times received. */
export interface StoredFrames {
  offsets: number[];
  rows: number[];
  receivedMinMs: number[];
  receivedMaxMs: number[];
}

/** The newest alarm event on the log of a partition: events up to it are not appended again. */
export interface LastAlarm {
  offset: number;
  eventId: string;
}
