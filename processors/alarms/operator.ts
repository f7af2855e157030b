import type { AlarmOperation } from '../../model/operation.ts';
import { type AlarmCase, newCase } from './alarm-case.ts';
import type { CaseTable } from './case-table.ts';
import type { AlarmLife } from './life.ts';
import type { Cause, Emit } from './life-surroundings.ts';

/** Remarks that an alarm keeps; the history has all of them. */
const COMMENTS_MAX = 50;

/**
 * What operators do to alarms: to the one of a rule and device, or, where one of these is left open, to all that are not over. An
 * operation that does not fit the alarm's state does nothing: it was overtaken by another operator or by the alarm itself, and
 * what came first holds.
 */
export function carryOut(
  life: AlarmLife,
  cases: CaseTable,
  of: { rule: number | null; device: number | null },
  operation: AlarmOperation,
  at: Cause,
  emit: Emit,
): void {
  const cause = { ...at, by: operation.by, comment: operation.text };
  const { rule, device } = of;
  if (rule === null || device === null) {
    for (const c of cases.all()) {
      if ((rule !== null && c.rule !== rule) || (device !== null && c.device !== device) || c.record === null) continue;
      if (operation.alarm !== null && c.record.alarm.id !== operation.alarm) continue;
      if (ACTIONS[operation.action](life, c, operation, cause, emit)) life.settle(c);
    }
    return;
  }
  const known = cases.find(device, rule);
  if (operation.alarm !== null && known?.record?.alarm.id !== operation.alarm) return;
  const c = known ?? newCase(rule, device);
  if (!ACTIONS[operation.action](life, c, operation, cause, emit)) return;
  if (known === undefined) cases.add(c);
  life.settle(c);
}

/** Returns whether it did anything. */
type Action = (life: AlarmLife, c: AlarmCase, operation: AlarmOperation, cause: Cause, emit: Emit) => boolean;

const ACTIONS: Record<AlarmOperation['action'], Action> = {
  acknowledge(life, c, operation, cause, emit) {
    const alarm = c.record?.alarm;
    if (!c.record || !alarm || alarm.raises === 0 || alarm.ackedMs !== null) return false;
    alarm.ackedMs = cause.atMs;
    alarm.ackedBy = operation.by;
    remark(c, operation, cause);
    life.tell(c, 'acknowledged', cause, emit);
    if (alarm.latched && life.settings[c.rule].latch === 'acknowledge') life.clear(c, c.record, cause, emit);
    return true;
  },

  comment(life, c, operation, cause, emit) {
    if (c.record === null || operation.text === '') return false;
    remark(c, operation, cause);
    life.tell(c, 'commented', cause, emit);
    return true;
  },

  shelve(life, c, operation, cause, emit) {
    const { untilMs } = operation;
    if (untilMs === null || untilMs <= cause.atMs) return false;
    c.record ??= life.recordOf(c, cause.position, 0, cause.atMs);
    const { alarm } = c.record;
    if (alarm.shelvedUntilMs === untilMs && alarm.shelvedBy === operation.by) return false;
    Object.assign(alarm, { shelvedUntilMs: untilMs, shelvedBy: operation.by });
    remark(c, operation, cause);
    life.reconsider(c, cause, emit, 'shelved');
    return true;
  },

  unshelve(life, c, operation, cause, emit) {
    const alarm = c.record?.alarm;
    if (!alarm || alarm.shelvedUntilMs === null) return false;
    Object.assign(alarm, { shelvedUntilMs: null, shelvedBy: '' });
    remark(c, operation, cause);
    life.reconsider(c, cause, emit, 'unshelved');
    return true;
  },

  reset(life, c, operation, cause, emit) {
    const alarm = c.record?.alarm;
    if (!c.record || !alarm?.latched || c.holds) return false;
    if (alarm.ackedMs === null) Object.assign(alarm, { ackedMs: cause.atMs, ackedBy: operation.by });
    remark(c, operation, cause);
    life.clear(c, c.record, cause, emit);
    return true;
  },

  'out-of-service'(life, c, operation, cause, emit) {
    c.record ??= life.recordOf(c, cause.position, 0, cause.atMs);
    const { alarm } = c.record;
    if (alarm.suppressed === 'out-of-service') return false;
    const before = alarm.suppressed;
    alarm.suppressed = 'out-of-service';
    remark(c, operation, cause);
    life.tell(c, 'out-of-service', cause, emit, before);
    return true;
  },

  'in-service'(life, c, operation, cause, emit) {
    const alarm = c.record?.alarm;
    if (alarm?.suppressed !== 'out-of-service') return false;
    // Looked at afresh: it may still be shelved, or suppressed by design.
    alarm.suppressed = 'in-service';
    remark(c, operation, cause);
    life.reconsider(c, cause, emit, 'in-service');
    return true;
  },
};

function remark(c: AlarmCase, operation: AlarmOperation, { atMs }: Cause): void {
  const alarm = c.record?.alarm;
  if (!alarm || operation.text === '') return;
  alarm.comments = [...alarm.comments, { atMs, by: operation.by, text: operation.text }].slice(-COMMENTS_MAX);
}
