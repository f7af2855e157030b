import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError } from '../model/errors.ts';
import { telemetryTopic } from '../model/topics.ts';
import { encodeValues } from './fleet.ts';
import { DeviceLink } from './link.ts';
import { type FileFormat, formatOf, type Row, readRows, wrong } from './measurement-file.ts';
import type { Values } from './scenario.ts';
import type { Credentials } from './simulate.ts';
import { timeOf } from './timestamps.ts';

export interface ReplayOptions {
  file: string;
  url: string;
  /** Default: by the name of the file. */
  format?: FileFormat;
  /** Column of the device id. Default: the first of DEVICE_COLUMNS that the file has. */
  deviceColumn?: string;
  /** One device for the whole file, instead of a column. */
  device?: string;
  /** Column of the time. Default: the first of TIME_COLUMNS that the file has. */
  timeColumn?: string;
  /** Columns to publish. Default: all others whose first cell with something in it is a number or a boolean. */
  metrics?: readonly string[];
  /** How many times faster than measured; 1 is the pace of the measurements, `max` as fast as acknowledged. Default 1. */
  speed?: number | 'max';
  /** Default 1. */
  qos?: 0 | 1 | 2;
  credentials?: Credentials | ((device: string) => Credentials);
  ca?: string | Buffer;
  /** `stop` (default) ends with an error at a row that is wrong, `skip` counts it and goes on. */
  onBadRow?: 'stop' | 'skip';
  /** Devices in one file at most, each has a connection. Default 2,000. */
  devicesMax?: number;
  signal?: AbortSignal;
  /** Once a second, and at the end. */
  onProgress?(progress: ReplayProgress): void;
}

export interface ReplayProgress {
  rows: number;
  rowsSkipped: number;
  /** Why the first row was skipped; null when none was. */
  firstSkipped: string | null;
  devices: number;
  published: number;
  acknowledged: number;
  /** Values in the acknowledged messages. */
  readings: number;
  /** Time of the newest row, ms. */
  atMs: number | null;
  trouble: string | null;
}

export const DEVICE_COLUMNS = ['device', 'device_id', 'deviceId', 'sensor', 'sensor_id', 'id'];
export const TIME_COLUMNS = ['ts', 'time', 'timestamp', 'datetime', 'date', 'received'];
/** What people write where there is no value. */
const NOTHING = new Set(['', 'na', 'n/a', 'nan', 'null', 'none', '-', '?']);
const PENDING_MAX = 2_000;
const PENDING_OF_DEVICE_MAX = 200;
const PATIENCE_MS = 30_000;

/**
 * Publishes the measurements of a file with their own times, in the order of the file. Resolves when all of it has been
 * acknowledged, or `signal` was aborted. Rejects with INPUT_INVALID (FILE:LINE and what is wrong), and with BROKER_UNAVAILABLE
 * when nothing was acknowledged for 30 s. Holds a few hundred KB of the file and 2,000 messages, whatever its size.
 */
export async function replay(options: ReplayOptions): Promise<ReplayProgress> {
  const { file, format = formatOf(file), signal, onProgress, onBadRow = 'stop' } = options;
  const progress: ReplayProgress = {
    rows: 0,
    rowsSkipped: 0,
    firstSkipped: null,
    devices: 0,
    published: 0,
    acknowledged: 0,
    readings: 0,
    atMs: null,
    trouble: null,
  };
  const links = new Links(options, progress);
  const pace = new Pace(options.speed ?? 1);
  let columns: Columns | null = null;
  const reporter = setInterval(() => onProgress?.(progress), 1000);
  try {
    for await (const row of readRows(file, format)) {
      if (signal?.aborted) break;
      progress.rows++;
      columns ??= new Columns(options, row);
      let measured: Measured;
      try {
        measured = columns.read(row);
      } catch (error) {
        if (onBadRow === 'stop' || !(error instanceof SluiceError)) throw error;
        progress.rowsSkipped++;
        progress.firstSkipped ??= error.message;
        continue;
      }
      progress.atMs = measured.tsMs;
      await pace.until(measured.tsMs, signal);
      if (measured.readings > 0) await links.send(measured, signal);
    }
    await links.settled(0, signal);
  } finally {
    clearInterval(reporter);
    onProgress?.(progress);
    await links.close();
  }
  return progress;
}

interface Measured {
  device: string;
  tsMs: number;
  values: Values;
  readings: number;
}

/** Which column is what. */
class Columns {
  readonly #file: string;
  readonly #device: string | null;
  readonly #deviceColumn: string;
  readonly #timeColumn: string;
  readonly #metrics: readonly string[] | null;
  /** Columns by what their first cell with something in it was: a metric, or not. */
  readonly #kinds = new Map<string, boolean>();

  constructor(options: ReplayOptions, first: Row) {
    const { file, device, deviceColumn, timeColumn, metrics } = options;
    this.#file = file;
    const names = [...first.cells.keys()];
    const find = (asked: string | undefined, usual: readonly string[], what: string): string => {
      const found = asked === undefined ? usual.find((n) => names.includes(n)) : names.find((n) => n === asked);
      if (found !== undefined) return found;
      const missing = asked === undefined ? `no column is known to be ${what}` : `there is no column '${asked}'`;
      throw wrong(file, first.line, missing, `name the column of ${what}; the file has ${names.join(', ')}`);
    };
    this.#device = device ?? null;
    this.#deviceColumn = device === undefined ? find(deviceColumn, DEVICE_COLUMNS, 'the device') : '';
    this.#timeColumn = find(timeColumn, TIME_COLUMNS, 'the time');
    for (const metric of metrics ?? []) find(metric, [], 'a metric');
    this.#metrics = metrics ?? null;
  }

  read({ line, cells }: Row): Measured {
    const device = this.#device ?? this.#deviceOf(cells.get(this.#deviceColumn), line);
    const time = cells.get(this.#timeColumn);
    const tsMs = typeof time === 'string' || typeof time === 'number' ? timeOf(String(time)) : null;
    if (tsMs === null) {
      throw wrong(
        this.#file,
        line,
        `${show(time)} in column '${this.#timeColumn}' is not a time`,
        'write an epoch in s, ms, µs or ns, or ISO 8601',
      );
    }
    const values: Record<string, number | boolean | string> = Object.create(null);
    let readings = 0;
    for (const metric of this.#metrics ?? cells.keys()) {
      if (metric === this.#deviceColumn || metric === this.#timeColumn) continue;
      const value =
        this.#metrics === null ? this.#numberOf(metric, cells.get(metric), line) : readCell(cells.get(metric));
      if (value === null) continue;
      values[metric] = value;
      readings++;
    }
    return { device, tsMs, values, readings };
  }

  #deviceOf(cell: unknown, line: number): string {
    const device = typeof cell === 'string' || typeof cell === 'number' ? String(cell) : '';
    if (device !== '' && !/[/+#\0]/.test(device)) return device;
    throw wrong(
      this.#file,
      line,
      `${show(cell)} in column '${this.#deviceColumn}' cannot be a device id`,
      'a device id is not empty and holds no / + # (it is a level of an MQTT topic)',
    );
  }

  /** The value of a column that was not asked for by name: taken when the column is numeric. */
  #numberOf(metric: string, cell: unknown, line: number): number | boolean | null {
    const value = readCell(cell);
    if (value === null) return null;
    const isNumber = typeof value !== 'string';
    const known = this.#kinds.get(metric);
    if (known === undefined) this.#kinds.set(metric, isNumber);
    if (isNumber && known !== false) return value;
    if (!isNumber && known === true) {
      const remedy = 'correct the cell, leave it empty, or name the metrics to publish';
      throw wrong(this.#file, line, `${show(cell)} in column '${metric}' is not a number`, remedy);
    }
    return null;
  }
}

function readCell(cell: unknown): number | boolean | string | null {
  if (typeof cell === 'boolean') return cell;
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : null;
  if (typeof cell !== 'string') return null;
  const text = cell.trim();
  if (NOTHING.has(text.toLowerCase())) return null;
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : text;
}

function show(cell: unknown): string {
  const text = cell === undefined ? 'nothing' : typeof cell === 'string' ? `'${cell}'` : JSON.stringify(cell);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Waits until it is a measurement's turn: the first one's is now. */
class Pace {
  readonly #speed: number | 'max';
  #firstMs: number | null = null;
  #startedMs = 0;

  constructor(speed: number | 'max') {
    if (speed !== 'max' && !(speed > 0 && Number.isFinite(speed))) {
      throw new SluiceError('INPUT_INVALID', `a speed of ${speed}`, { remedy: "a number above 0, or 'max'" });
    }
    this.#speed = speed;
  }

  async until(tsMs: number, signal?: AbortSignal): Promise<void> {
    if (this.#speed === 'max') return;
    if (this.#firstMs === null) {
      this.#firstMs = tsMs;
      this.#startedMs = Date.now();
    }
    const dueMs = this.#startedMs + (tsMs - this.#firstMs) / this.#speed;
    for (let waitMs = dueMs - Date.now(); waitMs >= 1 && !signal?.aborted; waitMs = dueMs - Date.now()) {
      await sleep(Math.min(waitMs, 60_000), undefined, signal ? { signal } : {}).catch(() => {});
    }
  }
}

/** A link for each device, made when it first appears. */
class Links {
  readonly #options: ReplayOptions;
  readonly #progress: ReplayProgress;
  readonly #links = new Map<string, DeviceLink>();
  #wake: (() => void) | null = null;

  constructor(options: ReplayOptions, progress: ReplayProgress) {
    this.#options = options;
    this.#progress = progress;
  }

  /** Resolves when there is room for the next. */
  async send({ device, tsMs, values, readings }: Measured, signal?: AbortSignal): Promise<void> {
    const link = this.#linkOf(device);
    this.#progress.published++;
    link.send({
      topic: telemetryTopic(device),
      payload: encodeValues(tsMs, values, 'flat'),
      done: () => {
        this.#progress.acknowledged++;
        this.#progress.readings += readings;
        this.#wake?.();
      },
    });
    if (link.pending >= PENDING_OF_DEVICE_MAX) await this.#below(() => link.pending, PENDING_OF_DEVICE_MAX / 2, signal);
    await this.settled(PENDING_MAX, signal);
  }

  /** Waits until no more than so many messages are unacknowledged. */
  settled(pendingMax: number, signal?: AbortSignal): Promise<void> {
    return this.#below(() => this.#progress.published - this.#progress.acknowledged, pendingMax, signal);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#links.values()].map((link) => link.close()));
  }

  async #below(pending: () => number, most: number, signal?: AbortSignal): Promise<void> {
    let seen = this.#progress.acknowledged;
    let sinceMs = Date.now();
    while (pending() > most && !signal?.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (this.#progress.acknowledged !== seen) {
        seen = this.#progress.acknowledged;
        sinceMs = Date.now();
      } else if (Date.now() - sinceMs > PATIENCE_MS) {
        const why = this.#progress.trouble ?? 'no acknowledgement';
        throw new SluiceError('BROKER_UNAVAILABLE', `${this.#options.url}: nothing acknowledged for 30 s: ${why}`);
      }
    }
    this.#wake = null;
  }

  #linkOf(device: string): DeviceLink {
    const known = this.#links.get(device);
    if (known) return known;
    const { url, qos = 1, credentials, ca, devicesMax = 2_000, file } = this.#options;
    if (this.#links.size >= devicesMax) {
      throw new SluiceError('INPUT_INVALID', `${file}: more than ${devicesMax} devices`, {
        remedy: 'raise devicesMax, split the file, or check that the device column is the right one',
      });
    }
    const link = new DeviceLink({
      url,
      clientId: device,
      ...(typeof credentials === 'function' ? credentials(device) : credentials),
      ...(ca === undefined ? {} : { ca }),
      qos,
      inFlightMax: 100,
      onTrouble: (error) => {
        this.#progress.trouble = `${device}: ${error.message === '' ? String((error as NodeJS.ErrnoException).code) : error.message}`;
      },
    });
    this.#links.set(device, link);
    this.#progress.devices++;
    return link;
  }
}
