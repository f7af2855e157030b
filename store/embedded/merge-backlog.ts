import type { Clock, TimerHandle } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { EngineError, quoteName } from './engine.ts';

/**
 * Active parts in one partition of a table, those that are being merged left out, at which the store merges by itself. The engine makes one of ten,
 * so a partition that was filled at full speed all day has some 40; it merges up to 100 at once, so one merge is enough; and it slows
 * inserts down from 1,000. Relief ends at half of it.
 */
export const MERGE_BACKLOG_PARTS = 100;
/** How often is looked. Inserts come about once a second (`processors.insertMs`), so a backlog grows by about ten parts meanwhile. */
export const MERGE_LOOK_MS = 10_000;

/** CANNOT_ASSIGN_OPTIMIZE: there is nothing to merge, or what there is, is being merged. */
const NOTHING_TO_MERGE = 388;

export interface MergeBacklogOptions {
  /** Runs a statement of the store's own, without a place among those of clients; resolves with its output. */
  run(sql: string): Promise<string>;
  clock: Clock;
  logger: Logger;
  partsMax: number;
  /** A merge is done. */
  onMerge(): void;
}

interface Backlog {
  /** Database and table, quoted. */
  name: string;
  /** Active parts of its fullest partition that nobody merges now. */
  parts: number;
}

/**
 * Keeps the parts of all tables few on a machine that is never idle. There the engine's own threads hardly get a core (merge-threads.ts), so this looks
 * every ten seconds how many parts there are, and where there are too many, merges with OPTIMIZE, a merge at a time: it chooses parts as the
 * engine's threads do, and works in the thread of its statement, which has the priority of inserts and queries. OPTIMIZE is never asked for a whole
 * partition, nor with FINAL, which would write everything anew.
 */
export class MergeBacklog {
  readonly #options: MergeBacklogOptions;
  #timer: TimerHandle;
  #looking: Promise<void> = Promise.resolve();
  /** The table that is being merged. */
  #merging: string | null = null;
  #isStopped = false;
  #hasWarned = false;

  constructor(options: MergeBacklogOptions) {
    this.#options = options;
    this.#timer = this.#lookLater();
  }

  /** Breaks a merge off, and resolves when no statement of this is under way. The parts it was merging stay as they were. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer.cancel();
    // The only thing that an OPTIMIZE listens to. It is forgotten when the engine closes.
    if (this.#merging !== null) await this.#options.run(`SYSTEM STOP MERGES ${this.#merging}`).catch(() => {});
    await this.#looking;
  }

  #lookLater(): TimerHandle {
    return this.#options.clock.after(MERGE_LOOK_MS, () => {
      this.#looking = this.#look().then(() => {
        if (!this.#isStopped) this.#timer = this.#lookLater();
      });
    });
  }

  async #look(): Promise<void> {
    const { partsMax } = this.#options;
    try {
      for (const backlog of await this.#backlogs(partsMax)) await this.#relieve(backlog);
    } catch (error) {
      this.#tell(error);
    }
  }

  async #relieve(backlog: Backlog): Promise<void> {
    const { run, logger, partsMax, onMerge } = this.#options;
    const { name } = backlog;
    let { parts } = backlog;
    logger.debug('the store merges parts itself, since its merges have had no idle moment', { table: name, parts });
    try {
      while (parts >= partsMax / 2 && !this.#isStopped) {
        this.#merging = name;
        // The server's bound on memory holds as for the engine's own merges, not the smaller one of a query.
        await run(`OPTIMIZE TABLE ${name} SETTINGS optimize_throw_if_noop = 1, max_memory_usage = 0`);
        onMerge();
        parts = (await this.#backlogs(1)).find((other) => other.name === name)?.parts ?? 0;
      }
    } catch (error) {
      // Looked at again; another table may still be helped now.
      if (!(error instanceof EngineError && error.code === NOTHING_TO_MERGE)) this.#tell(error);
    } finally {
      this.#merging = null;
    }
  }

  /**
   * Tables of which a partition has so many parts that nobody merges. The engine's threads may hold dozens for minutes; to merge again and again the few
   * that came since would write those anew each time.
   */
  async #backlogs(parts: number): Promise<Backlog[]> {
    const rows = await this.#options.run(
      `SELECT database, table, max(parts) AS most FROM
      (SELECT database, table, toUInt32(count()) AS parts FROM system.parts WHERE active AND (database, table, name) NOT IN
      (SELECT database, table, arrayJoin(source_part_names) FROM system.merges) GROUP BY database, table, partition_id)
      GROUP BY database, table HAVING most >= ${parts} ORDER BY most DESC FORMAT JSONCompactEachRow`,
    );
    return rows
      .split('\n')
      .filter((row) => row !== '')
      .map((row) => {
        const [database, table, most] = JSON.parse(row) as [string, string, number];
        return { name: `${quoteName(database)}.${quoteName(table)}`, parts: most };
      });
  }

  /** Once as a warning: what is wrong now is likely to be so every ten seconds. */
  #tell(error: unknown): void {
    if (this.#isStopped) return;
    const { logger } = this.#options;
    const values = { error: String(error), retryMs: MERGE_LOOK_MS };
    if (this.#hasWarned) logger.debug('the store could not merge parts itself', values);
    else logger.warn('the store could not merge parts itself, and tries again', values);
    this.#hasWarned = true;
  }
}
