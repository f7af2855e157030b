import { mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { formatAddress } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import type { Checkpoints } from '../log/checkpoints.ts';
import type { KafkaClientOptions } from '../log/kafka-client.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { judgedGroups, needsFacts } from '../model/rule-facts.ts';
import {
  ALARMS,
  FACTS,
  FACTS_GROUP,
  OPERATIONS,
  OPERATIONS_GROUP,
  PARTIALS,
  STATS,
  TELEMETRY,
} from '../model/topics.ts';
import { readCredentials } from '../store/embedded/credentials.ts';
import type { Store } from '../store/store.ts';
import type { SizedLog } from './measure/log.ts';
import type { Role } from './roles.ts';
import { onKafka } from './settings.ts';

/** The only place that knows which engines were chosen. A process loads the code of those that it uses, no other. */

/** Consumer group of the processors. */
export const GROUP = 'processor';
/** Consumer group of the processors at PARTIALS. */
export const MERGE_GROUP = 'processor-groups';

/** Whether any window is of groups; only then there is anything to merge. */
export function hasGroups({ windows }: Config): boolean {
  return windows.some(({ by }) => by.kind !== 'device');
}

/** Whether anything is told by way of FACTS: rules look at devices in several partitions, or at the windows of groups. */
export function sharesFacts({ alarms, log, windows }: Config): boolean {
  return (log.partitions > 1 && needsFacts(alarms)) || judgedGroups(alarms, windows).size > 0;
}

/** A role, or a command that only reads beside the running program. */
export type LogUser = Role | 'reader';

/** Each topic of the embedded log is written by one process. */
const WRITES: Record<LogUser, readonly string[]> = {
  door: [TELEMETRY, STATS.door],
  processor: [ALARMS, STATS.processor],
  store: [STATS.store],
  gateway: [OPERATIONS],
  reader: [],
};

/** Stats are for the page; nobody looks at those of an hour ago. */
const STATS_RETENTION = { ageMs: 3_600_000, bytesMax: 64 * 2 ** 20 };

/** Few and small; once taken they stand in the telemetry partitions and in the store. */
const OPERATIONS_RETENTION = { ageMs: 365 * 86_400_000, bytesMax: 256 * 2 ** 20 };

/** The same; nobody looks at one that was taken. */
const FACTS_RETENTION = { ageMs: 86_400_000, bytesMax: 256 * 2 ** 20 };

/** Names this process in stats and at Kafka. */
export function instanceOf(role: LogUser): string {
  return `${role}-${hostname()}-${process.pid}`;
}

export async function openLog(role: LogUser, config: Config, logger: Logger): Promise<SizedLog> {
  const { log } = config;
  const kept = { ageMs: log.retention.ageMs, bytesMax: log.retention.bytesMax };
  const retention = {
    // What was acknowledged is not deleted before it is processed.
    [TELEMETRY]: { ...kept, heldFor: GROUP },
    [ALARMS]: kept,
    [PARTIALS]: { ...kept, heldFor: MERGE_GROUP },
    [FACTS]: { ...FACTS_RETENTION, heldFor: FACTS_GROUP },
    [OPERATIONS]: { ...OPERATIONS_RETENTION, heldFor: OPERATIONS_GROUP },
    [STATS.door]: STATS_RETENTION,
    [STATS.processor]: STATS_RETENTION,
    [STATS.store]: STATS_RETENTION,
  };
  const onWarning = (message: string, values?: Record<string, unknown>): void => logger.warn(message, values);
  if (onKafka(config)) {
    const { openKafkaLog } = await import('../log/kafka.ts');
    return openKafkaLog({ ...kafkaConnection(role, config), partitions: log.partitions, retention, onWarning });
  }
  const { openLmdbLog } = await import('../log/lmdb.ts');
  return openLmdbLog({
    dir: folder(config, 'log'),
    partitions: log.partitions,
    writes: writesOf(role, config),
    retention,
    mapBytesMax: log.mapBytesMax,
    onWarning,
  });
}

function writesOf(role: LogUser, config: Config): readonly string[] {
  if (role !== 'processor') return WRITES[role];
  return [...WRITES[role], ...(hasGroups(config) ? [PARTIALS] : []), ...(sharesFacts(config) ? [FACTS] : [])];
}

/** The embedded log for one who writes the past onto it: TELEMETRY, with `clock` as the time; nothing is deleted for its age. */
export async function openLogAt(config: Config, clock: Clock, logger: Logger): Promise<Log> {
  const { openLmdbLog } = await import('../log/lmdb.ts');
  const { partitions, mapBytesMax } = config.log;
  const onWarning = (message: string, values?: Record<string, unknown>): void => logger.warn(message, values);
  return openLmdbLog({ dir: folder(config, 'log'), partitions, writes: [TELEMETRY], mapBytesMax, clock, onWarning });
}

export async function openCheckpoints(role: Role, config: Config, logger: Logger, group = GROUP): Promise<Checkpoints> {
  const onDamaged = (problem: { partition: number; what: string }): void =>
    logger.error('a checkpoint is damaged and passed over', { ...problem });
  if (onKafka(config)) {
    const { openKafkaCheckpoints } = await import('../log/kafka-checkpoints.ts');
    return openKafkaCheckpoints({
      ...kafkaConnection(role, config),
      group,
      partitions: config.log.partitions,
      onDamaged,
    });
  }
  const { openLmdbCheckpoints } = await import('../log/lmdb-checkpoints.ts');
  return openLmdbCheckpoints({
    dir: folder(config, group === GROUP ? 'checkpoints' : `checkpoints-${group}`),
    partitions: config.log.partitions,
    onDamaged,
  });
}

/** The store as a client: of the server in the settings, or of the embedded engine of this machine. */
export async function openStoreClient(
  config: Config,
  access: 'write' | 'read',
  logger: Logger,
  onRetry: () => void = () => {},
): Promise<Store> {
  const { openStore } = await import('../store/clickhouse.ts');
  const { store } = config;
  const common = {
    database: store.database,
    readingsTtlMs: store.readingsTtlMs,
    ledgerTtlMs: config.ledger.ttlMs,
    rollupsKeepMs: [...config.windows, ...config.tiers].map(({ name, keepMs }) => ({ name, keepMs })),
    onRetry: (info: Record<string, unknown>) => {
      onRetry();
      logger.warn('the store did not take an insert; it is tried again', info);
    },
  };
  if (store.url !== null) {
    const password = store.passwordFile === null ? '' : readFileSync(store.passwordFile, 'utf8').replace(/\r?\n$/, '');
    return openStore({ ...common, url: store.url, username: store.username, password });
  }
  const url = `http://${formatAddress(store.listen)}`;
  return openStore({ ...common, url, ...(access === 'write' ? readCredentials(storeDir(config)) : {}) });
}

/** Folder of the embedded store. */
export function storeDir(config: Config): string {
  return folder(config, 'store');
}

interface KafkaTopicOptions {
  topicPrefix: string;
  replicationFactor: number;
}

/** How to reach Kafka; the return type makes sure that no option is given under a name that nobody reads. */
export function kafkaConnection(role: LogUser, config: Config): KafkaClientOptions & KafkaTopicOptions {
  const { kafka } = config.log;
  return {
    brokers: kafka.brokers.map((broker) => (typeof broker === 'string' ? broker : formatAddress(broker))),
    clientId: instanceOf(role),
    topicPrefix: kafka.topicPrefix,
    replicationFactor: kafka.replicationFactor,
    tls: kafka.tls ? { ca: kafka.caFile === null ? null : readFileSync(kafka.caFile, 'utf8') } : null,
    sasl: kafka.sasl === null ? undefined : saslOf(kafka.sasl),
  };
}

function saslOf({ mechanism, username, passwordFile }: NonNullable<Config['log']['kafka']['sasl']>) {
  return { mechanism, username, password: readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '') };
}

function folder(config: Config, name: string): string {
  const dir = join(config.dataDir, name);
  mkdirSync(dir, { recursive: true });
  return dir;
}
