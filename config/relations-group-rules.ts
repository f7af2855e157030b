import type { AlarmRule, ExpressionRule } from '../model/alarm.ts';
import { expressionFault, type Reference } from '../model/expressions/expression.ts';
import { groupingOfReferences, groupWindowsOf } from '../model/rule-facts.ts';
import { alarmExpressionPlace, dependenciesOf, referencesOf } from '../model/rule-order.ts';
import { clip } from './quantity.ts';
import type { Add } from './relations-alarms.ts';
import type { DraftConfig } from './schema.ts';

/** A rule that looks at windows of groups is judged for groups, and knows nothing of single devices. */
export function groupRelations(alarm: AlarmRule, { alarms, windows }: DraftConfig, add: Add): void {
  if (alarm.kind === 'expression' && isFaulty(alarm)) return;
  const groups = groupWindowsOf(windows);
  const over = (rule: AlarmRule): string =>
    rule.kind === 'expression' && !isFaulty(rule)
      ? groupingOfReferences(referencesOf(rule), (window) => groups.get(window))
      : '';
  const key = alarm.kind === 'expression' ? 'when' : [];
  const grouping = over(alarm);
  if (grouping !== '') {
    const references = referencesOf(alarm);
    const other = references.find((one) => one.kind === 'rollup' && (groups.get(one.window) ?? '') !== grouping);
    if (other?.kind === 'rollup') {
      const of = groups.get(other.window) ?? 'devices';
      const what = `its windows are over ${grouping}, and "${clip(other.window)}" over ${of}`;
      add(key, what, 'let one rule look at windows that are over the same');
    }
    if (references.some(isOfDevice)) {
      const what = `it is judged for each ${grouping}, which has no readings, tags or site of its own`;
      add(key, what, 'name windows of groups, device.id, and rules over the same groups');
    }
  }
  for (const name of dependenciesOf(alarm)) {
    const other = alarms.find((rule) => rule.name === name);
    if (other === undefined || over(other) === grouping) continue;
    const what = `it is judged for each ${grouping || 'device'}, and "${clip(name)}" for each ${over(other) || 'device'}`;
    add(key, what, 'let a rule look at rules that are over the same', [['all'], ['any']]);
  }
}

function isOfDevice(reference: Reference): boolean {
  const { kind } = reference;
  return kind === 'newest' || kind === 'tag' || (kind === 'device' && reference.field !== 'id');
}

/** Its expressions are refused elsewhere. */
function isFaulty({ when, clearWhen }: ExpressionRule): boolean {
  const place = alarmExpressionPlace(true);
  return when === '' || [when, clearWhen].some((text) => text !== '' && expressionFault(text, place) !== null);
}
