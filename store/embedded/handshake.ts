/**
 * clickhouse-go, the driver inside Grafana's plugin, opens an HTTP connection with one query and decodes its answer as Native
 * of its own newest revision; for all that follows it uses the revision that this answer names. So this one answer is written
 * by hand at that revision, and names revision 0: then plain `FORMAT Native` is what it reads.
 *
 *     block   01 · UInt8 is_overflows · 02 · Int32 bucket · 00          block info, since revision 50264 or so
 *             varuint columns · varuint rows
 *             column{columns}: string name · string type · 00 · data    00: no custom serialization, since revision 54454
 *
 * Source: src/Formats/NativeWriter.cpp of ClickHouse, conn_http.go of clickhouse-go.
 */
const HELLO = /^\s*SELECT\s+displayName\(\),\s*version\(\),\s*revision\(\),\s*timezone\(\)\s*;?\s*$/i;
const REVISION_OF_SERIALIZATION_BYTE = 54_454;

export function isHello(sql: string, protocolVersion: number): boolean {
  return protocolVersion > 0 && HELLO.test(sql);
}

export function helloAnswer(name: string, version: string, timezone: string, protocolVersion: number): Buffer {
  const gap = protocolVersion >= REVISION_OF_SERIALIZATION_BYTE ? [Buffer.of(0)] : [];
  const column = (title: string, type: string, data: Buffer) => [text(title), text(type), ...gap, data];
  return Buffer.concat([
    Buffer.of(1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0),
    Buffer.of(4, 1),
    ...column('displayName()', 'String', text(name)),
    ...column('version()', 'String', text(version)),
    ...column('revision()', 'UInt32', Buffer.alloc(4)),
    ...column('timezone()', 'String', text(timezone)),
  ]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > 127) return text(value.slice(0, 40));
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}
