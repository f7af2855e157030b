import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbLog } from '../log/lmdb.ts';
import type { Log } from '../log/log.ts';
import { systemClock } from '../model/clock.ts';
import { encodeMessage } from '../model/frame.ts';
import { silentLogger } from '../model/logger.ts';
import type { RoleStats } from '../model/stats.ts';
import { ALARMS, OPERATIONS, STATS } from '../model/topics.ts';
import { openStore } from '../store/clickhouse.ts';
import { readCredentials } from '../store/embedded/credentials.ts';
import { startEmbeddedStore } from '../store/embedded/server.ts';
import type { Store } from '../store/store.ts';
import type { GatewayOptions } from './gateway.ts';

/** What the gateway stands on, for its tests: a real log, a real store, a page of two files. */
export interface Parts {
  log: Log;
  writer: Store;
  reader: Store;
  options(over?: Partial<GatewayOptions>): GatewayOptions;
  /** Rows of `readings` for one device and metric, each in a frame of its own, from offset 1000 on. */
  insert(device: string, metric: string, rows: [tsMs: number, value: number, text?: string][]): Promise<void>;
  /** The next row is of the frame before. */
  sameFrame(): void;
  append(topic: string, payload: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export const INFO = {
  version: '1.2.3',
  mqtt: '127.0.0.1:1883',
  clickhouse: 'http://127.0.0.1:8123',
  versions: { node: '20' },
};

export async function openParts(): Promise<Parts> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-gateway-'));
  await mkdir(join(dir, 'page', 'assets'), { recursive: true });
  await writeFile(join(dir, 'page', 'index.html'), '<!doctype html><title>page</title>');
  await writeFile(join(dir, 'page', 'assets', 'a-123.js'), 'export {};');
  const writes = [ALARMS, OPERATIONS, ...Object.values(STATS)];
  const log = await openLmdbLog({ dir: join(dir, 'log'), partitions: 1, writes, mapBytesMax: 2 ** 24 });
  const http = { host: '127.0.0.1', port: 0 };
  const server = await startEmbeddedStore({ dir: join(dir, 'store'), http, logger: silentLogger });
  const writer = openStore({ url: server.url, ...readCredentials(join(dir, 'store')) });
  const reader = openStore({ url: server.url });
  await writer.migrate();
  let offset = 1_000;
  const common = { pageDir: join(dir, 'page'), clock: systemClock, logger: silentLogger, info: INFO };
  return {
    log,
    writer,
    reader,
    options: (over = {}) => ({ log, store: reader, http, ...common, ...over }),
    async insert(device, metric, rows) {
      const values = rows.map(([t, v, s = '']) => {
        const value = s === '' ? v : 'nan';
        return `('${device}', '${metric}', fromUnixTimestamp64Milli(${t}), ${value}, '${s}', fromUnixTimestamp64Milli(${t + 5}), 0, ${offset++}, 0, 0, 0)`;
      });
      const columns = 'device, metric, ts, value, text, received, `partition`, `offset`, `index`, arrival, flags';
      await writer.command(
        `INSERT INTO devices (id, source, first_seen, changed_at, revision) SELECT '${device}', 'seen', now64(3), now64(3), 1`,
      );
      await writer.command(`INSERT INTO readings (${columns}) VALUES ${values.join(', ')}`);
    },
    sameFrame: () => {
      offset--;
    },
    append: (topic, payload) => log.append(topic, 0, encodeMessage(Date.now(), 'd', topic, payload)),
    async close() {
      await Promise.all([writer.close(), reader.close()]);
      await server.close();
      await log.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export function appendStats(parts: Parts, stats: RoleStats): Promise<number> {
  return parts.append(STATS[stats.role], new TextEncoder().encode(JSON.stringify(stats)));
}

export function doorStats(atMs: number, received: number, listening = true): RoleStats {
  return {
    role: 'door',
    instance: 'door-1',
    startedMs: 1_700_000_000_000,
    atMs,
    listening,
    connections: 2,
    messagesReceived: received,
    messagesAcknowledged: received,
    bytesReceived: received * 100,
    messagesInFlight: 0,
    socketsPaused: 0,
    connectionsRefused: 0,
    packetsRefused: 0,
  };
}

export function processorStats(atMs: number, processed: number): RoleStats {
  return {
    role: 'processor',
    instance: 'processor-1',
    startedMs: 1_700_000_000_000,
    atMs,
    running: true,
    partitions: [0],
    messagesProcessed: processed,
    readingsDecoded: processed * 3,
    readingsStored: processed * 3,
    readingsDuplicate: 0,
    readingsLate: 0,
    messagesQuarantined: 1,
    rollupsEmitted: 0,
    alarmsRaised: 0,
    alarmsCleared: 0,
    lagFrames: 4,
    lagMs: 250,
    workersRestarted: 0,
  };
}

/** A store whose calls can be replaced one by one. */
export function bind(store: Store): Store {
  return {
    migrate: () => store.migrate(),
    insert: (table, blocks, opts) => store.insert(table, blocks, opts),
    query: (sql, params, opts) => store.query(sql, params, opts),
    command: (sql, params) => store.command(sql, params),
    ping: () => store.ping(),
    close: () => store.close(),
  };
}

/** Tries again for what comes in its own time. */
export async function until(check: () => Promise<void>): Promise<void> {
  const endMs = Date.now() + 10_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Reads an event stream until `enough`; returns all its events. */
export async function readEvents(
  url: string,
  enough: (all: { event: string; data: never }[]) => boolean,
  meanwhile = async () => {},
) {
  const abort = new AbortController();
  const answer = await fetch(url, { signal: abort.signal });
  const all: { event: string; data: never }[] = [];
  let rest = '';
  let started = false;
  const decoder = new TextDecoder();
  try {
    for await (const chunk of answer.body!) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = rest.split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const match = /^event: (.*)\ndata: (.*)$/s.exec(block);
        if (match) all.push({ event: match[1], data: JSON.parse(match[2]) as never });
      }
      if (!started && all.some((e) => e.event === (url.includes('device=') ? 'watching' : 'stats'))) {
        started = true;
        await meanwhile();
      }
      if (enough(all)) break;
    }
  } finally {
    abort.abort();
  }
  return all;
}
