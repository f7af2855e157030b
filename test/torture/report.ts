import { writeFile } from 'node:fs/promises';
import type { RoundResult } from './round.ts';
import { isClean } from './verdict.ts';

/** Prints a line for each round as it ends, and adds everything up for the table at the end. */
export class Report {
  failures = 0;
  readonly #firstSeed: number;
  readonly #beganMs = Date.now();
  readonly #troubles = new Map<string, number>();
  readonly #variants = new Map<string, number>();
  readonly #failed: string[] = [];
  readonly #sums = {
    rounds: 0,
    acknowledged: 0,
    resent: 0,
    readings: 0,
    quarantined: 0,
    rollups: 0,
    alarmEvents: 0,
    operations: 0,
    lost: 0,
    doubled: 0,
    twiceOnDisk: 0,
    disordered: 0,
    wrongRollups: 0,
    wrongAlarms: 0,
    unbalanced: 0,
    unfinished: 0,
  };
  readonly #backMs: number[] = [];

  constructor(firstSeed: number) {
    this.#firstSeed = firstSeed;
  }

  add(variant: string, mode: string, result: RoundResult | string): void {
    const sums = this.#sums;
    sums.rounds++;
    count(this.#variants, variant);
    if (typeof result === 'string') {
      this.failures++;
      sums.unfinished++;
      this.#failed.push(result.split('\n')[0]);
      console.log(`  FAILED ${variant} ${mode} ${result}`);
      return;
    }
    const { plan, verdict } = result;
    for (const { kind } of plan) count(this.#troubles, kind);
    for (const key of [
      'acknowledged',
      'resent',
      'readings',
      'quarantined',
      'rollups',
      'alarmEvents',
      'operations',
    ] as const)
      sums[key] += result[key];
    for (const key of [
      'lost',
      'doubled',
      'twiceOnDisk',
      'disordered',
      'wrongRollups',
      'wrongAlarms',
      'unbalanced',
    ] as const)
      sums[key] += verdict[key];
    this.#backMs.push(result.backInServiceMs);
    const clean = isClean(verdict);
    const troubles = plan.map((d) => d.kind).join(', ');
    const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
    console.log(
      `${String(sums.rounds).padStart(4)}  seed ${result.seed}  ${variant} ${mode}  ${troubles}: ` +
        `${result.acknowledged} acknowledged, ${result.resent} sent again, back after ${seconds(result.backInServiceMs)}, ` +
        `${clean ? 'all there' : 'WRONG'}${verdict.twiceOnDisk > 0 ? `, ${verdict.twiceOnDisk} rows twice on disk` : ''} (${seconds(result.tookMs)})`,
    );
    if (clean) return;
    this.failures++;
    this.#failed.push(`seed ${result.seed}, ${variant} ${mode}, ${troubles}`);
    for (const note of verdict.notes.slice(0, 20)) console.log(`        ${note}`);
  }

  async finish(jsonFile: string | undefined): Promise<void> {
    const sums = this.#sums;
    const back = [...this.#backMs].sort((a, b) => a - b);
    const at = (q: number): number => back[Math.min(back.length - 1, Math.floor(q * back.length))] ?? 0;
    const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
    const list = (map: Map<string, number>): string =>
      [...map]
        .sort((a, b) => b[1] - a[1])
        .map(([name, n]) => `${name} ${n}`)
        .join(', ');
    const rows: [string, string | number][] = [
      ['rounds', `${sums.rounds} (${list(this.#variants)})`],
      ['time', `${Math.round((Date.now() - this.#beganMs) / 1000)} s`],
      ['first seed', this.#firstSeed],
      ['disturbances', `${[...this.#troubles.values()].reduce((a, b) => a + b, 0)}: ${list(this.#troubles)}`],
      ['messages acknowledged', sums.acknowledged],
      ['messages sent again by devices', sums.resent],
      ['readings compared', sums.readings],
      ['quarantined messages compared', sums.quarantined],
      ['rollups compared', sums.rollups],
      ['alarm transitions compared', sums.alarmEvents],
      ['operations answered with 202', sums.operations],
      ['**lost**', sums.lost],
      ['**doubled**', sums.doubled],
      ['**out of order**', sums.disordered],
      ['**wrong rollups**', sums.wrongRollups],
      ['**wrong alarms**', sums.wrongAlarms],
      ['**rounds after which `sluice audit` did not balance**', sums.unbalanced],
      ['**rounds that did not come to an end**', sums.unfinished],
      ['rows twice on disk until merged, once with FINAL', sums.twiceOnDisk],
      ['back in service, median / 95 % / longest', `${seconds(at(0.5))} / ${seconds(at(0.95))} / ${seconds(at(1))}`],
    ];
    const table = ['| what | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join('\n');
    console.log(`\n${table}\n`);
    for (const failed of this.#failed) console.log(`failed: ${failed}`);
    if (jsonFile === undefined) return;
    const troubles = Object.fromEntries(this.#troubles);
    const result = { firstSeed: this.#firstSeed, ...sums, troubles, backInServiceMs: { median: at(0.5), max: at(1) } };
    await writeFile(jsonFile, `${JSON.stringify({ ...result, failed: this.#failed }, null, 2)}\n`);
    await writeFile(jsonFile.replace(/(\.json)?$/, '.md'), `${table}\n`);
  }
}

function count(map: Map<string, number>, name: string): void {
  map.set(name, (map.get(name) ?? 0) + 1);
}
