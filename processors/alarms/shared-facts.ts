import { createHash } from 'node:crypto';
import type { AlarmRule } from '../../model/alarm.ts';
import { FACT_KINDS, FACT_VALUES, type Fact, type FactKind } from '../../model/fact.ts';
import { partitionOf } from '../../model/partition.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { definitionOf } from './turn.ts';

/** What a fact is about; it says what holds for the newest of the same. */
export interface FactSubject {
  kind: FactKind;
  rule: string;
  definition: string;
  group: string;
}

interface Own extends FactSubject {
  values: readonly number[];
  /** As it was told last; null before it was. */
  told: readonly number[] | null;
}

interface Heard extends FactSubject {
  partition: number;
  offset: number;
  ordinal: number;
  values: readonly number[];
}

/**
 * What the partitions tell each other (model/fact.ts), as one of them knows it: what it says itself, told at the end of the frame in
 * which it changed, and the newest that each other has said. A partition knows its own at once and those of others from the place on
 * its log at which they stand. With one partition there is nobody to tell.
 */
export class SharedFacts {
  readonly partition: number;
  readonly partitions: number;
  readonly #own = new Map<string, Own>();
  readonly #changed = new Set<Own>();
  /** By subject, then by partition. */
  readonly #heard = new Map<string, Map<number, Heard>>();

  constructor(partition = 0, partitions = 1) {
    this.partition = partition;
    this.partitions = partitions;
  }

  /** Whether this partition owns a group, that is, makes its alarm. `name` is the device that the alarm is of. */
  owns(name: string): boolean {
    return this.partitions === 1 || partitionOf(name, this.partitions) === this.partition;
  }

  /** What holds here from now on. */
  say(subject: FactSubject, values: readonly number[]): void {
    if (this.partitions === 1) return;
    const key = keyOf(subject);
    let own = this.#own.get(key);
    if (own === undefined) {
      const { kind, rule, definition, group } = subject;
      own = { kind, rule, definition, group, values, told: null };
      this.#own.set(key, own);
    }
    own.values = values;
    this.#changed.add(own);
  }

  /** What was said last about it here; null when nothing was. */
  own(subject: FactSubject): readonly number[] | null {
    return this.#own.get(keyOf(subject))?.values ?? null;
  }

  /** All that this partition has said of a kind. */
  *said(kind: FactKind): Iterable<FactSubject & { values: readonly number[] }> {
    for (const own of this.#own.values()) if (own.kind === kind) yield own;
  }

  /** The newest that the other partitions have said about it. */
  heard(subject: FactSubject): Iterable<{ partition: number; values: readonly number[] }> {
    return this.#heard.get(keyOf(subject))?.values() ?? [];
  }

  /** All that was heard of a kind. */
  *heardOf(kind: FactKind): Iterable<FactSubject & { partition: number; values: readonly number[] }> {
    for (const of of this.#heard.values()) for (const fact of of.values()) if (fact.kind === kind) yield fact;
  }

  /** Takes a fact from the log. What was said before by the same partition about the same; null when the fact is not new. */
  hear(fact: Fact): { before: readonly number[] | null } | null {
    const { partition, offset, ordinal } = fact;
    if (partition === this.partition || partition >= this.partitions) return null;
    const key = keyOf(fact);
    let of = this.#heard.get(key);
    if (of === undefined) {
      of = new Map();
      this.#heard.set(key, of);
    }
    const last = of.get(partition);
    if (last !== undefined && (offset < last.offset || (offset === last.offset && ordinal <= last.ordinal)))
      return null;
    of.set(partition, fact);
    // Told again, as from time to time.
    if (last?.values.every((value, i) => value === fact.values[i])) return null;
    return { before: last?.values ?? null };
  }

  /**
   * The frame has ended: tells what has changed in it. `again`: everything, so that the newest facts are always on their topic, for a
   * partition that has lost its state (lost-state.ts).
   */
  endFrame(offset: number, emit: (fact: Fact) => void, again = false): void {
    if (this.#changed.size === 0 && !again) return;
    let ordinal = 0;
    // By their subjects: what was looked at first may be another after a restore, and each has its number within the frame.
    const bySubject = [...(again ? this.#own.values() : this.#changed)].map((own) => ({ own, key: keyOf(own) }));
    bySubject.sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { own } of bySubject) {
      if (!again && own.told !== null && own.values.every((value, i) => value === own.told?.[i])) continue;
      own.told = own.values;
      const { kind, rule, definition, group, values } = own;
      emit({ partition: this.partition, offset, ordinal: ordinal++, kind, rule, definition, group, values });
    }
    this.#changed.clear();
  }

  /**
   * At the end of a frame:
   *
   *     own      count, then of each: subject, values
   *     heard    count, then of each: subject, partition, offset, ordinal, values
   */
  save(out: StateWriter): void {
    out.varint(this.#own.size);
    for (const own of this.#own.values()) {
      saveSubject(own, out);
      for (const value of own.values) out.varint(value);
    }
    const heard = [...this.#heard.values()].flatMap((of) => [...of.values()]);
    out.varint(heard.length);
    for (const fact of heard) {
      saveSubject(fact, out);
      out.varint(fact.partition);
      out.varint(fact.offset);
      out.varint(fact.ordinal);
      for (const value of fact.values) out.varint(value);
    }
  }

  /** What the topic had, into one that is empty. */
  recover(facts: readonly Fact[], rules: readonly AlarmRule[]): void {
    const names = new Set(rules.map(({ name }) => name));
    const definitions = new Set(['', ...rules.map(factDefinition)]);
    for (const fact of facts) {
      const { kind, rule, definition, group, values } = fact;
      if (!names.has(rule) || !definitions.has(definition)) continue;
      if (fact.partition !== this.partition) this.hear(fact);
      else this.#own.set(keyOf(fact), { kind, rule, definition, group, values, told: values });
    }
  }

  /** Into one that is empty. What is about a rule that is no more is left out. */
  restore(from: StateReader, rules: readonly AlarmRule[]): void {
    const names = new Set(rules.map(({ name }) => name));
    const definitions = new Set(['', ...rules.map(factDefinition)]);
    for (let left = from.count(); left > 0; left--) {
      const subject = restoreSubject(from);
      const values = restoreValues(subject.kind, from);
      if (!names.has(subject.rule) || !definitions.has(subject.definition)) continue;
      this.#own.set(keyOf(subject), { ...subject, values, told: values });
    }
    for (let left = from.count(); left > 0; left--) {
      const subject = restoreSubject(from);
      const [partition, offset, ordinal] = [from.varint(), from.varint(), from.varint()];
      const values = restoreValues(subject.kind, from);
      if (names.has(subject.rule)) this.hear({ ...subject, partition, offset, ordinal, values });
    }
  }
}

/** Tells two definitions of a rule apart; eight hexadecimal digits. */
export function factDefinition(rule: AlarmRule): string {
  return createHash('sha256').update(definitionOf(rule)).digest('hex').slice(0, 8);
}

function keyOf({ kind, rule, definition, group }: FactSubject): string {
  return JSON.stringify([kind, rule, definition, group]);
}

function saveSubject({ kind, rule, definition, group }: FactSubject, out: StateWriter): void {
  out.varint(FACT_KINDS.indexOf(kind));
  out.text(rule);
  out.text(definition);
  out.text(group);
}

function restoreSubject(from: StateReader): FactSubject {
  const kind = FACT_KINDS[from.below(FACT_KINDS.length, 'a kind of fact')];
  return { kind, rule: from.text(), definition: from.text(), group: from.text() };
}

function restoreValues(kind: FactKind, from: StateReader): number[] {
  return Array.from({ length: FACT_VALUES[kind] }, () => from.varint());
}
