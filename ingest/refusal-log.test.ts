import { expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { Lines } from './door.fixture.ts';
import { RefusalLog } from './refusal-log.ts';

it('a flood of refusals is a few lines a second and a count of the others', () => {
  const clock = new ManualClock(0);
  const lines = new Lines();
  const log = new RefusalLog(lines, clock);
  for (let i = 0; i < 1000; i++) log.say('connection closed', { i });
  expect(lines.lines).toHaveLength(20);
  clock.advance(1000);
  log.say('connection closed', { i: 'next' });
  log.say('connection closed', { i: 'after' });
  expect(lines.lines.slice(20)).toEqual([
    'warn connection closed {"i":"next","linesOmitted":980}',
    'warn connection closed {"i":"after"}',
  ]);
});
