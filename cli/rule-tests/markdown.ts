/** A fenced block of rule tests in a Markdown file. */
export interface MarkdownBlock {
  yaml: string;
  /** Lines of the file above its first line. */
  linesBefore: number;
  /** The heading that it stands under. */
  heading: string;
}

const OPENS = /^```yaml sluice-test\s*$/;

/** The blocks that begin with ```yaml sluice-test, in order. */
export function markdownBlocks(text: string): MarkdownBlock[] {
  const blocks: MarkdownBlock[] = [];
  let heading = '';
  let open: { lines: string[]; linesBefore: number } | null = null;
  let inOther = false;
  text.split('\n').forEach((line, i) => {
    if (open !== null) {
      if (!line.startsWith('```')) open.lines.push(line);
      else {
        blocks.push({ yaml: open.lines.join('\n'), linesBefore: open.linesBefore, heading });
        open = null;
      }
    } else if (OPENS.test(line) && !inOther) open = { lines: [], linesBefore: i + 1 };
    else if (line.startsWith('```')) inOther = !inOther;
    else if (!inOther && /^#+ /.test(line)) heading = line.replace(/^#+ /, '').trim();
  });
  return blocks;
}
