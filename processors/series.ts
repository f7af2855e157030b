import { withRoom } from './columns.ts';
import { Devices } from './devices.ts';
import { ALL, Kept, type Roster } from './roster.ts';
import { saveFixed, type WriteItem } from './state-blocks.ts';
import type { StateReader, StateWriter } from './state-bytes.ts';

/**
 * Series, (device, metric), by dense numbers in the order in which they came. All other state is columns by these numbers. Names
 * of the wire are keys of Maps only, never of objects.
 */
export class SeriesDictionary {
  readonly devices = new Devices();
  count = 0;
  readonly #metrics: string[] = [];
  readonly #metricIds = new Map<string, number>();
  #device = new Int32Array(1024);
  #metric = new Int32Array(1024);
  /** The series of a device as a list in the order of their numbers. */
  #next = new Int32Array(1024).fill(-1);
  #first = new Int32Array(256).fill(-1);
  #last = new Int32Array(256).fill(-1);
  #ofDevice = new Int32Array(256);
  /** (device, metric) → series by the metric's number, for the devices that have more than LISTED_MAX; of others the list is gone along. */
  readonly #byMetric = new Map<number, Map<number, number>>();

  device(series: number): string {
    return this.devices.name(this.#device[series]);
  }

  metric(series: number): string {
    return this.#metrics[this.#metric[series]];
  }

  deviceOf(series: number): number {
    return this.#device[series];
  }

  /** The first series of a device, or −1; `next` gives the others. */
  first(device: number): number {
    return device < this.#first.length ? this.#first[device] : -1;
  }

  next(series: number): number {
    return this.#next[series];
  }

  /** How many series a device has. */
  ofDevice(device: number): number {
    return device < this.#ofDevice.length ? this.#ofDevice[device] : 0;
  }

  /** The series of a device and a metric, or −1 when there is none yet. */
  find(device: number, metric: string): number {
    const id = this.#metricIds.get(wellFormed(metric));
    if (id === undefined) return -1;
    return this.#find(device, id);
  }

  /** The series of a device and a metric, made when there is none yet. */
  add(device: number, metric: string): number {
    const name = wellFormed(metric);
    let id = this.#metricIds.get(name);
    if (id === undefined) {
      id = this.#metrics.length;
      this.#metrics.push(name);
      this.#metricIds.set(name, id);
    }
    const found = this.#find(device, id);
    if (found !== -1) return found;
    const series = this.count++;
    this.#device = withRoom(this.#device, series, 0);
    this.#metric = withRoom(this.#metric, series, 0);
    this.#next = withRoom(this.#next, series, -1);
    this.#first = withRoom(this.#first, device, -1);
    this.#last = withRoom(this.#last, device, -1);
    this.#ofDevice = withRoom(this.#ofDevice, device, 0);
    this.#device[series] = device;
    this.#metric[series] = id;
    if (this.#last[device] < 0) this.#first[device] = series;
    else this.#next[this.#last[device]] = series;
    this.#last[device] = series;
    this.#ofDevice[device]++;
    if (this.#ofDevice[device] > LISTED_MAX) this.#index(device, series);
    return series;
  }

  #find(device: number, metric: number): number {
    if (this.ofDevice(device) > LISTED_MAX) return this.#byMetric.get(device)?.get(metric) ?? -1;
    let series = this.first(device);
    while (series !== -1 && this.#metric[series] !== metric) series = this.#next[series];
    return series;
  }

  #index(device: number, added: number): void {
    const known = this.#byMetric.get(device);
    if (known !== undefined) {
      known.set(this.#metric[added], added);
      return;
    }
    const all = new Map<number, number>();
    for (let s = this.first(device); s !== -1; s = this.#next[s]) all.set(this.#metric[s], s);
    this.#byMetric.set(device, all);
  }

  save(out: StateWriter): void {
    // What was once given a number keeps it: only the last block of each column ever changes, by growing.
    out.varint(out.devices.count(this.devices.count));
    saveFixed(out, 'devices', this.devices.count, (d, to) => to.text(this.devices.name(d)), out.devices);
    const metrics = out.series === ALL ? ALL : this.#metricsOf(out.series);
    out.varint(metrics.count(this.#metrics.length));
    metrics.each(this.#metrics.length, (m) => out.text(this.#metrics[m]));
    out.varint(out.series.count(this.count));
    const write: WriteItem = (s, to) => {
      to.varint(to.devices.number(this.#device[s]));
      to.varint(metrics.number(this.#metric[s]));
    };
    saveFixed(out, 'series', this.count, write, out.series);
  }

  /** The metrics that any of the kept series is of. */
  #metricsOf(series: Roster): Roster {
    const marks = new Uint8Array(this.#metrics.length);
    series.each(this.count, (s) => {
      marks[this.#metric[s]] = 1;
    });
    return new Kept(marks);
  }

  /** Into a dictionary that is empty. `added` is told of each series. */
  restore(from: StateReader, added: (series: number) => void): void {
    const devices = from.count();
    for (let d = 0; d < devices; d++) if (this.devices.add(from.text()) !== d) from.unreadable('a device comes twice');
    const metrics: string[] = [];
    for (let left = from.count(); left > 0; left--) metrics.push(from.text());
    const count = from.count();
    for (let s = 0; s < count; s++) {
      const device = from.below(devices, 'a device');
      const metric = from.below(metrics.length, 'a metric');
      if (this.add(device, metrics[metric]) !== s) from.unreadable('a series comes twice');
      added(s);
    }
  }
}

/** Up to so many series of a device a walk is as fast as a Map, which would take some 300 bytes of each device. */
const LISTED_MAX = 16;

/** A lone surrogate has no UTF-8; it becomes U+FFFD here as it would in the store, so that both have the same names. */
function wellFormed(name: string): string {
  return LONE_SURROGATE.test(name) ? name.replace(LONE_SURROGATES, '\ufffd') : name;
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const LONE_SURROGATES = /\p{Surrogate}/gu;
