import type { ServerResponse } from 'node:http';
import type { Clock } from '../model/clock.ts';
import { HttpProblem } from './problem.ts';
import { SseClient } from './sse.ts';
import { DEVICES_MAX, type WatchHub } from './watch.ts';

/** Event streams that are served at once. */
export const STREAMS_MAX = 200;

/**
 * Alarm events that a new stream is given first. A page that opens its stream anew has missed what came in between, and the store
 * may not have it yet when the page asks. Receivers know an alarm by its id and version, so a repeated event changes nothing.
 */
const ALARMS_KEPT_MS = 60_000;
const ALARMS_KEPT_MAX = 500;

/** All open event streams. */
export class Streams {
  cutOff = 0;
  readonly #clients = new Set<SseClient>();
  readonly #hub: WatchHub;
  readonly #clock: Clock;
  #alarms: { atMs: number; data: string }[] = [];

  constructor(hub: WatchHub, clock: Clock) {
    this.#hub = hub;
    this.#clock = clock;
  }

  get open(): number {
    return this.#clients.size;
  }

  /** Throws an HttpProblem when there is no room, before anything has been written. */
  assertRoom(device: string): void {
    if (this.#clients.size >= STREAMS_MAX) {
      throw new HttpProblem(503, 'STREAMS_FULL', `${STREAMS_MAX} event streams are open already`, 'close other pages');
    }
    if (device !== '' && !this.#hub.hasRoomFor(device)) {
      throw new HttpProblem(
        503,
        'WATCHES_FULL',
        `${DEVICES_MAX} devices are watched already`,
        'watch one of those, or close other pages',
      );
    }
  }

  /** Takes a response over. With a device, its readings of `metrics` follow, after a `watching` event. */
  add(
    response: ServerResponse,
    headers: Record<string, string>,
    watch: { device: string; metrics: string[] },
    first: { event: string; data: string },
  ): void {
    let unwatch = () => {};
    const client = new SseClient(response, headers, (slow) => {
      if (slow) this.cutOff++;
      this.#clients.delete(client);
      unwatch();
    });
    this.#clients.add(client);
    client.send(first.event, first.data);
    const sinceMs = this.#clock.nowMs() - ALARMS_KEPT_MS;
    for (const { atMs, data } of this.#alarms) if (atMs >= sinceMs) client.send('alarm', data);
    if (watch.device === '' || client.closed) return;
    const { device } = watch;
    unwatch = this.#hub.watch(device, {
      metrics: new Set(watch.metrics),
      onStarted: () => client.send('watching', JSON.stringify({ device, metrics: watch.metrics })),
      onReadings: (readings) => client.send('readings', JSON.stringify({ device, readings })),
    });
  }

  /** An alarm event to everyone, and for a while to those who come later. */
  alarm(data: string): void {
    this.#alarms.push({ atMs: this.#clock.nowMs(), data });
    if (this.#alarms.length > ALARMS_KEPT_MAX * 2) this.#alarms = this.#alarms.slice(-ALARMS_KEPT_MAX);
    this.broadcast('alarm', data);
  }

  /** To everyone. `data` is serialised once by the caller. */
  broadcast(event: string, data: string): void {
    for (const client of this.#clients) client.send(event, data);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
