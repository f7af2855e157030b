import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '../model/errors.ts';
import { brokerRounds } from './broker-run.ts';
import { HALF } from './goals.ts';
import { idleConnections } from './idle.ts';
import { lmdbAppends, nativeInserts } from './limits.ts';
import type { Load } from './load.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type Cell, cellsOf, nameOf } from './matrix.ts';
import type { BenchOptions } from './options.ts';
import { pageQueries } from './pages.ts';
import { doorAlone } from './peers/door.ts';
import type { Peer } from './peers/peer.ts';
import { socketLoop } from './peers/socket-loop.ts';
import { PEERS } from './peers.ts';
import { pipelineRounds } from './pipeline-run.ts';
import type { LogName } from './program.ts';
import { medianRound, type Report, type Run, rateOf } from './result.ts';
import { sweep } from './sweep.ts';

const LIMIT_SECONDS = 4;
/** Where Linux keeps files in memory. */
const MEMORY = '/dev/shm';
/** Of rows that show what differs from the first one: long enough for that. */
const SHORT = { seconds: 5, warmUpSeconds: 1, rounds: 1 } as const;

/**
 * Measures what the options name, one thing after another. What fails is left out and named with its reason, and the rest goes on; so
 * is what would start after the time is over. `saved` is given the report so far after each part.
 */
export async function measure(options: BenchOptions, saved: (report: Report) => Promise<void>): Promise<Report> {
  const machine = await describeMachine(options.folder, options.quietWithinSeconds);
  const measuring = new Measuring(options, machine, saved);
  for (const cell of options.cells) await measuring.cell(cell);
  if (options.cells.length > 0) return measuring.report;
  for (const log of options.logs) await measuring.program(log);
  if (options.peers)
    for (const peer of options.full ? [doorAlone('kafka'), ...PEERS] : PEERS) await measuring.peer(peer);
  if (options.full) {
    await measuring.tenObjects();
    for (const cell of cellsOf('sides')) await measuring.cell(cell, SHORT);
  }
  if (options.sweep.length > 0) await measuring.sweep();
  if (options.limits) await measuring.limits();
  if (options.idle > 0) await measuring.idle();
  if (options.pagesSeconds > 0) await measuring.pages();
  return measuring.report;
}

class Measuring {
  readonly report: Report;
  readonly #options: BenchOptions;
  readonly #saved: (report: Report) => Promise<void>;
  readonly #startMs = performance.now();

  constructor(options: BenchOptions, machine: Machine, saved: (report: Report) => Promise<void>) {
    const { seconds, connections, payload, qos, ratePerSecond, rounds } = options;
    this.#options = options;
    this.#saved = saved;
    this.report = {
      version: 1,
      at: new Date().toISOString(),
      machine,
      settings: { seconds, connections, payload, qos, ratePerSecond, rounds },
      runs: [],
      leftOut: [],
    };
  }

  program(log: LogName): Promise<void> {
    const about = `the whole program, log on ${log === 'lmdb' ? 'LMDB' : 'Kafka (acks=all)'}, embedded ClickHouse`;
    return this.#run({ name: `sluice-${log}`, about, skipped: null, rounds: [] }, (load) =>
      pipelineRounds(log, load, this.#options.folder),
    );
  }

  tenObjects(): Promise<void> {
    const about = 'the whole program, log on LMDB, ten objects a message';
    const settings = { payload: 'array10' } as const;
    return this.#run({ name: 'sluice-array10', about, skipped: null, rounds: [], settings }, (load) =>
      pipelineRounds('lmdb', load, this.#options.folder),
    );
  }

  peer(peer: Peer): Promise<void> {
    const { name, about } = peer;
    return this.#run({ name, about, skipped: peer.missing(), rounds: [] }, (load) =>
      brokerRounds(peer, load, this.#options.folder),
    );
  }

  cell(cell: Cell, short: Partial<Load> = {}): Promise<void> {
    const { payload, qos, connections, log, store } = cell;
    const about = store === 'none' ? `the door alone, log on ${log}` : `the whole program, log on ${log}`;
    const run = {
      name: nameOf(cell),
      about,
      skipped: null,
      rounds: [],
      settings: { ...short, payload, qos, connections },
    };
    const { folder } = this.#options;
    return this.#run(run, (load) =>
      store === 'none' ? brokerRounds(doorAlone(log), load, folder) : pipelineRounds(log, load, folder),
    );
  }

  async sweep(): Promise<void> {
    const whole = this.report.runs.find(({ name }) => name === 'sluice-lmdb');
    const round = medianRound(whole?.rounds ?? []);
    await this.#part('sweep', async () => {
      if (round === null) throw new Error('the capacity is not known: the run sluice-lmdb is missing');
      const points: Report['sweep'] = [];
      this.report.sweep = points;
      const { sweep: parts, folder } = this.#options;
      await sweep(parts, rateOf(round), this.#options, folder, (point) => points.push(point));
    });
    if (round === null || !this.#options.sweep.includes(HALF) || !existsSync(MEMORY)) return;
    await this.#part('sweep in memory', async () => {
      const folder = await mkdtemp(join(MEMORY, 'sluice-bench-'));
      try {
        await sweep([HALF], rateOf(round), this.#options, folder, (point) => {
          this.report.inMemory = point;
        });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }

  async limits(): Promise<void> {
    const { folder } = this.#options;
    const limits: Report['limits'] = [];
    this.report.limits = limits;
    await this.#part('limit: socket loop', async () => {
      const round = medianRound(await brokerRounds(socketLoop, { ...this.#options, rounds: 1 }, folder))!;
      limits.push({ name: 'socket loop', about: socketLoop.about, perSecond: round.ackedPerSecond, unit: 'messages' });
    });
    await this.#part('limit: LMDB appends', async () => void limits.push(await lmdbAppends(folder, LIMIT_SECONDS)));
    await this.#part('limit: Native inserts', async () => void limits.push(await nativeInserts(folder, LIMIT_SECONDS)));
  }

  idle(): Promise<void> {
    const { idle, folder } = this.#options;
    return this.#part('idle connections', async () => {
      this.report.idle = await idleConnections(idle, folder);
    });
  }

  pages(): Promise<void> {
    const { pagesSeconds, folder } = this.#options;
    return this.#part('page queries', async () => {
      this.report.pages = await pageQueries(folder, pagesSeconds);
    });
  }

  async #run(run: Run, rounds: (load: Load) => Promise<Run['rounds']>): Promise<void> {
    this.report.runs.push(run);
    if (run.skipped !== null) {
      process.stderr.write(`${run.name}: skipped, ${run.skipped}\n`);
      return;
    }
    run.skipped = await this.#try(run.name, async () => {
      run.rounds = await rounds({ ...this.#options, ...run.settings });
    });
  }

  async #part(name: string, work: () => Promise<void>): Promise<void> {
    const problem = await this.#try(name, work);
    if (problem !== null) this.report.leftOut!.push(`${name}: ${problem}`);
  }

  /** Why it was not done; null when it was. */
  async #try(name: string, work: () => Promise<void>): Promise<string | null> {
    const elapsedSeconds = (performance.now() - this.#startMs) / 1000;
    if (elapsedSeconds > this.#options.withinSeconds) return `no time was left after ${elapsedSeconds.toFixed(0)} s`;
    process.stderr.write(`${name} …\n`);
    try {
      await work();
      return null;
    } catch (error) {
      const reason = error instanceof SluiceError ? error.toLine() : String((error as Error).message ?? error);
      process.stderr.write(`${name} failed: ${reason}\n`);
      return `it failed: ${reason.split('\n')[0]}`;
    } finally {
      await this.#saved(this.report);
    }
  }
}
