import type { Supervision, Vitals } from '../model/stats.ts';
import { counter, type Family, gauge, labelled } from './families.ts';
import type { Health } from './health.ts';
import type { StoreGate } from './store-gate.ts';
import type { StoreSize } from './store-size.ts';

/** What the gateway itself knows. */
export interface GatewaySource {
  version: string;
  gate: StoreGate;
  size: StoreSize;
  health(): Health;
  streams(): { open: number; cutOff: number; watched: number };
  supervision(): Supervision | null;
  role: 'gateway';
  vitals?: Vitals;
}

export const GATEWAY: readonly Family<GatewaySource>[] = [
  labelled('gauge', 'sluice_build_info', 'Always 1; the version is a label', (s) => [
    { labels: { version: s.version }, value: 1 },
  ]),
  labelled('gauge', 'sluice_role_up', '1 when a process of the role is heard of and works, 0 when not', (s) =>
    s
      .health()
      .roles.map((r) => ({ labels: { role: r.role, instance: r.instance }, value: Number(r.state !== 'down') })),
  ),
  labelled(
    'gauge',
    'sluice_role_healthy',
    '1 when a process of the role has nothing to complain of; /health has the reasons',
    (s) =>
      s
        .health()
        .roles.map((r) => ({ labels: { role: r.role, instance: r.instance }, value: Number(r.state === 'ok') })),
  ),
  labelled(
    'counter',
    'sluice_supervisor_restarts_total',
    'Times that a role was started again, by what ended it',
    (s) =>
      (s.supervision()?.restarts ?? []).map(({ role, reason, count }) => ({ labels: { role, reason }, value: count })),
  ),
  labelled('gauge', 'sluice_supervisor_backoff_seconds', 'How long a role is kept waiting before its next start', (s) =>
    (s.supervision()?.backoffMs ?? []).map(({ role, ms }) => ({ labels: { role }, value: ms / 1000 })),
  ),
  gauge('sluice_gateway_streams', 'Event streams that are open', (s) => s.streams().open),
  gauge('sluice_gateway_devices_watched', 'Devices whose readings are followed live', (s) => s.streams().watched),
  counter(
    'sluice_gateway_streams_cut_off_total',
    'Event streams cut off for reading too slowly',
    (s) => s.streams().cutOff,
  ),
  gauge('sluice_gateway_queries_running', 'Queries that the store works at for pages', (s) => s.gate.running),
  gauge('sluice_gateway_queries_waiting', 'Queries of pages that wait for their turn', (s) => s.gate.waiting),
  counter('sluice_gateway_queries_total', 'Queries asked of the store', (s) => s.gate.queries),
  counter('sluice_gateway_query_failures_total', 'Queries that failed', (s) => s.gate.failures),
  labelled('gauge', 'sluice_store_parts', 'Active parts of a table', (s) =>
    s.size.tables.map((t) => ({ labels: { table: t.table }, value: t.parts })),
  ),
  labelled('gauge', 'sluice_store_table_bytes', 'Bytes of a table on disk', (s) =>
    s.size.tables.map((t) => ({ labels: { table: t.table }, value: t.bytes })),
  ),
  labelled('gauge', 'sluice_store_table_rows', 'Rows of a table, superseded ones included', (s) =>
    s.size.tables.map((t) => ({ labels: { table: t.table }, value: t.rows })),
  ),
  gauge('sluice_alarms_open', 'Alarms that are raised and not cleared', (s) => s.size.alarmsOpen),
  labelled('gauge', 'sluice_alarms', 'Alarms that are not over, by their state (ISA-18.2)', (s) =>
    s.size.alarms.map(({ life, n }) => ({ labels: { state: life }, value: n })),
  ),
  labelled('gauge', 'sluice_quarantine_recent_messages', 'Messages of the last hour in quarantine, by reason', (s) =>
    s.size.quarantine.map(({ code, n }) => ({ labels: { reason: code }, value: n })),
  ),
];
