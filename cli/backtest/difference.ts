import type { AlarmHistory, AlarmSpan } from './alarm-history.ts';

/** What one set of rules does beside another, for a rule or a device. */
export interface Tally {
  /** Alarms, and the time that they lasted inside the span. */
  deployed: number;
  candidate: number;
  deployedMs: number;
  candidateMs: number;
  /** Of the candidate's alarms those that have no counterpart, and the other way round. */
  more: number;
  fewer: number;
  longer: number;
  shorter: number;
  same: number;
}

export interface RuleDifference extends Tally {
  rule: string;
  /** In which of the sets it is. */
  in: 'both' | 'deployed' | 'candidate';
  deployedNotifications: number;
  candidateNotifications: number;
  devices: DeviceDifference[];
}

export interface DeviceDifference extends Tally {
  device: string;
}

/** Two alarms of one rule and device that were raised at the same time, or overlap, count as the same one; null on one side where there is none. */
export interface Change {
  kind: 'more' | 'fewer' | 'longer' | 'shorter';
  rule: string;
  device: string;
  deployed: AlarmSpan | null;
  candidate: AlarmSpan | null;
}

export interface Difference {
  rules: RuleDifference[];
  changes: Change[];
}

interface Span {
  fromMs: number;
  toMs: number;
}

export function difference(
  deployed: { history: AlarmHistory; rules: readonly string[] },
  candidate: { history: AlarmHistory; rules: readonly string[] },
  span: Span,
): Difference {
  const before = grouped(deployed.history.alarms());
  const after = grouped(candidate.history.alarms());
  const changes: Change[] = [];
  const names = new Set([...deployed.rules, ...candidate.rules, ...before.keys(), ...after.keys()]);
  const rules = [...names].map((rule): RuleDifference => {
    const was = before.get(rule) ?? new Map<string, AlarmSpan[]>();
    const is = after.get(rule) ?? new Map<string, AlarmSpan[]>();
    const devices = [...new Set([...was.keys(), ...is.keys()])].sort().map((device) => {
      const tally = { ...noTally(), device };
      compare(was.get(device) ?? [], is.get(device) ?? [], span, tally, (kind, d, c) =>
        changes.push({ kind, rule, device, deployed: d, candidate: c }),
      );
      return tally;
    });
    const total = noTally();
    for (const device of devices) for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += device[key];
    const inDeployed = deployed.rules.includes(rule);
    return {
      rule,
      in: inDeployed && candidate.rules.includes(rule) ? 'both' : inDeployed ? 'deployed' : 'candidate',
      ...total,
      deployedNotifications: deployed.history.notifications.get(rule) ?? 0,
      candidateNotifications: candidate.history.notifications.get(rule) ?? 0,
      devices,
    };
  });
  return { rules, changes };
}

function noTally(): Tally {
  return {
    deployed: 0,
    candidate: 0,
    deployedMs: 0,
    candidateMs: 0,
    more: 0,
    fewer: 0,
    longer: 0,
    shorter: 0,
    same: 0,
  };
}

function grouped(alarms: readonly AlarmSpan[]): Map<string, Map<string, AlarmSpan[]>> {
  const rules = new Map<string, Map<string, AlarmSpan[]>>();
  for (const alarm of alarms) {
    const devices = rules.get(alarm.rule) ?? new Map<string, AlarmSpan[]>();
    rules.set(alarm.rule, devices);
    const list = devices.get(alarm.device);
    if (list === undefined) devices.set(alarm.device, [alarm]);
    else list.push(alarm);
  }
  return rules;
}

type OnChange = (kind: Change['kind'], deployed: AlarmSpan | null, candidate: AlarmSpan | null) => void;

/** Both lists are in order of time, and alarms of one list do not overlap: two hands go along them. */
function compare(
  was: readonly AlarmSpan[],
  is: readonly AlarmSpan[],
  span: Span,
  tally: Tally,
  onChange: OnChange,
): void {
  const lengthMs = (alarm: AlarmSpan): number =>
    Math.max(0, Math.min(alarm.clearedMs ?? span.toMs, span.toMs) - Math.max(alarm.raisedMs, span.fromMs));
  const endMs = (alarm: AlarmSpan): number => alarm.clearedMs ?? Number.POSITIVE_INFINITY;
  tally.deployed += was.length;
  tally.candidate += is.length;
  for (const alarm of was) tally.deployedMs += lengthMs(alarm);
  for (const alarm of is) tally.candidateMs += lengthMs(alarm);
  let w = 0;
  let i = 0;
  while (w < was.length || i < is.length) {
    const d = was[w] ?? null;
    const c = is[i] ?? null;
    if (d !== null && (c === null || (endMs(d) < c.raisedMs && d.raisedMs !== c.raisedMs))) {
      tally.fewer++;
      onChange('fewer', d, null);
      w++;
    } else if (c !== null && (d === null || (endMs(c) < d.raisedMs && d.raisedMs !== c.raisedMs))) {
      tally.more++;
      onChange('more', null, c);
      i++;
    } else if (d !== null && c !== null) {
      const byMs = lengthMs(c) - lengthMs(d);
      const kind = byMs > 0 ? 'longer' : byMs < 0 ? 'shorter' : 'same';
      tally[kind]++;
      if (kind !== 'same') onChange(kind, d, c);
      w++;
      i++;
    }
  }
}
