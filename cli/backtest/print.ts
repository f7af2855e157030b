import type { Backtest } from './backtest.ts';
import type { Change, RuleDifference } from './difference.ts';

const DEVICES_MAX = 10;

/** The difference as people read it: a table by rule, then for each rule that differs its devices. */
export function printBacktest(result: Backtest, options: { changes: boolean }): string {
  const { span, input, difference, seconds } = result;
  const lines = [
    `Rules of ${result.candidateName} beside ${result.deployedName}, ${time(span.fromMs)} to ${time(span.toMs)}`,
    '',
    ...table(difference.rules),
  ];
  for (const rule of difference.rules) lines.push(...devicesOf(rule));
  if (options.changes) lines.push(...changesOf(difference.changes));
  const sums = difference.rules.reduce(
    (sum, r) => ({ d: sum.d + r.deployedNotifications, c: sum.c + r.candidateNotifications }),
    { d: 0, c: 0 },
  );
  lines.push('', `Notifications: ${count(sums.d)} → ${count(sums.c)} (${signed(sums.c - sums.d)})`);
  const rate = count(Math.round(input.readings / seconds));
  lines.push(
    `Read ${count(input.messages)} messages, ${count(input.readings)} readings from the ${input.source} in ${seconds.toFixed(1)} s: ${rate} readings/s through both sets of rules`,
  );
  for (const note of result.notes) lines.push(`Note: ${note}`);
  return lines.join('\n');
}

const COLUMNS = ['rule', 'alarms', '', 'more', 'fewer', 'longer', 'shorter', 'time in alarm', '', 'notifications', ''];

function table(rules: readonly RuleDifference[]): string[] {
  const rows = rules.map((r) => [
    r.in === 'both' ? r.rule : `${r.rule} (${r.in === 'deployed' ? 'removed' : 'new'})`,
    count(r.deployed),
    `→ ${count(r.candidate)}`,
    some(r.more),
    some(r.fewer),
    some(r.longer),
    some(r.shorter),
    length(r.deployedMs),
    `→ ${length(r.candidateMs)}`,
    count(r.deployedNotifications),
    `→ ${count(r.candidateNotifications)}`,
  ]);
  if (rows.length === 0) return ['There are no alarm rules on either side.'];
  const widths = COLUMNS.map((name, c) => Math.max(name.length, ...rows.map((row) => row[c].length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, c) =>
        c === 0 || COLUMNS[c] === '' || cells === COLUMNS ? cell.padEnd(widths[c]) : cell.padStart(widths[c]),
      )
      .join('  ')
      .trimEnd();
  return [line(COLUMNS), ...rows.map(line)];
}

function devicesOf(rule: RuleDifference): string[] {
  const differs = rule.devices.filter((d) => d.more + d.fewer + d.longer + d.shorter > 0);
  if (differs.length === 0) return [];
  differs.sort(
    (a, b) =>
      changed(b) - changed(a) || Math.abs(b.candidateMs - b.deployedMs) - Math.abs(a.candidateMs - a.deployedMs),
  );
  const lines = ['', `${rule.rule}: ${differs.length} of ${rule.devices.length} devices with alarms differ`];
  const width = Math.max(...differs.slice(0, DEVICES_MAX).map((d) => d.device.length));
  for (const d of differs.slice(0, DEVICES_MAX)) {
    const words = [
      d.more > 0 ? `${d.more} more` : '',
      d.fewer > 0 ? `${d.fewer} fewer` : '',
      d.longer > 0 ? `${d.longer} longer` : '',
      d.shorter > 0 ? `${d.shorter} shorter` : '',
    ].filter((word) => word !== '');
    const alarms = `${count(d.deployed)} → ${count(d.candidate)}`;
    lines.push(
      `  ${d.device.padEnd(width)}  ${alarms}: ${words.join(', ')} (${length(d.deployedMs)} → ${length(d.candidateMs)})`,
    );
  }
  if (differs.length > DEVICES_MAX) lines.push(`  … and ${differs.length - DEVICES_MAX} more (--json lists them)`);
  return lines;
}

function changesOf(changes: readonly Change[]): string[] {
  const lines = ['', 'Each change:'];
  for (const { kind, rule, device, deployed, candidate } of changes) {
    const was = deployed === null ? '' : `${time(deployed.raisedMs)} to ${end(deployed.clearedMs)}`;
    const is = candidate === null ? '' : `${time(candidate.raisedMs)} to ${end(candidate.clearedMs)}`;
    lines.push(`  ${kind.padEnd(7)}  ${rule}  ${device}  ${[was, is].filter((text) => text !== '').join('  →  ')}`);
  }
  return lines;
}

function changed(d: { more: number; fewer: number; longer: number; shorter: number }): number {
  return d.more + d.fewer + d.longer + d.shorter;
}

const time = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
const end = (ms: number | null): string => (ms === null ? 'now' : time(ms));
const count = (n: number): string => n.toLocaleString('en-US');
const some = (n: number): string => (n === 0 ? '–' : count(n));
const signed = (n: number): string => (n > 0 ? `+${count(n)}` : count(n));

/** A length of time in its two largest units. */
function length(ms: number): string {
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}
