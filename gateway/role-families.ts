import type { DoorStats, LogStats, ProcessorStats, RoleStats, StoreStats, Vitals } from '../model/stats.ts';
import { byKey, counter, type Family, gauge, histogram, labelled, type Sample } from './families.ts';

/**
 * The metrics of the roles, read from their records (model/stats.ts): at the gateway for all of them, at a role's health listener for
 * that one. Counters are those of the role's process: they start anew with each of its lives. docs/metrics.md says what each means
 * and what to do; test/operators.test.ts holds the two together.
 */

export const DOOR: readonly Family<DoorStats>[] = [
  gauge('sluice_door_listening', '1 when the door takes MQTT connections', (r) => Number(r.listening)),
  gauge('sluice_door_connections', 'MQTT connections that are open', (r) => r.connections),
  gauge('sluice_door_connections_max', 'Most connections taken (mqtt.connectionsMax)', (r) => r.connectionsMax),
  counter('sluice_door_messages_received_total', 'Messages taken from devices', (r) => r.messagesReceived),
  counter('sluice_door_messages_acknowledged_total', 'Messages durable on the log', (r) => r.messagesAcknowledged),
  counter('sluice_door_messages_failed_total', 'Messages that the log refused for good', (r) => r.messagesFailed),
  counter('sluice_door_received_bytes_total', 'Bytes taken from devices', (r) => r.bytesReceived),
  gauge('sluice_door_messages_in_flight', 'Messages that wait for their append', (r) => r.messagesInFlight),
  gauge('sluice_door_in_flight_bytes', 'Bytes of frames that wait for their append', (r) => r.bytesInFlight),
  gauge(
    'sluice_door_in_flight_max_bytes',
    'Bytes in flight at which sockets are paused (log.inFlightBytesMax)',
    (r) => r.bytesInFlightMax,
  ),
  gauge('sluice_door_sockets_paused', 'Sockets paused because the log is slower', (r) => r.socketsPaused),
  gauge('sluice_door_sockets_paused_seconds', 'For how long some socket has been paused', (r) =>
    inSeconds(r.socketsPausedMs),
  ),
  counter('sluice_door_connections_refused_total', 'Connections refused', (r) => r.connectionsRefused),
  counter('sluice_door_packets_refused_total', 'Packets refused', (r) => r.packetsRefused),
  labelled('counter', 'sluice_door_refusals_total', 'Connections closed or refused by the door, by reason', (r) =>
    byKey('reason', r.refusals),
  ),
  counter(
    'sluice_door_authentication_failures_total',
    'CONNECTs turned down for their credentials or rights',
    (r) => r.authFailures,
  ),
  counter(
    'sluice_door_subscribers_cut_off_total',
    'Subscribers disconnected for reading too slowly',
    (r) => r.subscribersCutOff,
  ),
  labelled('gauge', 'sluice_door_broker_held', 'What the broker holds in memory for clients, by kind', (r) =>
    byKey('kind', r.held).filter((sample) => !isTurnedAway(sample)),
  ),
  labelled('counter', 'sluice_door_broker_turned_away_total', 'What the broker dropped or refused at a bound', (r) =>
    byKey('kind', r.held).filter(isTurnedAway),
  ),
  histogram(
    'sluice_door_acknowledgement_duration_seconds',
    'From the first message of a frame to its acknowledgements, counted once for each message',
    (r) => r.ackSeconds,
  ),
];

export const PROCESSOR: readonly Family<ProcessorStats>[] = [
  gauge('sluice_processor_running', '1 when the processor works', (r) => Number(r.running)),
  gauge('sluice_processor_partitions', 'Partitions that the processor works at', (r) => r.partitions.length),
  counter('sluice_processor_messages_total', 'Messages processed', (r) => r.messagesProcessed),
  counter('sluice_processor_readings_decoded_total', 'Readings decoded', (r) => r.readingsDecoded),
  counter('sluice_processor_readings_stored_total', 'Readings stored', (r) => r.readingsStored),
  counter('sluice_processor_readings_duplicate_total', 'Readings known already', (r) => r.readingsDuplicate),
  counter('sluice_processor_readings_late_total', 'Readings later than their window', (r) => r.readingsLate),
  counter('sluice_processor_readings_ahead_total', 'Readings too far in the future', (r) => r.readingsAhead),
  counter('sluice_processor_readings_beyond_total', 'Readings of series beyond the bound', (r) => r.readingsBeyond),
  counter('sluice_processor_readings_derived_total', 'Readings computed from others', (r) => r.readingsDerived),
  counter(
    'sluice_processor_derived_unknown_total',
    'Computations of derived metrics without a result',
    (r) => r.derivedUnknown,
  ),
  counter('sluice_processor_series_forgotten_total', 'Series not heard of for too long', (r) => r.seriesForgotten),
  counter('sluice_processor_devices_forgotten_total', 'Devices not heard of for too long', (r) => r.devicesForgotten),
  counter('sluice_processor_messages_quarantined_total', 'Messages not decoded', (r) => r.messagesQuarantined),
  counter('sluice_processor_rollups_total', 'Rollups emitted', (r) => r.rollupsEmitted),
  counter('sluice_processor_alarms_raised_total', 'Alarms raised', (r) => r.alarmsRaised),
  counter('sluice_processor_alarms_cleared_total', 'Alarms cleared', (r) => r.alarmsCleared),
  counter('sluice_processor_alarms_operated_total', 'What operators did to alarms', (r) => r.alarmsOperated),
  counter('sluice_processor_alarms_chattering_total', 'Alarms that began to chatter', (r) => r.alarmsChattering),
  counter('sluice_processor_alarms_floods_total', 'Groups notified in place of their alarms', (r) => r.alarmsFloods),
  counter('sluice_processor_alarms_muted_total', 'Transitions not notified', (r) => r.alarmsMuted),
  gauge('sluice_processor_lag_frames', 'Frames on the log that are not yet stored', (r) => r.lagFrames),
  gauge('sluice_processor_lag_seconds', 'Age of the oldest message not yet stored', (r) => inSeconds(r.lagMs)),
  counter('sluice_processor_workers_restarted_total', 'Worker threads replaced', (r) => r.workersRestarted),
  labelled(
    'histogram',
    'sluice_processor_insert_duration_seconds',
    'Time of an insert into the store, its retries included, by table',
    (r) => byKey('table', r.store?.insertSeconds),
  ),
  counter('sluice_processor_insert_errors_total', 'Inserts given up', (r) => r.store?.insertErrors),
  counter('sluice_processor_insert_retries_total', 'Inserts that were tried again', (r) => r.store?.insertRetries),
  gauge('sluice_processor_inserts_waiting', 'Inserts that wait for their answer', (r) => r.store?.waiting),
  gauge('sluice_processor_store_silence_seconds', 'For how long the oldest insert has waited', (r) =>
    inSeconds(r.store?.silentMs),
  ),
  counter('sluice_processor_checkpoints_total', 'Checkpoints saved', (r) => r.checkpoints?.saves),
  counter('sluice_processor_checkpoint_failures_total', 'Saves that failed', (r) => r.checkpoints?.failures),
  counter('sluice_processor_checkpoint_written_bytes_total', 'Bytes saved', (r) => r.checkpoints?.bytesWritten),
  histogram('sluice_processor_checkpoint_duration_seconds', 'Time of a save', (r) => r.checkpoints?.saveSeconds),
  gauge('sluice_processor_checkpoint_age_seconds', 'Age of the oldest of the newest checkpoints', (r) =>
    inSeconds(r.checkpoints?.ageMs),
  ),
  gauge('sluice_processor_state_bytes', 'State of windows, alarms and redeliveries', (r) => r.checkpoints?.stateBytes),
  labelled('gauge', 'sluice_processor_state_part_bytes', 'The same, by what takes them', (r) =>
    byKey('part', r.state?.bytes),
  ),
  counter('sluice_processor_tier_runs_total', 'Runs that made coarser rollups', (r) => r.tiers?.runs),
  counter('sluice_processor_tier_failures_total', 'Runs of tiers that failed', (r) => r.tiers?.failures),
  counter('sluice_processor_tier_rows_total', 'Changed rollups that tiers took in', (r) => r.tiers?.rowsChanged),
  gauge('sluice_processor_tier_age_seconds', 'Time since the last run of a tier ended', (r) =>
    inSeconds(r.tiers?.lastRunMs == null ? undefined : r.atMs - r.tiers.lastRunMs),
  ),
  gauge('sluice_processor_devices', 'Devices that are known', (r) => r.state?.devices),
  gauge('sluice_processor_series', 'Pairs of device and metric that are known', (r) => r.state?.series),
  gauge('sluice_processor_partitions_full', 'Partitions that know no further series', (r) => r.state?.partitionsFull),
  labelled('gauge', 'sluice_processor_windows_open', 'Windows that are open, by their name', (r) =>
    byKey('window', r.state?.windowsOpen),
  ),
  labelled('gauge', 'sluice_processor_window_series', 'Series that a window takes', (r) =>
    byKey('window', r.state?.windowSeries),
  ),
  labelled('gauge', 'sluice_processor_window_series_beyond', 'Series beyond the bound of a window', (r) =>
    byKey('window', r.state?.windowSeriesBeyond),
  ),
  labelled(
    'counter',
    'sluice_processor_window_readings_beyond_total',
    'Readings of series beyond the bound of a window',
    (r) => byKey('window', r.windowReadingsBeyond),
  ),
  labelled(
    'counter',
    'sluice_processor_window_readings_displaced_total',
    'Readings that left a window before their time',
    (r) => byKey('window', r.windowReadingsDisplaced),
  ),
];

export const STORE: readonly Family<StoreStats>[] = [
  counter('sluice_store_queries_total', 'Queries answered by the embedded engine', (r) => r.queries),
  counter('sluice_store_inserts_total', 'Inserts taken by the embedded engine', (r) => r.inserts),
  counter('sluice_store_rows_inserted_total', 'Rows inserted into the embedded engine', (r) => r.rowsInserted),
  counter('sluice_store_errors_total', 'Queries and inserts that failed', (r) => r.errors),
  counter('sluice_store_insert_seconds_total', 'Time the engine spent on inserts', (r) => inSeconds(r.insertMs)),
  counter('sluice_store_query_seconds_total', 'Time the engine spent on queries', (r) => inSeconds(r.queryMs)),
  counter(
    'sluice_store_merges_relieved_total',
    'Merges done out of turn, since parts had piled up',
    (r) => r.mergesRelieved,
  ),
];

/** What door and processor find at the topic that they write. */
export const LOG: readonly Family<RoleStats>[] = [
  log('counter', 'sluice_log_frames_appended_total', 'Frames appended', (l) => l.framesAppended),
  log('counter', 'sluice_log_appended_bytes_total', 'Bytes of frames appended', (l) => l.bytesAppended),
  log('counter', 'sluice_log_append_errors_total', 'Appends refused, a full log apart', (l) => l.errors),
  log('histogram', 'sluice_log_append_duration_seconds', 'Time until a frame was durable', (l) => l.appendSeconds),
  log('gauge', 'sluice_log_appends_waiting', 'Appends that wait for their answer', (l) => l.waiting),
  log('gauge', 'sluice_log_append_wait_seconds', 'For how long the oldest append has waited', (l) =>
    inSeconds(l.waitingMs),
  ),
  log('gauge', 'sluice_log_full_seconds', 'For how long the log has been full', (l) => inSeconds(l.fullMs)),
  log('gauge', 'sluice_log_frames_held', 'Frames that the topic holds', (l) => l.framesHeld),
  log('counter', 'sluice_log_frames_deleted_total', 'Frames deleted by retention', (l) => l.framesDeleted),
  log('gauge', 'sluice_log_held_bytes', 'Bytes that the topic holds (embedded log)', (l) => l.bytesHeld),
  log('gauge', 'sluice_log_max_bytes', 'Bytes that the topic may hold (log.mapBytesMax)', (l) => l.bytesMax),
  labelled('gauge', 'sluice_log_end_offset', 'Offset that the next frame of a partition gets', (r) => {
    const stats = logOf(r);
    if (stats === undefined) return [];
    return stats.endOffsets.map((value, partition) => ({ labels: { topic: stats.topic, partition }, value }));
  }),
];

/** Of every role: its process and its machine. */
export const VITALS: readonly Family<{ role: string; vitals?: Vitals }>[] = [
  vital(
    'gauge',
    'sluice_event_loop_delay_seconds',
    'Longest hold-up of the event loop in the last seconds; one of less than 0.1 s may be missed',
    (v) => inSeconds(v.eventLoopDelayMs),
  ),
  vital('gauge', 'sluice_disk_free_bytes', 'Free space on the disk of dataDir', (v) => v.diskFreeBytes),
  vital('gauge', 'sluice_disk_size_bytes', 'Size of the disk of dataDir', (v) => v.diskBytes),
  vital(
    'counter',
    'sluice_clock_jumps_total',
    'Jumps of the wall clock by more than a second against the monotonic one',
    (v) => v.clockJumps,
  ),
];

/** Those names count since the start; the others say what is held now. */
function isTurnedAway({ labels }: Sample): boolean {
  return /(Dropped|Refused)$/.test(String(labels.kind));
}

function vital(
  kind: 'gauge' | 'counter',
  name: string,
  help: string,
  of: (vitals: Vitals) => number | null | undefined,
): Family<{ role: string; vitals?: Vitals }> {
  return labelled(kind, name, help, (r): Sample[] => {
    const value = r.vitals === undefined ? null : of(r.vitals);
    return value === null || value === undefined ? [] : [{ labels: { role: r.role }, value }];
  });
}

function log(
  kind: Family<RoleStats>['kind'],
  name: string,
  help: string,
  of: (log: LogStats) => Sample['value'] | null | undefined,
): Family<RoleStats> {
  return labelled(kind, name, help, (r): Sample[] => {
    const stats = logOf(r);
    const value = stats === undefined ? null : of(stats);
    return stats === undefined || value === null || value === undefined
      ? []
      : [{ labels: { topic: stats.topic }, value }];
  });
}

function logOf(record: RoleStats): LogStats | undefined {
  return record.role === 'store' ? undefined : record.log;
}

function inSeconds(ms: number | null | undefined): number | undefined {
  return ms === null || ms === undefined ? undefined : ms / 1000;
}
