import type { ServerResponse } from 'node:http';
import { HttpProblem } from './problem.ts';
import { SseClient } from './sse.ts';
import { DEVICES_MAX, type WatchHub } from './watch.ts';

/** Event streams that are served at once. */
export const STREAMS_MAX = 200;

/** All open event streams. */
export class Streams {
  cutOff = 0;
  readonly #clients = new Set<SseClient>();
  readonly #hub: WatchHub;

  constructor(hub: WatchHub) {
    this.#hub = hub;
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
    if (watch.device === '' || client.closed) return;
    const { device } = watch;
    unwatch = this.#hub.watch(device, {
      metrics: new Set(watch.metrics),
      onStarted: () => client.send('watching', JSON.stringify({ device, metrics: watch.metrics })),
      onReadings: (readings) => client.send('readings', JSON.stringify({ device, readings })),
    });
  }

  /** To everyone. `data` is serialised once by the caller. */
  broadcast(event: string, data: string): void {
    for (const client of this.#clients) client.send(event, data);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
