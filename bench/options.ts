import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { payloadOf, type Qos } from '../device-sim/blast-payload.ts';
import { SluiceError } from '../model/errors.ts';
import type { Load } from './load.ts';
import { type Cell, cellsOf } from './matrix.ts';
import type { LogName } from './program.ts';

export interface BenchOptions extends Load {
  logs: LogName[];
  /** Instead of logs and peers: these cells of the matrix. */
  cells: Cell[];
  /** Compare with other brokers, and measure the door alone. */
  peers: boolean;
  /** Everything that docs/performance.md shows. */
  full: boolean;
  /** Parts of the capacity at which latencies are measured; empty for none. */
  sweep: number[];
  limits: boolean;
  /** Idle connections whose memory is measured; 0 for none. */
  idle: number;
  /** Seconds in which a table is filled to be queried as the page does; 0 for none. */
  pagesSeconds: number;
  /** No part starts later than this after the beginning. */
  withinSeconds: number;
  /** How long a machine that does other work is waited for. */
  quietWithinSeconds: number;
  /** Folder for data, on the disk to be measured. */
  folder: string;
  jsonFile: string | null;
  markdownFile: string | null;
}

export const USAGE = `npm run bench -- [options]

Starts the real program, blasts it over MQTT, waits until everything is stored, verifies it, and prints what it cost.

What is measured
  --log lmdb|kafka     which log; may be given twice (default: lmdb)
  --no-peers           leave out the door alone, Aedes, Mosquitto, and the chains Mosquitto → Telegraf → Kafka and Mochi → Kafka
  --matrix NAME        these cells instead, as PAYLOAD/QOS/CONNECTIONS/LOG/STORE with * for any: 'object/*/50/lmdb/embedded'
                         PAYLOAD      object (3 metrics), array10 (ten objects), single (1 metric), strings (1 number, 2 texts)
                         QOS          0, 1, 2
                         CONNECTIONS  1, 50, 1000, 10000
                         LOG          lmdb, kafka
                         STORE        embedded, none (the door with its log, and nobody to read it)
                       or by name: payloads, qos, connections, stores (along one side), sides (those of the published table), all
  --sweep LIST         latencies at parts of the capacity, as 0.25,0.5,0.75: PUBACK, row visible, alarm event at a subscriber
  --limits             what bounds it: a bare socket loop, LMDB's appends, the engine's Native inserts
  --idle N             memory of N idle connections
  --pages SECONDS      fill a table for so long, and ask it what the page asks
  --full               all that docs/performance.md shows, in about half an hour (then: npm run bench:publish -- RESULT.json)
  --within SECONDS     start no part later than this (default: 2400 with --full, else no bound)
  --quiet-within SECONDS  wait for a machine that does nothing else for so long (default: 300 with --full, else 0)

How
  --seconds N          length of a round (default: 10)
  --warm-up N          seconds before the rounds (default: 3)
  --rounds N           the round in the middle is shown (default: 1)
  --connections N      MQTT connections, each is a device (default: 50)
  --payload KIND       object (3 metrics), array10, single or strings (default: object)
  --qos 0|1|2          (default: 1)
  --rate N             messages per second (default: as fast as acknowledged)
  --dir DIR            where data is written (default: the system's temporary folder)

What becomes of it
  --json FILE          write the result as JSON
  --markdown FILE      write the table to a file as well
  --compare A B        print two JSON results side by side, and measure nothing

Exits with 1 when anything acknowledged is not stored exactly once, or a sum is off.
`;

export type Command =
  | { kind: 'run'; options: BenchOptions }
  | { kind: 'compare'; files: [string, string] }
  | { kind: 'help' };

/** With --full: long enough for garbage collection and merges to show, short enough for all of it to take half an hour. */
const FULL = {
  seconds: '7',
  'warm-up': '2',
  rounds: '3',
  sweep: '0.1,0.25,0.5,0.75,0.9',
  within: '2400',
  quiet: '300',
};
const FULL_IDLE = 10_000;
const FULL_PAGES_SECONDS = 75;

/** Reads the command line; throws INPUT_INVALID and says what would be right. */
export function readOptions(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  if (values.help) return { kind: 'help' };
  if (values.compare !== undefined) {
    if (positionals.length !== 1) throw invalid('--compare takes two files', '--compare BEFORE.json AFTER.json');
    return { kind: 'compare', files: [values.compare, positionals[0]] };
  }
  if (positionals.length > 0) throw invalid(`'${positionals[0]}' is not an option`, 'see --help');
  const { full } = values;
  const defaults = full
    ? FULL
    : { seconds: '10', 'warm-up': '3', rounds: '1', sweep: undefined, within: undefined, quiet: '0' };
  const logs = (values.log ?? (full ? ['lmdb', 'kafka'] : ['lmdb'])).map((log): LogName => {
    if (log === 'lmdb' || log === 'kafka') return log;
    throw invalid(`there is no log '${log}'`, 'lmdb or kafka');
  });
  const within = values.within ?? defaults.within;
  const quietWithin = Number(values['quiet-within'] ?? defaults.quiet);
  if (!(quietWithin >= 0)) throw invalid(`--quiet-within ${values['quiet-within']}`, 'seconds, 0 for not at all');
  return {
    kind: 'run',
    options: {
      logs: [...new Set(logs)],
      cells: values.matrix === undefined ? [] : cellsOf(values.matrix),
      peers: !values['no-peers'],
      full,
      sweep: fractions(values.sweep ?? defaults.sweep),
      limits: values.limits || full,
      idle: values.idle === undefined ? (full ? FULL_IDLE : 0) : whole('idle', values.idle),
      pagesSeconds: values.pages === undefined ? (full ? FULL_PAGES_SECONDS : 0) : positive('pages', values.pages),
      quietWithinSeconds: quietWithin,
      withinSeconds: within === undefined ? Number.POSITIVE_INFINITY : positive('within', within),
      seconds: positive('seconds', values.seconds ?? defaults.seconds),
      warmUpSeconds: positive('warm-up', values['warm-up'] ?? defaults['warm-up']),
      rounds: whole('rounds', values.rounds ?? defaults.rounds),
      connections: whole('connections', values.connections),
      payload: payloadOf(values.payload),
      qos: qosOf(values.qos),
      ratePerSecond: values.rate === undefined ? null : positive('rate', values.rate),
      folder: values.dir,
      jsonFile: values.json ?? null,
      markdownFile: values.markdown ?? null,
    },
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        log: { type: 'string', multiple: true },
        'no-peers': { type: 'boolean', default: false },
        matrix: { type: 'string' },
        sweep: { type: 'string' },
        limits: { type: 'boolean', default: false },
        idle: { type: 'string' },
        pages: { type: 'string' },
        full: { type: 'boolean', default: false },
        within: { type: 'string' },
        'quiet-within': { type: 'string' },
        seconds: { type: 'string' },
        'warm-up': { type: 'string' },
        rounds: { type: 'string' },
        connections: { type: 'string', default: '50' },
        payload: { type: 'string', default: 'object' },
        qos: { type: 'string', default: '1' },
        rate: { type: 'string' },
        dir: { type: 'string', default: tmpdir() },
        json: { type: 'string' },
        markdown: { type: 'string' },
        compare: { type: 'string' },
      },
    });
  } catch (error) {
    throw invalid((error as Error).message, 'see --help');
  }
}

function qosOf(text: string): Qos {
  if (text === '0' || text === '1' || text === '2') return Number(text) as Qos;
  throw invalid(`--qos ${text}`, '0, 1 or 2');
}

function fractions(list: string | undefined): number[] {
  return (list ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const value = positive('sweep', part);
      if (value <= 1) return value;
      throw invalid(`--sweep ${part}`, 'parts of the capacity, from above 0 to 1');
    });
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw invalid(`--${name} ${text}`, 'a number above 0');
}

function whole(name: string, text: string): number {
  const value = positive(name, text);
  if (Number.isInteger(value)) return value;
  throw invalid(`--${name} ${text}`, 'a whole number above 0');
}

function invalid(what: string, remedy: string): SluiceError {
  return new SluiceError('INPUT_INVALID', what, { remedy });
}
