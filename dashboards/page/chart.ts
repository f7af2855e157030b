import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { h, setText } from './dom.ts';
import { axisTime, measure } from './format.ts';
import type { Columns, SeriesData } from './series-data.ts';

export interface ChartHandlers {
  /** A stretch of time was chosen by dragging. */
  onZoom(fromMs: number, toMs: number): void;
  /** The time under the pointer, ms; null when it is not on a chart. */
  onHover(tMs: number | null): void;
}

/** Charts with this key move their cursors together. */
const SYNC = 'readings';
const Y_AXIS_PX = 62;
const X_AXIS_PX = 26;

/** One metric over time: a line, and for buckets the band between least and greatest. The only file that knows uPlot. */
export class Chart {
  readonly root: HTMLElement;
  readonly metric: string;
  readonly #plot: HTMLElement;
  readonly #reading: HTMLElement;
  readonly #extent: HTMLElement;
  readonly #handlers: ChartHandlers;
  readonly #colour: string;
  #u: uPlot | null = null;
  #columns: Columns = { x: [], v: [], min: [], max: [] };
  #hovered: number | null = null;
  #band = false;
  #withTimes = true;
  #range = { fromMs: 0, toMs: 1 };

  /** `colour` names a custom property of the style sheet. */
  constructor(metric: string, colour: string, handlers: ChartHandlers) {
    this.metric = metric;
    this.#colour = colour;
    this.#handlers = handlers;
    this.#plot = h('div', { class: 'plot' });
    this.#reading = h('output', { class: 'chart-value' });
    this.#extent = h('span', { class: 'chart-extent' });
    this.root = h(
      'figure',
      { class: 'chart', 'data-metric': metric, 'aria-label': `${metric} over time` },
      h(
        'figcaption',
        {},
        h('span', { class: `swatch ${colour}` }),
        h('span', { class: 'chart-name' }, metric),
        this.#reading,
        this.#extent,
      ),
      this.#plot,
    );
  }

  /** Whether this chart carries the labels of the time axis (the lowest one does). */
  set withTimes(value: boolean) {
    if (this.#withTimes === value) return;
    this.#withTimes = value;
    this.rebuild();
  }

  show(data: SeriesData | null, range: { fromMs: number; toMs: number }): void {
    this.#range = range;
    this.#columns = data?.columns() ?? { x: [], v: [], min: [], max: [] };
    const band = data?.buckets ?? false;
    this.root.dataset.points = `${data?.length ?? 0}`;
    this.root.classList.toggle('no-data', data !== null && data.length === 0);
    if (!this.#u || band !== this.#band) {
      this.#band = band;
      this.rebuild();
    } else {
      this.#u.batch(() => {
        this.#u!.setData(this.#data(), false);
        this.#u!.setScale('x', { min: range.fromMs / 1000, max: range.toMs / 1000 });
      });
    }
    this.#say();
  }

  /** Draws anew with the colours and the size of now. */
  rebuild(): void {
    this.#u?.destroy();
    this.#u = null;
    const { width, height } = this.#size();
    if (width < 40 || height < 20) return;
    this.#u = new uPlot(this.#options(width, height), this.#data(), this.#plot);
    this.#u.setScale('x', { min: this.#range.fromMs / 1000, max: this.#range.toMs / 1000 });
  }

  resize(): void {
    const { width, height } = this.#size();
    if (!this.#u) this.rebuild();
    else if (width !== this.#u.width || height !== this.#u.height) this.#u.setSize({ width, height });
  }

  destroy(): void {
    this.#u?.destroy();
    this.root.remove();
  }

  #size(): { width: number; height: number } {
    return { width: this.#plot.clientWidth, height: this.#plot.clientHeight };
  }

  #data(): uPlot.AlignedData {
    const { x, v, min, max } = this.#columns;
    return this.#band ? [x, v, max, min] : [x, v];
  }

  #options(width: number, height: number): uPlot.Options {
    const css = getComputedStyle(document.documentElement);
    const colour = css.getPropertyValue(`--${this.#colour}`).trim();
    const text = css.getPropertyValue('--text-2').trim();
    const grid = { stroke: css.getPropertyValue('--grid').trim(), width: 1 };
    const font = `11px ${css.getPropertyValue('--font').trim()}`;
    const line: uPlot.Series = { stroke: colour, width: 1.5, points: { size: 4, fill: colour } };
    const edge: uPlot.Series = { stroke: 'transparent', width: 0, points: { show: false } };
    return {
      width,
      height,
      padding: [8, 12, this.#withTimes ? 0 : 6, 0],
      legend: { show: false },
      cursor: {
        sync: { key: SYNC, scales: ['x', null] },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, fill: colour, stroke: css.getPropertyValue('--surface').trim(), width: 2 },
        y: false,
      },
      scales: { x: { time: true, auto: false }, y: { range: yRange } },
      series: this.#band ? [{}, line, edge, edge] : [{}, line],
      bands: this.#band ? [{ series: [2, 3], fill: `color-mix(in srgb, ${colour} 22%, transparent)` }] : [],
      axes: [
        {
          stroke: text,
          grid,
          ticks: { show: false },
          font,
          size: this.#withTimes ? X_AXIS_PX : 0,
          space: 72,
          values: (_u, splits, _axis, _space, step) =>
            splits.map((s) => (this.#withTimes ? axisTime(s * 1000, step) : '')),
        },
        {
          stroke: text,
          grid,
          ticks: { show: false },
          font,
          size: Y_AXIS_PX,
          space: 28,
          values: (_u, splits) => splits.map(measure),
        },
      ],
      hooks: {
        setCursor: [(u) => this.#hover(u.cursor.idx ?? null, (u.cursor.left ?? -1) >= 0)],
        setSelect: [(u) => this.#select(u)],
      },
    };
  }

  #select(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 4) return;
    const fromMs = u.posToVal(left, 'x') * 1000;
    const toMs = u.posToVal(left + width, 'x') * 1000;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#handlers.onZoom(Math.floor(fromMs), Math.ceil(toMs));
  }

  #hover(index: number | null, inside: boolean): void {
    this.#hovered = inside ? index : null;
    this.#handlers.onHover(this.#hovered === null ? null : this.#columns.x[this.#hovered] * 1000);
    this.#say();
  }

  /** The value under the pointer, or else the newest. */
  #say(): void {
    const { v, min, max } = this.#columns;
    const at = this.#hovered !== null && this.#hovered < v.length ? this.#hovered : v.length - 1;
    const value = at < 0 ? null : v[at];
    setText(this.#reading, measure(value));
    const pair = (low: number | null, high: number | null) => `${measure(low)} … ${measure(high)}`;
    if (this.#hovered !== null && this.#band && value !== null) {
      setText(this.#extent, `min ${measure(min[at])}, max ${measure(max[at])}`);
      return;
    }
    const lows = min.filter((m) => m !== null);
    setText(
      this.#extent,
      lows.length === 0 ? 'no readings in this range' : pair(least(lows), greatest(max.filter((m) => m !== null))),
    );
  }
}

/** Room above and below, and a flat line in the middle; whole ranges so that the axis does not jump with each reading. */
function yRange(_u: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (min === max) {
    const room = Math.abs(min) * 0.1 || 1;
    return [min - room, max + room];
  }
  return uPlot.rangeNum(min, max, 0.12, false) as uPlot.Range.MinMax;
}

function least(values: number[]): number {
  return values.reduce((a, b) => Math.min(a, b));
}

function greatest(values: number[]): number {
  return values.reduce((a, b) => Math.max(a, b));
}
