import type { Shape } from './decoder.ts';

/**
 * The readings of one message, as a decoder leaves them: columns that are used again for the next message, so that no
 * object is made for a reading. Valid until the next decode.
 */
export class MessageReadings {
  count = 0;
  /** Event time, ms; the time received where the message gave none. */
  tsMs = new Float64Array(64);
  /** NaN for text. */
  value = new Float64Array(64);
  /** 1 where the time is the time received, because the message gave none. */
  untimed = new Uint8Array(64);
  /** Names of the metrics. When `shape` is set they stand there, and this is not filled. */
  metric: string[] = [];
  /** Text values; '' for numbers. Only filled when `hasText`. */
  text: string[] = [];
  hasText = false;
  shape: Shape | null = null;

  clear(): void {
    this.count = 0;
    this.hasText = false;
    this.shape = null;
  }

  add(metric: string, tsMs: number, value: number, text: string, untimed: boolean): void {
    const at = this.count;
    if (at === this.tsMs.length) this.reserve(at * 2);
    this.tsMs[at] = tsMs;
    this.value[at] = value;
    this.untimed[at] = untimed ? 1 : 0;
    this.metric[at] = metric;
    this.text[at] = text;
    if (text !== '' || Number.isNaN(value)) this.hasText = true;
    this.count = at + 1;
  }

  metricAt(at: number): string {
    return this.shape === null ? this.metric[at] : this.shape.metrics[at];
  }

  textAt(at: number): string {
    return this.hasText ? this.text[at] : '';
  }

  /** Makes room for `count` readings in the numeric columns. */
  reserve(count: number): void {
    if (count <= this.tsMs.length) return;
    const room = Math.max(count, this.tsMs.length * 2);
    this.tsMs = grown(this.tsMs, new Float64Array(room));
    this.value = grown(this.value, new Float64Array(room));
    this.untimed = grown(this.untimed, new Uint8Array(room));
  }
}

function grown<T extends Float64Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
