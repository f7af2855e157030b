import type { Clock, TimerHandle } from '../model/clock.ts';

/** How often the terminal gets a line. */
const INTERVAL_MS = 10_000;

/** The part of GET /api/overview that a line shows. */
interface Overview {
  /** Null where a role has not spoken. */
  rates: { received: number | null; decoded: number | null };
  lagMs: number | null;
  counts: { devices: number; alarmsOpen: number } | null;
}

/** Prints one plain line about the pipeline every ten seconds, from the gateway's own numbers. */
export function startStatusLines(options: { url: string; clock: Clock; print: (line: string) => void }): {
  close(): void;
} {
  const { url, clock, print } = options;
  let timer: TimerHandle | null = null;
  let closed = false;
  const next = async (): Promise<void> => {
    try {
      const answer = await fetch(`${url}/api/overview`, { signal: AbortSignal.timeout(5000) });
      if (answer.ok && !closed) print(statusLine(clock.nowMs(), (await answer.json()) as Overview));
    } catch (error) {
      if (!closed) print(`${time(clock.nowMs())}  the page does not answer: ${(error as Error).message}`);
    }
    if (!closed) timer = clock.after(INTERVAL_MS, () => void next());
  };
  timer = clock.after(3000, () => void next());
  return {
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

/** One line such as `12:00:05  40 messages/s  160 readings/s  lag 12 ms  40 devices  1 open alarm`; `?` is what is not known. */
export function statusLine(nowMs: number, o: Overview): string {
  const n = (value: number | null | undefined): string =>
    value == null ? '?' : Math.round(value).toLocaleString('en-US');
  const lag = o.lagMs === null || o.lagMs < 1000 ? `${n(o.lagMs)} ms` : `${(o.lagMs / 1000).toFixed(1)} s`;
  return [
    time(nowMs),
    `${n(o.rates.received)} messages/s`,
    `${n(o.rates.decoded)} readings/s`,
    `lag ${lag}`,
    `${n(o.counts?.devices)} device${o.counts?.devices === 1 ? '' : 's'}`,
    `${n(o.counts?.alarmsOpen)} open alarm${o.counts?.alarmsOpen === 1 ? '' : 's'}`,
  ].join('  ');
}

function time(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}
