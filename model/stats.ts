import type { HistogramCounts } from './histogram.ts';

/**
 * What each role tells of itself, once a second, as one JSON message on its stats topic. Counters only grow for as long as
 * the process lives (`startedMs` tells one life from the next); readers form rates from differences.
 */
export interface DoorStats {
  role: 'door';
  /** Which process of the role, unique in the cluster: counters of different instances are added. */
  instance: string;
  startedMs: number;
  atMs: number;
  listening: boolean;
  connections: number;
  /** Messages taken from devices, and those acknowledged after they were durable (QoS 0 counts when durable). */
  messagesReceived: number;
  messagesAcknowledged: number;
  bytesReceived: number;
  /** Messages that wait for their append, and the sockets that are paused for it. */
  messagesInFlight: number;
  socketsPaused: number;
  connectionsRefused: number;
  packetsRefused: number;
  // What follows is absent in the records of an older version.
  connectionsMax?: number;
  /** Bytes of the messages in flight, and the bound at which sockets are paused. */
  bytesInFlight?: number;
  bytesInFlightMax?: number;
  /** Messages that the log refused for good: not acknowledged, their connections closed. */
  messagesFailed?: number;
  /** For how long some socket has been paused. */
  socketsPausedMs?: number;
  /** Connections and packets refused, by reason (numbers and names taken out, so that there are few). */
  refusals?: Record<string, number>;
  /** CONNECTs turned down for their credentials or rights. */
  authFailures?: number;
  /** Subscribers that were disconnected because they took nothing for too long. */
  subscribersCutOff?: number;
  /** What the door keeps in memory for its clients, by name; the names ending in Dropped and Refused count since the start. */
  held?: Record<string, number>;
  /** Seconds from the first message of a frame to the acknowledgement, counted once for each message of it. */
  ackSeconds?: HistogramCounts;
  log?: LogStats;
  vitals?: Vitals;
}

/** What a role finds the log to do, for the topic that it writes. */
export interface LogStats {
  topic: string;
  framesAppended: number;
  bytesAppended: number;
  /** Appends that were refused, a full log apart. */
  errors: number;
  /** Appends that wait for their answer, and for how long the oldest has. */
  waiting: number;
  waitingMs: number;
  /** For how long the log has refused frames for want of room; 0 when it takes them. */
  fullMs: number;
  appendSeconds: HistogramCounts;
  /** Frames that are held, and those that retention has deleted since the start of the process. */
  framesHeld: number;
  framesDeleted: number;
  /** The offset that the next frame of each partition gets; left out for more than 256 partitions. */
  endOffsets: number[];
  /** What the topic holds and may hold; null where the log is not of this machine. */
  bytesHeld: number | null;
  bytesMax: number | null;
}

/** What every role tells of its process and its machine. */
export interface Vitals {
  /** The longest that the event loop was held up during the last seconds. */
  eventLoopDelayMs: number;
  /** Of the disk of the data folder; null where it cannot be told. */
  diskFreeBytes: number | null;
  diskBytes: number | null;
  /** Jumps of the wall clock against the monotonic one by more than a second, and the last of them. */
  clockJumps: number;
  clockJumpMs: number;
  clockJumpAtMs: number | null;
}

/** How the store does as a client sees it. */
export interface StoreClientStats {
  /** By table. */
  insertSeconds: Record<string, HistogramCounts>;
  insertErrors: number;
  /** Tries that failed and were made again. */
  insertRetries: number;
  /** Inserts that wait for their answer; and for how long the store has answered none of them. */
  waiting: number;
  silentMs: number;
}

/** How checkpoints are kept. */
export interface CheckpointStats {
  saveSeconds: HistogramCounts;
  saves: number;
  failures: number;
  bytesWritten: number;
  /** Sum of the newest states of all partitions: what the processor holds for windows, alarms and redeliveries. */
  stateBytes: number;
  /** Age of the newest save of the partition that has waited longest; null when nothing has been saved. */
  ageMs: number | null;
}

/** What a processor's state holds, as of the last checkpoints. Windows by their names, which are of the settings. */
export interface StateStats {
  devices: number;
  series: number;
  /** Partitions that hold processors.seriesMax series; absent in the records of an older version. */
  partitionsFull?: number;
  /** Bytes of the checkpoints by part: `series`, `seen`, `time`, `alarms`, `ledger`, `window {name}` … */
  bytes: Record<string, number>;
  /** Windows that are open, by name. */
  windowsOpen: Record<string, number>;
  /** By window, series that it takes, and those beyond its seriesMax; absent in the records of an older version. */
  windowSeries?: Record<string, number>;
  windowSeriesBeyond?: Record<string, number>;
}

export interface ProcessorStats {
  role: 'processor';
  /** Which process of the role, unique in the cluster: counters of different instances are added. */
  instance: string;
  startedMs: number;
  atMs: number;
  running: boolean;
  /** Partitions that this processor works at. */
  partitions: number[];
  messagesProcessed: number;
  readingsDecoded: number;
  readingsStored: number;
  readingsDuplicate: number;
  readingsLate: number;
  messagesQuarantined: number;
  rollupsEmitted: number;
  alarmsRaised: number;
  alarmsCleared: number;
  /** Frames on the log that are not yet processed and stored. */
  lagFrames: number;
  /** Age of the oldest message that is not yet stored, ms; 0 with no lag. */
  lagMs: number;
  workersRestarted: number;
  // What follows is absent in the records of an older version.
  /** Readings whose ts was too far ahead of the time received: stored, and taken by no window and no rule. */
  readingsAhead?: number;
  /** Readings of series beyond processors.seriesMax: stored, and taken by no window and no rule. */
  readingsBeyond?: number;
  /** By window: readings of series beyond its seriesMax, and readings that its readingsMax made leave before their time. */
  windowReadingsBeyond?: Record<string, number>;
  windowReadingsDisplaced?: Record<string, number>;
  /** What operators did, alarms that began to chatter, groups that stand for many, transitions that nobody was told of. */
  alarmsOperated?: number;
  alarmsChattering?: number;
  alarmsFloods?: number;
  alarmsMuted?: number;
  /** Readings that were computed from others, and how often such a computation had no result. */
  readingsDerived?: number;
  derivedUnknown?: number;
  /** Series and devices that were not heard of for processors.stateTtlMs, and given up. */
  seriesForgotten?: number;
  devicesForgotten?: number;
  /** How much lagMs has grown over the last half minute; negative when it shrinks. */
  state?: StateStats;
  lagChangeMs?: number;
  workersRestartedLately?: number;
  store?: StoreClientStats;
  checkpoints?: CheckpointStats;
  /** How coarser rollups are made: runs that ended, runs that failed, changed rows that they took in, when the last one ended. */
  tiers?: { runs: number; failures: number; rowsChanged: number; lastRunMs: number | null };
  log?: LogStats;
  vitals?: Vitals;
}

export interface StoreStats {
  role: 'store';
  /** Which process of the role, unique in the cluster: counters of different instances are added. */
  instance: string;
  startedMs: number;
  atMs: number;
  queries: number;
  inserts: number;
  rowsInserted: number;
  errors: number;
  // What follows is absent in the records of an older version.
  /** Time that the engine has spent on inserts and on queries. */
  insertMs?: number;
  queryMs?: number;
  /** Merges that the store did itself, since the engine's merging threads had not kept up. */
  mergesRelieved?: number;
  vitals?: Vitals;
}

export type RoleStats = DoorStats | ProcessorStats | StoreStats;

/** What the supervisor of this machine has seen: how often it started a role again, by what ended it. */
export interface Supervision {
  restarts: { role: string; reason: string; count: number }[];
  /** For how long a role is kept waiting before its next start; 0 while it runs. */
  backoffMs: { role: string; ms: number }[];
}
