import type { AlarmGroup, AlarmRule, SilenceRule } from '../../../model/alarm.ts';
import { groupDevice } from '../../../model/group-result.ts';
import type { SeriesDictionary } from '../../series.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import { type FactSubject, factDefinition, type SharedFacts } from '../shared-facts.ts';

/** What this partition has of a group. */
export interface OwnPart {
  members: number;
  silent: boolean;
  /** Where the last of them was heard. */
  heardMs: number;
  offset: number;
  index: number;
}

/**
 * The groups of a rule of silence over all partitions. Each partition tells the others when all of its own members are silent and when
 * one has spoken again; a group is silent when every part that has members says so, and there are two of them at least: one
 * device is no group, what it says is its own silence and not that of a gateway.
 */
export class GroupParts {
  readonly #by: AlarmGroup;
  readonly #rule: string;
  readonly #definition: string;
  readonly #series: SeriesDictionary;
  readonly #facts: SharedFacts;
  /** By the number of the group's device: the value that its members have. */
  readonly #values = new Map<number, string>();

  constructor(rule: SilenceRule, by: AlarmGroup, series: SeriesDictionary, facts: SharedFacts) {
    this.#by = by;
    this.#rule = rule.name;
    this.#definition = factDefinition(rule);
    this.#series = series;
    this.#facts = facts;
  }

  /** The group as a device of the dictionary, under a name that no device has of itself. */
  groupOf(value: string): number {
    const group = this.#series.devices.add(groupName(this.#by, value));
    if (!this.#values.has(group)) this.#values.set(group, value);
    return group;
  }

  /** The devices that stand for groups. */
  devices(): Iterable<number> {
    return this.#values.keys();
  }

  valueOf(group: number): string | null {
    return this.#values.get(group) ?? null;
  }

  /** The group that a fact is about; −1 when it is none of this rule's. */
  groupOfFact({ kind, rule, definition, group }: FactSubject): number {
    return kind === 'silence' && rule === this.#rule && definition === this.#definition ? this.groupOf(group) : -1;
  }

  /** The groups that other partitions have told of. */
  heard(): Set<number> {
    const groups = new Set<number>();
    for (const fact of this.#facts.heardOf('silence')) {
      const group = this.groupOfFact(fact);
      if (group >= 0) groups.add(group);
    }
    return groups;
  }

  /** Tells what this partition has. More than two members are two, so that a fact is told when something turns and not for each device. */
  say(group: number, { members, silent, heardMs, offset, index }: OwnPart): void {
    const where = members > 0 && silent ? [1, heardMs, offset, index] : [0, 0, 0, 0];
    this.#facts.say(this.#subject(group), [Math.min(members, 2), ...where]);
  }

  isSilent(group: number, own: OwnPart): boolean {
    if (own.members > 0 && !own.silent) return false;
    let members = own.members;
    for (const { values } of this.#facts.heard(this.#subject(group))) {
      if (values[0] > 0 && values[1] === 0) return false;
      members += values[0];
    }
    return members >= 2;
  }

  /** The part that was heard last, and its partition. */
  newest(group: number, own: OwnPart): OwnPart & { partition: number } {
    let newest = { ...own, partition: this.#facts.partition };
    if (own.members === 0) newest.heardMs = 0;
    for (const { partition, values } of this.#facts.heard(this.#subject(group))) {
      const [members, silent, heardMs, offset, index] = values;
      if (members > 0 && heardMs > newest.heardMs) {
        newest = { partition, members, silent: silent === 1, heardMs, offset, index };
      }
    }
    return newest;
  }

  #subject(group: number): FactSubject {
    const value = this.#values.get(group) ?? '';
    return { kind: 'silence', rule: this.#rule, definition: this.#definition, group: value };
  }

  /** count, then of each: device, value */
  save(out: StateWriter): void {
    out.varint(this.#values.size);
    for (const [group, value] of this.#values) {
      out.varint(out.devices.number(group));
      out.text(value);
    }
  }

  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) {
      const group = from.below(this.#series.devices.count, 'a group');
      this.#values.set(group, from.text());
    }
  }
}

/** The device that the alarm of a group is of. */
export function groupName(by: AlarmGroup, value: string): string {
  return groupDevice(by.kind === 'tag' ? by.tag : by.kind, value);
}

/** Whether a rule is judged for groups instead of devices. */
export function isOverGroups(rule: AlarmRule): boolean {
  return rule.kind === 'silence' && rule.by !== null;
}
