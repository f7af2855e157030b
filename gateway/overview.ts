import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Store } from '../store/store.ts';
import { assessHealth, type Health, type HealthState, type RoleHealth, type StorePing } from './health.ts';
import { countDevices, countRows, type FleetCounts } from './queries.ts';
import { FRESH_MS_MAX, type RateName, type StatsBoard, type StatsHistory } from './stats-board.ts';
import type { StoreGate } from './store-gate.ts';

/** What the gateway is told about the program that it is part of; shown on the page. Holds no secret. */
export interface GatewayInfo {
  /** Version of Sluice. */
  version: string;
  /** HOST:PORT of the MQTT door. */
  mqtt: string;
  /** Address of ClickHouse's HTTP interface. */
  clickhouse: string;
  /** Names and versions of the engines and the runtime, for the page's foot. */
  versions: Record<string, string>;
}

export interface OverviewAnswer {
  atMs: number;
  uptimeMs: number;
  info: GatewayInfo;
  state: HealthState;
  roles: RoleHealth[];
  /** Per second, over the last five whole seconds; null where the role is silent. */
  rates: { [K in RateName]: number | null };
  connections: number;
  messagesInFlight: number;
  socketsPaused: number;
  lagMs: number | null;
  lagFrames: number | null;
  /** Counts of the store; null until it has answered. They may be some seconds old (`countedMs`). */
  counts: FleetCounts | null;
  countedMs: number | null;
  history?: StatsHistory;
}

/** A ping is asked for again after this. */
const PING_FRESH_MS = 1_000;
const PING_MS_MAX = 3_000;
/** Counts are renewed after the longer of this and ten times what the last count took: at most a tenth of the store's time. */
const COUNT_EVERY_MS = 1_000;
const COUNT_SHARE = 10;

/** Asks the store whether it is there, at most once a second however many ask. */
export class StoreProbe {
  latest: StorePing = { answers: false, reason: 'has not been asked yet', tookMs: 0 };
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<StorePing> | null = null;
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async ping(): Promise<StorePing> {
    if (this.#clock.nowMs() - this.#askedMs < PING_FRESH_MS) return this.latest;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask(): Promise<StorePing> {
    const startMs = this.#clock.nowMs();
    let timer: TimerHandle | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = this.#clock.after(PING_MS_MAX, () => resolve('late'));
    });
    try {
      const answer = await Promise.race([this.#store.ping(), late]);
      const reason = answer === 'late' ? `no answer within ${PING_MS_MAX / 1000} s` : answer ? '' : 'does not answer';
      this.latest = { answers: answer === true, reason, tookMs: this.#clock.nowMs() - startMs };
    } catch (error) {
      this.latest = { answers: false, reason: (error as Error).message, tookMs: this.#clock.nowMs() - startMs };
    } finally {
      timer?.cancel();
    }
    this.#askedMs = this.#clock.nowMs();
    return this.latest;
  }
}

export interface OverviewParts {
  board: StatsBoard;
  gate: StoreGate;
  probe: StoreProbe;
  clock: Clock;
  info: GatewayInfo;
  instance: string;
  startedMs: number;
  /** What the gateway itself cannot do at the moment. */
  troubles(): string[];
}

/** Forms the overview from the roles' records and the store's counts. */
export class Overview {
  readonly #parts: OverviewParts;
  #counts: FleetCounts | null = null;
  #countedMs: number | null = null;
  #nextCountMs = 0;
  #nextDevicesMs = 0;
  #counting = false;

  constructor(parts: OverviewParts) {
    this.#parts = parts;
  }

  health(): Health {
    const { board, probe, clock, instance, startedMs, troubles } = this.#parts;
    return assessHealth(board, probe.latest, { instance, startedMs, reasons: troubles() }, clock.nowMs());
  }

  /** Counts anew with the next refresh, because something is known to have changed. */
  countSoon(): void {
    this.#nextCountMs = Math.min(this.#nextCountMs, this.#parts.clock.nowMs() + 250);
  }

  /** Renews what is asked of the store, when it is time to; resolves when done. Failures leave the last counts. */
  async refresh(): Promise<void> {
    const { clock, gate, probe } = this.#parts;
    await probe.ping();
    const startMs = clock.nowMs();
    if (this.#counting || startMs < this.#nextCountMs || !probe.latest.answers) return;
    this.#counting = true;
    try {
      const rows = await countRows(gate);
      this.#counts = { ...rows, devices: this.#counts?.devices ?? null };
      this.#countedMs = clock.nowMs();
      this.#nextCountMs = this.#after(startMs);
      if (startMs >= this.#nextDevicesMs) await this.#countDevices();
    } catch {
      // The store's failure shows in its health; the page keeps the last counts and their age.
      this.#nextCountMs = this.#after(startMs);
    } finally {
      this.#counting = false;
    }
  }

  /** On a pace of its own: with many readings it takes much longer than the rest, and may not be done in time. */
  async #countDevices(): Promise<void> {
    const startMs = this.#parts.clock.nowMs();
    try {
      const devices = await countDevices(this.#parts.gate);
      if (this.#counts !== null) this.#counts = { ...this.#counts, devices };
    } finally {
      this.#nextDevicesMs = this.#after(startMs);
    }
  }

  #after(startMs: number): number {
    const nowMs = this.#parts.clock.nowMs();
    return nowMs + Math.max(COUNT_EVERY_MS, (nowMs - startMs) * COUNT_SHARE);
  }

  /** Waits for the first counts; later ones come by themselves, so that a slow store does not hold up the page. */
  async ready(): Promise<void> {
    const refreshed = this.refresh();
    if (this.#counts === null) await refreshed;
  }

  answer(historySeconds: number): OverviewAnswer {
    const { board, clock, info, startedMs } = this.#parts;
    const nowMs = clock.nowMs();
    const health = this.health();
    const fresh = (record: { atMs: number }) => nowMs - record.atMs < FRESH_MS_MAX;
    const doors = board.latest('door', nowMs).filter(fresh);
    const processors = board.latest('processor', nowMs).filter(fresh);
    const answer: OverviewAnswer = {
      atMs: nowMs,
      uptimeMs: nowMs - Math.min(startedMs, ...doors.map((d) => d.startedMs)),
      info,
      state: health.state,
      roles: health.roles,
      rates: board.rates(nowMs),
      connections: sum(doors.map((d) => d.connections)),
      messagesInFlight: sum(doors.map((d) => d.messagesInFlight)),
      socketsPaused: sum(doors.map((d) => d.socketsPaused)),
      lagMs: processors.length === 0 ? null : Math.max(...processors.map((p) => p.lagMs)),
      lagFrames: processors.length === 0 ? null : sum(processors.map((p) => p.lagFrames)),
      counts: this.#counts,
      countedMs: this.#countedMs,
    };
    if (historySeconds > 0) answer.history = board.history(nowMs, historySeconds);
    return answer;
  }
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
