import { parseArgs } from 'node:util';
import { collectGarbage } from '../../model/collect-garbage.fixture.ts';
import { fuzzCodecs } from './codec-fuzz.ts';
import { fuzzDoor } from './door-fuzz.ts';

/** `npm run fuzz -- --minutes M --seed S`: seeds from S on, until the time is up; ends with 1 at the first finding. */
const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } });
const startedMs = Date.now();
const untilMs = startedMs + Number(values.minutes ?? '1') * 60_000;
/** What the heap may differ by between one seed and a hundred: code that was compiled, pools that were filled. */
const HEAP_GROWTH_BYTES_MAX = 30 * 1024 * 1024;

const total = { seeds: 0, connections: 0, packets: 0, bytes: 0, acksChecked: 0, messagesLogged: 0, inputs: 0 };
const problems: string[] = [];
process.on('unhandledRejection', (error) => problems.push(`unhandled: ${String(error)}`));
process.on('uncaughtException', (error) => problems.push(`uncaught: ${error.stack}`));

let heapBytes = 0;
let seed = Number(values.seed ?? Math.floor(Math.random() * 1e6));
for (; Date.now() < untilMs && problems.length === 0; seed++) {
  const result = await fuzzDoor(seed, 60);
  problems.push(...result.problems.map((p) => `seed ${seed}: ${p}`));
  try {
    total.inputs += fuzzCodecs(seed, 1000).inputs;
  } catch (error) {
    problems.push((error as Error).message);
  }
  total.seeds++;
  for (const key of ['connections', 'packets', 'bytes', 'acksChecked', 'messagesLogged'] as const)
    total[key] += result[key];
  collectGarbage();
  const { heapUsed } = process.memoryUsage();
  if (total.seeds === 3) heapBytes = heapUsed;
  if (total.seeds > 3 && heapUsed > heapBytes + HEAP_GROWTH_BYTES_MAX)
    problems.push(`seed ${seed}: the heap has grown from ${heapBytes} to ${heapUsed} bytes`);
}
console.log(
  JSON.stringify(
    { ...total, seconds: Math.round((Date.now() - startedMs) / 1000), heapBytes, nextSeed: seed, problems },
    null,
    1,
  ),
);
process.exit(problems.length === 0 ? 0 : 1);
