import { expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { Lines } from './door.fixture.ts';
import { RefusalLog, reasonOf } from './refusal-log.ts';

it('a flood of one reason is one line a second with a count of the others', () => {
  const clock = new ManualClock(0);
  const lines = new Lines();
  const log = new RefusalLog(lines, clock);
  for (let i = 0; i < 1000; i++) log.say('connection closed', { reason: `packet of ${i} bytes` });
  log.say('connection closed', { reason: 'no CONNECT in time' });
  expect(lines.lines).toEqual([
    'warn connection closed {"reason":"packet of 0 bytes"}',
    'warn connection closed {"reason":"no CONNECT in time"}',
  ]);
  clock.advance(1000);
  log.say('connection closed', { reason: 'packet of 7 bytes' });
  expect(lines.lines.slice(2)).toEqual(['warn connection closed {"reason":"packet of 7 bytes","suppressed":999}']);
  expect(log.counts().refusals).toEqual({ 'packet of N bytes': 1001, 'no CONNECT in time': 1 });
});

it('a flood of ever different reasons is bounded in lines and in memory', () => {
  const clock = new ManualClock(0);
  const lines = new Lines();
  const log = new RefusalLog(lines, clock);
  for (let i = 0; i < 5000; i++)
    log.say('client refused', { reason: `reason ${'abcdefghij'[i % 10]}${'x'.repeat(i % 70)}` });
  expect(lines.lines).toHaveLength(20);
  const { refusals, authFailures } = log.counts();
  expect(Object.keys(refusals).length).toBeLessThanOrEqual(49);
  expect(Object.values(refusals).reduce((a, b) => a + b, 0)).toBe(5000);
  expect(authFailures).toBe(5000);
});

it('takes what a client chose out of a reason', () => {
  expect(reasonOf('user "admin\nx" is unknown')).toBe('user … is unknown');
  expect(reasonOf('20000 connections; see limits.connectionsMax')).toBe('N connections');
  expect(reasonOf('the log did not take its messages: LOG_FULL: …')).toBe('the log did not take its messages');
  expect(reasonOf('')).toBe('other');
});
