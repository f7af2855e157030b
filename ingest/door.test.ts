import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createWebSocketStream, WebSocket } from 'ws';
import { ManualClock } from '../model/clock.ts';
import { encodeMessage } from '../model/frame.ts';
import { ALARMS, alarmTopic } from '../model/topics.ts';
import { eventually, openTestDoor, RawClient, settle, type TestDoor, telemetry } from './door.fixture.ts';

let door: TestDoor | undefined;
afterEach(async () => {
  await door?.close();
  door = undefined;
});

let dir: string;
let keys: { cert: Buffer; key: Buffer; ca: null };
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'door-'));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  keys = { key: readFileSync(key), cert: readFileSync(cert), ca: null };
});
afterAll(() => rmSync(dir, { recursive: true }));

const free = { host: '127.0.0.1', port: 0 };
const connect = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const;

describe('every kind of listener', () => {
  /** The lane, a split packet, the broker's path and an end, over any byte stream. */
  async function tryOut(client: RawClient, id: string): Promise<void> {
    client.send({ ...connect, clientId: id });
    await client.next('connack');
    const packets = Buffer.concat(Array.from({ length: 100 }, (_, i) => telemetry(id, `${id} ${i}`, i + 1)));
    for (let at = 0; at < packets.length; at += 777) client.send(packets.subarray(at, at + 777));
    client.send({ cmd: 'subscribe', messageId: 500, subscriptions: [{ topic: 'x', qos: 0 }] });
    await client.next('suback');
    await client.until(() => client.acked.length === 100);
    expect(client.acked).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    expect(door!.log.messages().filter((m) => m.device === id)).toHaveLength(100);
    client.socket.end();
    await client.end();
  }

  it('serves the lane over TLS', async () => {
    door = await openTestDoor({ listeners: { tls: free, tlsKeys: keys } });
    const socket = connectTls({ port: door.door.addresses.tls!.port, host: '127.0.0.1', rejectUnauthorized: false });
    await tryOut(new RawClient(socket), 'over-tls');
  });

  it.each(['websocket', 'websocketTls'] as const)('serves the lane over %s', async (kind) => {
    door = await openTestDoor({ listeners: { [kind]: free, tlsKeys: keys } });
    const scheme = kind === 'websocket' ? 'ws' : 'wss';
    const url = `${scheme}://127.0.0.1:${door.door.addresses[kind]!.port}/mqtt`;
    const socket = new WebSocket(url, 'mqtt', { rejectUnauthorized: false });
    await tryOut(new RawClient(createWebSocketStream(socket)), kind);
    const url2 = url.replace('/mqtt', '');
    const client = await door.client({ clientId: 'lib', rejectUnauthorized: false }, url2);
    await client.publishAsync('devices/lib/telemetry', 'x', { qos: 1 });
    expect(door.log.messages().filter((m) => m.device === 'lib')).toHaveLength(1);
  });

  it('refuses WebSockets without the subprotocol, text frames, and foreign pages as anonymous', async () => {
    door = await openTestDoor({ listeners: { websocket: free } });
    const url = `ws://127.0.0.1:${door.door.addresses.websocket!.port}`;
    const closed = (socket: WebSocket): Promise<number> => new Promise((r) => socket.on('close', (code) => r(code)));
    const none = new WebSocket(url);
    expect(await closed(none)).toBe(1002);
    const text = new WebSocket(url, 'mqtt');
    text.on('open', () => text.send('hello'));
    expect(await closed(text)).toBe(1003);
    const page = new WebSocket(url, 'mqtt', { origin: 'https://example.org' });
    const client = new RawClient(createWebSocketStream(page));
    client.send({ ...connect, clientId: 'page' });
    expect((await client.next('connack')).returnCode).toBe(5);
    const own = new RawClient(createWebSocketStream(new WebSocket(url, 'mqtt', { origin: 'http://localhost:8080' })));
    own.send({ ...connect, clientId: 'own' });
    expect((await own.next('connack')).returnCode).toBe(0);
    own.socket.destroy();
  });

  it('a plain client at the TLS port costs nothing but itself', async () => {
    door = await openTestDoor({ listeners: { tls: free, tcp: free, tlsKeys: keys } });
    const wrong = await door.accepted('d0');
    wrong.socket.destroy();
    const socket = connectTls({ port: door.port, host: '127.0.0.1', rejectUnauthorized: false }); // and TLS at the plain one
    await new Promise((resolve) => socket.on('error', resolve).on('close', resolve));
    await tryOut(door.raw(), 'fine');
  });

  it('says which address is taken, and opens nothing then', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { port: number };
    const listeners = { tcp: free, websocket: { host: '127.0.0.1', port } };
    await expect(openTestDoor({ listeners })).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
    other.close();
  });
});

describe('ticks', () => {
  it('tell of time in every partition that had no frame, and of nothing else', async () => {
    const clock = new ManualClock(1_700_000_000_000);
    door = await openTestDoor({ clock, batch: { tickMs: 1000 } });
    clock.advance(999);
    await settle();
    expect(door.log.ticks()).toEqual([]);
    clock.advance(1);
    await eventually(() => door!.log.ticks().length === 4);
    expect(door.log.ticks().map((t) => t.partition)).toEqual([0, 1, 2, 3]);
    expect(door.log.ticks()[0]).toMatchObject({ receivedMs: 1_700_000_001_000, device: '', payload: '' });
    const client = await door.accepted('d1');
    clock.advance(500);
    client.send(telemetry('d1', 'x', 1));
    await client.until(() => client.acked.length === 1);
    const { partition } = door.log.messages()[0];
    clock.advance(500);
    await eventually(() => door!.log.ticks().length === 7);
    await settle();
    expect(door.log.ticks().filter((t) => t.partition === partition)).toHaveLength(1);
    clock.advance(500); // the busy partition's own second is over
    await eventually(() => door!.log.ticks().filter((t) => t.partition === partition).length === 2);
    expect(door.door.stats().messagesReceived).toBe(1);
  });

  it('do not pile up behind an append that does not end', async () => {
    const clock = new ManualClock(0);
    door = await openTestDoor({ clock, batch: { tickMs: 1000 } }, 1);
    door.log.holding = true;
    for (let i = 0; i < 20; i++) clock.advance(1000);
    await settle();
    expect(door.log.held).toHaveLength(1);
    door.log.holding = false;
    door.log.release();
    await settle();
    expect(door.log.ticks()).toHaveLength(1);
  });
});

describe('alarm events', () => {
  const event = (rule: string): Uint8Array =>
    encodeMessage(1, 'd1', alarmTopic('d1', rule), Buffer.from(`{"rule":"${rule}"}`));

  it('are published from the log to those who are subscribed', async () => {
    door = await openTestDoor();
    await door.log.append(ALARMS, 1, event('before'));
    const client = await door.client();
    const got: string[] = [];
    client.on('message', (topic, payload, packet) => got.push(`${topic} ${payload} ${packet.qos}`));
    await client.subscribeAsync('alarms/#', { qos: 1 });
    await settle();
    await door.log.append(ALARMS, 1, event('hot'));
    await door.log.append(ALARMS, 0, Buffer.from('not a frame'));
    await door.log.append(ALARMS, 1, event('cold'));
    await eventually(() => got.length === 2);
    expect(got).toEqual(['alarms/d1/hot {"rule":"hot"} 1', 'alarms/d1/cold {"rule":"cold"} 1']);
    expect(door.lines.has('cannot be read and is passed over')).toBe(true);
  });

  it('go on after the log was away', async () => {
    const clock = new ManualClock(0);
    door = await openTestDoor({ clock });
    const client = await door.client({ keepalive: 0 });
    const got: string[] = [];
    client.on('message', (topic) => got.push(topic));
    await client.subscribeAsync('alarms/#');
    await door.log.append(ALARMS, 0, event('one'));
    await eventually(() => got.length === 1);
    door.log.breakTails(new Error('away'));
    await door.log.append(ALARMS, 0, event('meanwhile'));
    await settle();
    expect(got).toEqual(['alarms/d1/one']);
    clock.advance(1000);
    await settle();
    await door.log.append(ALARMS, 0, event('after'));
    await eventually(() => got.length === 3);
    expect(got).toEqual(['alarms/d1/one', 'alarms/d1/meanwhile', 'alarms/d1/after']);
  });
});
