import { SluiceError } from '../model/errors.ts';
import { type BlastOptions, blast } from './blast.ts';

/**
 * A blast as a process of its own: options as JSON in the first argument, the result as one line of JSON on standard output.
 *
 *     node dist/device-sim/blast-main.js '{"url":"mqtt://127.0.0.1:1883","messages":1000000,"connections":200}'
 */
try {
  const options = JSON.parse(process.argv[2] ?? '{}') as BlastOptions;
  const result = await blast(options);
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof SluiceError ? error.toLine() : String(error)}\n`);
  process.exitCode = 1;
}
