import { DERIVED_PLACE } from '../model/derived.ts';
import { compileExpression } from '../model/expressions/expression.ts';
import { clip } from './quantity.ts';
import type { Relation } from './relations.ts';
import { alarmLifeRelations } from './relations-alarm-life.ts';
import { alarmRelations } from './relations-alarms.ts';
import { windowRelations } from './relations-windows.ts';
import type { DraftConfig } from './schema.ts';

/** Relations of windows, alarms and payload rules. */
export function ruleRelations(config: DraftConfig): Relation[] {
  return [
    ...windowRelations(config),
    ...alarmRelations(config),
    ...alarmLifeRelations(config),
    ...derivedRelations(config),
    ...payloadRelations(config),
  ];
}

function derivedRelations({ derived }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const before = new Set<string>();
  const names = new Set(derived.map(({ name }) => name));
  for (const [i, { name, expression }] of derived.entries()) {
    const add = (key: string, what: string, remedy: string): void => {
      found.push({ path: ['derived', i, key], of: 'value', what, remedy, uses: [] });
    };
    if (before.has(name)) add('name', `"${clip(name)}" is given to two derived metrics`, 'choose another name');
    const metrics = compileExpression(expression, DERIVED_PLACE).references.flatMap((r) =>
      r.kind === 'newest' ? [r.metric] : [],
    );
    if (metrics.length === 0)
      add('expression', 'names no metric, so that it is never due', 'name one, as metrics.voltage');
    if (metrics.includes(name)) add('expression', `"${clip(name)}" is computed from itself`, 'choose another name');
    const later = metrics.find((metric) => metric !== name && names.has(metric) && !before.has(metric));
    if (later !== undefined)
      add('expression', `"${clip(later)}" is derived further below`, 'move this entry behind it');
    before.add(name);
  }
  return found;
}

function payloadRelations({ devices }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const seen = new Set<string>();
  for (const [i, rule] of devices.payload.entries()) {
    if (seen.has('*') || seen.has(rule.match)) {
      const by = seen.has(rule.match) ? rule.match : '*';
      found.push({
        path: ['devices', 'payload', i, 'match'],
        of: 'value',
        what: `never reached: an entry above matches "${clip(by)}" already`,
        remedy: by === '*' && rule.match !== '*' ? 'move it above that entry' : 'remove one of them',
        uses: [],
      });
    }
    seen.add(rule.match);
  }
  return found;
}
