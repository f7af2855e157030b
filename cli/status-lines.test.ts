import { expect, it } from 'vitest';
import { statusLine } from './status-lines.ts';

it('says how the pipeline does in one plain line, and what it does not know', () => {
  const known = statusLine(0, {
    rates: { received: 1204.4, decoded: 3612 },
    lagMs: 12,
    counts: { devices: 1, alarmsOpen: 2 },
  });
  expect(known.slice(8)).toBe('  1,204 messages/s  3,612 readings/s  lag 12 ms  1 device  2 open alarms');
  const unknown = statusLine(0, { rates: { received: null, decoded: null }, lagMs: 2500, counts: null });
  expect(unknown.slice(8)).toBe('  ? messages/s  ? readings/s  lag 2.5 s  ? devices  ? open alarms');
});
