/** A cell of a table in text form, and where it begins (both count from 1). */
export interface CsvCell {
  text: string;
  line: number;
  column: number;
}

export interface CsvTable {
  rows: CsvCell[][];
  /** What is not as RFC 4180 has it; reading goes on behind it. */
  problems: { line: number; column: number; message: string }[];
}

/**
 * Reads comma-separated values (RFC 4180): cells may stand in double quotes, in which a quote is written twice; lines end with LF or
 * CRLF. Empty lines are left out. Where the first line has semicolons or tabs and no comma, as spreadsheets of many countries
 * write it, those separate.
 */
export function readCsv(source: string): CsvTable {
  const text = source.startsWith('\uFEFF') ? source.slice(1) : source;
  const separator = separatorOf(text);
  const table: CsvTable = { rows: [], problems: [] };
  let at = 0;
  let line = 1;
  let lineStart = 0;
  let row: CsvCell[] = [];
  const endRow = (): void => {
    if (row.length > 1 || row[0]?.text !== '') table.rows.push(row);
    row = [];
  };
  while (at < text.length) {
    const cell: CsvCell = { text: '', line, column: at - lineStart + 1 };
    if (text[at] === '"') {
      at++;
      for (;;) {
        const quote = text.indexOf('"', at);
        const part = text.slice(at, quote === -1 ? text.length : quote);
        for (let i = part.indexOf('\n'); i !== -1; i = part.indexOf('\n', i + 1)) {
          line++;
          lineStart = at + i + 1;
        }
        cell.text += part;
        at += part.length + 1;
        if (quote === -1) {
          table.problems.push({ line: cell.line, column: cell.column, message: 'this quote is never closed' });
          break;
        }
        if (text[at] !== '"') break;
        cell.text += '"';
        at++;
      }
    }
    const from = at;
    while (at < text.length && text[at] !== separator && text[at] !== '\n') at++;
    const rest = text.slice(from, at).replace(/\r$/, '');
    if (cell.text !== '' && rest !== '')
      table.problems.push({ line, column: from - lineStart + 1, message: 'text follows a closing quote' });
    cell.text += rest;
    row.push(cell);
    if (text[at] === separator) {
      // A line that ends with a separator has one more cell, which is empty.
      if (at + 1 === text.length) row.push({ text: '', line, column: at - lineStart + 2 });
      at++;
      continue;
    }
    endRow();
    at++;
    line++;
    lineStart = at;
  }
  if (row.length > 0) endRow();
  return table;
}

function separatorOf(text: string): string {
  const head = text.slice(0, text.indexOf('\n') === -1 ? text.length : text.indexOf('\n'));
  if (head.includes(',')) return ',';
  if (head.includes(';')) return ';';
  return head.includes('\t') ? '\t' : ',';
}
