import type { Config } from '../../config/schema.ts';

/** What was found about one thing: how it is, in one sentence with the value that was measured, and what to do. */
export interface Check {
  /** Stable, for scripts: `data.fsync`. */
  name: string;
  state: 'ok' | 'warn' | 'fail';
  what: string;
  /** Empty when all is well. */
  remedy: string;
}

/** What the checks of a machine have to go by. */
export interface Patient {
  config: Config;
  /** Processes that write the parts of the embedded log now, by role; empty when the program is stopped. */
  running: ReadonlyMap<string, number>;
  nowMs(): number;
}

export type Examine = (patient: Patient) => Promise<Check[]> | Check[];

export const ok = (name: string, what: string): Check => ({ name, state: 'ok', what, remedy: '' });
export const warn = (name: string, what: string, remedy: string): Check => ({ name, state: 'warn', what, remedy });
export const fail = (name: string, what: string, remedy: string): Check => ({ name, state: 'fail', what, remedy });

export function inBytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const unit = Math.min(4, Math.floor(Math.log2(n) / 10));
  const value = n / 1024 ** unit;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

export function inTime(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}

/** The reason of an error, on one line, without what it might quote of a secret: code and message only. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || String((error as NodeJS.ErrnoException).code) : String(error);
  return text.split('\n')[0].slice(0, 300);
}
