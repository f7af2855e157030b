import type { Config } from '../../config/schema.ts';
import { inspectKafka, type KafkaTopicFacts } from '../../log/kafka-inspect.ts';
import { ALARMS, TELEMETRY } from '../../model/topics.ts';
import { GROUP, kafkaConnection } from '../engines.ts';
import { onKafka } from '../settings.ts';
import { type Check, fail, inBytes, inTime, ok, type Patient, reasonOf, warn } from './check.ts';

/** The cluster, and the topics whose configuration decides what an acknowledgement is worth. */

export async function checkKafka({ config }: Patient): Promise<Check[]> {
  if (!onKafka(config)) return [];
  const prefix = config.log.kafka.topicPrefix;
  const telemetry = prefix + TELEMETRY;
  try {
    const facts = await inspectKafka(
      kafkaConnection('gateway', config),
      [telemetry, prefix + ALARMS, `${prefix}checkpoints-${GROUP}`],
      { id: GROUP, topic: telemetry },
    );
    const brokers = ok('kafka', `${facts.brokers} brokers answer`);
    return [brokers, ...facts.topics.flatMap((topic) => checkTopic(topic, config))];
  } catch (error) {
    return [
      fail(
        'kafka',
        `does not answer at ${config.log.kafka.brokers.join(', ')}: ${reasonOf(error)}`,
        'check the addresses, TLS and SASL of log.kafka, and that brokers advertise addresses that are reachable from here',
      ),
    ];
  }
}

export function checkTopic(facts: KafkaTopicFacts, config: Config): Check[] {
  const { topic, partitions, replicationFactor } = facts;
  const name = (what: string): string => `kafka.${what}.${topic}`;
  if (partitions === 0) return [ok(name('topic'), `${topic} is not there yet and will be made`)];
  const out: Check[] = [];
  if (partitions !== config.log.partitions) {
    out.push(
      fail(
        name('partitions'),
        `${topic} has ${partitions} partitions, and log.partitions is ${config.log.partitions}`,
        `set log.partitions to ${partitions}, or use another log.kafka.topicPrefix`,
      ),
    );
  }
  if (facts.partitionsWithoutLeader > 0) {
    out.push(
      fail(
        name('leader'),
        `${facts.partitionsWithoutLeader} partitions of ${topic} have no leader`,
        'start the brokers that hold them',
      ),
    );
  }
  if (facts.partitionsUnderReplicated > 0) {
    out.push(
      warn(
        name('replicas'),
        `${facts.partitionsUnderReplicated} partitions of ${topic} have fewer replicas in sync than they should`,
        'see which broker is away or behind',
      ),
    );
  }
  out.push(checkReplication(name('durability'), facts));
  out.push(...checkTopicSettings(facts, config));
  const bad = out.filter((c) => c.state !== 'ok');
  const behind = facts.behind === null ? '' : `, ${facts.behind} frames not yet committed by the processors`;
  return bad.length > 0
    ? bad
    : [ok(name('topic'), `${topic}: ${partitions} partitions on ${replicationFactor} brokers each${behind}`)];
}

/** Sluice appends with acks=all, which is as much as min.insync.replicas says. */
function checkReplication(name: string, { topic, replicationFactor, config }: KafkaTopicFacts): Check {
  const inSync = Number(config['min.insync.replicas'] ?? 1);
  if (replicationFactor === 1) {
    return warn(
      name,
      `${topic} is kept on one broker: an acknowledged message is lost with that broker's disk`,
      'keep it on 3 (log.kafka.replicationFactor for new topics), with min.insync.replicas=2',
    );
  }
  if (inSync < 2) {
    return warn(
      name,
      `${topic} has min.insync.replicas=${inSync}: acks=all may then mean one broker alone`,
      'set min.insync.replicas=2',
    );
  }
  if (inSync >= replicationFactor) {
    return warn(
      name,
      `${topic} needs all ${replicationFactor} replicas in sync (min.insync.replicas=${inSync}): one broker away stops every device`,
      `set min.insync.replicas=${replicationFactor - 1}, or add a replica`,
    );
  }
  return ok(name, `${topic} has min.insync.replicas=${inSync} of ${replicationFactor}`);
}

function checkTopicSettings({ topic, config: has }: KafkaTopicFacts, { log, mqtt }: Config): Check[] {
  const out: Check[] = [];
  const isCheckpoints = topic.includes('checkpoints-');
  const messageBytes = Number(has['max.message.bytes'] ?? 0);
  const frameBytes = Math.max(log.frameBytesMax, mqtt.packetBytesMax) + 1024;
  if (!isCheckpoints && messageBytes > 0 && messageBytes < frameBytes) {
    out.push(
      fail(
        `kafka.message-bytes.${topic}`,
        `${topic} takes messages of ${inBytes(messageBytes)}, and a frame may have ${inBytes(frameBytes)}`,
        `set max.message.bytes=${frameBytes}, or lower log.frameBytesMax and mqtt.packetBytesMax`,
      ),
    );
  }
  const policy = has['cleanup.policy'] ?? '';
  if (isCheckpoints !== policy.includes('compact')) {
    out.push(
      fail(
        `kafka.cleanup.${topic}`,
        isCheckpoints
          ? `${topic} is not compacted: checkpoints are lost when they are older than its retention`
          : `${topic} is compacted: frames of the same key replace each other`,
        `set cleanup.policy=${isCheckpoints ? 'compact' : 'delete'}`,
      ),
    );
  }
  const retentionMs = Number(has['retention.ms'] ?? -1);
  if (!isCheckpoints && retentionMs >= 0 && retentionMs < log.retention.ageMs) {
    out.push(
      warn(
        `kafka.retention.${topic}`,
        `${topic} keeps frames for ${inTime(retentionMs)}, and log.retention.ageMs is ${inTime(log.retention.ageMs)}`,
        'set retention.ms of the topic: an existing topic keeps its own configuration',
      ),
    );
  }
  if (has['unclean.leader.election.enable'] === 'true') {
    out.push(
      warn(
        `kafka.unclean.${topic}`,
        `${topic} allows unclean leader election, which loses acknowledged messages`,
        'set unclean.leader.election.enable=false',
      ),
    );
  }
  return out;
}
