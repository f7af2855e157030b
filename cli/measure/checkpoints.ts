import type { Checkpoints } from '../../log/checkpoints.ts';
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
      save: (partition, checkpoint) => {
        const bytes = checkpoint.state.length;
        return this.#save(partition, bytes, bytes, inner.save(partition, checkpoint));
      },
      saveChange: (partition, change) =>
        this.#save(partition, change.patch.length, change.stateBytes, inner.saveChange(partition, change)),
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

  async #save(partition: number, written: number, bytes: number, saved: Promise<void>): Promise<void> {
    const startMs = this.#clock.nowMs();
    try {
      await saved;
      this.#saves++;
      this.#bytesWritten += written;
      const atMs = this.#clock.nowMs();
      this.#newest.set(partition, { bytes, atMs });
      this.#saveSeconds.add((atMs - startMs) / 1000);
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }
}
