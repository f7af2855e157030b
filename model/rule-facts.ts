import type { AlarmRule } from './alarm.ts';
import { lifeSettingsOf } from './alarm-life.ts';
import { compileExpression, type Reference } from './expressions/expression.ts';
import { groupingOf } from './group-result.ts';
import { alarmExpressionPlace } from './rule-order.ts';
import type { WindowSpec } from './window.ts';

/** Whether any rule needs to know of other partitions. */
export function needsFacts(rules: readonly AlarmRule[]): boolean {
  return rules.some((rule) => {
    const { inhibitedBy, group } = lifeSettingsOf(rule);
    return inhibitedBy.length > 0 || group !== null || (rule.kind === 'silence' && rule.by !== null);
  });
}

/** What the expressions of a rule name; nothing for rules of other kinds. Throws INPUT_INVALID for expressions that are none. */
export function referencesOf(rule: AlarmRule): Reference[] {
  if (rule.kind !== 'expression') return [];
  const place = alarmExpressionPlace(true);
  return [rule.when, rule.clearWhen]
    .filter((text) => text !== '')
    .flatMap((text) => compileExpression(text, place).references);
}

/** What a rule is over, by the windows that it looks at: site, tag:line and so on; empty for a rule over devices. */
export function ruleGrouping(rule: AlarmRule, groupWindows: ReadonlyMap<string, string>): string {
  for (const reference of referencesOf(rule)) {
    const grouping = reference.kind === 'rollup' ? groupWindows.get(reference.window) : undefined;
    if (grouping !== undefined) return grouping;
  }
  return '';
}

/** The windows of groups, and what they are grouped by. */
export function groupWindowsOf(windows: readonly Pick<WindowSpec, 'name' | 'by'>[]): Map<string, string> {
  return new Map(windows.filter(({ by }) => by.kind !== 'device').map(({ name, by }) => [name, groupingOf(by)]));
}

/** The windows of groups that rules look at. */
export function judgedGroups(rules: readonly AlarmRule[], windows: readonly WindowSpec[]): Set<string> {
  const groups = groupWindowsOf(windows);
  const named = rules
    .flatMap(referencesOf)
    .flatMap((reference) => (reference.kind === 'rollup' ? [reference.window] : []));
  return new Set(named.filter((window) => groups.has(window)));
}
