import type { AlarmRule } from './alarm.ts';
import { compileExpression, type ExpressionPlace, type Reference } from './expressions/expression.ts';

/** What an alarm's expression may name. Without levels it has to be true or false. */
export function alarmExpressionPlace(levelled: boolean): ExpressionPlace {
  return { allows: ['newest', 'rollup', 'alarm', 'device', 'tag'], gives: levelled ? 'number' : 'boolean' };
}

/** What the expressions of a rule name; nothing for rules of other kinds. Throws for expressions that are none. */
export function referencesOf(rule: AlarmRule): Reference[] {
  if (rule.kind !== 'expression') return [];
  const place = alarmExpressionPlace(true);
  const texts = [rule.when, rule.clearWhen].filter((text) => text !== '');
  return texts.flatMap((text) => compileExpression(text, place).references);
}

/** Names of the rules that a rule looks at, each once. */
export function dependenciesOf(rule: AlarmRule): string[] {
  if (rule.kind === 'combination') return [...new Set(rule.of.map((name) => name.replace(/^!/, '')))];
  return [...new Set(referencesOf(rule).flatMap((reference) => (reference.kind === 'alarm' ? [reference.rule] : [])))];
}

/**
 * Rules in an order in which each comes after those that it looks at, as indexes; or the names of a circle of rules that look
 * at each other. Names that no rule has are passed over.
 */
export function ruleOrder(rules: readonly AlarmRule[]): { order: number[] } | { circle: string[] } {
  const index = new Map(rules.map((rule, i) => [rule.name, i]));
  const order: number[] = [];
  const state = new Uint8Array(rules.length);
  const path: number[] = [];
  let circle: string[] | null = null;
  const visit = (i: number): void => {
    if (circle !== null || state[i] === DONE) return;
    if (state[i] === UNDER_WAY) {
      circle = path.slice(path.indexOf(i)).map((at) => rules[at].name);
      return;
    }
    state[i] = UNDER_WAY;
    path.push(i);
    for (const name of dependenciesOf(rules[i])) {
      const other = index.get(name);
      if (other !== undefined) visit(other);
    }
    path.pop();
    state[i] = DONE;
    order.push(i);
  };
  for (let i = 0; i < rules.length; i++) visit(i);
  return circle === null ? { order } : { circle };
}

const UNDER_WAY = 1;
const DONE = 2;
