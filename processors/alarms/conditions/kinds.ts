import type { DeviationRule, RateRule, RepeatRule, RuleKind } from '../../../model/alarm.ts';
import type { Condition, ConditionContext } from '../condition.ts';
import { ClockConditions } from './clock.ts';
import { CombinationConditions } from './combination.ts';
import { DeviationMeasure } from './deviation.ts';
import { ExpressionConditions } from './expression.ts';
import type { IndexedRule } from './levels.ts';
import { MeasuredConditions } from './measured.ts';
import { RateMeasure } from './rate.ts';
import { RepeatMeasure } from './repeat.ts';
import { SilenceConditions } from './silence.ts';

type Open = (rules: readonly IndexedRule[], context: ConditionContext) => Condition;

/** Kinds of conditions besides thresholds, in the order in which they look at a reading. A new kind is one file and one row. */
export const KINDS: ReadonlyMap<Exclude<RuleKind, 'threshold'>, Open> = new Map<Exclude<RuleKind, 'threshold'>, Open>([
  ['rate', (rules, context) => new MeasuredConditions<RateRule>(rules, context, (rule) => new RateMeasure(rule))],
  [
    'repeat',
    (rules, context) =>
      new MeasuredConditions<RepeatRule>(rules, context, (rule, device) => new RepeatMeasure(rule, device, context)),
  ],
  [
    'deviation',
    (rules, context) => new MeasuredConditions<DeviationRule>(rules, context, (rule) => new DeviationMeasure(rule)),
  ],
  ['silence', (rules, context) => new SilenceConditions(rules, context)],
  ['clock', (rules, context) => new ClockConditions(rules, context)],
  ['expression', (rules, context) => new ExpressionConditions(rules, context)],
  ['combination', (rules, context) => new CombinationConditions(rules, context)],
]);
