import type { Alarm, LiveReading, Overview } from './api.ts';

export interface LiveHandlers {
  onStats(stats: Overview): void;
  onAlarm(alarm: Alarm): void;
  /** The stream follows the device from now on; what a history asked for now lacks will come as readings. */
  onWatching(device: string): void;
  onReadings(device: string, readings: LiveReading[]): void;
  /** `lostMs` is null while connected, otherwise since when it is not. */
  onConnection(lostMs: number | null): void;
}

/** Without an event for so long the stream is taken for dead (one comes each second). */
const SILENT_MS_MAX = 5_000;
const RETRY_MS_MAX = 10_000;

/** The one event stream of the page. Changing what is watched opens it anew; a lost one is opened again, with growing pauses. */
export class Live {
  readonly #handlers: LiveHandlers;
  #source: EventSource | null = null;
  #query = '';
  #lastEventMs = Date.now();
  #lostMs: number | null = null;
  #failures = 0;
  #retry: number | undefined;

  constructor(handlers: LiveHandlers) {
    this.#handlers = handlers;
    setInterval(() => this.#checkSilence(), 1_000);
    addEventListener('online', () => this.#open());
  }

  /** Follows a device, or none (''). */
  watch(device: string, metrics: readonly string[]): void {
    const query = new URLSearchParams();
    if (device !== '' && metrics.length > 0) {
      query.set('device', device);
      for (const metric of metrics) query.append('metric', metric);
    }
    if (this.#source && this.#query === `${query}`) return;
    this.#query = `${query}`;
    this.#open();
  }

  #open(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    const source = new EventSource(`./api/events${this.#query === '' ? '' : `?${this.#query}`}`);
    this.#source = source;
    this.#lastEventMs = Date.now();
    const on = <T>(name: string, take: (data: T) => void) =>
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#heard();
        take(JSON.parse((event as MessageEvent<string>).data) as T);
      });
    on<Overview>('stats', (stats) => this.#handlers.onStats(stats));
    on<Alarm>('alarm', (alarm) => this.#handlers.onAlarm(alarm));
    on<{ device: string }>('watching', ({ device }) => this.#handlers.onWatching(device));
    on<{ device: string; readings: LiveReading[] }>('readings', ({ device, readings }) =>
      this.#handlers.onReadings(device, readings),
    );
    source.onerror = () => {
      if (source === this.#source) this.#lose();
    };
  }

  #heard(): void {
    this.#lastEventMs = Date.now();
    this.#failures = 0;
    if (this.#lostMs === null) return;
    this.#lostMs = null;
    this.#handlers.onConnection(null);
  }

  #lose(): void {
    this.#source?.close();
    this.#lostMs ??= this.#lastEventMs;
    this.#handlers.onConnection(this.#lostMs);
    clearTimeout(this.#retry);
    const pauseMs = Math.min(RETRY_MS_MAX, 500 * 2 ** this.#failures++);
    this.#retry = setTimeout(() => this.#open(), pauseMs);
  }

  #checkSilence(): void {
    if (this.#lostMs !== null) this.#handlers.onConnection(this.#lostMs);
    else if (Date.now() - this.#lastEventMs > SILENT_MS_MAX) this.#lose();
  }
}
