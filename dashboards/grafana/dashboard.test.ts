import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { silentLogger } from '../../model/logger.ts';
import { openStore } from '../../store/clickhouse.ts';
import { readCredentials } from '../../store/embedded/credentials.ts';
import { type EmbeddedStore, startEmbeddedStore } from '../../store/embedded/server.ts';
import type { Store } from '../../store/store.ts';

/** Runs every query of the dashboard against the real tables, its macros and variables filled in as the plugin does. */

interface Target {
  rawSql: string;
  refId: string;
}
interface Panel {
  title: string;
  type: string;
  targets?: Target[];
}
interface Variable {
  name: string;
  query: { rawSql: string };
}
interface Dashboard {
  uid: string;
  panels: Panel[];
  templating: { list: Variable[] };
}

const folder = fileURLToPath(new URL('.', import.meta.url));
const dashboard = JSON.parse(await readFile(join(folder, 'dashboards/sluice.json'), 'utf8')) as Dashboard;

const TO_MS = Date.UTC(2026, 4, 7, 12, 0, 0);
const FROM_MS = TO_MS - 3_600_000;
const INTERVAL_S = 15;
const CHOSEN: Record<string, string[]> = { device: ['pump-1', "o'brien"], metric: ['temperature'], window: ['1m'] };

/** pkg/macros/macros.go of the plugin, version 4, says what each macro becomes. */
function fillIn(sql: string): string {
  const seconds = (ms: number) => `toDateTime(${Math.floor(ms / 1000)})`;
  const millis = (ms: number) => `fromUnixTimestamp64Milli(${ms})`;
  return sql
    .replace(/\$\{(\w+):sqlstring\}/g, (_, name: string) =>
      CHOSEN[name].map((v) => `'${v.replaceAll("'", "''")}'`).join(','),
    )
    .replace(/\$__timeFilter_ms\((\w+)\)/g, (_, c) => `${c} >= ${millis(FROM_MS)} AND ${c} <= ${millis(TO_MS)}`)
    .replace(/\$__timeFilter\((\w+)\)/g, (_, c) => `${c} >= ${seconds(FROM_MS)} AND ${c} <= ${seconds(TO_MS)}`)
    .replace(
      /\$__timeInterval\((\w+)\)/g,
      (_, c) => `toStartOfInterval(toDateTime(${c}), INTERVAL ${INTERVAL_S} second)`,
    )
    .replaceAll('$__fromTime', seconds(FROM_MS))
    .replaceAll('$__toTime', seconds(TO_MS))
    .replaceAll('$__interval_s', `${INTERVAL_S}`);
}

let dir: string;
let server: EmbeddedStore;
let writer: Store;
let reader: Store;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-grafana-'));
  server = await startEmbeddedStore({ dir, http: { host: '127.0.0.1', port: 0 }, logger: silentLogger });
  writer = openStore({ url: server.url, ...readCredentials(dir) });
  reader = openStore({ url: server.url });
  await writer.migrate();
  const at = (secondsBefore: number) => `fromUnixTimestamp64Milli(${TO_MS - secondsBefore * 1000})`;
  const readings: string[] = [];
  for (const [n, device] of CHOSEN.device.entries()) {
    for (let s = 0; s < 60; s++) {
      readings.push(
        `('${device.replaceAll("'", "''")}', 'temperature', ${at(s)}, ${20 + s}, '', ${at(s - 1)}, 0, ${s}, ${n}, 0, 0)`,
      );
    }
    readings.push(`('${device.replaceAll("'", "''")}', 'firmware', ${at(5)}, nan, 'v2', ${at(5)}, 0, 99, ${n}, 0, 0)`);
  }
  const columns = 'device, metric, ts, value, text, received, `partition`, `offset`, `index`, arrival, flags';
  await writer.command(`INSERT INTO readings (${columns}) VALUES ${readings.join(', ')}`);
  await writer.command(`INSERT INTO readings (${columns}) VALUES ${readings[0]}`);
  await writer.command(
    `INSERT INTO rollups (window, device, metric, start, end, count, sum, min, max, avg, first, last, revision, \`partition\`)
     VALUES ('1m', 'pump-1', 'temperature', ${at(120)}, ${at(60)}, 60, 1800, 20, 40, 30, 20, 40, 1, 0),
            ('1m', 'pump-1', 'temperature', ${at(120)}, ${at(60)}, 61, 1860, 20, 60, 30.5, 20, 60, 2, 0)`,
  );
  await writer.command(
    `INSERT INTO alarms (id, rule, device, metric, severity, state, raised_at, cleared_at, value, message, version, \`partition\`, \`offset\`, \`index\`)
     VALUES ('a1', 'hot', 'pump-1', 'temperature', 'major', 'raised', ${at(300)}, NULL, 70, 'hot', 1, 0, 1, 0),
            ('a2', 'hot', 'pump-2', 'temperature', 'major', 'raised', ${at(900)}, NULL, 70, 'hot', 1, 0, 2, 0),
            ('a2', 'hot', 'pump-2', 'temperature', 'major', 'cleared', ${at(900)}, ${at(600)}, 60, 'hot', 2, 0, 3, 0)`,
  );
  await writer.command(
    `INSERT INTO quarantine (device, topic, received, reason, payload, \`partition\`, \`offset\`, \`index\`)
     VALUES ('pump-1', 'devices/pump-1/telemetry', ${at(30)}, 'not JSON', unhex('7BFF'), 0, 7, 0)`,
  );
});

afterAll(async () => {
  await Promise.all([writer?.close(), reader?.close()]);
  await server?.close();
  if (dir) await rm(dir, { recursive: true, force: true });
});

const targets = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ panel, target })));

describe('the Grafana dashboard', () => {
  it.each(targets.map((t) => [t.panel.title, t] as const))(
    'panel "%s" runs and finds rows',
    async (_title, { panel, target }) => {
      const sql = fillIn(target.rawSql);
      expect(sql).not.toContain('$');
      const rows = await reader.query<Record<string, unknown>>(sql);
      expect(rows.length).toBeGreaterThan(0);
      if (panel.type === 'timeseries') {
        expect(Object.keys(rows[0])[0]).toBe('time');
        expect(rows.map((r) => String(r.time))).toEqual(rows.map((r) => String(r.time)).sort());
      }
    },
  );

  it.each(dashboard.templating.list.map((v) => [v.name, v] as const))(
    'variable %s offers values',
    async (name, variable) => {
      const rows = await reader.query<Record<string, string>>(fillIn(variable.query.rawSql));
      expect(rows.map((r) => Object.values(r)[0])).toContain(CHOSEN[name][0]);
    },
  );

  it('counts a redelivery, an older revision and an older state of an alarm once', async () => {
    const one = async (title: string) => {
      const found = targets.find((t) => t.panel.title === title)!;
      return Object.values((await reader.query<Record<string, unknown>>(fillIn(found.target.rawSql)))[0])[0];
    };
    expect(Number(await one('Readings'))).toBe(122 - 2); // One second of each device's series lies behind the range.
    expect(Number(await one('Open alarms'))).toBe(1);
    const rollups = targets.find((t) => t.panel.title.startsWith('Rollups'))!;
    expect(await reader.query(fillIn(rollups.target.rawSql))).toMatchObject([{ average: 30.5, greatest: 60 }]);
  });

  it('is found by the provisioning beside it', async () => {
    const datasource = parse(await readFile(join(folder, 'provisioning/datasources/sluice.yaml'), 'utf8'));
    expect(datasource.datasources[0]).toMatchObject({ type: 'grafana-clickhouse-datasource', uid: 'sluice' });
    const provider = parse(await readFile(join(folder, 'provisioning/dashboards/sluice.yaml'), 'utf8'));
    expect(provider.providers[0]).toMatchObject({
      type: 'file',
      options: { path: '/var/lib/grafana/dashboards/sluice' },
    });
    const uids = JSON.stringify(dashboard).match(/"uid":"[^"]+"/g);
    expect(new Set(uids)).toEqual(new Set(['"uid":"sluice"']));
  });
});
