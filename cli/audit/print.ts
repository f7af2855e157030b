import type { Audit } from './balance.ts';

const number = new Intl.NumberFormat('en-US');
const count = (n: number): string => number.format(n);
const moment = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')}Z`;

const LINES_MAX = 20;

/** The audit as text: the balance, what is off and where, and what stands beside it. */
export function printAudit(audit: Audit): string {
  const { totals: t } = audit;
  const of = audit.device === '' ? '' : `, device ${audit.device}`;
  const lines = [`Ledger of ${moment(audit.fromMs)} to ${moment(audit.toMs)}${of}`, ''];
  const row = (label: string, n: number, note = ''): void => {
    lines.push(`  ${label.padEnd(26)}${count(n).padStart(16)}${note === '' ? '' : `   ${note}`}`);
  };
  row('messages received', t.received, t.unclaimed > 0 ? 'by the count of the doors' : '');
  row('  acknowledged', t.acknowledged);
  row('  on the log', t.logged, t.missing > 0 ? `${count(t.missing)} MISSING` : '');
  row('  decoded', t.decoded);
  row(
    '  quarantined',
    t.quarantined,
    t.rowsQuarantine === t.quarantined ? '' : `${count(t.rowsQuarantine)} in the table`,
  );
  if (t.failed > 0) row('  not acknowledged', t.failed, 'the log did not take them; devices send them again');
  if (t.unclaimed > 0)
    row('  claimed by no door', t.unclaimed, "a door's last seconds before a crash, or another producer's");
  lines.push('');
  row('readings decoded', t.readings);
  row(
    '  stored',
    t.rowsReadings,
    t.rowsReadings === t.stored - t.replaced ? '' : `${count(t.stored - t.replaced)} were given`,
  );
  row(
    '  duplicates',
    t.duplicates + t.replaced,
    t.replaced > 0 ? `${count(t.replaced)} of them told by the table's key` : '',
  );
  row('  late', t.late, t.late > 0 ? 'stored; too late for a window' : '');
  lines.push('', ...verdict(audit), ...gaps(audit), ...notes(audit));
  return lines.join('\n');
}

function verdict({ balanced, findings, notNarrowed, totals: t }: Audit): string[] {
  if (balanced) {
    const stored = `${count(t.decoded)} decoded and stored`;
    return [`It balances: ${count(t.acknowledged)} acknowledged = ${stored} + ${count(t.quarantined)} quarantined.`];
  }
  const lines = [`IT DOES NOT BALANCE: ${findings.length} finding${findings.length === 1 ? '' : 's'}.`];
  for (const f of findings.slice(0, LINES_MAX)) {
    const range =
      f.offsetNext - f.offsetFirst <= 1 ? `offset ${f.offsetFirst}` : `offsets ${f.offsetFirst} to ${f.offsetNext - 1}`;
    const device = f.device === '' ? 'no device' : `device ${f.device}`;
    lines.push(`  ${f.hop}: partition ${f.partition}, ${range}, ${device}, minute ${moment(f.minuteMs)}`);
    lines.push(`      ${count(f.expected)} expected, ${count(f.found)} found${f.detail === '' ? '' : `; ${f.detail}`}`);
  }
  if (findings.length > LINES_MAX) lines.push(`  … and ${findings.length - LINES_MAX} more (--json lists them)`);
  if (notNarrowed > 0)
    lines.push(`  ${notNarrowed} more minutes of partitions are off and were not looked into; narrow --from and --to.`);
  return lines;
}

function gaps({ gaps: all }: Audit): string[] {
  if (all.length === 0) return [];
  const lines = ['', 'Numbers that devices left out (lost before the door, or never sent):'];
  for (const { device, seen, missing, restarts } of all) {
    const restarted = restarts > 0 ? `, began anew ${count(restarts)} time${restarts === 1 ? '' : 's'}` : '';
    lines.push(`  ${device}: ${count(missing)} missing of ${count(seen + missing)}${restarted}`);
  }
  return lines;
}

function notes({ underWay, recounted, logRead }: Audit): string[] {
  const lines: string[] = [];
  const frames = underWay.reduce((sum, u) => sum + (u.logNext === null ? 0 : Math.max(0, u.logNext - u.countedTo)), 0);
  if (frames > 0)
    lines.push('', `Under way, and no part of the balance: ${count(frames)} frames that are not counted yet.`);
  if (recounted > 0)
    lines.push(
      '',
      `Not judged: ${count(recounted)} devices in a minute that was counted twice, since a checkpoint was lost.`,
    );
  if (logRead !== null) lines.push('', `Read from the log again: ${count(logRead)} messages.`);
  return lines;
}
