import { Aggregates } from './aggregates.ts';
import { ApiError, api, type DeviceDetail, type LiveReading, type Metric } from './api.ts';
import { Chart } from './chart.ts';
import { DeviceEntry } from './device-entry.ts';
import { h, notice, setText } from './dom.ts';
import { age, duration, measure, moment } from './format.ts';
import { bounds, type View } from './hash.ts';
import { RangePicker } from './range-picker.ts';
import { SeriesData } from './series-data.ts';

/** Metrics that are drawn when the reader has chosen none. */
const METRICS_FIRST = 3;
export const METRICS_MAX = 8;
const COLOURS = 6;
/** Live raw points of one metric from which the history is asked for again, in buckets. */
const RAW_POINTS_MAX = 4_000;
/** Bucketed history is renewed so often: a redelivery counted twice live counts once again. */
const RENEW_MS = 60_000;
const DETAIL_EVERY_MS = 10_000;
/** History reaches a little beyond now, for devices whose clock is ahead. */
const AHEAD_MS = 60_000;
/** If the stream does not say by then that it follows the device, the history is shown without it. */
const WATCH_WAIT_MS = 1_500;

export interface ExplorerHandlers {
  /** The reader chose something else to look at. */
  onView(view: View): void;
  /** What the event stream has to follow: '' for nothing. */
  onWatch(device: string, metrics: readonly string[]): void;
  nowMs(): number;
}

/** One device: its metrics, and those chosen over time, history and live joined. */
export class Explorer {
  readonly root: HTMLElement;
  readonly #handlers: ExplorerHandlers;
  readonly #title = h('h2', { class: 'device-title' });
  readonly #entry = new DeviceEntry();
  readonly #seen = h('span', { class: 'device-seen' });
  readonly #chips = h('div', { class: 'chips', role: 'group', 'aria-label': 'Metrics' });
  readonly #charts = h('div', { class: 'charts' });
  readonly #foot = h('p', { class: 'chart-foot' });
  readonly #hover = h('span', { class: 'hover-time' });
  readonly #aggregates = new Aggregates();
  readonly #picker: RangePicker;
  #view: View = { device: '', metrics: [], range: { live: '5m' } };
  #detail: DeviceDetail | null = null;
  #drawn: Chart[] = [];
  #series = new Map<string, SeriesData>();
  #pending: LiveReading[] = [];
  #asking: AbortController | null = null;
  #askedMs = 0;
  #wait: number | undefined;

  constructor(handlers: ExplorerHandlers) {
    this.#handlers = handlers;
    this.#picker = new RangePicker((range) => this.#change({ range }), handlers.nowMs);
    this.root = h(
      'section',
      { class: 'panel explorer', 'aria-label': 'Device' },
      h('header', {}, h('div', { class: 'device-head' }, this.#title, this.#seen), this.#picker.root),
      this.#entry.root,
      this.#chips,
      this.#charts,
      this.#aggregates.root,
      h('footer', {}, this.#foot, this.#hover),
    );
    new ResizeObserver(() => this.#resize()).observe(this.#charts);
    setInterval(() => {
      if (!document.hidden && this.#view.device !== '') void this.#loadDetail(false);
    }, DETAIL_EVERY_MS);
  }

  get device(): string {
    return this.#view.device;
  }

  /** What the address says. */
  async open(view: View): Promise<void> {
    const otherDevice = view.device !== this.#view.device;
    this.#view = view;
    this.#picker.show(view.range);
    if (otherDevice) {
      this.#detail = null;
      this.#chips.replaceChildren();
      this.#aggregates.clear();
      this.#say();
      await this.#loadDetail(true);
      if (view !== this.#view) return;
    }
    this.#start();
  }

  /** What to say when there is no device at all; the charts give their place to it. */
  showInstead(content: HTMLElement): void {
    this.#stop();
    this.#charts.replaceChildren(content);
  }

  onWatching(device: string): void {
    if (device === this.#view.device) void this.#loadSeries();
  }

  onReadings(device: string, readings: LiveReading[]): void {
    if (device !== this.#view.device) return;
    this.#pending.push(...readings);
    if (this.#asking === null) this.#takePending();
    for (const metric of this.#detail?.metrics ?? []) {
      for (const r of readings) {
        if (r.m !== metric.metric || r.t < metric.tsMs) continue;
        Object.assign(metric, { value: r.v, tsMs: r.t, text: '' });
        this.#detail!.lastSeenMs = Math.max(this.#detail!.lastSeenMs ?? 0, this.#handlers.nowMs());
      }
    }
    this.#sayValues();
  }

  /** Once a second: live ranges move on. */
  tick(): void {
    this.#say();
    if (this.#drawn.length === 0 || !('live' in this.#view.range)) return;
    const { fromMs } = bounds(this.#view.range, this.#handlers.nowMs());
    let raw = 0;
    let bucketed = false;
    for (const data of this.#series.values()) {
      data.trim(fromMs - 60_000);
      if (data.buckets) bucketed = true;
      else raw = Math.max(raw, data.length);
    }
    const stale = bucketed && this.#handlers.nowMs() - this.#askedMs > RENEW_MS;
    if ((raw > RAW_POINTS_MAX || stale) && this.#asking === null && !document.hidden) void this.#loadSeries();
    this.#draw();
  }

  redraw(): void {
    for (const chart of this.#drawn) chart.rebuild();
  }

  #metrics(): string[] {
    if (this.#view.metrics.length > 0) return this.#view.metrics;
    const numeric = this.#detail?.metrics.filter((m) => m.text === '') ?? [];
    return numeric.slice(0, METRICS_FIRST).map((m) => m.metric);
  }

  #change(change: Partial<View>): void {
    this.#handlers.onView({ ...this.#view, ...change });
  }

  async #loadDetail(first: boolean): Promise<void> {
    const { device } = this.#view;
    if (device === '') return;
    try {
      const detail = await api.device(device);
      if (device !== this.#view.device) return;
      const before = this.#detail?.metrics.map((m) => m.metric).join('\n');
      this.#detail = detail;
      this.#entry.show(detail);
      void this.#aggregates.load(device, () => this.#metrics(), this.#handlers.nowMs());
      if (before !== detail.metrics.map((m) => m.metric).join('\n')) this.#showChips();
      this.#sayValues();
      if (!first && before === undefined) this.#start();
    } catch (error) {
      if (device !== this.#view.device || !first) return;
      const { message, remedy } = error instanceof ApiError ? error : new ApiError(0, String(error), '');
      this.#stop();
      this.#charts.replaceChildren(
        notice('error', `${device} cannot be shown`, h('p', {}, message), h('p', {}, remedy)),
      );
    }
  }

  /** Charts for the chosen metrics; history follows when the stream says that it watches. */
  #start(): void {
    const metrics = this.#metrics();
    if (this.#view.device === '' || metrics.length === 0) return;
    this.#sayChosen(metrics);
    this.#aggregates.show(metrics, this.#handlers.nowMs());
    this.#stop();
    this.#charts.replaceChildren();
    this.#drawn = metrics.map((metric) => {
      const chart = new Chart(metric, this.#colour(metric), {
        onZoom: (fromMs, toMs) => this.#change({ range: { fromMs, toMs } }),
        onHover: (tMs) => setText(this.#hover, tMs === null ? '' : moment(tMs, this.#handlers.nowMs())),
      });
      this.#charts.append(chart.root);
      return chart;
    });
    for (const [i, chart] of this.#drawn.entries()) chart.withTimes = i === this.#drawn.length - 1;
    this.#draw();
    const live = 'live' in this.#view.range;
    this.#handlers.onWatch(live ? this.#view.device : '', live ? metrics : []);
    if (live) this.#wait = setTimeout(() => void this.#loadSeries(), WATCH_WAIT_MS);
    else void this.#loadSeries();
  }

  #stop(): void {
    clearTimeout(this.#wait);
    this.#asking?.abort();
    this.#asking = null;
    this.#pending = [];
    this.#series.clear();
    for (const chart of this.#drawn) chart.destroy();
    this.#drawn = [];
  }

  async #loadSeries(): Promise<void> {
    clearTimeout(this.#wait);
    if (this.#drawn.length === 0) return;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const nowMs = this.#handlers.nowMs();
    const { fromMs, toMs } = bounds(this.#view.range, nowMs);
    const ahead = 'live' in this.#view.range ? AHEAD_MS : 0;
    const ask = { metrics: this.#metrics(), fromMs, toMs: toMs + ahead, points: this.#points() };
    try {
      const answer = await api.series(this.#view.device, ask, asking.signal);
      if (asking !== this.#asking) return;
      this.#series = new Map(answer.series.map((s) => [s.metric, new SeriesData(s, answer.stepMs, answer.toMs)]));
      this.#askedMs = nowMs;
      this.#asking = null;
      this.#takePending();
      const what =
        answer.kind === 'raw'
          ? 'Each reading as it was sent.'
          : `Average of each ${duration(answer.stepMs)}, with the band from least to greatest; from ${answer.sources.join(', ')}.`;
      setText(this.#foot, what);
      this.#foot.classList.remove('error');
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#asking = null;
      const { message, remedy } = error instanceof ApiError ? error : new ApiError(0, String(error), '');
      setText(this.#foot, `The history cannot be read: ${message} ${remedy}`);
      this.#foot.classList.add('error');
    }
    this.#draw();
  }

  #takePending(): void {
    for (const reading of this.#pending) this.#series.get(reading.m)?.apply(reading);
    this.#pending = [];
  }

  /** About one point for each 1.5 pixels. */
  #points(): number {
    return Math.max(100, Math.min(1_500, Math.round(this.#charts.clientWidth / 1.5)));
  }

  #draw(): void {
    const range = bounds(this.#view.range, this.#handlers.nowMs());
    for (const chart of this.#drawn) chart.show(this.#series.get(chart.metric) ?? null, range);
  }

  #resize(): void {
    for (const chart of this.#drawn) chart.resize();
  }

  #colour(metric: string): string {
    const at = this.#detail?.metrics.filter((m) => m.text === '').findIndex((m) => m.metric === metric) ?? 0;
    return `series-${(Math.max(0, at) % COLOURS) + 1}`;
  }

  #toggle(metric: string): void {
    const now = this.#metrics();
    const next = now.includes(metric) ? now.filter((m) => m !== metric) : [...now, metric].slice(-METRICS_MAX);
    if (next.length > 0) this.#change({ metrics: next });
  }

  #showChips(): void {
    this.#chips.replaceChildren(...(this.#detail?.metrics ?? []).map((m) => this.#chip(m)));
    this.#sayChosen(this.#metrics());
  }

  #chip(m: Metric): HTMLElement {
    const numeric = m.text === '';
    return h(
      'button',
      {
        type: 'button',
        class: 'chip',
        'data-metric': m.metric,
        disabled: !numeric,
        title: numeric ? m.metric : `${m.metric} is text`,
        onclick: () => this.#toggle(m.metric),
      },
      h('span', { class: `swatch ${numeric ? this.#colour(m.metric) : ''}` }),
      h('span', { class: 'chip-name' }, m.metric),
      h('output', {}, ''),
    );
  }

  #sayChosen(metrics: string[]): void {
    for (const chip of this.#chips.querySelectorAll<HTMLElement>('.chip')) {
      chip.setAttribute('aria-pressed', `${metrics.includes(chip.dataset.metric ?? '')}`);
    }
  }

  #sayValues(): void {
    for (const chip of this.#chips.querySelectorAll<HTMLElement>('.chip')) {
      const metric = this.#detail?.metrics.find((m) => m.metric === chip.dataset.metric);
      const output = chip.querySelector('output');
      if (metric && output) setText(output, metric.text === '' ? measure(metric.value) : metric.text.slice(0, 24));
    }
  }

  #say(): void {
    setText(this.#title, this.#view.device === '' ? 'No device chosen' : this.#view.device);
    const last = this.#detail?.lastSeenMs ?? undefined;
    const ago = last === undefined ? 0 : this.#handlers.nowMs() - last;
    if (this.#detail?.device !== this.#view.device) this.#entry.show(null);
    const seen = ago < 15_000 ? 'sending now' : `last seen ${age(ago)} ago`;
    setText(this.#seen, this.#view.device === '' || last === undefined ? '' : seen);
  }
}
