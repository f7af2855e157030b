/** Names of the series that a worker has given small dense integers. A series keeps its names for as long as a block lives. */
export interface SeriesNames {
  device(series: number): string;
  metric(series: number): string;
}

/**
 * Series in the order of their names, device first. What has come since the last call is sorted by itself and merged in, so that a fleet
 * which grows by a few series a block does not have all of them compared again.
 */
export class SeriesRanks {
  readonly #names: SeriesNames;
  /** All series that were ranked, in order; and by series its place there. */
  #ranked = new Uint32Array(0);
  #rank = new Uint32Array(0);

  constructor(names: SeriesNames) {
    this.#names = names;
  }

  /** Different series, all below `known`, by rank. */
  sorted(series: Uint32Array, known: number): Uint32Array<ArrayBuffer> {
    if (known > this.#ranked.length) this.#merge(known);
    const out = new Uint32Array(series.length);
    // A few of many are found faster by sorting their ranks than by walking along all.
    if (series.length * WALK_FACTOR < this.#ranked.length) {
      for (let i = 0; i < series.length; i++) out[i] = this.#rank[series[i]];
      out.sort();
    } else {
      const wanted = new Uint8Array(this.#ranked.length);
      for (let i = 0; i < series.length; i++) wanted[this.#rank[series[i]]] = 1;
      for (let rank = 0, n = 0; n < out.length; rank++) if (wanted[rank] === 1) out[n++] = rank;
    }
    for (let i = 0; i < out.length; i++) out[i] = this.#ranked[out[i]];
    return out;
  }

  #merge(known: number): void {
    const old = this.#ranked;
    const come = Uint32Array.from({ length: known - old.length }, (_, i) => old.length + i);
    come.sort((a, b) => this.#compare(a, b));
    const ranked = new Uint32Array(known);
    const rank = new Uint32Array(known);
    for (let n = 0, i = 0, j = 0; n < known; n++) {
      const isOld = j === come.length || (i < old.length && this.#compare(old[i], come[j]) < 0);
      const series = isOld ? old[i++] : come[j++];
      ranked[n] = series;
      rank[series] = n;
    }
    this.#ranked = ranked;
    this.#rank = rank;
  }

  /** By UTF-16 units: where that differs from the engine's order by bytes, the engine sorts again. */
  #compare(a: number, b: number): number {
    const names = this.#names;
    return compare(names.device(a), names.device(b)) || compare(names.metric(a), names.metric(b));
  }
}

/** Walking past a series costs about so many times less than sorting one more. */
const WALK_FACTOR = 16;

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
