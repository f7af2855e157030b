import { SEVERITIES } from '../model/alarm.ts';
import type { Path } from './problem.ts';
import { clip } from './quantity.ts';
import type { Relation } from './relations.ts';
import type { DraftConfig } from './schema.ts';

/** Relations of what becomes of alarms, and of maintenance. */
export function alarmLifeRelations({ alarms, maintenance }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const add = (path: Path, what: string, remedy: string, uses: Path[] = []): void => {
    found.push({ path, of: 'value', what, remedy, uses });
  };
  const rules = new Set(alarms.map((alarm) => alarm.name));
  for (const [i, alarm] of alarms.entries()) {
    for (const [n, name] of (alarm.inhibitedBy ?? []).entries()) {
      const path: Path = ['alarms', i, 'inhibitedBy', n];
      if (name === alarm.name) add(path, 'a rule cannot inhibit itself', 'name another rule, or remove it');
      else if (!rules.has(name)) {
        add(path, `there is no alarm rule "${clip(name)}"`, `write one of ${clip([...rules].join(', '))}`);
      }
    }
    const { escalate } = alarm;
    if (escalate && SEVERITIES.indexOf(escalate.severity) <= SEVERITIES.indexOf(alarm.severity)) {
      add(
        ['alarms', i, 'escalate', 'severity'],
        `${escalate.severity} is not worse than the severity of the rule, ${alarm.severity}`,
        'write a graver one, or remove `escalate`',
        [['alarms', i, 'severity']],
      );
    }
  }
  const names = new Set<string>();
  for (const [i, { name, fromMs, untilMs, rules: of }] of maintenance.entries()) {
    if (names.has(name)) {
      add(['maintenance', i, 'name'], `"${clip(name)}" is given to two times of maintenance`, 'choose another name');
    }
    names.add(name);
    if (untilMs <= fromMs) {
      add(['maintenance', i, 'until'], 'it ends before it begins', 'write a later time', [['maintenance', i, 'from']]);
    }
    for (const [n, rule] of of.entries()) {
      if (rule.includes('*') || rules.has(rule)) continue;
      add(['maintenance', i, 'rules', n], `there is no alarm rule "${clip(rule)}"`, 'write the name of a rule');
    }
  }
  return found;
}
