import type { Evidence, ExpressionRule } from '../../../model/alarm.ts';
import {
  compileExpression,
  type Expression,
  type Reference,
  type Value,
} from '../../../model/expressions/expression.ts';
import { matcher } from '../../../model/pattern.ts';
import type { Rollup } from '../../../model/rollup.ts';
import { groupingOfReferences } from '../../../model/rule-facts.ts';
import { alarmExpressionPlace } from '../../../model/rule-order.ts';
import { type StateReader, StateWriter } from '../../state-bytes.ts';
import type { Condition, ConditionContext, Explanation } from '../condition.ts';
import { EVIDENCE_MAX } from '../turn.ts';
import { type IndexedRule, LevelStates } from './levels.ts';
import { readValue, writeValue } from './value-bytes.ts';

/**
 * Any expression over the newest readings of a device, the last results of windows, other rules and the device's tags. It is judged when
 * something that it names has changed: once for all readings of a message that have the same ts, so that values that belong together
 * are seen together. What is unknown (docs/expressions.md) changes nothing. `forMs` is event time: the newest ts of the device.
 *
 * A rule that looks at windows of groups is judged for groups instead, each under the device that stands for it, with each result
 * of its windows; its event time is the end of the newest of them.
 */
export class ExpressionConditions implements Condition {
  readonly #context: ConditionContext;
  readonly #rules: readonly Compiled[];
  readonly #levels: LevelStates;
  readonly #units: Unit[] = [];
  /** By the device that stands for it. */
  readonly #groups = new Map<number, Group>();
  /** By device its units; by series the places that its readings go to. */
  readonly #ofDevice = new Map<number, Unit[]>();
  readonly #ofSeries: Input[][] = [];

  constructor(rules: readonly IndexedRule[], context: ConditionContext) {
    this.#context = context;
    this.#rules = rules.map(({ rule, index }) => compile(rule as ExpressionRule, index, context));
    this.#levels = new LevelStates(rules, context.place, context.onTurn, (number) => {
      const unit = this.#units[number];
      const watermarkMs = this.#rules[unit.r].grouping === '' ? context.time.newest(unit.device) : this.#nowMs(unit);
      return { device: unit.device, metric: '', watermarkMs, evidence: this.#evidence(unit) };
    });
  }

  /** Whether any rule looks at results of windows. */
  get wantsRollups(): boolean {
    return this.#rules.some(({ references }) => references.some(({ kind }) => kind === 'rollup'));
  }

  seriesAdded(series: number): void {
    const { series: dictionary } = this.#context;
    const device = dictionary.deviceOf(series);
    const group = this.#groups.get(device);
    if (group === undefined ? !this.#ofDevice.has(device) : !group.isDevice) {
      if (group !== undefined) group.isDevice = true;
      this.#addUnits(device, '');
    }
    const metric = dictionary.metric(series);
    this.#ofSeries[series] = (this.#ofDevice.get(device) ?? []).flatMap((unit) =>
      this.#rules[unit.r].references.flatMap((reference, at) =>
        reference.kind === 'newest' && reference.metric === metric ? [{ unit, at }] : [],
      ),
    );
  }

  #groupAdded(device: number, grouping: string, value: string): void {
    if (this.#groups.has(device)) return;
    this.#groups.set(device, { grouping, value, isDevice: this.#ofDevice.has(device) });
    this.#addUnits(device, grouping);
  }

  /** Those of the rules over devices, or over groups of a kind. */
  #addUnits(device: number, grouping: string): void {
    const name = this.#context.series.devices.name(device);
    const units = this.#ofDevice.get(device) ?? [];
    this.#rules.forEach(({ matches, references, grouping: over }, r) => {
      if (over !== grouping || !matches(name)) return;
      const first = this.#levels.add(r, () => null);
      const unit = { number: this.#units.length, r, device, first, inputs: references.map(() => emptyInput()) };
      this.#units.push(unit);
      units.push(unit);
      this.#context.touch(this.#rules[r].index, device);
    });
    this.#ofDevice.set(device, units);
  }

  push(series: number, _device: number, tsMs: number, value: number): void {
    const inputs = this.#ofSeries[series];
    for (let i = 0; i < inputs.length; i++) this.#set(inputs[i], tsMs, value);
  }

  text(series: number, _device: number, tsMs: number, text: string): void {
    const inputs = this.#ofSeries[series];
    for (let i = 0; i < inputs.length; i++) this.#set(inputs[i], tsMs, text);
  }

  #set({ unit, at }: Input, tsMs: number, value: Value): void {
    const input = unit.inputs[at];
    if (tsMs < input.tsMs) return;
    const { offset, index } = this.#context.place;
    input.value = value;
    input.tsMs = tsMs;
    input.offset = offset;
    input.index = index;
    this.#context.touch(this.#rules[unit.r].index, unit.device);
  }

  rollup(device: number, rollup: Rollup): void {
    const ofGroup = rollup.grouping !== undefined && rollup.grouping !== '';
    if (ofGroup) this.#groupAdded(device, rollup.grouping as string, rollup.device);
    for (const unit of this.#ofDevice.get(device) ?? []) {
      this.#rules[unit.r].references.forEach((reference, at) => {
        if (reference.kind !== 'rollup') return;
        if (reference.window !== rollup.window || reference.metric !== rollup.metric) return;
        const input = unit.inputs[at];
        // A correction of an earlier window is not the last result.
        if (rollup.endMs < input.tsMs) return;
        if (ofGroup) {
          // Results of groups may come again.
          if (rollup.endMs === input.tsMs && rollup.revision <= input.index) return;
          input.index = rollup.revision;
        }
        input.value = fieldOf(rollup, reference.field);
        input.tsMs = rollup.endMs;
        this.#context.touch(this.#rules[unit.r].index, device);
      });
    }
  }

  /** What is pending is looked at with each message, for event time has gone on. */
  messageEnd(device: number): void {
    for (const unit of this.#ofDevice.get(device) ?? []) {
      if (this.#levels.due(unit.first) !== Number.POSITIVE_INFINITY) {
        this.#context.touch(this.#rules[unit.r].index, device);
      }
    }
  }

  deviceChanged(device: number): void {
    for (const unit of this.#ofDevice.get(device) ?? []) this.#context.touch(this.#rules[unit.r].index, device);
  }

  settle(r: number, device: number): void {
    const unit = this.#ofDevice.get(device)?.find((one) => one.r === r);
    if (unit === undefined) return;
    const result = this.#evaluate(unit);
    if (result === null) return;
    this.#levels.judge(unit.first, unit.number, this.#nowMs(unit), result);
  }

  #nowMs({ r, device, inputs }: Unit): number {
    if (this.#rules[r].grouping !== '') return inputs.reduce((newest, { tsMs }) => Math.max(newest, tsMs), 0);
    const newest = this.#context.time.newest(device);
    return newest < 0 ? this.#context.place.clockMs : newest;
  }

  #evaluate(unit: Unit): number | null {
    const { when, whenInputs, clearWhen, clearInputs, rule } = this.#rules[unit.r];
    if (clearWhen !== null && this.#levels.isActive(unit.first)) {
      const over = clearWhen.evaluate(clearInputs.map((at) => this.#valueOf(unit, at)));
      if (over === null) return null;
      // Whatever goes beyond no level.
      return over === true
        ? rule.above !== null
          ? -Number.MAX_VALUE
          : rule.below !== null
            ? Number.MAX_VALUE
            : 0
        : null;
    }
    const result = when.evaluate(whenInputs.map((at) => this.#valueOf(unit, at)));
    return typeof result === 'boolean' ? Number(result) : typeof result === 'number' ? result : null;
  }

  #valueOf(unit: Unit, at: number): Value | null {
    const reference = this.#rules[unit.r].references[at];
    const { facts, series, holds } = this.#context;
    switch (reference.kind) {
      case 'alarm':
        return holds(reference.rule, unit.device);
      case 'device':
        return reference.field === 'id'
          ? series.devices.name(unit.device)
          : facts.groupOf(unit.device, { kind: reference.field });
      case 'tag':
        return facts.groupOf(unit.device, reference);
      default:
        return unit.inputs[at].value;
    }
  }

  #evidence(unit: Unit): Evidence[] {
    const { partition } = this.#context.place;
    return this.#rules[unit.r].references
      .flatMap((reference, at): Evidence[] => {
        if (reference.kind === 'alarm') return [...this.#context.evidenceOf(reference.rule, unit.device)];
        const { value, tsMs, offset, index } = unit.inputs[at];
        if (reference.kind !== 'newest' || value === null) return [];
        const number = typeof value === 'number' ? value : Number.NaN;
        return [{ partition, offset, index, metric: reference.metric, value: number, tsMs }];
      })
      .slice(-EVIDENCE_MAX);
  }

  explain(device: number): Explanation[] {
    return (this.#ofDevice.get(device) ?? []).map((unit) => {
      const { rule, references } = this.#rules[unit.r];
      const known = references.map(
        (reference, at) => `${nameOf(reference)} = ${JSON.stringify(this.#valueOf(unit, at))}`,
      );
      return {
        rule: rule.name,
        kind: 'expression',
        metric: '',
        lastMs: this.#rules[unit.r].grouping === '' ? this.#context.time.newest(device) : this.#nowMs(unit),
        value: this.#evaluate(unit),
        levels: this.#levels.explain(unit.first),
        note: `${rule.when}; ${known.join(', ')}`,
      };
    });
  }

  /** Devices that stand for groups. */
  needed(): Iterable<number> {
    return this.#groups.keys();
  }

  siteOfGroup(device: number): string | null {
    const group = this.#groups.get(device);
    return group?.grouping === 'site' ? group.value : null;
  }

  /**
   *     groups   count, then of each: device, grouping, value
   *     units    count, then of each: key of the rule, device, and a part: levels, and of each input its value, ts + 1, offset, index
   */
  save(out: StateWriter): void {
    out.varint(this.#groups.size);
    for (const [device, { grouping, value }] of this.#groups) {
      out.varint(out.devices.number(device));
      out.text(grouping);
      out.text(value);
    }
    const kept = this.#units.filter(({ device }) => out.devices.has(device));
    const units = kept.sort((a, b) => a.device - b.device || a.r - b.r);
    out.varint(units.length);
    for (const { r, device, first, inputs } of units) {
      out.text(this.#levels.rules[r].key);
      out.varint(out.devices.number(device));
      const part = new StateWriter();
      this.#levels.saveUnit(first, part);
      for (const { value, tsMs, offset, index } of inputs) {
        writeValue(part, value);
        part.varint(tsMs + 1);
        part.varint(offset);
        part.varint(index);
      }
      out.part(part);
    }
  }

  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) {
      const device = from.below(this.#context.series.devices.count, 'a group');
      this.#groupAdded(device, from.text(), from.text());
    }
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      const device = from.below(this.#context.series.devices.count, 'a device');
      const part = from.part();
      const unit = this.#ofDevice.get(device)?.find(({ r }) => this.#levels.rules[r].key === key);
      if (unit === undefined) continue;
      this.#levels.restoreUnit(unit.first, this.#levels.count(unit.first), part);
      for (const input of unit.inputs) {
        input.value = readValue(part);
        input.tsMs = part.varint() - 1;
        input.offset = part.varint();
        input.index = part.varint();
      }
      part.end();
    }
  }
}

interface Compiled {
  rule: ExpressionRule;
  index: number;
  matches: (device: string) => boolean;
  /** Of both expressions, each once. */
  references: readonly Reference[];
  when: Expression;
  whenInputs: readonly number[];
  clearWhen: Expression | null;
  clearInputs: readonly number[];
  /** What it is over: site, tag:line and so on; empty for devices. */
  grouping: string;
}

interface Group {
  grouping: string;
  value: string;
  /** Whether a device has this name of itself. */
  isDevice: boolean;
}

interface Unit {
  number: number;
  r: number;
  device: number;
  first: number;
  /** By reference. */
  inputs: InputState[];
}

interface Input {
  unit: Unit;
  at: number;
}

interface InputState {
  value: Value | null;
  /** Of the reading, or the end of the window; −1 before there was any. */
  tsMs: number;
  offset: number;
  /** Of the message; for a result of a group its revision. */
  index: number;
}

function emptyInput(): InputState {
  return { value: null, tsMs: -1, offset: 0, index: 0 };
}

function compile(rule: ExpressionRule, index: number, { groupWindows }: ConditionContext): Compiled {
  const place = alarmExpressionPlace(rule.above !== null || rule.below !== null);
  const when = compileExpression(rule.when, place);
  const clearWhen = rule.clearWhen === '' ? null : compileExpression(rule.clearWhen, alarmExpressionPlace(false));
  const references: Reference[] = [];
  const known = new Map<string, number>();
  const inputsOf = (expression: Expression | null): number[] =>
    (expression?.references ?? []).map((reference) => {
      const key = JSON.stringify(reference);
      const at = known.get(key) ?? references.push(reference) - 1;
      known.set(key, at);
      return at;
    });
  const whenInputs = inputsOf(when);
  const clearInputs = inputsOf(clearWhen);
  const grouping = groupingOfReferences(references, (window) => groupWindows.get(window)?.grouping);
  return {
    rule,
    index,
    matches: matcher(rule.devices),
    references,
    when,
    whenInputs,
    clearWhen,
    clearInputs,
    grouping,
  };
}

function fieldOf(rollup: Rollup, field: string): number | null {
  switch (field) {
    case 'count':
    case 'sum':
    case 'min':
    case 'max':
    case 'avg':
    case 'first':
    case 'last':
      return rollup[field];
    default:
      return rollup.extra?.get(field) ?? null;
  }
}

function nameOf(reference: Reference): string {
  switch (reference.kind) {
    case 'newest':
      return reference.metric;
    case 'rollup':
      return `${reference.window} ${reference.metric} ${reference.field}`;
    case 'alarm':
      return `alarm ${reference.rule}`;
    case 'tag':
      return `tag ${reference.tag}`;
    case 'device':
      return reference.field;
    default:
      return reference.kind;
  }
}
