import type { RuleKind } from '../../model/alarm.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { Condition } from './condition.ts';
import type { RuleStates } from './rule-states.ts';

/** states of the rules, then the kinds: count, and of each its name and a part */
export function saveConditions(
  out: StateWriter,
  states: RuleStates,
  conditions: ReadonlyMap<RuleKind, Condition>,
): void {
  states.save(out, () => out.inside('states'));
  out.varint(conditions.size);
  for (const [kind, condition] of conditions) {
    out.text(kind);
    const part = out.inside(kind);
    condition.save(part);
    out.part(part);
  }
}

/** Returns whether every rule was there, defined in the same way. Kinds that were not there begin afresh. */
export function restoreConditions(
  from: StateReader,
  states: RuleStates,
  conditions: ReadonlyMap<RuleKind, Condition>,
  devices: number,
): boolean {
  const afresh = new Set(conditions.values());
  const same = states.restore(from, devices);
  for (let left = from.count(); left > 0; left--) {
    const kind = from.text();
    const part = from.part();
    const condition = conditions.get(kind as RuleKind);
    if (condition === undefined) continue;
    condition.restore(part);
    afresh.delete(condition);
    part.end();
  }
  for (const condition of afresh) condition.beginAfresh?.();
  return same;
}
