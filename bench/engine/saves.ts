import type { PartitionPipeline } from '../../processors/pipeline.ts';
import { SAVE_BYTES_MAX } from '../../processors/slot-work.ts';

/** What saves of a partition's state cost its thread, ms. */
export interface SaveFigures {
  /** Of each series in a whole state. */
  bytesPerSeries: number;
  wholeMs: number;
  /** The longest time for which no frame is worked at meanwhile. */
  wholePauseMs: number;
  /** The same after one message each from one device in a hundred. */
  changeBytesPerSeries: number;
  changeMs: number;
  changePauseMs: number;
  /** From the bytes to a partition that takes frames. */
  restoreMs: number;
}

/** Saves as a worker's thread does, with a frame between two steps; `few` gives one device in a hundred something to say. */
export function measureSaves(
  pipeline: PartitionPipeline,
  series: number,
  { between, few, restore }: { between: () => void; few: () => void; restore: (state: Uint8Array) => unknown },
): SaveFigures {
  const whole = save(pipeline, true, between);
  few();
  const change = save(pipeline, false, between);
  const state = pipeline.save();
  const start = performance.now();
  restore(state);
  return {
    bytesPerSeries: whole.bytes / series,
    wholeMs: whole.ms,
    wholePauseMs: whole.pauseMs,
    changeBytesPerSeries: change.bytes / series,
    changeMs: change.ms,
    changePauseMs: change.pauseMs,
    restoreMs: performance.now() - start,
  };
}

function save(pipeline: PartitionPipeline, whole: boolean, between: () => void) {
  let ms = 0;
  let pauseMs = 0;
  for (let begun = false; ; begun = true) {
    const start = performance.now();
    if (!begun) pipeline.saves.begin(whole);
    const saved = pipeline.saves.goOn(SAVE_BYTES_MAX);
    const step = performance.now() - start;
    ms += step;
    pauseMs = Math.max(pauseMs, step);
    if (saved !== null) return { ms, pauseMs, bytes: saved.bytes.length };
    between();
  }
}
