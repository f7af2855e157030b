import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { leftOutWithout } from '../test/tools.ts';
import { eventually, openTestDoor, settle, type TestDoor, telemetry } from './door.fixture.ts';

const run = promisify(execFile);
let door: TestDoor;
afterEach(() => door?.close());

/** Everything a client is sent, as "topic payload qos retain". */
function listen(client: MqttClient): string[] {
  const got: string[] = [];
  client.on('message', (topic, payload, packet) => {
    got.push(`${topic} ${payload} ${packet.qos}${packet.retain ? ' retained' : ''}`);
  });
  return got;
}

/** A client that has subscribed, and what it gets. */
async function subscribed(filter: string | string[], qos: 0 | 1 | 2) {
  const subscriber = await door.client();
  const got = listen(subscriber);
  await subscriber.subscribeAsync(filter, { qos });
  return { subscriber, got };
}

describe('to subscribers the door is a broker like any other', () => {
  it.each(['devices/+/telemetry', 'devices/#', '#', 'devices/d1/telemetry', 'devices/d1/#', '+/+/+'])(
    'telemetry is delivered to %s, whichever way it takes',
    async (filter) => {
      door = await openTestDoor();
      const { subscriber, got } = await subscribed(filter, 2);
      const device = await door.client({ clientId: 'd1' });
      await device.publishAsync('devices/d1/telemetry', 'a', { qos: 0 });
      await device.publishAsync('devices/d1/telemetry', 'b', { qos: 1 });
      await device.publishAsync('devices/d1/telemetry', 'c', { qos: 2 });
      await device.publishAsync('devices/d1/telemetry', 'd', { qos: 1, retain: true });
      await eventually(() => got.length === 4);
      expect(got).toEqual(['a 0', 'b 1', 'c 2', 'd 1'].map((m) => `devices/d1/telemetry ${m}`));
      expect(door.log.messages().map((m) => m.payload)).toEqual(['a', 'b', 'c', 'd']);
      await subscriber.unsubscribeAsync(filter);
      await device.publishAsync('devices/d1/telemetry', 'e', { qos: 1 });
      await settle();
      expect(got).toHaveLength(4);
    },
  );

  it('other topics are plain broker messages and not logged', async () => {
    door = await openTestDoor();
    const { got } = await subscribed(['news', 'devices/d1/state', 'devices/d1/telemetry/deep'], 1);
    const device = await door.client({ clientId: 'd1' });
    for (const topic of ['news', 'devices/d1/state', 'devices/d1/telemetry/deep'])
      await device.publishAsync(topic, 'x', { qos: 1 });
    await eventually(() => got.length === 3);
    expect(door.log.messages()).toEqual([]);
  });

  it('retained telemetry is logged, kept, and given to who comes later', async () => {
    door = await openTestDoor();
    const device = await door.client({ clientId: 'd1' });
    await device.publishAsync('devices/d1/telemetry', 'kept', { qos: 1, retain: true });
    const late = await door.client();
    const got = listen(late);
    await late.subscribeAsync('devices/d1/telemetry', { qos: 1 });
    await eventually(() => got.length === 1);
    expect(got).toEqual(['devices/d1/telemetry kept 1 retained']);
    expect(door.log.messages().map((m) => m.payload)).toEqual(['kept']);
  });

  it('a persistent session is kept its messages, those of the lane too', async () => {
    door = await openTestDoor();
    const session = { clientId: 'reader', clean: false };
    const reader = await door.client(session);
    await reader.subscribeAsync('devices/+/telemetry', { qos: 1 });
    await reader.endAsync();
    const device = await door.accepted('d1');
    device.send(telemetry('d1', 'while away', 1));
    await device.until(() => device.acked.length === 1);
    const again = await door.accepted('reader', { clean: false });
    await again.until(() => again.packets.some((p) => p.cmd === 'publish'));
    expect(again.packets.find((p) => p.cmd === 'publish')).toMatchObject({ topic: 'devices/d1/telemetry', qos: 1 });
    // A clean session of the same client ends it, and the lane knows.
    again.socket.end();
    await again.end();
    await door.accepted('reader', { clean: true });
    const last = await door.accepted('reader', { clean: false });
    device.send(telemetry('d1', 'for nobody', 2));
    await device.until(() => device.acked.length === 2);
    await settle();
    expect(last.packets).toEqual([]);
  });

  it('a will is published when the client is lost; on a telemetry topic it is logged', async () => {
    door = await openTestDoor();
    const { got } = await subscribed('devices/#', 1);
    const will = (topic: string) => ({ will: { topic, payload: Buffer.from('lost'), qos: 1 as const, retain: false } });
    (await door.accepted('d1', will('devices/d1/state'))).socket.destroy();
    (await door.accepted('d2', will('devices/d2/telemetry'))).socket.destroy();
    const polite = await door.accepted('d3', will('devices/d3/telemetry'));
    polite.send({ cmd: 'disconnect' });
    await eventually(() => got.length === 2);
    await settle();
    expect([...got].sort()).toEqual(['devices/d1/state lost 1', 'devices/d2/telemetry lost 1']);
    expect(door.log.messages().map((m) => `${m.device} ${m.payload}`)).toEqual(['d2 lost']);
  });

  it('a will is published for a client that a malformed packet or silence ends', async () => {
    door = await openTestDoor();
    const { got } = await subscribed('wills', 1);
    const will = { topic: 'wills', payload: Buffer.from('lost'), qos: 1, retain: false };
    (await door.accepted('d1', { will })).send(Buffer.from([0x00, 0x00]));
    await eventually(() => got.length === 1);
  });

  it('what a client sends before it leaves or hangs up is still delivered', async () => {
    door = await openTestDoor();
    const { got } = await subscribed('#', 1);
    const polite = await door.accepted('d1');
    polite.send(telemetry('d1', 'kept', 1, { retain: true }), { cmd: 'disconnect' });
    await eventually(() => got.length === 1);
    const rude = await door.accepted('d2');
    const news = { cmd: 'publish', topic: 'news', qos: 0, dup: false, retain: false } as const;
    rude.send(...Array.from({ length: 300 }, (_, i) => generate({ ...news, payload: `${i} ${'x'.repeat(1000)}` })));
    rude.socket.end();
    await eventually(() => got.length === 301);
  });

  it('a subscriber that does not read is cut off, and nobody else waits for it any longer', async () => {
    door = await openTestDoor({ limits: { subscriberStallMsMax: 300 }, batch: { inFlightBytesMax: 1 << 20 } });
    const frozen = await door.accepted('frozen');
    frozen.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'devices/#', qos: 0 }] });
    await frozen.next('suback');
    frozen.socket.pause();
    const other = await door.client();
    const got = listen(other);
    await other.subscribeAsync('devices/#', { qos: 0 });
    const device = await door.accepted('d1');
    const payload = 'x'.repeat(100_000);
    for (let id = 1; id <= 200; id++) device.send(telemetry('d1', payload, id));
    await device.until(() => device.acked.length === 200);
    await eventually(() => got.length === 200);
    await eventually(() => door.door.stats().connections === 2);
    expect(door.lines.has('does not drain what it is sent')).toBe(true);
    expect(door.door.stats().socketsPaused).toBe(0);
  });

  it('publishes for the program itself', async () => {
    door = await openTestDoor();
    const { got } = await subscribed('alarms/#', 1);
    await door.door.publish('alarms/d1/hot', '{"a":1}', { qos: 1, retain: true });
    await eventually(() => got.length === 1);
    expect(got).toEqual(['alarms/d1/hot {"a":1} 1']);
  });
});

describe('beside the lane the same is promised', () => {
  it('PUBACK and PUBREC wait for the log', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a', 1, { retain: true }), telemetry('d1', 'b', 2, { qos: 2, retain: true }));
    await eventually(() => door.log.held.length > 0);
    await settle();
    expect(client.packets).toEqual([]);
    client.send({ cmd: 'pingreq' });
    await client.next('pingresp'); // the wait does not make the client look dead
    door.log.holding = false;
    door.log.release();
    await client.next('puback');
    await client.next('pubrec');
    expect(door.log.messages().map((m) => m.payload)).toEqual(['a', 'b']);
  });

  it('a message that the log refuses is not acknowledged', async () => {
    door = await openTestDoor();
    for (const extra of [{ retain: true }, { qos: 2, retain: true }, { qos: 2 }]) {
      door.log.failures = [new SluiceError('LOG_UNAVAILABLE', 'gone')];
      const client = await door.accepted('d1', { clean: false });
      client.send(telemetry('d1', 'a', 1, extra));
      await client.end();
      expect(client.packets).toEqual([]);
    }
    expect(door.log.messages()).toEqual([]);
    const again = await door.accepted('d1', { clean: false });
    again.send(telemetry('d1', 'a', 1, { qos: 2, dup: true }));
    await again.next('pubrec');
    expect(door.log.messages()).toHaveLength(1); // the failed handshake does not count as one
  });

  it.each(['devices/#', 'news'])(
    'a QoS 2 message is logged once for each handshake (%s is subscribed)',
    async (filter) => {
      door = await openTestDoor();
      const { got } = await subscribed(filter, 0);
      const client = await door.accepted('d1', { clean: false });
      client.send(telemetry('d1', 'once', 5, { qos: 2 }), telemetry('d1', 'once', 5, { qos: 2, dup: true }));
      await client.next('pubrec');
      await client.next('pubrec');
      client.socket.destroy();
      await client.end();
      const again = await door.accepted('d1', { clean: false });
      again.send(telemetry('d1', 'once', 5, { qos: 2, dup: true }));
      await again.next('pubrec');
      again.send({ cmd: 'pubrel', messageId: 5 });
      await again.next('pubcomp');
      again.send(telemetry('d1', 'a new one', 5, { qos: 2 }));
      await again.next('pubrec');
      expect(door.log.messages().map((m) => m.payload)).toEqual(['once', 'a new one']);
      if (filter !== 'news') await eventually(() => got.length === 2);
      // A clean session begins anew: the open handshake of the one before is forgotten.
      for (const clean of [true, false]) {
        const next = await door.accepted('d1', { clean }); // takes over
        next.send(telemetry('d1', `clean ${clean}`, 5, { qos: 2 }));
        await next.next('pubrec');
      }
      expect(
        door.log
          .messages()
          .map((m) => m.payload)
          .slice(2),
      ).toEqual(['clean true', 'clean false']);
    },
  );

  it.each(['devices/#', 'news'])(
    'a QoS 2 message repeated on its way is logged once (%s is subscribed)',
    async (filter) => {
      door = await openTestDoor();
      const subscriber = await door.client();
      await subscriber.subscribeAsync(filter, { qos: 0 });
      door.log.holding = true;
      const client = await door.accepted('d1', { clean: false });
      client.send(telemetry('d1', 'once', 5, { qos: 2 }));
      await eventually(() => door.log.held.length === 1);
      const again = await door.accepted('d1', { clean: false }); // takes the session over
      again.send(telemetry('d1', 'once', 5, { qos: 2, dup: true }), telemetry('d1', 'next', 6));
      await settle();
      door.log.holding = false;
      door.log.release();
      await again.next('pubrec');
      await again.until(() => again.acked.length === 1);
      expect(door.log.messages().map((m) => m.payload)).toEqual(['once', 'next']);
    },
  );

  it('whoever began a QoS 2 handshake ends it, though somebody has subscribed or gone meanwhile', async () => {
    door = await openTestDoor();
    const subscriber = await door.client();
    const got = listen(subscriber);
    const client = await door.accepted('d1', { clean: false });
    client.send(telemetry('d1', 'to the log alone', 1, { qos: 2 }));
    await client.next('pubrec');
    await subscriber.subscribeAsync('devices/#', { qos: 2 });
    client.send(telemetry('d1', 'to the log alone', 1, { qos: 2, dup: true }), telemetry('d1', 'seen', 2, { qos: 2 }));
    expect((await client.next('pubrec')).messageId).toBe(1);
    expect((await client.next('pubrec')).messageId).toBe(2);
    await subscriber.unsubscribeAsync('devices/#');
    client.send(telemetry('d1', 'seen', 2, { qos: 2, dup: true }));
    expect((await client.next('pubrec')).messageId).toBe(2);
    for (const messageId of [2, 1]) client.send({ cmd: 'pubrel', messageId });
    const done = [await client.next('pubcomp'), await client.next('pubcomp')].map((p) => p.messageId);
    expect(done.sort()).toEqual([1, 2]);
    for (const id of [1, 2]) client.send(telemetry('d1', `new ${id}`, id, { qos: 2 }));
    await client.next('pubrec');
    await client.next('pubrec');
    expect(door.log.messages().map((m) => m.payload)).toEqual(['to the log alone', 'seen', 'new 1', 'new 2']);
    expect(got.map((line) => line.split(' ')[1])).toEqual(['seen']);
  });
});

describe('the clients of Mosquitto', async () => {
  const installed = await run('mosquitto_pub', ['--help']).then(
    () => true,
    (error: { code?: string }) => error.code !== 'ENOENT',
  );

  const missing = leftOutWithout('mosquitto_pub', installed);
  it.skipIf(missing !== '')(`publish with ids of their own and subscribe to all devices${missing}`, async () => {
    door = await openTestDoor();
    const port = String(door.port);
    const subscriber = run('mosquitto_sub', ['-p', port, '-t', 'devices/#', '-C', '3', '-v']);
    await eventually(() => door.door.stats().connections === 1);
    await settle();
    const message = '{"temperature":21.5}';
    for (const qos of ['0', '1', '2'])
      await run('mosquitto_pub', ['-p', port, '-q', qos, '-t', 'devices/pump-1/telemetry', '-m', message]);
    expect((await subscriber).stdout).toBe(`devices/pump-1/telemetry ${message}\n`.repeat(3));
    expect(door.log.messages().map((m) => `${m.device} ${m.payload}`)).toEqual(Array(3).fill(`pump-1 ${message}`));
  });
});

describe('closing', () => {
  it('sends the PUBACKs of what is in flight, then closes the clients', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a', 1), telemetry('d1', 'b', 2));
    await eventually(() => door.log.held.length === 1);
    const closing = door.door.close();
    await settle();
    expect(client.closed).toBe(false);
    door.log.release();
    await closing;
    await client.end();
    expect(client.acked).toEqual([1, 2]);
    expect(door.door.stats().listening).toBe(false);
    const late = door.raw();
    await late.end();
  });

  it('gives up on a log that does not answer, without an acknowledgement', async () => {
    door = await openTestDoor({ limits: { drainMsMax: 50 } });
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a', 1), telemetry('d1', 'b', 2, { retain: true }));
    await eventually(() => door.log.held.length === 1);
    await door.door.close();
    await client.end();
    expect(client.packets).toEqual([]);
  });

  it('tells when the log will never take a frame again', async () => {
    door = await openTestDoor();
    door.log.failures = [new SluiceError('LOG_NOT_WRITER', 'not ours')];
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a', 1));
    expect(await door.door.failed).toMatchObject({ code: 'LOG_NOT_WRITER' });
    await client.end();
  });
});
