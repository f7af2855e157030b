import { describe, expect, it } from 'vitest';
import { isUnknown, readerRefusal, readStatement } from './statement.ts';

const refused = (sql: string, parameters: Record<string, string> = {}) =>
  readerRefusal(readStatement(sql), new Map(Object.entries(parameters)));

describe('statement', () => {
  it('finds the verb, the format and the end', () => {
    expect(readStatement('-- hello\n /* x */ (select 1) FORMAT JSON;;')).toMatchObject({
      verb: 'SELECT',
      format: 'JSON',
      several: false,
    });
    expect(readStatement('SELECT 1; SELECT 2').several).toBe(true);
    expect(readStatement("SELECT ';' AS format, `a;b`, $x$;$x$ -- ;").several).toBe(false);
    expect(readStatement('SELECT 1 FORMAT CSV SETTINGS max_threads = 1').format).toBe('CSV');
    expect(readStatement("SELECT 'x FORMAT CSV'").format).toBe(null);
    expect(isUnknown(readStatement('SELEC 1'))).toBe(true);
  });

  it('finds where the data of an INSERT begins, and looks no further', () => {
    const at = (sql: string) => {
      const { data } = readStatement(sql);
      return data && [sql.slice(0, data.clauseAt), sql.slice(data.start)];
    };
    expect(at('INSERT INTO t (a, b) FORMAT JSONEachRow\n{\'`"; /*')).toEqual(['INSERT INTO t (a, b) ', '{\'`"; /*']);
    expect(at('INSERT INTO t SETTINGS async_insert=0 FORMAT CSV 1,2')).toEqual(['INSERT INTO t ', '1,2']);
    expect(at('INSERT INTO t FORMAT Native')).toEqual(['INSERT INTO t ', '']);
    expect(at("INSERT INTO t VALUES (1, 'FORMAT CSV')")).toBe(null);
    expect(at('INSERT INTO t SELECT 1 FORMAT Null')).toBe(null);
  });

  it.each([
    'SELECT 1',
    'WITH 1 AS x SELECT x',
    'FROM numbers(1) SELECT number',
    'SHOW TABLES FROM sluice',
    'DESCRIBE TABLE readings',
    'DESC sluice.readings',
    'DESCRIBE (SELECT 1)',
    'EXPLAIN SELECT 1',
    'EXISTS readings',
    "SELECT 'file' AS a, {x:String}",
    'SELECT count() FROM readings -- file(',
  ])('lets a reader: %s', (sql) => {
    expect(refused(sql, { x: 'file' })).toBe(null);
  });

  it.each([
    'INSERT INTO t VALUES (1)',
    'SET readonly = 0',
    'USE system',
    'KILL QUERY WHERE 1',
    'SYSTEM SHUTDOWN',
    "SELECT file('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    'SELECT "file"(\'/etc/passwd\')',
    "SELECT `fi\\x6ce`('/etc/passwd')",
    "SELECT/**/file/* ' */('/etc/passwd')",
    "SELECT arrayMap(file, ['/etc/passwd'])",
    "SELECT \u2018'\u2019, file('/etc/passwd')",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "DESCRIBE file('/etc/passwd')",
    "DESC TABLE url('http://127.0.0.1/x.csv')",
    "DESCRIBE TABLE s3 ('http://127.0.0.1/x.csv')",
    "SELECT * FROM eval('SELECT 1')",
  ])('keeps a reader from: %s', (sql) => {
    expect(refused(sql)).not.toBe(null);
  });

  it('keeps a reader from naming a function through a parameter', () => {
    const sql = "SELECT arrayMap({f:Identifier}, ['/etc/passwd'])";
    expect(refused(sql, { f: 'file' })).not.toBe(null);
    expect(refused(sql, { f: '`file`' })).not.toBe(null);
    expect(refused(sql, { f: 'upper' })).toBe(null);
  });
});
