import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alarmEventOf } from '../model/alarm.fixture.ts';
import { encodeCloudEvent } from '../model/cloudevent.ts';
import { FrameReader } from '../model/frame.ts';
import { decodeOperation, type Operation } from '../model/operation.ts';
import { ALARMS, OPERATIONS } from '../model/topics.ts';
import { AlarmEventsBlock, AlarmsBlock } from '../store/blocks.ts';
import { openParts, type Parts, until } from './gateway.fixture.ts';
import { type Gateway, startGateway } from './gateway.ts';

let parts: Parts;
let gateway: Gateway;

const T0 = 1_760_000_000_000;
const raised = alarmEventOf({ id: 'a1', device: 'pump-1', raisedMs: T0 });
const acknowledged = alarmEventOf(
  { id: 'a1', device: 'pump-1', raisedMs: T0, ackedMs: T0 + 5, ackedBy: 'ann', life: 'acknowledged', version: 2 },
  { transition: 'acknowledged', by: 'ann', comment: 'on my way', atMs: T0 + 5 },
);
const shelved = alarmEventOf({
  id: 'a2',
  device: 'pump-2',
  life: 'shelved',
  suppressed: 'shelved',
  severity: 'critical',
});
const over = alarmEventOf({ id: 'a3', device: 'pump-3', state: 'cleared', life: 'normal', clearedMs: T0 + 9 });
const waiting = alarmEventOf({ id: 'a4', device: 'pump-4', state: 'cleared', life: 'returned', clearedMs: T0 + 9 });

beforeAll(async () => {
  parts = await openParts();
  const alarms = new AlarmsBlock();
  const events = new AlarmEventsBlock();
  for (const event of [raised, acknowledged, shelved, over, waiting]) {
    alarms.add(event);
    events.add(event);
  }
  await parts.writer.insert('alarms', alarms.finish(), { token: 'alarms' });
  await parts.writer.insert('alarm_events', events.finish(), { token: 'events' });
  gateway = await startGateway(parts.options());
});

afterAll(async () => {
  await gateway?.close();
  await parts?.close();
});

async function get(path: string) {
  const answer = await fetch(gateway.url + path);
  return { status: answer.status, body: (await answer.json()) as { alarms: { id: string }[] } };
}

async function send(path: string, body: object, method = 'POST') {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(gateway.url + path, { method, headers, body: JSON.stringify(body) });
  return { status: answer.status, body: (await answer.json()) as { code?: string; operations?: string[] } };
}

/** All operations on the log. */
async function operations(): Promise<Operation[]> {
  const { first, next } = await parts.log.bounds(OPERATIONS, 0);
  const found: Operation[] = [];
  const reader = new FrameReader();
  for (let offset = first; offset < next; offset++) {
    for (const frame of await parts.log.read(OPERATIONS, 0, offset, 1)) {
      reader.reset(frame.bytes);
      while (reader.next()) found.push(decodeOperation(reader.payload()));
    }
  }
  return found;
}

describe('alarms over HTTP', () => {
  it('are listed by what operators ask for', async () => {
    const ids = async (query: string) => (await get(`/api/alarms?${query}`)).body.alarms.map((a) => a.id).sort();
    expect(await ids('')).toEqual(['a1', 'a2', 'a4']);
    expect(await ids('state=raised')).toEqual(['a1', 'a2']);
    expect(await ids('state=unacked')).toEqual(['a4']);
    expect(await ids('state=shelved')).toEqual(['a2']);
    expect(await ids('state=all')).toEqual(['a1', 'a2', 'a3', 'a4']);
    expect(await ids('state=all&severity=critical')).toEqual(['a2']);
    expect(await ids('state=all&rule=cold')).toEqual([]);
    expect(await ids('state=all&site=oslo')).toEqual([]);
  });

  it('tell what they have been through', async () => {
    const { status, body } = await get('/api/alarms/a1');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      alarm: { id: 'a1', life: 'acknowledged', ackedBy: 'ann', comments: [], latched: false },
      history: [
        { version: 1, transition: 'raised', atMs: T0, by: '' },
        { version: 2, transition: 'acknowledged', atMs: T0 + 5, by: 'ann', comment: 'on my way', notify: true },
      ],
    });
    expect((await get('/api/alarms/none')).status).toBe(404);
  });

  it('are acknowledged, commented and shelved by operations that are durable when they are answered', async () => {
    const before = (await operations()).length;
    expect((await send('/api/alarms/a4/ack', { by: 'ann', comment: 'seen', operation: 'op-1' })).body).toEqual({
      operations: ['op-1'],
    });
    const untilMs = Date.now() + 60_000;
    await send('/api/alarms/a1/shelve', { by: 'ann', untilMs });
    await send('/api/rules/hot/devices/pump-9/out-of-service', { by: 'bob', comment: 'being replaced' });
    await send('/api/alarms/acknowledge', { by: 'ann', ids: ['a1', 'a4'] });
    await send('/api/maintenance/works', { by: 'bob', sites: ['oslo'], untilMs }, 'PUT');
    await send('/api/maintenance/works', { by: 'bob' }, 'DELETE');
    const alarm = { kind: 'alarm', by: 'ann', rule: 'hot' };
    expect((await operations()).slice(before)).toMatchObject([
      { ...alarm, id: 'op-1', action: 'acknowledge', alarm: 'a4', device: 'pump-4', text: 'seen', untilMs: null },
      { ...alarm, action: 'shelve', alarm: 'a1', device: 'pump-1', untilMs },
      { ...alarm, action: 'out-of-service', by: 'bob', alarm: null, device: 'pump-9', text: 'being replaced' },
      { ...alarm, action: 'acknowledge', alarm: 'a1', device: 'pump-1' },
      { ...alarm, action: 'acknowledge', alarm: 'a4', device: 'pump-4' },
      { kind: 'maintenance', window: 'works', removed: false, sites: ['oslo'], untilMs },
      { kind: 'maintenance', window: 'works', removed: true },
    ]);
  });

  it('take the examples of the documentation', async () => {
    const text = readFileSync(new URL('../docs/alarm-life.md', import.meta.url), 'utf8');
    const examples = [...text.matchAll(/```http\n(GET|POST|PUT) (\S+)\n([\s\S]*?)```/g)];
    expect(examples.length).toBeGreaterThan(6);
    for (const [, method, path, body] of examples) {
      const at = path.replace('ID', 'a1');
      if (method === 'GET') expect((await get(at)).status, path).toBe(200);
      else expect((await send(at, JSON.parse(body.replace('"ID"', '"a1"')), method)).status, path).toBe(202);
    }
  });

  it('are known by their event before the store has them', async () => {
    const event = alarmEventOf({ id: 'fresh', device: 'pump-5' });
    expect((await send('/api/alarms/fresh/ack', { by: 'ann' })).status).toBe(404);
    await parts.append(ALARMS, encodeCloudEvent(event));
    await until(async () => expect((await send('/api/alarms/fresh/ack', { by: 'ann' })).status).toBe(202));
  });

  it.each([
    ['/api/alarms/a1/ack', {}, 400],
    ['/api/alarms/a1/ack', [], 400],
    ['/api/alarms/a1/comment', { by: 'ann' }, 400],
    ['/api/alarms/a1/comment', { by: 'ann', comment: 'x'.repeat(2001) }, 400],
    ['/api/alarms/a1/shelve', { by: 'ann' }, 400],
    ['/api/alarms/a1/shelve', { by: 'ann', forMs: -1 }, 400],
    ['/api/alarms/a1/shelve', { by: 'ann', untilMs: Date.now() + 1e12 }, 400],
    ['/api/alarms/acknowledge', { by: 'ann', ids: [] }, 400],
    ['/api/alarms/a3/ack', { by: 'ann' }, 409],
    ['/api/alarms/none/ack', { by: 'ann' }, 404],
    ['/api/alarms/a1/explode', { by: 'ann' }, 405],
  ])('refuse %s with %j', async (path, body, status) => {
    const before = (await operations()).length;
    expect((await send(path, body)).status).toBe(status);
    expect(await operations()).toHaveLength(before);
  });
});
