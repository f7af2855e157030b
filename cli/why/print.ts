import type { Chapter, Story } from './story.ts';

/** A gap between values that is left out of the list. */
const GAP_FACTOR = 3;

export function printStory(story: Story): string {
  const lines = [
    `${story.rule} on ${story.device}: ${story.severity}, ${story.life}`,
    `  ${story.message}`,
    `  id       ${story.id}`,
    `  rule     ${story.rule}, version ${story.ruleVersion}; in the present settings it is ${story.ruleNow}`,
  ];
  if (story.definition !== null && story.ruleNow === 'the same')
    lines.push(`           ${definitionOf(story.definition)}`);
  for (const chapter of story.chapters) lines.push('', ...chapterOf(chapter));
  if (story.values.length > 0) {
    lines.push('', `  ${story.metric} around it`);
    const steps = story.values.slice(1).map((v, i) => v.tsMs - story.values[i].tsMs);
    const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
    story.values.forEach(({ tsMs, value, deciding }, i) => {
      if (i > 0 && steps[i - 1] > GAP_FACTOR * usual) lines.push('      …');
      lines.push(`    ${deciding ? '→' : ' '} ${time(tsMs)}  ${value}`);
    });
  }
  return lines.join('\n');
}

/** What is set of a rule, in one line. */
function definitionOf(rule: object): string {
  return Object.entries(rule)
    .filter(([name, value]) => !SAID.has(name) && value !== null && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}

const SAID = new Set(['name', 'message', 'severity']);

function chapterOf(chapter: Chapter): string[] {
  const { transition, atMs, value, by, comment, life, suppressed, notified, watermarkMs, position, evidence } = chapter;
  const who = by === '' ? '' : ` by ${by}${comment === '' ? '' : `: ${comment}`}`;
  const lines = [`  ${time(atMs)}  ${transition}${who}  (${life}, ${chapter.severity}, value ${value})`];
  if (suppressed !== '') lines.push(`    muted      ${suppressed}`);
  if (!notified) lines.push('    notified   nobody');
  for (const e of evidence) {
    const late = e.tsMs === atMs ? '' : ` at ${time(e.tsMs)}`;
    lines.push(`    decided by ${e.metric} = ${e.value}${late}, ${placeOf(e)}`, `               ${e.message}`);
  }
  if (evidence.length === 0) lines.push(`    position   ${placeOf(position)}`);
  if (watermarkMs !== null) lines.push(`    watermark  ${time(watermarkMs)}`);
  return lines;
}

function placeOf({ partition, offset, index }: { partition: number; offset: number; index: number }): string {
  return `partition ${partition}, offset ${offset}, message ${index}`;
}

const time = (ms: number): string => new Date(ms).toISOString();
