import type { AlarmRule } from './alarm.ts';
import { lifeSettingsOf } from './alarm-life.ts';

/** Whether any rule needs to know of other partitions. */
export function needsFacts(rules: readonly AlarmRule[]): boolean {
  return rules.some((rule) => {
    const { inhibitedBy, group } = lifeSettingsOf(rule);
    return inhibitedBy.length > 0 || group !== null || (rule.kind === 'silence' && rule.by !== null);
  });
}
