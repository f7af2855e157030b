import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SpawnedStore, spawnStore } from './spawned.ts';

const run = promisify(execFile);
let store: SpawnedStore;
beforeAll(async () => {
  store = await spawnStore();
  await write('CREATE DATABASE web');
  await write('CREATE TABLE web.t (a UInt32, s String) ENGINE = MergeTree ORDER BY a');
});
afterAll(() => store?.remove());

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', ...args], { maxBuffer: 2 ** 28 });
  return stdout;
}

/** A request as fetch makes it: status, headers, text. */
async function ask(query: string, init: RequestInit & { search?: string } = {}) {
  const answer = await fetch(`${store.url}/${init.search ?? ''}`, { method: 'POST', body: query, ...init });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

function writer(): Record<string, string> {
  return { 'X-ClickHouse-User': store.credentials.username, 'X-ClickHouse-Key': store.credentials.password };
}

async function write(query: string, search = '') {
  const answer = await ask(query, { headers: writer(), search });
  if (answer.status !== 200) throw new Error(answer.text);
  return answer;
}

describe("ClickHouse's HTTP interface, by curl", () => {
  it('answers health checks', async () => {
    expect(await curl(`${store.url}/ping`)).toBe('Ok.\n');
    expect(await curl(`${store.url}/`)).toBe('Ok.\n');
    expect(await curl(`${store.url}/replicas_status`)).toBe('Ok.\n');
    expect(await curl('-o', '/dev/null', '-w', '%{http_code}', `${store.url}/nowhere`)).toBe('404');
  });

  it('takes a query from the URL or the body, and a format from either', async () => {
    expect(await curl(`${store.url}/?query=SELECT%201%2B1`)).toBe('2\n');
    expect(await curl(store.url, '-d', "SELECT 'ü' AS x FORMAT JSONEachRow")).toBe('{"x":"ü"}\n');
    expect(await curl(`${store.url}/?default_format=CSVWithNames`, '-d', 'SELECT 1 AS a')).toBe('"a"\n1\n');
    expect(await curl(`${store.url}/?query=SELECT%20`, '-d', '7')).toBe('7\n');
    expect(await curl(store.url, '-H', 'X-ClickHouse-Format: TSVWithNames', '-d', 'SELECT 1 AS a')).toBe('a\n1\n');
    expect(await curl(`${store.url}/?database=web`, '-d', 'SHOW TABLES')).toBe('t\n');
    expect(await curl(store.url, '-F', 'query=SELECT {x:UInt8}', '-F', 'param_x=3')).toBe('3\n');
  });

  it('says in headers what it is', async () => {
    const { headers } = await ask('SELECT 1 FORMAT JSON', { search: '?query_id=my-query' });
    expect(headers.get('content-type')).toBe('application/json; charset=UTF-8');
    expect(headers.get('x-clickhouse-format')).toBe('JSON');
    expect(headers.get('x-clickhouse-query-id')).toBe('my-query');
    expect(headers.get('x-clickhouse-server-display-name')).toBe('sluice');
    expect(headers.get('x-clickhouse-timezone')).not.toBe(null);
    expect(JSON.parse(headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ result_rows: '1' });
  });

  it('compresses when asked, and takes a compressed body', async () => {
    const url = `${store.url}/?enable_http_compression=1`;
    expect(await curl('--compressed', url, '-d', 'SELECT number FROM numbers(3)')).toBe('0\n1\n2\n');
    const headers = await curl('-D', '-', '-o', '/dev/null', '-H', 'Accept-Encoding: gzip', url, '-d', 'SELECT 1');
    expect(headers).toMatch(/content-encoding: gzip/i);
    const { text } = await ask('', { body: gzipSync('SELECT 5'), headers: { 'Content-Encoding': 'gzip' } });
    expect(text).toBe('5\n');
  });

  it('answers errors as ClickHouse does', async () => {
    const syntax = await ask('SELECT 1 +');
    expect(syntax.status).toBe(400);
    expect(syntax.headers.get('x-clickhouse-exception-code')).toBe('62');
    expect(syntax.text).toMatch(/^Code: 62\. DB::Exception: Syntax error.*\(SYNTAX_ERROR\) \(version [\d.]+\)\n$/s);
    expect((await ask('SELECT * FROM nowhere')).status).toBe(404);
    expect((await ask('SELEC 1')).headers.get('x-clickhouse-exception-code')).toBe('62');
    expect((await ask('SELECT 1; SELECT 2')).status).toBe(400);
    expect((await ask('SELECT {a:UInt8}')).headers.get('x-clickhouse-exception-code')).toBe('456');
    expect((await ask('SELECT {a:UInt8}', { search: '?param_a=4' })).text).toBe('4\n');
    expect((await ask('SELECT {a:UInt8}')).status).toBe(400); // also after a session has seen it
    expect((await ask('SELECT 1', { search: '?database=nowhere' })).headers.get('x-clickhouse-exception-code')).toBe(
      '81',
    );
    expect((await ask('SELECT 1', { search: '?user=x&password=y' })).status).toBe(403);
    expect((await ask('SELECT 1', { headers: { ...writer(), 'X-ClickHouse-Key': 'wrong' } })).status).toBe(403);
  });

  it('cuts off a result that fails after its beginning', async () => {
    const failing = fetch(`${store.url}/`, {
      method: 'POST',
      body: "SELECT throwIf(number = 3000000, 'boom') FROM numbers(4000000) SETTINGS max_block_size = 65536",
      headers: writer(),
    }).then((answer) => answer.text());
    await expect(failing).rejects.toThrow();
  });

  it('streams a result of any size', async () => {
    const { stdout } = await run('sh', [
      '-c',
      `curl -sS '${store.url}/' -d 'SELECT number, toString(number) FROM numbers(3000000)' | tail -n 1`,
    ]);
    expect(stdout).toBe('2999999\t2999999\n');
  });

  it('refuses a result that would have to be made whole and is too large', async () => {
    const { text } = await ask("SELECT repeat('x', 1000) AS s FROM numbers(400000) FORMAT JSON");
    expect(text).toMatch(/MEMORY_LIMIT_EXCEEDED/);
    // What it had written by then must not stand in somebody's next answer.
    for (let i = 0; i < 5; i++) expect((await ask('SELECT 1')).text.slice(0, 100)).toBe('1\n');
  });
});

describe('readers', () => {
  const outside = join(tmpdir(), `sluice-outside-${process.pid}`);
  it.each([
    'CREATE DATABASE other',
    'DROP TABLE web.t',
    "INSERT INTO web.t VALUES (1, 'x')",
    'ALTER TABLE web.t DELETE WHERE 1',
    'OPTIMIZE TABLE web.t',
    'TRUNCATE TABLE web.t',
    'SYSTEM FLUSH LOGS',
    'SET max_threads = 1',
    "SELECT * FROM file('/etc/passwd', LineAsString)",
    "SELECT file('/etc/passwd')",
    'SELECT * FROM `/etc/passwd`',
    "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
    "DESCRIBE TABLE file('/etc/passwd')",
    `SELECT 1 INTO OUTFILE '${outside}'`,
    `INSERT INTO FUNCTION file('${outside}', CSV, 'a Int32') SELECT 1`,
    "SELECT * FROM executable('id', TSV, 'a String')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    'SELECT 1 SETTINGS readonly = 0',
    "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '/etc/passwd'",
    'CREATE TEMPORARY TABLE x (a Int32) ENGINE = Memory',
    "SELECT * FROM sqlite('/tmp/x.sqlite', 't')",
  ])('may not: %s', async (sql) => {
    const { status, text } = await ask(sql);
    expect(status, text).not.toBe(200);
    expect(text).not.toMatch(/root:/);
    await expect(stat(outside)).rejects.toThrow();
  });

  it('may not by GET with settings either, nor may the writer by GET', async () => {
    for (const search of [
      '?readonly=0&query=CREATE%20DATABASE%20other',
      '?allow_ddl=1&query=SELECT%201',
      '?format_schema=/etc/passwd&query=SELECT%201',
      '?dialect=kusto&query=print',
    ]) {
      const answer = await fetch(`${store.url}/${search}`);
      expect(answer.status, search).not.toBe(200);
    }
    const answer = await fetch(`${store.url}/?query=CREATE%20DATABASE%20other`, { headers: writer() });
    expect(answer.status).toBe(500);
    expect(await curl(store.url, '-d', 'SHOW DATABASES')).not.toMatch(/other/);
  });

  it('may give the settings that shape an answer', async () => {
    const search = '?output_format_json_quote_64bit_integers=1&max_execution_time=5&session_timezone=UTC';
    expect((await ask('SELECT 1::UInt64 AS a FORMAT JSONEachRow', { search })).text).toBe('{"a":"1"}\n');
  });

  it('are held to their time', async () => {
    const { text } = await ask('SELECT sum(sipHash64(number)) FROM numbers(100000000000)', {
      search: '?max_execution_time=0.5',
    });
    expect(text).toMatch(/TIMEOUT_EXCEEDED/);
  });

  it('are answered while others wait for theirs', async () => {
    const long = ask('SELECT sum(sipHash64(number)) FROM numbers(30000000) SETTINGS max_threads = 1', {
      headers: writer(),
    });
    let isDone = false;
    void long.then(() => {
      isDone = true;
    });
    expect((await ask('SELECT 1')).text).toBe('1\n');
    expect(isDone).toBe(false);
    expect((await long).status).toBe(200);
  });
});

describe('the writer', () => {
  it('inserts by URL, by body, and compressed', async () => {
    await write("INSERT INTO web.t VALUES (1, 'one'), (2, 'two; FORMAT x')");
    await write('INSERT INTO web.t FORMAT JSONEachRow {"a":3,"s":"drei"}\n{"a":4,"s":"vier ü"}');
    await write('5,five\n', '?query=INSERT%20INTO%20web.t%20FORMAT%20CSV');
    const body = gzipSync('6\tsix\n');
    const search = '?query=INSERT%20INTO%20web.t%20FORMAT%20TSV';
    const answer = await ask('', { body, headers: { ...writer(), 'Content-Encoding': 'gzip' }, search });
    expect(JSON.parse(answer.headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ written_rows: '1' });
    await write("INSERT INTO web.t SELECT 7, 'seven'");
    expect((await ask('SELECT s FROM web.t ORDER BY a')).text).toBe(
      'one\ntwo; FORMAT x\ndrei\nvier ü\nfive\nsix\nseven\n',
    );
  });

  it('inserts nothing of a body that breaks off, and leaves no file', async () => {
    const { port } = new URL(store.url);
    const socket = createConnection(Number(port), '127.0.0.1');
    const { username, password } = store.credentials;
    socket.write(
      `POST /?query=INSERT%20INTO%20web.t%20FORMAT%20CSV HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: ${username}\r\nX-ClickHouse-Key: ${password}\r\nContent-Length: 1000\r\n\r\n900,broken\n901,`,
    );
    const incoming = join(store.dir, 'incoming');
    const until = async (count: number) => {
      while ((await readdir(incoming)).length !== count) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await until(1);
    socket.destroy();
    await until(0);
    expect((await ask('SELECT count() FROM web.t WHERE a >= 900')).text).toBe('0\n');
  });

  it('has its password in a file that only its user may read', async () => {
    const path = join(store.dir, 'credentials');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readFile(path, 'utf8')).trim()).toBe(`sluice:${store.credentials.password}`);
  });
});

describe('@clickhouse/client over the URL', () => {
  it('binds parameters, reads rows, streams, inserts and sees errors', async () => {
    const reader = createClient({
      url: store.url,
      database: 'web',
      compression: { response: true },
      log: { level: ClickHouseLogLevel.OFF },
    });
    const { username, password } = store.credentials;
    const client = createClient({
      url: store.url,
      database: 'web',
      username,
      password,
      log: { level: ClickHouseLogLevel.OFF },
    });
    try {
      const rows = await reader.query({
        query: 'SELECT {a:Array(UInt8)} AS a, {s:String} AS s',
        query_params: { a: [1, 2], s: "x'\n" },
        format: 'JSONEachRow',
      });
      expect(await rows.json()).toEqual([{ a: [1, 2], s: "x'\n" }]);
      const json = await reader.query({ query: 'SELECT number FROM numbers(2)' });
      expect(await json.json()).toMatchObject({
        rows: 2,
        data: [{ number: expect.anything() }, { number: expect.anything() }],
      });

      let seen = 0;
      const big = await reader.query({ query: 'SELECT number FROM numbers(500000)', format: 'JSONEachRow' });
      for await (const batch of big.stream()) seen += batch.length;
      expect(seen).toBe(500_000);

      await client.command({
        query: 'CREATE TABLE IF NOT EXISTS c (a UInt32, s String) ENGINE = MergeTree ORDER BY a',
      });
      await client.insert({
        table: 'c',
        values: [
          { a: 1, s: 'x' },
          { a: 2, s: 'y' },
        ],
        format: 'JSONEachRow',
      });
      const back = await client.query({ query: 'SELECT * FROM c ORDER BY a', format: 'JSONEachRow' });
      expect(await back.json()).toEqual([
        { a: 1, s: 'x' },
        { a: 2, s: 'y' },
      ]);

      await expect(reader.query({ query: 'SELECT nothing' })).rejects.toMatchObject({
        code: '47',
        type: 'UNKNOWN_IDENTIFIER',
      });
      await expect(reader.insert({ table: 'c', values: [{ a: 9 }], format: 'JSONEachRow' })).rejects.toMatchObject({
        code: '164',
      });
      const late = await client.query({
        query: "SELECT throwIf(number = 2000000, 'boom') AS x FROM numbers(3000000)",
        format: 'JSONEachRow',
      });
      const consume = async () => {
        for await (const _ of late.stream());
      };
      await expect(consume()).rejects.toThrow(/boom/);
      expect(await (await reader.query({ query: 'SELECT 1 AS a', format: 'JSONEachRow' })).json()).toEqual([{ a: 1 }]);
    } finally {
      await reader.close();
      await client.close();
    }
  });
});

describe('the folder', () => {
  it('is refused to a second process, by the name of the first', async () => {
    await expect(spawnStore({ dir: store.dir })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/in use by process \d+/),
    });
  });

  it('is closed after the statements that run have been answered', async () => {
    const mine = await spawnStore();
    const statement = 'SELECT sum(sipHash64(number)) FROM numbers(10000000)';
    const running = fetch(mine.url, { method: 'POST', body: statement }).then((answer) => answer.text());
    while (
      (await fetch(mine.url, { method: 'POST', body: 'SHOW PROCESSLIST' }).then((a) => a.text())).includes(
        'sipHash64',
      ) === false
    ) {
      if ((await Promise.race([running, Promise.resolve(null)])) !== null) break;
    }
    expect(await mine.stop()).toBe(0);
    expect(await running).toMatch(/^\d+\n$/);
    await rm(mine.dir, { recursive: true });
  });

  it('keeps every answered insert through kill -9, and none in part', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-kill-'));
    let mine = await spawnStore({ dir });
    const post = (query: string, body: string | Uint8Array) =>
      fetch(`${mine.url}/?query=${encodeURIComponent(query)}`, {
        method: 'POST',
        body,
        headers: { 'X-ClickHouse-User': mine.credentials.username, 'X-ClickHouse-Key': mine.credentials.password },
      });
    await post('CREATE TABLE k (n UInt32, i UInt32) ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1', '');
    const answered = new Set<number>();
    let n = 0;
    for (let round = 0; round < 3; round++) {
      const inserting = Promise.all(
        [0, 1, 2].map(async () => {
          for (;;) {
            const mineN = n++;
            const rows = Array.from({ length: 5000 }, (_, i) => `${mineN}\t${i}\n`).join('');
            const answer = await post('INSERT INTO k FORMAT TSV', rows).catch(() => null);
            if (answer?.status !== 200) return;
            answered.add(mineN);
          }
        }),
      );
      const goal = answered.size + 8;
      while (answered.size < goal) await new Promise((resolve) => setTimeout(resolve, 5));
      await mine.kill();
      await inserting;
      mine = await spawnStore({ dir });
    }
    const { text } = {
      text: await (await fetch(`${mine.url}/?query=SELECT+n,count(),uniqExact(i)+FROM+k+GROUP+BY+n`)).text(),
    };
    const held = new Map(
      text
        .trim()
        .split('\n')
        .map((line) => [Number(line.split('\t')[0]), line.split('\t').slice(1).join()]),
    );
    for (const each of answered) expect(held.get(each)).toBe('5000,5000');
    for (const each of held.values()) expect(each).toBe('5000,5000');
    expect(await mine.stop()).toBe(0);
    await rm(dir, { recursive: true });
  });
});
