import { SluiceError } from '../../model/errors.ts';
import { type NativeRow, readNative } from '../../processors/testing/native-rows.ts';
import type { Store, TableName } from '../../store/store.ts';
import type { Process } from './scheduler.ts';
import type { World } from './world.ts';

interface Insert {
  table: TableName;
  rows: NativeRow[];
  token: string;
  process: Process;
  /** Of each partition when it was sent. */
  epochs: Map<number, number>;
}

const DAY_MS = 86_400_000;
const KEYS: Record<string, readonly string[]> = {
  readings: ['device', 'metric', 'ts', 'arrival'],
  rollups: ['window', 'device', 'metric', 'start'],
  alarms: ['device', 'rule', 'id'],
  alarm_events: ['id', 'version'],
  quarantine: ['device', 'received', 'partition', 'offset', 'index'],
  ledger: ['minute', 'partition', 'device', 'offset_first'],
  devices: ['id'],
};
const VERSION: Record<string, string | undefined> = {
  rollups: 'revision',
  alarms: 'version',
  ledger: 'counted_to',
  devices: 'revision',
};

/**
 * A ClickHouse: tables of rows that replace each other by key when read with FINAL or when merged; an insert is a part for each
 * day that its rows are of, each part whole or not at all, and known by its token for a while.
 */
export class SimStore {
  readonly tables: Record<string, NativeRow[]> = {
    readings: [],
    rollups: [],
    alarms: [],
    alarm_events: [],
    quarantine: [],
    ledger: [],
    devices: [],
  };
  up = true;
  /** Requests that may still land. */
  onTheWay = 0;
  readonly #world: World;
  readonly #tokens = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The store as one process sees it; retries an insert as store/clickhouse.ts does. */
  open(process: Process): Store {
    return {
      insert: (table, blocks, { token, signal }) => {
        const rows = blocks.flatMap((block) => readNative(block));
        const epochs = new Map<number, number>();
        for (const row of rows) {
          const partition = row.partition as number;
          if (!epochs.has(partition)) epochs.set(partition, this.#world.ownership.epoch(partition));
        }
        const insert = { table, rows, token, process, epochs };
        return new Promise((resolve, reject) => {
          const giveUp = () => reject(new SluiceError('STORE_UNAVAILABLE', 'gave up'));
          if (signal?.aborted) return giveUp();
          signal?.addEventListener('abort', giveUp);
          this.#try(insert, 1, signal, () => {
            signal?.removeEventListener('abort', giveUp);
            resolve();
          });
        });
      },
      query: (sql, params) => this.#query(process, sql, params ?? {}) as never,
      migrate: async () => {},
      command: async () => {},
      ping: async () => this.up,
      close: async () => {},
    };
  }

  #try(insert: Insert, tries: number, signal: AbortSignal | undefined, resolve: () => void): void {
    const world = this.#world;
    const { faults } = world.plan;
    const { process } = insert;
    const retry = () => {
      process.after(Math.min(10_000, 50 * 2 ** Math.min(tries, 8)), 'insert retry', () => {
        if (!signal?.aborted) this.#try(insert, tries + 1, signal, resolve);
      });
    };
    let settled = false;
    this.onTheWay++;
    const arrive = () => {
      if (settled) return;
      settled = true;
      this.onTheWay--;
      const whole = this.up && this.#apply(insert);
      const answered = whole && !world.strikes(faults.answerLost, 'answer lost');
      process.after(world.delay(2), answered ? 'insert answered' : 'insert failed', answered ? resolve : retry);
    };
    const slow = world.strikes(faults.insertSlow, 'insert slow') ? 30 : 1;
    world.scheduler.at(world.delay(10) * slow, `${process.name} insert ${insert.table} x${insert.rows.length}`, arrive);
    process.onKill(() => {
      if (settled || world.strikes(faults.landsLate, 'insert landed late')) return;
      if (world.random.chance(0.5)) arrive();
      else {
        settled = true;
        this.onTheWay--;
      }
    });
  }

  /** True when all of it is in the table. */
  #apply(insert: Insert): boolean {
    const { table, rows, token } = insert;
    const world = this.#world;
    const parts = new Map<number, NativeRow[]>();
    for (const row of rows) {
      const day = row.received === undefined ? 0 : Math.floor((row.received as number) / DAY_MS);
      parts.set(day, [...(parts.get(day) ?? []), row]);
    }
    const stopAfter = world.strikes(world.plan.faults.partialInsert, 'insert broken off')
      ? world.random.int(0, parts.size - 1)
      : parts.size;
    let applied = 0;
    for (const [day, part] of parts) {
      if (applied++ >= stopAfter) break;
      const id = `${table} ${token} ${day}`;
      if (this.#tokens.has(id)) continue;
      this.#tokens.add(id);
      this.tables[table].push(...part);
    }
    if (table === 'readings') this.#excuse(insert, stopAfter < parts.size && stopAfter > 0);
    const how = stopAfter < parts.size ? ` broken off after ${stopAfter} of ${parts.size} parts` : '';
    world.scheduler.note(`inserted ${table} ${token}${how}`);
    return stopAfter >= parts.size;
  }

  #excuse({ process, epochs }: Insert, isPartial: boolean): void {
    const { excuses, ownership } = this.#world;
    for (const [partition, epoch] of epochs) {
      if (ownership.isPast(partition, process, epoch)) {
        excuses.rows.set(partition, `an insert of ${process.name} landed after the partition was taken over`);
      }
      if (isPartial) excuses.rows.set(partition, 'an insert over two days was broken off between them');
    }
  }

  /** The engine was killed; after a power loss it has forgotten tokens that were not flushed. */
  crash(forgets: boolean): void {
    this.up = false;
    if (!forgets || !this.#world.strikes(this.#world.plan.faults.tokensForgotten, 'tokens forgotten')) return;
    this.#tokens.clear();
    for (let p = 0; p < this.#world.plan.partitions; p++) this.#world.excuses.rows.set(p, 'tokens were forgotten');
  }

  /** Merges parts: of rows with the same key the newest stays. */
  merge(): void {
    const world = this.#world;
    const { readings } = this.tables;
    const upTo = world.random.int(0, readings.length);
    const newest = new Map<string, NativeRow>();
    for (const row of readings.slice(0, upTo)) newest.set(keyOf('readings', row), row);
    const merged = new Set(newest.values());
    this.tables.readings = readings.filter((row, at) => {
      if (at >= upTo || merged.has(row)) return true;
      world.excuses.rows.set(row.partition as number, 'rows of a redelivery were merged');
      return false;
    });
    world.count('merge');
  }

  /** As FINAL reads it. */
  final(table: string): Map<string, NativeRow> {
    const out = new Map<string, NativeRow>();
    const version = VERSION[table];
    for (const row of this.tables[table]) {
      const key = keyOf(table, row);
      const before = out.get(key);
      if (before && version !== undefined && Number(row[version]) < Number(before[version])) continue;
      out.set(key, row);
    }
    return out;
  }

  #query(process: Process, sql: string, params: Record<string, unknown>): Promise<unknown[]> {
    const world = this.#world;
    const lost = world.strikes(world.plan.faults.answerLost, 'query lost');
    return new Promise((resolve, reject) => {
      process.after(world.delay(5), 'query', () => {
        if (!this.up || lost) reject(new SluiceError('STORE_UNAVAILABLE', 'the simulated store does not answer'));
        else resolve(this.#rows(sql, params as Record<string, number>));
      });
    });
  }

  /** Answers the queries of processors/resume.ts, and no others. */
  #rows(sql: string, { partition, received, first, last, offset }: Record<string, number>): unknown[] {
    if (!/FROM readings\s+WHERE `partition` = /.test(sql)) throw new Error(`the simulated store does not know: ${sql}`);
    const byOffset = new Map<number, number[]>();
    const from = first ?? offset;
    for (const row of this.tables.readings) {
      const at = row.offset as number;
      if (row.partition !== partition || at < from || at > (last ?? Number.POSITIVE_INFINITY)) continue;
      if ((row.received as number) < received) continue;
      const times = byOffset.get(at);
      if (times === undefined) byOffset.set(at, [row.received as number]);
      else times.push(row.received as number);
    }
    if (!sql.includes('GROUP BY')) {
      return [{ offset_max: String(Math.max(0, ...byOffset.keys())), row_count: String(byOffset.size) }];
    }
    return [...byOffset].map(([at, times]) => ({
      offset: String(at),
      row_count: String(times.length),
      min_ms: String(Math.min(...times)),
      max_ms: String(Math.max(...times)),
    }));
  }
}

function keyOf(table: string, row: NativeRow): string {
  return JSON.stringify(KEYS[table].map((column) => row[column]));
}
