import { type ReplayProgress, replay } from '../device-sim/replay.ts';
import { credentialsOf, stopOnSignal } from './simulate.ts';

/** Options of `sluice replay`, as commander gives them. */
export interface ReplayCommand {
  url: string;
  deviceColumn?: string;
  device?: string;
  timeColumn?: string;
  metrics?: string[];
  format?: 'csv' | 'ndjson';
  speed: number | 'max';
  qos: 0 | 1 | 2;
  skipBadRows?: boolean;
  username?: string;
  passwordFile?: string;
  json?: boolean;
}

/** `sluice replay FILE`: publishes measurements with their own times. Exit code 1 when not all of it was acknowledged. */
export async function replayFile(file: string, options: ReplayCommand): Promise<void> {
  const { url, deviceColumn, device, timeColumn, metrics, format, speed, qos } = options;
  const result = await replay({
    file,
    url,
    deviceColumn,
    device,
    timeColumn,
    metrics,
    format,
    speed,
    qos,
    onBadRow: options.skipBadRows === true ? 'skip' : 'stop',
    credentials: credentialsOf(options),
    signal: stopOnSignal(),
    onProgress(progress) {
      if (options.json !== true) console.log(replayLine(progress));
    },
  });
  if (options.json === true) console.log(JSON.stringify(result));
  process.exit(result.acknowledged === result.published ? 0 : 1);
}

function replayLine(p: ReplayProgress): string {
  const n = (value: number): string => value.toLocaleString('en-US');
  const at = p.atMs === null ? '' : `, at ${new Date(p.atMs).toISOString()}`;
  const skipped = p.rowsSkipped === 0 ? '' : `; skipped ${n(p.rowsSkipped)}, the first: ${p.firstSkipped}`;
  const trouble = p.trouble === null ? '' : `; trouble: ${p.trouble}`;
  return `${n(p.rows)} rows of ${n(p.devices)} devices, published ${n(p.published)}, acknowledged ${n(p.acknowledged)}${at}${skipped}${trouble}`;
}
