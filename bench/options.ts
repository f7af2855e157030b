import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { payloadOf } from '../device-sim/blast-payload.ts';
import { SluiceError } from '../model/errors.ts';
import type { LogName } from './program.ts';

export interface BenchOptions {
  logs: LogName[];
  /** Compare with other brokers, and measure the door alone. */
  peers: boolean;
  seconds: number;
  warmUpSeconds: number;
  rounds: number;
  connections: number;
  payload: string;
  qos: 0 | 1;
  /** null: as fast as acknowledged. */
  ratePerSecond: number | null;
  /** Folder for data, on the disk to be measured. */
  folder: string;
  jsonFile: string | null;
  markdownFile: string | null;
}

export const USAGE = `npm run bench -- [options]

Starts the real program, blasts it over MQTT, waits until everything is stored, verifies it, and prints what it cost.

  --log lmdb|kafka     which log; may be given twice (default: lmdb)
  --no-peers           leave out the door alone, plain Aedes and Mosquitto
  --seconds N          length of a round (default: 10)
  --warm-up N          seconds before the rounds (default: 3)
  --rounds N           the round in the middle is shown (default: 1)
  --connections N      MQTT connections, each is a device (default: 50)
  --payload KIND       object (3 metrics), array10, single or strings (default: object)
  --qos 0|1            (default: 1)
  --rate N             messages per second (default: as fast as acknowledged)
  --dir DIR            where data is written (default: the system's temporary folder)
  --json FILE          write the result as JSON
  --markdown FILE      write the table to a file as well
  --compare A B        print two JSON results side by side, and measure nothing

Exits with 1 when anything acknowledged is not stored exactly once, or a sum is off.
`;

export type Command =
  | { kind: 'run'; options: BenchOptions }
  | { kind: 'compare'; files: [string, string] }
  | { kind: 'help' };

/** Reads the command line; throws INPUT_INVALID and says what would be right. */
export function readOptions(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  if (values.help) return { kind: 'help' };
  if (values.compare !== undefined) {
    if (positionals.length !== 1) throw invalid('--compare takes two files', '--compare BEFORE.json AFTER.json');
    return { kind: 'compare', files: [values.compare, positionals[0]] };
  }
  if (positionals.length > 0) throw invalid(`'${positionals[0]}' is not an option`, 'see --help');
  const logs = (values.log ?? ['lmdb']).map((log): LogName => {
    if (log === 'lmdb' || log === 'kafka') return log;
    throw invalid(`there is no log '${log}'`, 'lmdb or kafka');
  });
  if (values.qos !== '0' && values.qos !== '1') throw invalid(`--qos ${values.qos}`, '0 or 1');
  return {
    kind: 'run',
    options: {
      logs: [...new Set(logs)],
      peers: !values['no-peers'],
      seconds: positive('seconds', values.seconds),
      warmUpSeconds: positive('warm-up', values['warm-up']),
      rounds: whole('rounds', values.rounds),
      connections: whole('connections', values.connections),
      payload: payloadOf(values.payload),
      qos: values.qos === '0' ? 0 : 1,
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
        seconds: { type: 'string', default: '10' },
        'warm-up': { type: 'string', default: '3' },
        rounds: { type: 'string', default: '1' },
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
