import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { catchUp, cpuOfCatchUp, fillLog } from '../catch-up.ts';
import { runBlast } from '../generator.ts';
import { blastOptions } from '../pipeline-run.ts';
import { costBetween } from '../processes.ts';
import type { LogName } from '../program.ts';
import { type RoleOptions, Roles } from '../roles.ts';
import { count, markdownTable } from '../table.ts';
import { type Fill, framesOf } from './fleet-of-frames.ts';

/** How the work divides among doors, and among processors, that are pinned to cores. */
export interface DivisionResult {
  cores: number;
  doors: DoorDivision[];
  processors: ProcessorDivision[];
}

interface Setup {
  log: LogName;
  about: string;
  /** How many share the work. */
  number: number;
}

export interface DoorDivision extends Setup {
  ackedPerSecond: number;
  cpuMicrosPerMessage: number;
  /** Cores that the doors used together. */
  coresUsed: number;
}

export interface ProcessorDivision extends Setup {
  readingsPerSecond: number;
  cpuMicrosPerReading: number;
  coresUsed: number;
  storeMicrosPerReading: number;
}

const SECONDS = 6;
const CONNECTIONS = 50;
const FLEET: Fill = { devices: 1000, metrics: 3, partitions: 8, messages: 1_500_000 };
const DOORS: readonly (Omit<Setup, 'number'> & { doors: RoleOptions[]; others?: string })[] = [
  { log: 'lmdb', about: 'one door on core 0, the generator on core 1', doors: [{ cores: '0' }], others: '1' },
  { log: 'kafka', about: 'one door on core 0, generator and broker on core 1', doors: [{ cores: '0' }], others: '1' },
  {
    log: 'kafka',
    about: 'two doors on core 0, generator and broker on core 1',
    doors: [{ cores: '0' }, { cores: '0' }],
    others: '1',
  },
  {
    log: 'kafka',
    about: 'a door on each core, which generator and broker share',
    doors: [{ cores: '0' }, { cores: '1' }],
  },
];
const PROCESSORS: readonly (Omit<Setup, 'number'> & { processors: RoleOptions[]; workers: number; store?: string })[] =
  [
    {
      log: 'lmdb',
      about: 'one worker on core 0, the store on core 1',
      processors: [{ cores: '0' }],
      workers: 1,
      store: '1',
    },
    { log: 'lmdb', about: 'two workers on both cores, which the store shares', processors: [{}], workers: 2 },
    {
      log: 'kafka',
      about: 'one processor on core 0, the store on core 1',
      processors: [{ cores: '0' }],
      workers: 1,
      store: '1',
    },
    {
      log: 'kafka',
      about: 'a processor on each core, which the store shares',
      processors: [{ cores: '0' }, { cores: '1' }],
      workers: 1,
    },
  ];

export async function measureDivision(folder: string, seconds = SECONDS): Promise<{ result: DivisionResult }> {
  if (spawnSync('taskset', ['--version']).error !== undefined) throw new Error('taskset is not installed');
  const doors: DoorDivision[] = [];
  for (const setup of DOORS) doors.push(await measureDoors(folder, setup, seconds));
  const processors: ProcessorDivision[] = [];
  for (const setup of PROCESSORS) processors.push(await measureProcessors(folder, setup));
  return { result: { cores: availableParallelism(), doors, processors } };
}

async function measureDoors(
  folder: string,
  setup: (typeof DOORS)[number],
  secondsOfRound: number,
): Promise<DoorDivision> {
  const roles = await Roles.open(setup.log, folder, '', setup.others);
  try {
    const doors: Awaited<ReturnType<Roles['door']>>[] = [];
    for (const options of setup.doors) doors.push(await roles.door(options));
    const blastAll = (prefix: string, seconds: number) => {
      const load = { connections: CONNECTIONS / doors.length, payload: 'object', qos: 1, ratePerSecond: null } as const;
      const one = (url: string, i: number) =>
        runBlast(
          {
            ...blastOptions({ ...load, seconds, warmUpSeconds: 0, rounds: 1 }, seconds),
            url,
            devicePrefix: `${prefix}${i}`,
          },
          setup.others,
        );
      return Promise.all(doors.map(({ url }, i) => one(url, i)));
    };
    await blastAll('warm', 2);
    const before = roles.sample();
    const results = await blastAll('round', secondsOfRound);
    const cost = costBetween(before, roles.sample()).find(({ name }) => name === 'door')!.cpuMicros;
    const messages = results.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
    const unacknowledged = results.reduce((sum, result) => sum + result.unacknowledged, 0);
    if (unacknowledged > 0) throw new Error(`${unacknowledged} messages were not acknowledged`);
    const startMs = Math.min(...results.map(({ startedMs }) => startedMs));
    const seconds = (Math.max(...results.map(({ endedMs }) => endedMs)) - startMs) / 1000;
    const { log, about } = setup;
    return {
      log,
      about,
      number: doors.length,
      ackedPerSecond: messages / seconds,
      cpuMicrosPerMessage: cost / messages,
      coresUsed: cost / 1e6 / seconds,
    };
  } finally {
    await roles.close();
  }
}

async function measureProcessors(folder: string, setup: (typeof PROCESSORS)[number]): Promise<ProcessorDivision> {
  const roles = await Roles.open(setup.log, folder, `processors: { workers: ${setup.workers} }\n`);
  try {
    const { dataDir, kafkaAddress } = roles;
    await fillLog({ dataDir, kafkaAddress, partitions: FLEET.partitions }, framesOf(FLEET));
    await roles.store({ cores: setup.store });
    await roles.door();
    roles.gateway();
    for (const options of setup.processors) roles.processor(options);
    await roles.untilTables();
    const run = await catchUp(roles, FLEET.messages * FLEET.metrics);
    const own = cpuOfCatchUp(run, 'processor');
    const { log, about, processors, workers } = setup;
    return {
      ...{ log, about, number: processors.length * workers, readingsPerSecond: run.readingsPerSecond },
      ...{ cpuMicrosPerReading: own, coresUsed: (own * run.readingsPerSecond) / 1e6 },
      storeMicrosPerReading: cpuOfCatchUp(run, 'store'),
    };
  } finally {
    await roles.close();
  }
}

export function divisionSection({ cores, doors, processors }: DivisionResult): string {
  const of = <Row extends Setup>(rows: readonly Row[], rate: (row: Row) => number, row: Row) => {
    const one = rows.find(({ log, number }) => log === row.log && number === 1);
    return one === undefined || one === row ? '–' : `${(rate(row) / rate(one)).toFixed(2)}×`;
  };
  const doorRows = doors.map((row) => [
    ...[row.log, row.about, count(row.ackedPerSecond), row.cpuMicrosPerMessage.toFixed(2), row.coresUsed.toFixed(2)],
    ...[
      count(1e6 / row.cpuMicrosPerMessage),
      of(doors, (r) => r.ackedPerSecond, row),
      of(doors, (r) => 1 / r.cpuMicrosPerMessage, row),
    ],
  ]);
  const processorRows = processors.map((row) => [
    ...[row.log, row.about, count(row.readingsPerSecond), row.cpuMicrosPerReading.toFixed(2), row.coresUsed.toFixed(2)],
    ...[
      count(1e6 / row.cpuMicrosPerReading),
      of(processors, (r) => r.readingsPerSecond, row),
      of(processors, (r) => 1 / r.cpuMicrosPerReading, row),
    ],
  ]);
  const rest = ['cores used', 'a second and core', 'rate against one', 'per core against one'];
  return [
    `${cores} cores in all.`,
    markdownTable(['log', 'doors', 'acked/s', 'µs/message', ...rest], doorRows, 2),
    markdownTable(['log', 'processors', 'readings/s', 'µs/reading', ...rest], processorRows, 2),
  ].join('\n\n');
}
