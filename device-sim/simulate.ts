import { telemetryTopic } from '../model/topics.ts';
import { Fleet, type FleetEvent, type FleetOptions } from './fleet.ts';
import { DeviceLink } from './link.ts';
import { DAY_MS } from './signals.ts';

export interface SimulateOptions extends FleetOptions {
  /** mqtt://, mqtts://, ws:// or wss://. */
  url: string;
  /** Default 1. */
  qos?: 0 | 1 | 2;
  /** How much time of the fleet to play; without end when absent (until `signal`). */
  durationMs?: number;
  /**
   * How fast the fleet's time runs: 1 is as it is, 60 an hour in a minute. Above 1 it starts in the past and goes on at 1 when it
   * has come to the present, so that no reading is from the future.
   */
  speed?: number;
  /** The fleet's time at the start. Default: now; with speed above 1, `durationMs` (or a day) ago. */
  startMs?: number;
  /** One user for all devices, or one for each. Devices connect with their id as client id. */
  credentials?: Credentials | ((device: string) => Credentials);
  ca?: string | Buffer;
  /** Messages that wait for their acknowledgement, of the whole fleet, before the fleet's time stands still. Default 100,000. */
  pendingMax?: number;
  signal?: AbortSignal;
  /** Called once a second, and at the end. */
  onProgress?(progress: SimulateProgress): void;
}

export interface Credentials {
  username: string;
  password: string;
}

export interface SimulateProgress {
  devices: number;
  connected: number;
  /** Messages handed to the clients, and those of them that were acknowledged. */
  published: number;
  acknowledged: number;
  /** Values in the acknowledged messages; broken payloads count none, duplicates count again. */
  readings: number;
  late: number;
  duplicates: number;
  broken: number;
  /** Connections made after the first of each device. */
  reconnects: number;
  /** Messages that wait for their acknowledgement. */
  pending: number;
  /** The fleet's time. */
  atMs: number;
  /** What the newest failed connection said; null when there was none. */
  trouble: string | null;
}

const WAKE_MS = 5;
const FINISH_MS = 10_000;
/** After an abort: what is on its way gets a moment to be acknowledged. */
const ABORT_MS = 500;

/**
 * Plays a fleet to a broker with ordinary MQTT clients, one for each device. Resolves when the time is over (or `signal` aborted)
 * and everything published has been acknowledged; after an abort, or when acknowledgements stay out for 10 s, with the rest
 * counted as pending. Nothing is ever dropped: while too much waits, the fleet's time stands still.
 */
export async function simulate(options: SimulateOptions): Promise<SimulateProgress> {
  const { url, qos = 1, speed = 1, durationMs, pendingMax = 100_000, signal, onProgress } = options;
  const fleet = new Fleet(options);
  const wallStartMs = Date.now();
  const startMs = options.startMs ?? (speed > 1 ? wallStartMs - (durationMs ?? DAY_MS) : wallStartMs);
  const endMs = durationMs === undefined ? Number.POSITIVE_INFINITY : startMs + durationMs;
  const progress: SimulateProgress = {
    devices: fleet.devices.length,
    connected: 0,
    published: 0,
    acknowledged: 0,
    readings: 0,
    late: 0,
    duplicates: 0,
    broken: 0,
    reconnects: 0,
    pending: 0,
    atMs: startMs,
    trouble: null,
  };
  const links = fleet.devices.map(({ id }) => openLink(id, options, qos, url, progress));
  const clock = new PlayClock(startMs, speed);
  const events = fleet.events(startMs);
  let next: FleetEvent = events.next().value;
  const report = () => {
    progress.connected = links.reduce((sum, link) => sum + (link.connected ? 1 : 0), 0);
    progress.pending = progress.published - progress.acknowledged;
    onProgress?.(progress);
  };
  const reporter = setInterval(report, 1000);
  try {
    while (!signal?.aborted && next.atMs < endMs) {
      progress.atMs = clock.now();
      while (
        next.atMs <= progress.atMs &&
        next.atMs < endMs &&
        progress.published - progress.acknowledged < pendingMax
      ) {
        carryOut(next, fleet, links, progress);
        next = events.next().value;
      }
      if (next.atMs <= progress.atMs) clock.hold(next.atMs); // too much waits
      await pause(clock.wallMsUntil(Math.min(next.atMs, endMs)), signal);
    }
    for (const link of links) link.goOnline();
    await acknowledged(progress, FINISH_MS, signal);
    if (signal?.aborted) await acknowledged(progress, ABORT_MS);
  } finally {
    clearInterval(reporter);
    report();
    await Promise.all(links.map((link) => link.close()));
  }
  return progress;
}

function openLink(
  id: string,
  options: SimulateOptions,
  qos: 0 | 1 | 2,
  url: string,
  progress: SimulateProgress,
): DeviceLink {
  const { credentials, ca } = options;
  let connections = 0;
  return new DeviceLink({
    url,
    clientId: id,
    ...(typeof credentials === 'function' ? credentials(id) : credentials),
    ...(ca === undefined ? {} : { ca }),
    qos,
    inFlightMax: 100,
    onConnected: () => {
      if (connections++ > 0) progress.reconnects++;
    },
    onTrouble: (error) => {
      progress.trouble = `${id}: ${error.message === '' ? String((error as NodeJS.ErrnoException).code) : error.message}`;
    },
  });
}

function carryOut(event: FleetEvent, fleet: Fleet, links: readonly DeviceLink[], progress: SimulateProgress): void {
  const link = links[event.device];
  if (event.kind === 'disconnect') {
    link.goOffline();
    return;
  }
  if (event.kind === 'connect') {
    link.goOnline();
    return;
  }
  progress.published++;
  if (event.late) progress.late++;
  if (event.duplicate) progress.duplicates++;
  if (event.broken !== null) progress.broken++;
  link.send({
    topic: telemetryTopic(fleet.devices[event.device].id),
    payload: event.payload,
    done: () => {
      progress.acknowledged++;
      progress.readings += event.readings;
    },
  });
}

/** Waits until everything is acknowledged, or nothing has been for so long. */
async function acknowledged(progress: SimulateProgress, patienceMs: number, signal?: AbortSignal): Promise<void> {
  let seen = progress.acknowledged;
  let sinceMs = Date.now();
  while (progress.acknowledged < progress.published && Date.now() - sinceMs < patienceMs && !signal?.aborted) {
    await pause(WAKE_MS, signal);
    if (progress.acknowledged === seen) continue;
    seen = progress.acknowledged;
    sinceMs = Date.now();
  }
}

/** The fleet's time: runs `speed` times as fast as the wall's until it has reached it, and can be held. */
class PlayClock {
  readonly #speed: number;
  #fleetMs: number;
  #wallMs = Date.now();

  constructor(startMs: number, speed: number) {
    this.#fleetMs = startMs;
    this.#speed = speed;
  }

  now(): number {
    const wallMs = Date.now();
    const runMs = this.#fleetMs + (wallMs - this.#wallMs) * this.#speed;
    // Only a fleet that runs too fast is stopped by the present; one that was started in the future on purpose is not.
    return this.#speed > 1 ? Math.max(this.#fleetMs, Math.min(runMs, wallMs)) : runMs;
  }

  /** Goes on from here when the time is played. At its own pace a fleet does not wait: its devices buffer and catch up. */
  hold(atMs: number): void {
    if (this.#speed <= 1) return;
    this.#fleetMs = atMs;
    this.#wallMs = Date.now();
  }

  wallMsUntil(atMs: number): number {
    return Math.min(1000, Math.max(WAKE_MS, (atMs - this.now()) / this.#speed));
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
