import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import type { KafkaTopicFacts } from '../../log/kafka-inspect.ts';
import { checkHashes } from './access.ts';
import type { Check } from './check.ts';
import { checkRoom, checkSync } from './data.ts';
import { checkTopic } from './kafka.ts';
import { checkAppends, checkCheckpoints, checkLayout, checkSize, judgeReplay } from './log.ts';
import { checkClock, checkFiles, checkMemory, checkNode, loads } from './machine.ts';
import { judgeRole } from './running.ts';
import { checkParts, checkQuarantine, checkStoreClock, checkVersion, checkWindow } from './store.ts';

/** Each judgement in good and in bad states, from what was measured: the state, and the value and the setting in the words. */

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const config = loadConfig({ text: 'version: 1\n' });

const cases: [what: string, check: Check, state: Check['state'], says: RegExp][] = [
  ['node 20', checkNode('20.20.2'), 'ok', /20\.20\.2/],
  ['node 24', checkNode('24.1.0'), 'ok', /24/],
  ['node too old', checkNode('18.19.1'), 'fail', /too old/],
  ['node a little too old', checkNode('20.19.9'), 'fail', /too old/],
  ['node of an odd number', checkNode('23.0.0'), 'warn', /no long-term/],

  [
    'files enough',
    checkFiles('Max open files            1024                 65536                files', 20_000),
    'ok',
    /65536/,
  ],
  [
    'files too few',
    checkFiles('Max open files            1024                 4096                 files', 20_000),
    'warn',
    /4096.*mqtt\.connectionsMax is 20000/,
  ],
  [
    'files unlimited',
    checkFiles('Max open files            unlimited            unlimited            files', 1_000_000),
    'ok',
    /unlimited/,
  ],
  ['files unknown', checkFiles('', 20_000), 'ok', /not known/],

  ['memory enough', checkMemory(config, 16 * GIB), 'ok', /of 16 GiB/],
  ['memory too little', checkMemory(config, 2 * GIB), 'warn', /store\.memoryBytesMax 2\.0 GiB/],

  [
    'clock even',
    checkClock({ wallMs: Date.UTC(2026, 0, 1), apartMs: 0.4, overMs: 150, isSynchronized: true }),
    'ok',
    /NTP keeps/,
  ],
  ['clock unset', checkClock({ wallMs: 0, apartMs: 0, overMs: 150, isSynchronized: null }), 'fail', /1970/],
  [
    'clock jumping',
    checkClock({ wallMs: Date.UTC(2026, 0, 1), apartMs: -3000, overMs: 150, isSynchronized: null }),
    'warn',
    /3 s off/,
  ],
  [
    'clock without NTP',
    checkClock({ wallMs: Date.UTC(2026, 0, 1), apartMs: 0, overMs: 150, isSynchronized: false }),
    'warn',
    /NTP has not/,
  ],

  ['disk with room', checkRoom(100 * GIB, 200 * GIB, 0, 10 * GIB), 'ok', /100 GiB/],
  [
    'disk with room for what the log holds already',
    checkRoom(6 * GIB, 40 * GIB, 9 * GIB, 10 * GIB),
    'ok',
    /by 1\.0 GiB/,
  ],
  [
    'disk too small for retention',
    checkRoom(6 * GIB, 20 * GIB, 0, 10 * GIB),
    'warn',
    /log\.retention\.bytesMax 10\.0 GiB|log\.retention\.bytesMax 10 GiB/,
  ],
  ['disk nearly full', checkRoom(1 * GIB, 100 * GIB, 0, 0), 'warn', /nearly full/],
  ['disk full', checkRoom(10 * MIB, 100 * GIB, 0, 0), 'fail', /full: 10 MiB/],

  ['flush quick', checkSync([1, 2, 1.5], null, 5), 'ok', /1\.5 ms.*slowest of 3: 2\.0 ms.*log\.lingerMs 5\.0 ms/],
  ['flush slow', checkSync([30, 40, 35], null, 5), 'warn', /which is slow/],
  ['flush very slow', checkSync([300, 400, 350], null, 5), 'warn', /very slow/],
  ['flush to memory', checkSync([0.01, 0.01, 0.01], 'tmpfs', 5), 'warn', /tmpfs/],

  ['partitions as set', checkLayout({ partitions: 8, format: 1 } as never, 8), 'ok', /8 partitions/],
  [
    'partitions changed',
    checkLayout({ partitions: 8, format: 1 } as never, 16),
    'fail',
    /8 partitions, and log\.partitions is 16/,
  ],
  ['a format of the future', checkLayout({ partitions: 8, format: 9 } as never, 8), 'fail', /format 9/],
  ['log small', checkSize({ bytesHeld: GIB, fileBytes: GIB }, config.log), 'ok', /1\.0 GiB of at most 16 GiB/],
  ['log nearly full', checkSize({ bytesHeld: 15 * GIB, fileBytes: 15 * GIB }, config.log), 'warn', /nearly full/],
  ['log full', checkSize({ bytesHeld: 16 * GIB, fileBytes: 16 * GIB }, config.log), 'fail', /devices wait/],
  ['appends fresh', appends(1_000, 42), 'ok', /1 s ago; process 42/],
  ['appends old, stopped', appends(86_400_000, null), 'ok', /24 h ago; no process/],
  ['appends old, running', appends(60_000, 42), 'fail', /60 s ago; process 42/],
  ['appends in the future', appends(-3_600_000, 42), 'warn', /60 min in the future/],

  ['checkpoints none', checkCheckpoints([], { first: [0], next: [5] }), 'ok', /none yet/],
  ['checkpoints whole', checkCheckpoints([point(0, 5)], { first: [0], next: [9] }), 'ok', /1 partitions/],
  [
    'checkpoint damaged, older one there',
    checkCheckpoints([{ ...point(0, 5), isWhole: false, hasOlder: true }], { first: [0], next: [9] }),
    'warn',
    /partitions 0 is damaged/,
  ],
  [
    'checkpoint damaged, no older one',
    checkCheckpoints([{ ...point(0, 5), isWhole: false }], { first: [0], next: [9] }),
    'fail',
    /no older one/,
  ],
  [
    'checkpoint ahead of the log',
    checkCheckpoints([point(0, 12)], { first: [0], next: [9] }),
    'warn',
    /ahead of the log/,
  ],
  [
    'checkpoint behind retention',
    checkCheckpoints([point(0, 2)], { first: [4], next: [9] }),
    'fail',
    /retention has deleted/,
  ],
  ['replay short', judgeReplay(40, 4000), 'ok', /40 frames are replayed, the oldest of them 4 s old/],
  ['replay long', judgeReplay(400_000, 7_300_000), 'warn', /400000 frames/],

  ['store clock', checkStoreClock(50, 20), 'ok', /agrees/],
  ['store clock off', checkStoreClock(-60_000, 20), 'warn', /60 s behind/],
  ['tables newer', checkVersion(99), 'fail', /version 99/],
  ['tables none', checkVersion(0), 'ok', /no tables yet/],
  [
    'deduplication',
    checkWindow([
      {
        name: 'readings',
        engine_full: 'ReplacingMergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000',
      },
    ]),
    'ok',
    /every table/,
  ],
  [
    'deduplication replicated',
    checkWindow([{ name: 'readings', engine_full: "ReplicatedReplacingMergeTree('/a', 'b')" }]),
    'ok',
    /every table/,
  ],
  [
    'deduplication off',
    checkWindow([{ name: 'readings', engine_full: 'ReplacingMergeTree ORDER BY a' }]),
    'warn',
    /readings/,
  ],
  ['parts few', checkParts([{ table: 'readings', most: 12, bytes: MIB }]), 'ok', /12 parts/],
  ['parts many', checkParts([{ table: 'readings', most: 400, bytes: MIB }]), 'warn', /400 parts/],
  ['parts too many', checkParts([{ table: 'readings', most: 2000, bytes: MIB }]), 'fail', /slowed down or refused/],
  ['quarantine quiet', checkQuarantine(3, 10), 'ok', /3 messages/],
  ['quarantine loud', checkQuarantine(500, 10_000), 'warn', /500 messages/],

  ['role well', judgeRole({ role: 'door', state: 'ok' }), 'ok', /door is well/],
  [
    'role degraded',
    judgeRole({ role: 'door', state: 'degraded', reasons: ['the log is full'] }),
    'warn',
    /the log is full/,
  ],
  ['role down', judgeRole({ role: 'door', state: 'down', reasons: ['silent for 9 s'] }), 'fail', /silent for 9 s/],
];

function appends(agoMs: number, writerPid: number | null): Check {
  return checkAppends({ lastMs: 10 ** 12 - agoMs, writerPid }, { config, nowMs: () => 10 ** 12 });
}

function point(partition: number, offsetNext: number) {
  return { partition, offsetNext, stateBytes: 10, isWhole: true, hasOlder: false };
}

describe('doctor judges', () => {
  it.each(cases)('%s', (_what, check, state, says) => {
    expect(check).toMatchObject({ state });
    expect(check.what).toMatch(says);
    expect(check.remedy === '').toBe(state === 'ok');
    expect(check.name).toMatch(/^[a-z0-9.-]+$/i);
  });

  it('a native part that does not load', async () => {
    const broken = await loads('native.x', 'X', async () => {
      throw new Error('x.node: invalid ELF header\nsecond line');
    });
    expect(broken).toMatchObject({ state: 'fail', what: 'X cannot be loaded: x.node: invalid ELF header' });
    expect((await loads('native.x', 'X', async () => ({}))).state).toBe('ok');
  });

  it('password hashes by what a guess costs, without showing them', () => {
    const hash = (n: number): string => `scrypt$${n}$8$1$c2FsdHNhbHRzYWx0$a2V5a2V5a2V5a2V5a2V5a2V5`;
    const users = [1024, 16_384, 262_144].map((n, i) => ({
      name: `u${i}`,
      passwordHash: hash(n),
      role: 'device' as const,
      device: null,
    }));
    const found = checkHashes(users);
    expect(found.map((c) => c.state)).toEqual(['warn', 'warn']);
    expect(found[0].what).toContain('1 of 3 users (u0) is cheap to guess: 1.0 MiB');
    expect(found[1].what).toContain('(u2) takes 256 MiB');
    expect(JSON.stringify(found)).not.toMatch(/scrypt\$|a2V5/);
    expect(checkHashes([users[1]])).toMatchObject([{ state: 'ok' }]);
    expect(checkHashes([])).toEqual([]);
  });
});

describe('doctor judges a Kafka topic', () => {
  const good: KafkaTopicFacts = {
    topic: 'sluice.telemetry',
    partitions: 8,
    partitionsWithoutLeader: 0,
    partitionsUnderReplicated: 0,
    replicationFactor: 3,
    config: {
      'min.insync.replicas': '2',
      'retention.ms': String(8 * 86_400_000),
      'max.message.bytes': String(64 * MIB),
      'cleanup.policy': 'delete',
      'unclean.leader.election.enable': 'false',
    },
    behind: 7,
  };
  const set = (name: string, value: string): KafkaTopicFacts => ({
    ...good,
    config: { ...good.config, [name]: value },
  });

  it.each<[string, KafkaTopicFacts, Check['state'], RegExp]>([
    ['that is right', good, 'ok', /8 partitions on 3 brokers each, 7 frames/],
    ['that is not there', { ...good, partitions: 0 }, 'ok', /will be made/],
    ['of other partitions', { ...good, partitions: 4 }, 'fail', /4 partitions, and log\.partitions is 8/],
    ['without leaders', { ...good, partitionsWithoutLeader: 2 }, 'fail', /2 partitions .* no leader/],
    ['with a replica behind', { ...good, partitionsUnderReplicated: 3 }, 'warn', /3 partitions/],
    ['on one broker', { ...good, replicationFactor: 1 }, 'warn', /one broker/],
    ['whose acks mean one broker', set('min.insync.replicas', '1'), 'warn', /min\.insync\.replicas=1/],
    ['that one broker stops', set('min.insync.replicas', '3'), 'warn', /all 3 replicas/],
    ['of small messages', set('max.message.bytes', '1048588'), 'fail', /messages of 1\.0 MiB/],
    ['of short retention', set('retention.ms', '3600000'), 'warn', /60 min/],
    ['of endless retention', set('retention.ms', '-1'), 'ok', /8 partitions/],
    ['that is compacted', set('cleanup.policy', 'compact'), 'fail', /compacted/],
    ['of unclean elections', set('unclean.leader.election.enable', 'true'), 'warn', /unclean/],
    ['of checkpoints, not compacted', { ...good, topic: 'sluice.checkpoints-processor' }, 'fail', /not compacted/],
  ])('%s', (_what, facts, state, says) => {
    const found = checkTopic(facts, config);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ state });
    expect(found[0].what).toMatch(says);
  });
});
