import { writeFileSync } from 'node:fs';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, kill9, type Program, startProgram } from './program.ts';

const config = `
version: 1
devices:
  registry:
    - { id: declared, site: south, model: P200, tags: { line: a }, thresholds: { max: 7.5 } }
  file: devices.csv
processors:
  checkpointMs: 1s
`;

interface Answer {
  version: number;
  code: string;
  detail: string;
  devices: { device: string }[];
  problems: { line: number }[];
}

interface Row {
  id: string;
  site: string;
  source: string;
  version: number;
  seen: number;
  removed: number;
}

describe('the registry of devices, in the real program', () => {
  let program: Program;
  let client: MqttClient;
  let devicesFile: string;

  beforeAll(async () => {
    program = await startProgram({
      config,
      before: async ({ dir }) => {
        devicesFile = `${dir}/devices.csv`;
        writeFileSync(devicesFile, 'id,site\nlisted,east\nleaving,east\n');
        return { args: [] };
      },
    });
    client = await connectAsync(program.mqttUrl, { clientId: 'tester' });
  }, 240_000);

  afterAll(async () => {
    await client?.endAsync(true);
    await program?.remove();
  });

  const publish = (device: string) =>
    client.publishAsync(`devices/${device}/telemetry`, JSON.stringify({ t: 1 }), { qos: 1 });
  const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const isText = typeof body === 'string';
    const answer = await fetch(`${program.httpUrl}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': isText ? 'text/csv' : 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : isText ? body : JSON.stringify(body),
    });
    return { status: answer.status, etag: answer.headers.get('etag'), body: (await answer.json()) as Answer };
  };
  const rows = () =>
    program.query<Row>(
      'SELECT id, site, source, version, first_seen IS NOT NULL AS seen, removed FROM sluice.devices FINAL ORDER BY id',
    );
  const rowOf = (id: string, check: (row: Row) => boolean) =>
    eventually(`the row of ${id}`, async () => (await rows()).find((row) => row.id === id && check(row)));

  it('has the devices of the settings, of the file, and those that speak', async () => {
    await publish('stranger');
    expect(await rowOf('declared', (row) => row.source === 'config')).toMatchObject({ site: 'south', seen: 0 });
    expect(await rowOf('listed', (row) => row.source === 'file')).toMatchObject({ site: 'east' });
    expect(await rowOf('stranger', (row) => row.seen === 1)).toMatchObject({ source: 'seen', version: 0 });
    expect((await ask('PUT', '/api/devices/declared', { site: 'x' })).body.code).toBe('DEVICE_DECLARED');
    const unknown = await ask('GET', '/api/devices?source=seen');
    expect(unknown.body.devices.map(({ device }) => device)).toEqual(['stranger']);
    expect(unknown.body.devices[0]).toMatchObject({ known: false, metrics: 1 });
  });

  it('takes an entry over HTTP, and knows it at once and in the table soon', async () => {
    const put = await ask('PUT', '/api/devices/pump', { site: 'north', tags: { line: 'b' }, thresholds: { max: 3 } });
    expect(put.status).toBe(202);
    expect(put.etag).toBe(`"${put.body.version}"`);
    expect((await ask('GET', '/api/devices/pump')).body).toMatchObject({
      site: 'north',
      known: true,
      tags: { line: 'b' },
    });
    await rowOf('pump', (row) => row.version === put.body.version);
    const patch = await ask('PATCH', '/api/devices/pump', { site: 'west' }, { 'if-match': put.etag as string });
    expect(patch.status).toBe(202);
    const late = await ask('PATCH', '/api/devices/pump', { site: 'lost' }, { 'if-match': put.etag as string });
    expect(late).toMatchObject({ status: 412, body: { code: 'VERSION_CONFLICT' } });
    await rowOf('pump', (row) => row.site === 'west');
    const found = await ask('GET', '/api/devices?site=west&tag=line:b');
    expect(found.body.devices).toMatchObject([{ device: 'pump', tags: { line: 'b' }, thresholds: { max: 3 } }]);
    expect((await ask('GET', '/api/device-groups')).body).toMatchObject({ unknown: 1 });
  });

  it('takes a list, and tells what is wrong in one', async () => {
    const wrong = await ask('POST', '/api/devices/import', 'id,site\nx,a\ndeclared,b\nx,c\n');
    expect(wrong).toMatchObject({ status: 422, body: { taken: false } });
    expect(wrong.body.problems.map(({ line }) => line)).toEqual([3, 4]);
    const dry = await ask('POST', '/api/devices/import?dryRun=true', 'id,site\nx,a\ny,b\n');
    expect(dry).toMatchObject({ status: 200, body: { devices: 2, changed: 2, taken: false } });
    const good = await ask('POST', '/api/devices/import', 'id,site\nx,a\ny,b\n');
    expect(good).toMatchObject({ status: 202, body: { changed: 2, taken: true } });
    expect((await ask('POST', '/api/devices/import', [{ id: 'x', site: 'a' }])).body).toMatchObject({ unchanged: 1 });
    await rowOf('y', (row) => row.site === 'b');
  });

  it('refuses a page of another site, and what is no device', async () => {
    const foreign = { origin: 'http://evil.example' };
    expect((await ask('PUT', '/api/devices/pump', { site: 'x' }, foreign)).status).toBe(403);
    expect((await ask('PUT', '/api/devices/pump', { sites: 'x' })).body.detail).toMatch(/no "sites"/);
    expect((await ask('PUT', '/api/devices/a%2Fb', {})).status).toBe(400);
    expect((await ask('DELETE', '/api/devices/nobody')).status).toBe(404);
    expect((await ask('PUT', '/api/devices/pump', 'site,x')).status).toBe(415);
  });

  it('follows the file, which takes back what it said', async () => {
    writeFileSync(devicesFile, 'id,site\nlisted,west\n');
    await rowOf('listed', (row) => row.site === 'west');
    await rowOf('leaving', (row) => row.removed === 1);
  });

  it('keeps each change once, though door, processor and gateway are killed around it', async () => {
    const pids = await program.pids();
    const kill = (role: string) => kill9(pids.get(role) as number);
    kill('processor');
    const put = await ask('PUT', '/api/devices/killed', { site: 'survivor' });
    kill('door');
    kill('gateway');
    await rowOf('killed', (row) => row.version === put.body.version && row.site === 'survivor');
    const before = await eventually('GET', async () => {
      const answer = await ask('GET', '/api/devices/killed');
      return answer.status === 200 && answer.body;
    });
    expect(before).toMatchObject({ site: 'survivor', source: 'http', known: true });

    const table = await rows();
    await program.stop();
    await program.restart();
    // Nothing is said anew: the settings and the file are what the table has.
    await publishAgain('after');
    await rowOf('after', (row) => row.seen === 1);
    expect((await rows()).filter((row) => row.id !== 'after')).toEqual(table);
    expect(await program.audit()).toBeNull();
  }, 240_000);

  const publishAgain = async (device: string) => {
    await client.endAsync(true);
    client = await connectAsync(program.mqttUrl, { clientId: 'tester' });
    await publish(device);
  };
});
