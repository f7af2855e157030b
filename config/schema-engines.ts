import {
  address,
  bytes,
  checkedText,
  choice,
  duration,
  flag,
  integer,
  list,
  path,
  remoteAddress,
  section,
} from './fields.ts';
import { identifierProblem, storeUrlProblem } from './names.ts';
import { clip } from './quantity.ts';

/** Settings of the log, the processors and the store. */

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const kafkaSection = section('Kafka as the log, for more than one machine.', {
  brokers: list(
    'Addresses to begin with; the others are learned from them. A list that is not empty makes Kafka the log, instead of the embedded one.',
    remoteAddress('HOST:PORT of a broker.'),
  ).prefault([]),
  topicPrefix: checkedText(
    'Stands before the name of each topic, so that several Sluices can share a cluster.',
    (text) =>
      /^[A-Za-z0-9._-]{0,100}$/.test(text)
        ? null
        : { what: `"${clip(text)}" cannot begin a Kafka topic`, remedy: 'use letters, digits, . _ and -, at most 100' },
  ).default('sluice.'),
  replicationFactor: integer(
    'On how many brokers each partition is kept, for topics that Sluice creates. 3 for a cluster whose loss of a machine must cost nothing.',
    1,
    16,
  ).default(1),
  tls: flag('Speak TLS to the brokers.').default(false),
  caFile: path('PEM file with the authority of the brokers, when it is not one that Node.js knows.')
    .nullable()
    .prefault(null),
  sasl: section('Credentials for the brokers.', {
    mechanism: choice('As the brokers are set up.', ['plain', 'scram-sha-256', 'scram-sha-512']),
    username: checkedText('The user.', (text) =>
      text === '' ? { what: 'an empty user', remedy: 'write its name' } : null,
    ),
    passwordFile: path('File that holds the password; a line end after it is ignored.'),
  })
    .nullable()
    .prefault(null),
});

export const logSection = section('The durable log between the door and the processors.', {
  partitions: integer(
    'How many partitions the devices are spread over: the most processors and workers that can share the work. It cannot be changed once data has been written.',
    1,
    1024,
  ).default(8),
  lingerMs: duration(
    'How long a message may wait for others before its frame is made durable. More gives fewer, larger writes; less gives earlier acknowledgements to devices that wait for each.',
    { max: 1_000 },
  ).prefault('3ms'),
  frameBytesMax: bytes(
    'A frame is closed at this size without waiting longer. A single larger message has a frame of its own.',
    {
      min: KIB,
      max: 16 * MIB,
    },
  ).prefault('256KiB'),
  inFlightBytesMax: bytes(
    'Most bytes that the door holds while they are being made durable; above it, it reads no more from its sockets. Bounds the memory of the door.',
    { min: 64 * KIB, max: 4 * GIB },
  ).prefault('64MiB'),
  tickMs: duration(
    'How often the door writes its time into each partition, which closes the windows of devices that have fallen silent.',
    { min: 100, max: 60_000 },
  ).prefault('1s'),
  retention: section(
    'How much of the past the log keeps, for replays and for processors that were away. Whatever comes first counts. The embedded log keeps what has not been processed yet beyond both, up to log.mapBytesMax; a Kafka cluster does not.',
    {
      ageMs: duration('Frames older than this are deleted.', { min: 60_000, max: 3_650 * DAY_MS }).prefault('7d'),
      bytesMax: bytes('The oldest frames of a topic are deleted above this, over all its partitions.', {
        min: 16 * MIB,
      }).prefault('10GiB'),
    },
  ).prefault({}),
  mapBytesMax: bytes(
    'Embedded log only: the most that one topic may ever hold; above it devices wait. Address space, not disk space, is taken at once. Must leave room above retention.bytesMax.',
    { min: 32 * MIB, max: 16 * 2 ** 40 },
  ).prefault('16GiB'),
  kafka: kafkaSection.prefault({}),
});

export const processorsSection = section('Processors turn messages into readings, windows and alarms.', {
  workers: integer(
    'Worker threads of one processor. More help where there are cores to spare; partitions are divided among them.',
    1,
    256,
  ).default(1),
  nice: integer(
    'How much nicer a processor is than what started it, as nice(1) counts. Where door, processor and store share busy cores, devices are so acknowledged first; under more load than can be stored the log then grows faster. 0 for a processor that shares its machine with others that are to give way.',
    0,
    19,
  ).default(3),
  batchBytesMax: bytes(
    'Most bytes of frames that a partition is given at a time. More gives larger inserts and takes more memory.',
    {
      min: 16 * KIB,
      max: 256 * MIB,
    },
  ).prefault('4MiB'),
  insertMs: duration(
    'How often rows go into the store, unless a million have gathered or memory for what is under way runs short. Less shows readings sooner; every insert makes a part that the store has to merge, so each costs CPU of its own. Alarm events never wait for it.',
    {
      min: 50,
      max: 10_000,
    },
  ).prefault('1s'),
  checkpointMs: duration(
    'How often the state of windows and alarms is saved. Less shortens the replay after a crash and costs more writing.',
    {
      min: 100,
      max: HOUR_MS,
    },
  ).prefault('5s'),
  clockSkewMaxMs: duration(
    'How far a device may be ahead of the door: a reading further in the future is stored but does not move the time of any window.',
    { max: 366 * DAY_MS },
  ).prefault('10m'),
  idleMs: duration('When a device has been silent this long, its open windows are closed by the time of the door.', {
    min: 1_000,
    max: 31 * DAY_MS,
  }).prefault('30s'),
  seriesMax: integer(
    'Most series, pairs of device and metric, of one partition that windows, rules and the check for redeliveries know; computed ones come on top. Readings of further ones are stored, and do no more. A series takes 0.5 to 1 KB of memory with a window and ten rules.',
    1,
    100_000_000,
  ).default(2_000_000),
  stateTtlMs: duration(
    "Series and devices that were not heard of for so long, by the door's time, are forgotten and give their memory back, within another eighth of it, when they are at least one in 64 of what a partition knows; null keeps them for ever. A device that comes back begins as new; what it sends from before its last reading is stored, and too late for windows and rules. Devices with an entry in the registry, and those with an alarm that is not over, are kept. Shorter for ids that come and go, as those of sessions or tags.",
    { min: 10 * 60_000, max: 3_650 * DAY_MS },
  )
    .nullable()
    .prefault('30d'),
  limits: section('What a message may hold; one that goes beyond is kept in the quarantine, with the reason.', {
    metricsPerMessageMax: integer('Most readings in one message.', 1, 1_000_000).default(10_000),
    depthMax: integer('Deepest nesting of objects and arrays in a payload.', 1, 256).default(16),
    textBytesMax: bytes('Longest text value, in bytes of UTF-8.', { min: 1, max: 16 * MIB }).prefault('16KiB'),
    metricNameBytesMax: bytes('Longest metric name, in bytes of UTF-8, dots of nested names included.', {
      min: 8,
      max: 4 * KIB,
    }).prefault('256B'),
  }).prefault({}),
});

export const storeSection = section('ClickHouse: the embedded engine, or a server.', {
  url: checkedText('HTTP address of a ClickHouse server; null runs the embedded engine.', storeUrlProblem)
    .nullable()
    .prefault(null),
  username: checkedText('User at the server.', () => null).default('default'),
  passwordFile: path('File that holds the password of the user; a line end after it is ignored.')
    .nullable()
    .prefault(null),
  database: checkedText('Database that holds the tables; created when it is not there.', identifierProblem).default(
    'sluice',
  ),
  listen: address(
    "Embedded engine only: where it speaks ClickHouse's HTTP interface, for curl, Grafana and BI tools.",
  ).prefault('127.0.0.1:8123'),
  readOnly: flag(
    'Embedded engine only: clients of the address above may only read. There is no password on it: set false only where nobody else reaches it.',
  ).default(true),
  readingsTtlMs: duration('Readings older than this are deleted; null keeps them for ever.', { min: HOUR_MS })
    .nullable()
    .prefault(null),
  nice: integer(
    'Embedded engine only: how much nicer it is than what started it; see processors.nice. Its merges are nicer still.',
    0,
    19,
  ).default(5),
  memoryBytesMax: bytes('Embedded engine only: most memory that it may take; a query that needs more fails.', {
    min: 256 * MIB,
    max: 2 ** 40,
  }).prefault('2GiB'),
});
