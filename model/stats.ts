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
}

export type RoleStats = DoorStats | ProcessorStats | StoreStats;
