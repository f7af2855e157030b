/**
 * Output formats of which the engine's pieces can be sent as they come: no head and no foot, so that two outputs one behind the other
 * are one output. All others are made whole before they are sent.
 */
const STREAMED = new Set(
  [
    'TabSeparated',
    'TSV',
    'TabSeparatedRaw',
    'TSVRaw',
    'Raw',
    'CSV',
    'JSONEachRow',
    'JSONLines',
    'NDJSON',
    'JSONCompactEachRow',
    'JSONStringsEachRow',
    'JSONCompactStringsEachRow',
    'RowBinary',
    'Native',
    'MsgPack',
    'LineAsString',
    'RawBLOB',
    'Null',
  ].map((name) => name.toLowerCase()),
);

export function isStreamed(format: string): boolean {
  return STREAMED.has(format.toLowerCase());
}

/** The Content-Type that ClickHouse gives an output format. */
export function contentTypeOf(format: string): string {
  const name = format.toLowerCase();
  if (name === 'json' || name === 'jsoncompact' || name === 'jsonstrings' || name === 'jsoncompactstrings') {
    return 'application/json; charset=UTF-8';
  }
  if (name === 'jsoncolumns' || name === 'jsoncompactcolumns' || name === 'jsoncolumnswithmetadata') {
    return 'application/json; charset=UTF-8';
  }
  if (/^json.*eachrow/.test(name) || name === 'jsonlines' || name === 'ndjson')
    return 'application/x-ndjson; charset=UTF-8';
  if (/^(tsv|tabseparated)/.test(name)) return 'text/tab-separated-values; charset=UTF-8';
  if (/^csv/.test(name)) {
    return `text/csv; charset=UTF-8; header=${name.includes('withnames') ? 'present' : 'absent'}`;
  }
  if (name === 'xml') return 'application/xml; charset=UTF-8';
  if (/^(pretty|vertical|values|markdown|sqlinsert|hash)/.test(name)) return 'text/plain; charset=UTF-8';
  return 'application/octet-stream';
}
