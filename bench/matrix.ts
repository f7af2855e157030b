import { PAYLOADS, type PayloadName, type Qos } from '../device-sim/blast-payload.ts';
import { SluiceError } from '../model/errors.ts';
import type { LogName } from './program.ts';

/** One place of the matrix: what is sent, how, and what it goes through. Its name is its parts: object/1/50/lmdb/embedded. */
export interface Cell {
  payload: PayloadName;
  qos: Qos;
  connections: number;
  log: LogName;
  /** none: the door with its log, and nobody to read it. */
  store: 'embedded' | 'none';
}

const QOS: readonly Qos[] = [0, 1, 2];
const CONNECTIONS = [1, 50, 1_000, 10_000] as const;
const LOGS: readonly LogName[] = ['lmdb', 'kafka'];
const STORES = ['embedded', 'none'] as const;

/** Names of often wanted parts. Each goes along one side of the matrix through the cell that the rest of the bench measures. */
const PRESETS = new Map([
  ['payloads', '*/1/50/lmdb/embedded'],
  ['qos', 'object/*/50/lmdb/embedded'],
  ['connections', 'object/1/*/lmdb/embedded'],
  ['stores', 'object/1/50/*/*'],
  ['all', '*/*/*/*/*'],
]);

/** What the published table shows beside that cell: one thing is another in each. */
const SIDES = [
  'single/1/50/lmdb/embedded',
  'strings/1/50/lmdb/embedded',
  'object/0/50/lmdb/embedded',
  'object/2/50/lmdb/embedded',
  'object/1/1/lmdb/embedded',
  'object/1/1000/lmdb/embedded',
  'object/1/10000/lmdb/embedded',
];

export function nameOf({ payload, qos, connections, log, store }: Cell): string {
  return `${payload}/${qos}/${connections}/${log}/${store}`;
}

/** The cells of a preset or of a pattern, in the order of the matrix; throws INPUT_INVALID when there is none. */
export function cellsOf(name: string): Cell[] {
  if (name === 'sides') return SIDES.flatMap(cellsOf);
  const pattern = (PRESETS.get(name) ?? name).split('/');
  const cells = pattern.length === 5 ? allCells().filter((cell) => matches(nameOf(cell).split('/'), pattern)) : [];
  if (cells.length > 0) return cells;
  throw new SluiceError('INPUT_INVALID', `the matrix has no cell '${name}'`, {
    remedy: `choose one of ${[...PRESETS.keys(), 'sides'].join(', ')}, or PAYLOAD/QOS/CONNECTIONS/LOG/STORE with * for any, as object/*/50/lmdb/embedded`,
  });
}

function matches(parts: readonly string[], pattern: readonly string[]): boolean {
  return parts.every((part, i) => pattern[i] === '*' || pattern[i] === part);
}

function allCells(): Cell[] {
  return PAYLOADS.flatMap((payload) =>
    QOS.flatMap((qos) =>
      CONNECTIONS.flatMap((connections) =>
        LOGS.flatMap((log) => STORES.map((store) => ({ payload, qos, connections, log, store }))),
      ),
    ),
  );
}
