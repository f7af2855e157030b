import type { Packet } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { partitionOf } from '../model/partition.ts';
import { eventually, openTestDoor, settle, type TestDoor, telemetry } from './door.fixture.ts';

let door: TestDoor;
afterEach(() => door?.close());

const payloads = (): string[] => door.log.messages().map((m) => m.payload);

describe('the express lane', () => {
  it('acknowledges when the frame is durable, not before, in order of arrival and in one piece', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(...[7, 3, 65_535, 1].map((id) => telemetry('d1', `{"n":${id}}`, id)));
    await eventually(() => door.log.held.length === 1);
    await settle();
    expect(client.acked).toEqual([]);
    expect(door.door.stats().messagesInFlight).toBe(4);
    door.log.release();
    await client.until(() => client.acked.length === 4);
    expect(client.acked).toEqual([7, 3, 65_535, 1]);
    expect(payloads()).toEqual(['{"n":7}', '{"n":3}', '{"n":65535}', '{"n":1}']);
    expect(door.log.messages()[0]).toMatchObject({
      device: 'd1',
      topic: 'devices/d1/telemetry',
      partition: partitionOf('d1', 4),
    });
    expect(door.door.stats()).toMatchObject({ messagesReceived: 4, messagesAcknowledged: 4, messagesInFlight: 0 });
  });

  it('takes repeated messages and QoS 0, which count when they are durable', async () => {
    door = await openTestDoor();
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a'), telemetry('d1', 'b', 9, { dup: true }), telemetry('d1', 'c'));
    await client.until(() => client.acked.length === 1);
    expect(payloads()).toEqual(['a', 'b', 'c']);
    expect(door.door.stats().messagesAcknowledged).toBe(3);
  });

  it('makes one frame of what arrives while an append is in flight', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'first', 1));
    await eventually(() => door.log.held.length === 1);
    for (let id = 2; id <= 50; id++) client.send(telemetry('d1', `${id}`, id));
    await eventually(() => door.door.stats().messagesReceived === 50);
    expect(door.log.appends).toBe(1);
    door.log.release();
    await eventually(() => door.log.held.length === 1);
    door.log.release();
    await client.until(() => client.acked.length === 50);
    expect(door.log.appends).toBe(2);
    expect(client.acked).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it('keeps frames below their size, and gives a larger message a frame of its own', async () => {
    door = await openTestDoor({ batch: { frameBytesMax: 1000 } });
    const client = await door.accepted('d1');
    const sizes = [300, 300, 300, 300, 5000, 10, 990];
    client.send(...sizes.map((size, i) => telemetry('d1', 'x'.repeat(size), i + 1)));
    await client.until(() => client.acked.length === sizes.length);
    expect(payloads().map((p) => p.length)).toEqual(sizes);
    const frames = door.log.frames().map((f) => f.bytes.length);
    expect(frames.filter((bytes) => bytes > 1000)).toHaveLength(2);
    expect(client.acked).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('logs a gateway that speaks for many devices under each device', async () => {
    door = await openTestDoor();
    const client = await door.accepted('gateway-7');
    const devices = Array.from({ length: 40 }, (_, i) => `pump-${i}`);
    client.send(...devices.map((device, i) => telemetry(device, device, i + 1)));
    await client.until(() => client.acked.length === 40);
    for (const m of door.log.messages()) {
      expect(m.payload).toBe(m.device);
      expect(m.partition).toBe(partitionOf(m.device, 4));
    }
    expect(new Set(door.log.messages().map((m) => m.device))).toEqual(new Set(devices));
  });

  it('serves what a client sends together with its CONNECT, to the last packet before it hangs up', async () => {
    door = await openTestDoor();
    const client = door.raw();
    const many = Array.from({ length: 200 }, (_, i) => telemetry('d1', `${i}`, i + 1));
    client.send({ cmd: 'connect', clientId: 'd1', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 });
    client.send(...many, { cmd: 'disconnect' });
    client.socket.end();
    await client.end();
    await eventually(() => door.door.stats().messagesAcknowledged === 200);
    expect(payloads()).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`));
  });

  it('takes QoS 2 too: PUBRECs when the frame is durable, in order, and PUBCOMPs in one piece', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('gateway');
    const ids = [9, 2, 65_535, 1];
    const devices = ['d1', 'd2', 'd3', 'd4'];
    client.send(...ids.map((id, i) => telemetry(devices[i], `${id}`, id, { qos: 2 })), telemetry('d1', 'q1', 7));
    await eventually(() => door.door.stats().messagesReceived === 5);
    await settle();
    expect(client.packets).toEqual([]);
    while (client.packets.length < 5) {
      door.log.held.reverse();
      door.log.release(1);
      await settle();
    }
    expect(client.packets.flatMap((p) => (p.cmd === 'pubrec' ? [p.messageId] : []))).toEqual(ids);
    expect(client.acked).toEqual([7]);
    client.packets.length = 0;
    client.send(...ids.map((messageId): Packet => ({ cmd: 'pubrel', messageId })));
    await client.until(() => client.packets.length === 4);
    expect(client.packets.map((p) => `${p.cmd} ${p.messageId}`)).toEqual(ids.map((id) => `pubcomp ${id}`));
    expect(door.door.stats()).toMatchObject({ messagesReceived: 5, messagesAcknowledged: 5, messagesInFlight: 0 });
  });

  it('takes a QoS 2 message again that the log refused to an earlier connection of the session', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('d1', { clean: false });
    client.send(telemetry('d1', 'once', 5, { qos: 2 }));
    await eventually(() => door.log.held.length === 1);
    const again = await door.accepted('d1', { clean: false });
    again.send(telemetry('d1', 'once', 5, { qos: 2, dup: true }), { cmd: 'pingreq' });
    await settle();
    expect(again.packets).toEqual([]); // what is behind it waits with it
    door.log.holding = false;
    door.log.fail(new SluiceError('LOG_UNAVAILABLE', 'the disk is gone'));
    await again.next('pubrec');
    await again.next('pingresp');
    expect(payloads()).toEqual(['once']);
  });

  it('counts a packet id as new as soon as it is released, even before its PUBREC', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a', 5, { qos: 2 }), { cmd: 'pubrel', messageId: 5 });
    client.send(telemetry('d1', 'b', 5, { qos: 2 }));
    await client.next('pubcomp');
    await eventually(() => door.door.stats().messagesReceived === 2);
    door.log.release(1); // the frame of the first
    await client.next('pubrec');
    client.send(telemetry('d1', 'b', 5, { qos: 2, dup: true }));
    await settle();
    expect(client.packets).toEqual([]);
    door.log.holding = false;
    door.log.release();
    await client.next('pubrec');
    await client.next('pubrec');
    expect(payloads()).toEqual(['a', 'b']);
  });

  it('knows a QoS 2 message again whatever is sent under its id, and keeps PUBRECs in order with the broker’s', async () => {
    door = await openTestDoor();
    const seen = await door.client();
    const got: string[] = [];
    seen.on('message', (_topic, payload) => got.push(payload.toString()));
    await seen.subscribeAsync('news', { qos: 0 });
    const news = (payload: string, messageId: number): Packet =>
      ({ cmd: 'publish', topic: 'news', payload, qos: 2, messageId, dup: false, retain: false }) as Packet;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'a', 1, { qos: 2 }));
    await client.next('pubrec');
    door.log.holding = true;
    client.send(telemetry('d1', 'b', 2, { qos: 2, retain: true }), telemetry('d1', 'a', 1, { qos: 2, dup: true }));
    await eventually(() => door.log.held.length === 1);
    await settle();
    expect(client.packets).toEqual([]);
    door.log.holding = false;
    door.log.release();
    await client.until(() => client.packets.length === 2);
    expect(client.packets.splice(0).map((p) => p.messageId)).toEqual([2, 1]);
    client.send(news('not a new one', 1));
    await client.next('pubrec');
    for (const messageId of [1, 2]) client.send({ cmd: 'pubrel', messageId });
    await client.until(() => client.packets.filter((p) => p.cmd === 'pubcomp').length === 2);
    client.send(news('a new one', 1));
    await client.next('pubrec');
    await eventually(() => got.length > 0);
    expect(got).toEqual(['a new one']);
    expect(payloads()).toEqual(['a', 'b']);
  });

  it('is not overtaken by the messages behind one that the broker handles', async () => {
    door = await openTestDoor();
    const client = await door.accepted('d1');
    const seen = await door.client();
    const got: string[] = [];
    seen.on('message', (_topic, payload) => got.push(payload.toString()));
    // With QoS 2 the library would hold a message back until its handshake is over.
    await seen.subscribeAsync('devices/d1/telemetry', { qos: 1 });
    client.send(
      telemetry('d1', 'a', 1),
      telemetry('d1', 'b', 2, { retain: true }),
      telemetry('d1', 'c', 3),
      telemetry('d1', 'd', 4, { qos: 2 }),
      telemetry('d1', 'e', 5),
      { cmd: 'pingreq' },
    );
    await client.until(() => client.packets.length === 6);
    expect(payloads()).toEqual(['a', 'b', 'c', 'd', 'e']);
    await eventually(() => got.length === 5);
    expect(got).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('tells a client nothing about a frame that the log refused, and closes it so that it sends again', async () => {
    door = await openTestDoor();
    const other = await door.accepted('d2'); // a partition that works
    expect(partitionOf('d2', 4)).not.toBe(partitionOf('d1', 4));
    door.log.holding = true;
    const client = await door.accepted('d1');
    client.send(telemetry('d1', 'lost', 1));
    await eventually(() => door.log.held.length === 1);
    client.send(telemetry('d1', 'behind it', 2), telemetry('d1', 'unacknowledged'));
    await eventually(() => door.door.stats().messagesReceived === 3);
    door.log.fail(new SluiceError('LOG_UNAVAILABLE', 'the disk is gone'));
    await client.end();
    expect(client.acked).toEqual([]);
    expect(door.lines.has('the disk is gone')).toBe(true);
    expect(door.door.stats()).toMatchObject({ messagesInFlight: 0, messagesAcknowledged: 0 });
    door.log.holding = false;
    other.send(telemetry('d2', 'fine', 1));
    await other.until(() => other.acked.length === 1);
    const again = await door.accepted('d1');
    again.send(telemetry('d1', 'lost', 1, { dup: true }), telemetry('d1', 'behind it', 2, { dup: true }));
    await again.until(() => again.acked.length === 2);
    expect(
      door.log
        .messages()
        .filter((m) => m.device === 'd1')
        .map((m) => m.payload),
    ).toEqual(['lost', 'behind it']);
  });

  it('holds devices while the log is full, and goes on by itself in the same order', async () => {
    door = await openTestDoor();
    const client = await door.accepted('d1');
    door.log.failures = [new SluiceError('LOG_FULL', 'full'), new SluiceError('LOG_FULL', 'full')];
    client.send(telemetry('d1', 'a', 1));
    await eventually(() => door.log.appends === 1);
    client.send(telemetry('d1', 'b', 2), telemetry('d1', 'c', 3));
    await settle();
    expect(client.acked).toEqual([]);
    expect(client.closed).toBe(false);
    await client.until(() => client.acked.length === 3);
    expect(payloads()).toEqual(['a', 'b', 'c']);
    expect(door.lines.lines.filter((l) => l.includes('the log is full'))).toHaveLength(1);
    expect(door.lines.has('takes frames again')).toBe(true);
  });

  it('stops reading sockets above the bytes in flight, and reads on when they are durable', async () => {
    door = await openTestDoor({ batch: { inFlightBytesMax: 200_000 } });
    door.log.holding = true;
    const client = await door.accepted('d1');
    const payload = 'x'.repeat(10_000);
    for (let i = 1; i <= 1000; i++) client.send(telemetry('d1', payload, i));
    await eventually(() => door.door.stats().socketsPaused === 1);
    await settle();
    const taken = door.door.stats().messagesInFlight * payload.length;
    expect(taken).toBeGreaterThanOrEqual(200_000 * 0.9);
    expect(taken).toBeLessThan(200_000 + 2 * 65_536); // at most what one more read brings
    door.log.holding = false;
    door.log.release();
    await client.until(() => client.acked.length === 1000);
    expect(door.door.stats()).toMatchObject({ messagesAcknowledged: 1000, messagesInFlight: 0, socketsPaused: 0 });
  });

  it('forgets the acknowledgements of a client that is gone or was taken over', async () => {
    door = await openTestDoor();
    door.log.holding = true;
    const gone = await door.accepted('d1');
    gone.send(telemetry('d1', 'a', 1));
    await eventually(() => door.log.held.length === 1);
    const taker = await door.accepted('d1'); // the same client id: the first is closed
    await gone.end();
    taker.send(telemetry('d1', 'b', 1));
    await eventually(() => door.door.stats().messagesReceived === 2);
    door.log.holding = false;
    door.log.release();
    await taker.until(() => taker.acked.length === 1);
    expect(payloads()).toEqual(['a', 'b']);
    expect(gone.acked).toEqual([]);
    expect(door.door.stats()).toMatchObject({ connections: 1, messagesInFlight: 0 });
  });

  it('never cuts the broker’s packets with its own', async () => {
    door = await openTestDoor();
    const client = await door.accepted('d1');
    client.send({ cmd: 'subscribe', messageId: 9999, subscriptions: [{ topic: '#', qos: 0 }] });
    await client.next('suback');
    const other = await door.client();
    const large = Buffer.alloc(100_000, 'y');
    const publishing = Promise.all(Array.from({ length: 50 }, () => other.publishAsync('news', large, { qos: 1 })));
    for (let i = 1; i <= 2000; i++) client.send(telemetry('d1', `{"n":${i}}`, i));
    await publishing;
    const published = (): number => client.packets.filter((p) => p.cmd === 'publish').length;
    await client.until(() => client.acked.length === 2000 && published() === 2050);
    expect(client.broken).toBeNull();
    expect(client.acked).toEqual(Array.from({ length: 2000 }, (_, i) => i + 1));
  });
});
