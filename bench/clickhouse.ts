import { SluiceError } from '../model/errors.ts';

/** Rows of a query over ClickHouse's HTTP interface, as any client would ask; `settings` are the engine's, by name. Rejects with STORE_REFUSED and the server's words. */
export async function query<Row>(
  url: string,
  sql: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Row[]> {
  const format = { default_format: 'JSONEachRow', output_format_json_quote_64bit_integers: '0' };
  const answer = await fetch(`${url}/?${new URLSearchParams({ ...format, ...settings })}`, {
    method: 'POST',
    body: sql,
  });
  const text = await answer.text();
  if (!answer.ok)
    throw new SluiceError('STORE_REFUSED', `${text.trim()} (${sql})`, { values: { status: answer.status } });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}
