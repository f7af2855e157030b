import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DoorStats, ProcessorStats, StoreStats } from '../model/stats.ts';
import type { Health } from './health.ts';
import type { StatsBoard } from './stats-board.ts';
import type { StoreGate } from './store-gate.ts';

export interface MetricsSource {
  board: StatsBoard;
  gate: StoreGate;
  health(): Health;
  nowMs(): number;
  streams(): { open: number; cutOff: number; watched: number };
}

/** kind, name, help, value of a record. Counters are those of the role's process: they start anew with each of its lives. */
type Spec<R> = readonly ['counter' | 'gauge', string, string, (record: R) => number];

const DOOR: readonly Spec<DoorStats>[] = [
  ['gauge', 'sluice_door_listening', '1 when the door takes MQTT connections', (r) => Number(r.listening)],
  ['gauge', 'sluice_door_connections', 'MQTT connections that are open', (r) => r.connections],
  ['counter', 'sluice_door_messages_received_total', 'Messages taken from devices', (r) => r.messagesReceived],
  ['counter', 'sluice_door_messages_acknowledged_total', 'Messages durable on the log', (r) => r.messagesAcknowledged],
  ['counter', 'sluice_door_received_bytes_total', 'Bytes taken from devices', (r) => r.bytesReceived],
  ['gauge', 'sluice_door_messages_in_flight', 'Messages that wait for their append', (r) => r.messagesInFlight],
  ['gauge', 'sluice_door_sockets_paused', 'Sockets paused because the log is slower', (r) => r.socketsPaused],
  ['counter', 'sluice_door_connections_refused_total', 'Connections refused', (r) => r.connectionsRefused],
  ['counter', 'sluice_door_packets_refused_total', 'Packets refused', (r) => r.packetsRefused],
];

const PROCESSOR: readonly Spec<ProcessorStats>[] = [
  ['gauge', 'sluice_processor_running', '1 when the processor works', (r) => Number(r.running)],
  ['gauge', 'sluice_processor_partitions', 'Partitions that the processor works at', (r) => r.partitions.length],
  ['counter', 'sluice_processor_messages_total', 'Messages processed', (r) => r.messagesProcessed],
  ['counter', 'sluice_processor_readings_decoded_total', 'Readings decoded', (r) => r.readingsDecoded],
  ['counter', 'sluice_processor_readings_stored_total', 'Readings stored', (r) => r.readingsStored],
  ['counter', 'sluice_processor_readings_duplicate_total', 'Readings known already', (r) => r.readingsDuplicate],
  ['counter', 'sluice_processor_readings_late_total', 'Readings later than their window', (r) => r.readingsLate],
  ['counter', 'sluice_processor_messages_quarantined_total', 'Messages not decoded', (r) => r.messagesQuarantined],
  ['counter', 'sluice_processor_rollups_total', 'Rollups emitted', (r) => r.rollupsEmitted],
  ['counter', 'sluice_processor_alarms_raised_total', 'Alarms raised', (r) => r.alarmsRaised],
  ['counter', 'sluice_processor_alarms_cleared_total', 'Alarms cleared', (r) => r.alarmsCleared],
  ['gauge', 'sluice_processor_lag_frames', 'Frames on the log that are not yet stored', (r) => r.lagFrames],
  ['gauge', 'sluice_processor_lag_seconds', 'Age of the oldest message not yet stored', (r) => r.lagMs / 1000],
  ['counter', 'sluice_processor_workers_restarted_total', 'Worker threads replaced', (r) => r.workersRestarted],
];

const STORE: readonly Spec<StoreStats>[] = [
  ['counter', 'sluice_store_queries_total', 'Queries answered by the embedded engine', (r) => r.queries],
  ['counter', 'sluice_store_inserts_total', 'Inserts taken by the embedded engine', (r) => r.inserts],
  ['counter', 'sluice_store_rows_inserted_total', 'Rows inserted into the embedded engine', (r) => r.rowsInserted],
  ['counter', 'sluice_store_errors_total', 'Queries and inserts that failed', (r) => r.errors],
];

/** What Prometheus reads at /metrics. Values of the roles are those of their newest record, taken when asked. */
export class Metrics {
  readonly contentType: string;
  readonly #registry = new Registry();

  constructor(source: MetricsSource) {
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry });
    for (const spec of DOOR) this.#register(spec, () => source.board.latest('door', source.nowMs()));
    for (const spec of PROCESSOR) this.#register(spec, () => source.board.latest('processor', source.nowMs()));
    for (const spec of STORE) this.#register(spec, () => source.board.latest('store', source.nowMs()));
    this.#gateway(source);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #register<R extends { instance: string }>([kind, name, help, of]: Spec<R>, records: () => R[]): void {
    const options = { name, help, labelNames: ['instance'], registers: [this.#registry] };
    if (kind === 'gauge') {
      new Gauge({
        ...options,
        collect() {
          this.reset();
          for (const r of records()) this.set({ instance: r.instance }, of(r));
        },
      });
      return;
    }
    new Counter({
      ...options,
      collect() {
        this.reset();
        for (const r of records()) this.inc({ instance: r.instance }, of(r));
      },
    });
  }

  #gateway(source: MetricsSource): void {
    const registers = [this.#registry];
    new Gauge({
      name: 'sluice_role_up',
      help: '1 when a process of the role is heard of and works, 0 when not',
      labelNames: ['role', 'instance'],
      registers,
      collect() {
        this.reset();
        for (const r of source.health().roles)
          this.set({ role: r.role, instance: r.instance }, Number(r.state !== 'down'));
      },
    });
    const gauges: [string, string, () => number][] = [
      ['sluice_gateway_streams', 'Event streams that are open', () => source.streams().open],
      ['sluice_gateway_devices_watched', 'Devices whose readings are followed live', () => source.streams().watched],
      ['sluice_gateway_queries_running', 'Queries that the store works at for pages', () => source.gate.running],
      ['sluice_gateway_queries_waiting', 'Queries of pages that wait for their turn', () => source.gate.waiting],
    ];
    for (const [name, help, value] of gauges) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    }
    const counters: [string, string, () => number][] = [
      ['sluice_gateway_queries_total', 'Queries asked of the store', () => source.gate.queries],
      ['sluice_gateway_query_failures_total', 'Queries that failed', () => source.gate.failures],
      [
        'sluice_gateway_streams_cut_off_total',
        'Event streams cut off for reading too slowly',
        () => source.streams().cutOff,
      ],
    ];
    for (const [name, help, value] of counters) {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(value());
        },
      });
    }
  }
}
