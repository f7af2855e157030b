/** Topics of the log. All parts that meet at the log use these names; Kafka adds its configured prefix. */
export const TELEMETRY = 'telemetry';
/** Alarm events: frames whose messages carry one CloudEvent each. Partitioned like TELEMETRY: events of partition p are in partition p. */
export const ALARMS = 'alarms';
/** What partitions have of the windows of groups (processors/groups/partial.ts); all of one group meet in one partition. */
export const PARTIALS = 'partials';
/** What partitions tell each other of groups that are spread over them (model/fact.ts): facts of partition p are in partition p. The door takes them into TELEMETRY. */
export const FACTS = 'facts';
/** Consumer group of the doors at FACTS. */
export const FACTS_GROUP = 'door-facts';
/** What people and programs ask for (model/operation.ts): one partition, so that it has one order. The door takes it into TELEMETRY. */
export const OPERATIONS = 'operations';
/** Consumer group of the doors at OPERATIONS. */
export const OPERATIONS_GROUP = 'door-operations';
/** One topic of one partition for each role that tells how it does (model/stats.ts). */
export const STATS = { door: 'stats-door', processor: 'stats-processor', store: 'stats-store' } as const;

/** The MQTT topic that a device's telemetry arrives on. */
export function telemetryTopic(device: string): string {
  return `devices/${device}/telemetry`;
}

/** The MQTT topic that the transitions of an alarm are published on. */
export function alarmTopic(device: string, rule: string): string {
  return `alarms/${device}/${rule}`;
}
