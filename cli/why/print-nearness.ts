import { formatQuantity } from '../../config/quantity.ts';
import type { NearLevel, Nearness } from './nearness.ts';

export function printNearness(near: Nearness): string {
  const { rule, device, kind, span, conditions, levels, now, raised } = near;
  const lines = [`${rule} (${kind}) on ${device}, ${time(span.fromMs)} to ${time(span.toMs)}`, ''];
  for (const { met, what } of conditions) lines.push(`  ${met ? '✓' : '✗'} ${what}`);
  for (const level of levels) lines.push(...levelOf(level));
  for (const { metric, lastMs, value, levels: states, note, deadlineMs } of now) {
    const states_ = states
      .map(({ severity, phase }) => (states.length > 1 ? `${severity} ${phase}` : phase))
      .join(', ');
    const seen = lastMs === null ? 'nothing was compared yet' : `${value ?? 'no value'} at ${time(lastMs)}`;
    const due = deadlineMs === undefined ? '' : `; due at ${time(deadlineMs)} if nothing changes`;
    lines.push(
      `  at the end: ${metric === '' ? '' : `${metric} `}${seen}; ${states_ === '' ? 'no level' : states_}${due}`,
    );
    if (note !== undefined) lines.push(`    ${note}`);
  }
  lines.push('');
  if (raised.length === 0) lines.push('It raised nothing in this time.');
  else {
    lines.push(
      `It raised ${raised.length} alarm${raised.length === 1 ? '' : 's'} in this time; \`sluice why ID\` tells more:`,
    );
    for (const { id, atMs, suppressed, notified } of raised.slice(0, 10)) {
      const mute = notified ? '' : `, nobody was notified${suppressed === '' ? '' : ` (${suppressed})`}`;
      lines.push(`  ${time(atMs)}  ${id}${mute}`);
    }
    if (raised.length > 10) lines.push(`  … and ${raised.length - 10} more (--json lists them)`);
  }
  return lines.join('\n');
}

function levelOf(level: NearLevel): string[] {
  const { metric, direction, threshold, nearest, longest, pendings, active, forMs, severity } = level;
  const name = `${metric === '' ? 'the value' : metric} ${direction} ${round(threshold)} (${severity})`;
  if (nearest === null) return [`  ✗ ${name}: no number was compared`];
  const sign = direction === 'above' ? 1 : -1;
  const shortBy = (threshold - nearest.value) * sign;
  const extreme = `${direction === 'above' ? 'highest' : 'lowest'} ${round(nearest.value)} at ${time(nearest.atMs)}`;
  if (shortBy >= 0) return [`  ✗ ${name}: never; ${extreme}, ${round(shortBy)} short of it`];
  const lines = [`  ✓ ${name}: ${extreme}`];
  if (forMs === 0) return lines;
  const held = longest === null ? '' : `, the longest ${length(longest.lastedMs)} from ${time(longest.fromMs)}`;
  const often = pendings === 1 ? 'once' : `${pendings} times`;
  lines.push(
    active
      ? `  ✓ for ${length(forMs)}: it was beyond for long enough`
      : `  ✗ for ${length(forMs)}: it was beyond ${often}${held}, which is not long enough`,
  );
  return lines;
}

const round = (value: number): number => Number(value.toPrecision(6));
const time = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
const length = (ms: number): string => formatQuantity(ms, 'duration');
