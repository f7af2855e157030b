import { SluiceError } from './errors.ts';

/**
 * What one partition tells the others about a group of devices whose members are spread over all of them. It goes from the processor
 * onto the topic FACTS; the door takes it from there and writes it into every telemetry partition, as a message with an empty device and
 * the topic FACT_TOPIC. So it has a definite place among the readings of each, and a replay finds it there again. As JSON:
 *
 *     { "from": [3, 1207, 0], "kind": "silence", "rule": "site-lost", "definition": "9f31c2aa", "group": "north", "values": [2, 1, …] }
 *
 * Only what has changed is told. A fact says all that holds from now on, so the newest of (kind, rule, group, partition) replaces
 * those before it, and one that comes twice changes nothing.
 */
export interface Fact {
  /** The place of telemetry that it came of: partition, offset of the frame, number within the frame. */
  partition: number;
  offset: number;
  ordinal: number;
  kind: FactKind;
  rule: string;
  /** Of the rule, where two definitions do not understand each other; empty otherwise. */
  definition: string;
  group: string;
  /** What it says, in the order that its kind has (VALUES). */
  values: readonly number[];
}

/**
 * What is told, and what the values are:
 *
 *     silence    members here (0, 1, 2 for more), 1 when all of them are silent; then where the last was heard: ms, offset, index
 *     outage     1 while an alarm of the rule, which inhibits others, is up at the site (the group)
 *     raises     raises counted so far here, how many of them nobody was told of, the gravest severity of these, clock of the last
 *     flood      floods that have begun so far, 1 while one is on; told by the partition that owns the group
 */
export const FACT_VALUES = { silence: 5, outage: 1, raises: 4, flood: 2 } as const;
export type FactKind = keyof typeof FACT_VALUES;
export const FACT_KINDS = Object.keys(FACT_VALUES) as FactKind[];

/** Topic of the message that carries a fact on a telemetry partition; its device is empty. */
export const FACT_TOPIC = '$fact';

const utf8 = new TextEncoder();

export function encodeFact(fact: Fact): Uint8Array<ArrayBuffer> {
  const { partition, offset, ordinal, kind, rule, definition, group, values } = fact;
  return utf8.encode(JSON.stringify({ from: [partition, offset, ordinal], kind, rule, definition, group, values }));
}

/** Throws INPUT_INVALID when the members, as JSON gives them, are not those of a fact. */
export function factOf(members: ReadonlyMap<string, unknown>): Fact {
  const kind = FACT_KINDS.find((one) => one === members.get('kind'));
  if (kind === undefined) throw refused('kind');
  const [partition, offset, ordinal] = counts(members.get('from'), 'from', 3);
  return {
    partition,
    offset,
    ordinal,
    kind,
    rule: text(members.get('rule'), 'rule'),
    definition: text(members.get('definition'), 'definition'),
    group: text(members.get('group'), 'group'),
    values: counts(members.get('values'), 'values', FACT_VALUES[kind]),
  };
}

function text(value: unknown, member: string): string {
  if (typeof value !== 'string') throw refused(member);
  return value;
}

function counts(value: unknown, member: string, length: number): number[] {
  if (!Array.isArray(value) || value.length !== length) throw refused(member);
  if (!value.every((one): one is number => Number.isSafeInteger(one) && one >= 0)) throw refused(member);
  return value;
}

function refused(member: string): SluiceError {
  return new SluiceError('INPUT_INVALID', `\`${member}\` of a fact is not what it has to be`, { values: { member } });
}
