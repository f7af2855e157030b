import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasWildcard, topicMatches } from './topic-match.ts';

/** Section 4.7 in the plainest words. */
function oracle(filter: string[], topic: string[]): boolean {
  if (filter[0] === '#') return true;
  if (filter.length === 0) return topic.length === 0;
  if (topic.length === 0) return false;
  if (filter[0] !== '+' && filter[0] !== topic[0]) return false;
  if (filter.length === 2 && filter[1] === '#') return true;
  return oracle(filter.slice(1), topic.slice(1));
}

const level = fc.constantFrom('', 'a', 'b', 'ab', '$x', 'é');

describe('matching a filter', () => {
  it('is what the specification says, for all shapes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.array(level, { minLength: 1, maxLength: 4 }),
        (levels, rest, topic) => {
          const filter = rest ? [...levels, '#'] : levels;
          const hidden = topic[0].startsWith('$') && (filter[0] === '+' || filter[0] === '#');
          expect(topicMatches(filter.join('/'), topic.join('/'))).toBe(!hidden && oracle(filter, topic));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('knows the examples of the specification', () => {
    const cases: [string, string, boolean][] = [
      ['sport/tennis/player1/#', 'sport/tennis/player1', true],
      ['sport/#', 'sport', true],
      ['#', '/', true],
      ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
      ['sport/+', 'sport', false],
      ['sport/+', 'sport/', true],
      ['+/+', '/finance', true],
      ['/+', '/finance', true],
      ['+', '/finance', false],
      ['#', '$SYS/x', false],
      ['+/x', '$SYS/x', false],
      ['$SYS/#', '$SYS/x', true],
      ['ACCOUNTS', 'Accounts', false],
    ];
    for (const [filter, topic, matches] of cases)
      expect(topicMatches(filter, topic), `${filter} ${topic}`).toBe(matches);
    expect(hasWildcard('a/+')).toBe(true);
    expect(hasWildcard('a/b')).toBe(false);
  });
});
