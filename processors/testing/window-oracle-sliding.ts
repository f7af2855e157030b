import type { Rollup } from '../../model/rollup.ts';
import type { SlidingWindow } from '../../model/window.ts';
import { type PlainReading, type PlainWindows, summary } from './window-oracle.ts';

interface SlidingResult {
  at: PlainReading;
  readings: PlainReading[];
  revision: number;
  isChanged: boolean;
  /** It takes no more, and gives up nothing: its time passed within the frame, or its reading had to leave. */
  isMadeUp: boolean;
  mustLeave: boolean;
}

export class PlainSliding implements PlainWindows {
  readonly #spec: SlidingWindow;
  /** Those that a result may still need. */
  #held: PlainReading[] = [];
  #results: SlidingResult[] = [];
  /** By series, the ts of the newest result that is gone. */
  readonly #gone = new Map<string, number>();
  displaced = 0;

  constructor(spec: SlidingWindow) {
    this.#spec = spec;
  }

  push(r: PlainReading, newestMs: number): boolean {
    const { sizeMs, outOfOrderMs, allowedLatenessMs, readingsMax } = this.#spec;
    const isMine = (x: PlainReading): boolean => x.device === r.device && x.metric === r.metric;
    const gone = this.#gone.get(seriesOf(r)) ?? 0;
    const goneMs = Math.max(gone, newestMs - outOfOrderMs - allowedLatenessMs - 1);
    if (r.ts <= goneMs && r.ts + sizeMs <= goneMs + 1) return false;
    const mine = this.#held.filter(isMine).sort((a, b) => a.ts - b.ts || a.order - b.order);
    if (mine.length >= readingsMax) {
      this.displaced++;
      const isLast = mine[1].ts > mine[0].ts;
      if (r.ts < mine[0].ts || (isLast && r.ts === mine[0].ts)) return true;
      this.#leave(mine[0], isLast);
    }
    for (const w of this.#results) {
      if (!isMine(w.at) || w.at.ts < r.ts || w.at.ts >= r.ts + sizeMs || w.isMadeUp) continue;
      if (w.at.ts <= goneMs) w.isMadeUp = true;
      else {
        w.readings.push(r);
        w.isChanged = true;
      }
    }
    this.#held.push(r);
    if (r.ts <= goneMs) return false;
    if (this.#results.some((w) => isMine(w.at) && w.at.ts === r.ts)) return true;
    const readings = this.#held.filter((x) => isMine(x) && x.ts > r.ts - sizeMs && x.ts <= r.ts);
    this.#results.push({ at: r, readings, revision: 0, isChanged: false, isMadeUp: false, mustLeave: false });
    return true;
  }

  #leave(oldest: PlainReading, isLast: boolean): void {
    for (const w of this.#results) {
      if (seriesOf(w.at) !== seriesOf(oldest)) continue;
      if (isLast && w.at.ts === oldest.ts) {
        w.isMadeUp = true;
        w.mustLeave = true;
      } else if (!w.isMadeUp) w.readings = w.readings.filter((x) => x !== oldest);
    }
    this.#held = this.#held.filter((x) => x !== oldest);
    if (isLast) this.#gone.set(seriesOf(oldest), Math.max(oldest.ts, this.#gone.get(seriesOf(oldest)) ?? 0));
  }

  frameEnd(device: string, eventMs: number): Rollup[] {
    const { name, sizeMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    const watermark = eventMs - outOfOrderMs;
    const out: Rollup[] = [];
    for (const w of this.#results) {
      const isDue = w.revision > 0 ? w.isChanged : w.mustLeave || w.at.ts < watermark;
      if (w.at.device !== device || !isDue) continue;
      const { ts, metric } = w.at;
      const phase = w.revision === 0 ? 'final' : 'corrected';
      const revision = ++w.revision;
      w.isChanged = false;
      const span = { startMs: ts - sizeMs, endMs: ts };
      out.push({ window: name, device, metric, ...span, ...summary(w.readings), label: '', revision, phase });
    }
    this.#results = this.#results.filter((w) => {
      if (w.at.device !== device || !(w.mustLeave || w.at.ts + allowedLatenessMs < watermark)) return true;
      this.#gone.set(seriesOf(w.at), Math.max(w.at.ts, this.#gone.get(seriesOf(w.at)) ?? 0));
      return false;
    });
    this.#held = this.#held.filter((x) => x.ts + sizeMs > (this.#gone.get(seriesOf(x)) ?? 0) + 1);
    return out;
  }
}

const seriesOf = (r: PlainReading): string => JSON.stringify([r.device, r.metric]);
