import { readFileSync } from 'node:fs';
import { blast } from '../device-sim/blast.ts';
import { type SimulateProgress, simulate } from '../device-sim/simulate.ts';
import { type Troubles, troublesOf } from '../device-sim/troubles.ts';
import { SluiceError } from '../model/errors.ts';
import { onStop } from './lifecycle.ts';

/** Options of `sluice simulate`, as commander gives them. */
export interface SimulateCommand {
  url: string;
  devices?: number;
  rateHz?: number;
  seed: number;
  seconds?: number;
  speed?: number;
  qos: 0 | 1 | 2;
  username?: string;
  passwordFile?: string;
  troubles: string;
  blast?: boolean;
  connections?: number;
  messages?: number;
  rate?: number;
  payload?: string;
  intoLog?: boolean;
  /** With `intoLog`: the settings and the folder of the log, and when the past begins. */
  config?: string;
  data?: string;
  from?: string;
  json?: boolean;
  quiet?: boolean;
}

/** `sluice simulate SCENARIO`: ordinary clients, or with --blast raw sockets. Ends by itself after --seconds, or on a signal. */
export async function simulateFleet(scenario: string, options: SimulateCommand): Promise<void> {
  if (options.intoLog === true) return (await import('./simulate-log.ts')).simulateIntoLog(scenario, options);
  const abort = stopOnSignal();
  if (options.blast === true) return blastDoor(options, abort);
  const troubles: Partial<Troubles> = troublesOf(options.troubles);
  const { url, devices, rateHz, seed, qos, speed } = options;
  let saidMs = 0;
  const result = await simulate({
    url,
    scenario,
    devices,
    rateHz,
    seed,
    qos,
    speed,
    troubles,
    durationMs: options.seconds === undefined ? undefined : options.seconds * 1000,
    credentials: credentialsOf(options),
    signal: abort,
    onProgress(progress) {
      if (options.quiet === true || options.json === true || Date.now() - saidMs < 5000) return;
      saidMs = Date.now();
      console.log(progressLine(progress));
    },
  });
  if (options.json === true) console.log(JSON.stringify(result));
  else if (options.quiet !== true) console.log(`${progressLine(result)}; done`);
  process.exit(result.pending === 0 ? 0 : 1);
}

async function blastDoor(options: SimulateCommand, signal: AbortSignal): Promise<void> {
  if (options.qos === 2) {
    throw new SluiceError('INPUT_INVALID', 'a blast sends QoS 0 or 1', { remedy: 'leave --qos 2 out' });
  }
  const result = await blast({
    url: options.url,
    connections: options.connections,
    payload: options.payload,
    qos: options.qos,
    messages: options.messages,
    durationMs:
      options.seconds === undefined ? (options.messages === undefined ? 10_000 : undefined) : options.seconds * 1000,
    ratePerSecond: options.rate,
    ...credentialsOf(options),
    signal,
    onProgress({ sent, acknowledged }) {
      if (options.json !== true) console.log(`sent ${count(sent)}, acknowledged ${count(acknowledged)}`);
    },
  });
  if (options.json === true) {
    console.log(JSON.stringify(result));
  } else {
    const { messagesPerSecond, readingsPerSecond, acknowledged, unacknowledged, pubackLatency } = result;
    console.log(`${count(acknowledged)} messages acknowledged, ${count(unacknowledged)} not`);
    console.log(`${count(messagesPerSecond)} messages/s, ${count(readingsPerSecond)} readings/s`);
    if (pubackLatency !== null) {
      console.log(
        `PUBACK after ${pubackLatency.p50Ms.toFixed(1)} ms (p50), ${pubackLatency.p99Ms.toFixed(1)} ms (p99)`,
      );
    }
  }
  process.exit(result.unacknowledged === 0 ? 0 : 1);
}

/** User and password of the command line; the password comes from a file, so that it shows in no list of processes. */
export function credentialsOf(options: {
  username?: string;
  passwordFile?: string;
}): { username: string; password: string } | undefined {
  if (options.username === undefined) return undefined;
  if (options.passwordFile === undefined) {
    throw new SluiceError('INPUT_INVALID', '--username without a password', { remedy: 'give --password-file as well' });
  }
  return {
    username: options.username,
    password: readFileSync(options.passwordFile, 'utf8').replace(/\r?\n$/, ''),
  };
}

/** Aborts when this process should stop. */
export function stopOnSignal(): AbortSignal {
  const abort = new AbortController();
  onStop(() => abort.abort());
  return abort.signal;
}

function progressLine(p: SimulateProgress): string {
  const extras = [
    p.late > 0 ? `${count(p.late)} late` : '',
    p.duplicates > 0 ? `${count(p.duplicates)} twice` : '',
    p.broken > 0 ? `${count(p.broken)} broken` : '',
    p.reconnects > 0 ? `${count(p.reconnects)} reconnects` : '',
    p.trouble === null || p.connected === p.devices ? '' : `trouble: ${p.trouble}`,
  ].filter((text) => text !== '');
  return [
    `${count(p.connected)} of ${count(p.devices)} devices`,
    `published ${count(p.published)}, acknowledged ${count(p.acknowledged)}`,
    ...extras,
  ].join('; ');
}

function count(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}
