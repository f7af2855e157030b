import type { Clock } from '../model/clock.ts';
import type { StoreGate } from './store-gate.ts';

/** The store is asked again after this, however often metrics are. */
const FRESH_MS = 30_000;
/** How long /metrics waits for it; later answers are there the next time. */
const PATIENCE_MS = 2_000;

interface TableSize {
  table: string;
  parts: number;
  bytes: number;
  rows: number;
}

/** How large the tables are, and what stands in them that an operator wants to know. Failures leave what was found before. */
export class StoreSize {
  tables: TableSize[] = [];
  quarantine: { code: string; n: number }[] = [];
  alarmsOpen: number | null = null;
  /** Alarms that are not over, by state (ISA-18.2). */
  alarms: { life: string; n: number }[] = [];
  readonly #gate: StoreGate;
  readonly #clock: Clock;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  constructor(gate: StoreGate, clock: Clock) {
    this.#gate = gate;
    this.#clock = clock;
  }

  async refresh(): Promise<void> {
    if (this.#clock.nowMs() - this.#askedMs < FRESH_MS) return;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
      this.#askedMs = this.#clock.nowMs();
    });
    const patience = new Promise<void>((resolve) => this.#clock.after(PATIENCE_MS, resolve));
    await Promise.race([this.#asking, patience]);
  }

  async #ask(): Promise<void> {
    const gate = this.#gate;
    try {
      this.tables = await gate.query<TableSize>(
        'SELECT table, count() AS parts, sum(bytes_on_disk) AS bytes, sum(rows) AS rows FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table',
      );
      const alarms = await gate.query<{ life: string; raised: number; n: number }>(
        "SELECT life, countIf(state = 'raised') AS raised, count() AS n FROM alarms FINAL WHERE (life != 'normal' OR state = 'raised') AND group_id != id GROUP BY life ORDER BY life",
      );
      this.alarms = alarms.map(({ life, n }) => ({ life, n: Number(n) }));
      this.alarmsOpen = alarms.reduce((sum, { raised }) => sum + Number(raised), 0);
      this.quarantine = await gate.query<{ code: string; n: number }>(
        "SELECT splitByChar(':', reason)[1] AS code, count() AS n FROM quarantine WHERE received > now() - INTERVAL 1 HOUR GROUP BY code ORDER BY n DESC, code LIMIT 20",
      );
    } catch {
      // That the store does not answer shows in sluice_role_up and in /health.
    }
  }
}
