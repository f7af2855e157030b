import type { BatchOutput } from '../../processors/batch-output.ts';
import { type NativeRow, readNative } from '../../processors/testing/native-rows.ts';
import { FLAG_DERIVED } from '../../store/readings-block.ts';
import type { TableName } from '../../store/store.ts';
import { isFeature } from './features.ts';
import type { SimProgram } from './program.ts';

/** Tables whose rows are the same from a replay; readings and the ledger have checks of their own (checks.ts). */
export const REPLAYED: readonly TableName[] = ['rollups', 'alarms', 'alarm_events', 'devices'];

/** A row with all that it says, whether or not its block had a column for what is as usual. */
export function wholeLine(row: NativeRow): string {
  const said = Object.entries(row).filter(([, value]) => !isUsual(value));
  return JSON.stringify(said.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isUsual(value: NativeRow[string]): boolean {
  if (value === null || value === '' || value === 0 || value === 'final') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

export const isDerived = (row: NativeRow): boolean =>
  ((row.flags as number | undefined) ?? 0) % (2 * FLAG_DERIVED) >= FLAG_DERIVED;

/** Lines of a table as a replay gives them. */
export function replayedLines(blocks: BatchOutput['blocks'], table: TableName): string[] {
  return blocks[table].flatMap((block) => readNative(block)).map(wholeLine);
}

/** What no replay by the same code would show: that a command took effect twice, and that readings are in two sessions. */
export function checkByItself({ store }: SimProgram, failures: string[]): void {
  const notes = new Map<string, number>();
  for (const row of store.final('alarm_events').values()) {
    if (row.comment === '') continue;
    const key = `${row.comment} of ${row.id}, ${row.transition}`;
    notes.set(key, (notes.get(key) ?? 0) + 1);
  }
  for (const [key, n] of notes) if (n > 1) failures.push(`operations: ${key} took effect ${n} times`);
  const left = new Map<string, number>();
  const add = ({ device, metric }: NativeRow, n: number) => {
    const key = `${device} ${metric}`;
    left.set(key, (left.get(key) ?? 0) + n);
  };
  for (const row of store.final('readings').values()) if (!Number.isNaN(row.value)) add(row, 1);
  for (const row of store.final('rollups').values()) {
    if (row.window === 'f-session') add(row, -(row.count as number));
  }
  for (const [series, n] of left)
    if (n < 0) failures.push(`sessions: ${series} has ${-n} more than there are readings`);
}

/** Whether the oracle of tumbling windows and thresholds knows of it. */
export const isOracles = (row: NativeRow): boolean => !isFeature(row.window ?? row.rule) && !isFeature(row.metric);
