import type { Checkpoint, Checkpoints } from '../../log/checkpoints.ts';
import type { Clock } from '../../model/clock.ts';
import { Histogram } from '../../model/histogram.ts';
import type { CheckpointStats } from '../../model/stats.ts';

/** Checkpoints as they were, with their saves measured. */
export class MeasuredCheckpoints {
  readonly checkpoints: Checkpoints;
  readonly #clock: Clock;
  readonly #saveSeconds = new Histogram();
  readonly #newest = new Map<number, { bytes: number; atMs: number }>();
  #saves = 0;
  #failures = 0;
  #bytesWritten = 0;

  constructor(inner: Checkpoints, clock: Clock) {
    this.#clock = clock;
    this.checkpoints = {
      load: (partition) => inner.load(partition),
      save: (partition, checkpoint) => this.#save(inner, partition, checkpoint),
      close: () => inner.close(),
    };
  }

  /** `partitions`: those that are worked at now; what others saved before they were taken away says nothing. */
  stats(partitions: readonly number[]): CheckpointStats {
    const nowMs = this.#clock.nowMs();
    const newest = partitions.flatMap((p) => this.#newest.get(p) ?? []);
    return {
      saveSeconds: this.#saveSeconds.snapshot(),
      saves: this.#saves,
      failures: this.#failures,
      bytesWritten: this.#bytesWritten,
      stateBytes: newest.reduce((total, { bytes }) => total + bytes, 0),
      ageMs: newest.length === 0 ? null : Math.max(0, nowMs - Math.min(...newest.map(({ atMs }) => atMs))),
    };
  }

  async #save(inner: Checkpoints, partition: number, checkpoint: Checkpoint): Promise<void> {
    const startMs = this.#clock.nowMs();
    const bytes = checkpoint.state.length;
    try {
      await inner.save(partition, checkpoint);
      this.#saves++;
      this.#bytesWritten += bytes;
      const atMs = this.#clock.nowMs();
      this.#newest.set(partition, { bytes, atMs });
      this.#saveSeconds.add((atMs - startMs) / 1000);
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }
}
