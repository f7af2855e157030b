import type { AlarmRule } from './alarm.ts';
import { lifeSettingsOf } from './alarm-life.ts';
import type { Reference } from './expressions/expression.ts';
import { groupingOf } from './group-result.ts';
import { referencesOf } from './rule-order.ts';
import type { WindowSpec } from './window.ts';

/** Whether any rule needs to know of other partitions. */
export function needsFacts(rules: readonly AlarmRule[]): boolean {
  return rules.some((rule) => {
    const { inhibitedBy, group } = lifeSettingsOf(rule);
    return inhibitedBy.length > 0 || group !== null || (rule.kind === 'silence' && rule.by !== null);
  });
}

/** What a rule that names these is over, by the windows that it looks at: site, tag:line and so on; empty for a rule over devices. */
export function groupingOfReferences(
  references: readonly Reference[],
  groupingOfWindow: (window: string) => string | undefined,
): string {
  for (const reference of references) {
    const grouping = reference.kind === 'rollup' ? groupingOfWindow(reference.window) : undefined;
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
