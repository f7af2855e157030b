import { afterEach, describe, expect, it } from 'vitest';
import { eventually, openTestDoor, type RawClient, type TestDoor, telemetry } from './door.fixture.ts';

let door: TestDoor;
afterEach(() => door?.close());

const MESSAGES = 3000;
/** More than the sockets' own buffers take. */
const payload = 'x'.repeat(4000);

/** A subscriber that reads nothing from now on. */
async function frozen(clientId: string, qos: 0 | 1, options: object = {}): Promise<RawClient> {
  const client = await door.accepted(clientId, options);
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'devices/#', qos }] });
  await client.next('suback');
  client.socket.pause();
  return client;
}

async function publishAll(): Promise<void> {
  const device = await door.accepted('d1');
  for (let id = 1; id <= MESSAGES; id++) {
    device.send(telemetry('d1', `${id} ${payload}`, id));
    // A subscriber that does read is given the time to.
    if (id % 100 === 0) await device.until(() => device.acked.length === id);
  }
}

/** A subscriber that reads, and what it got. */
async function reader(qos: 0 | 1): Promise<string[]> {
  const client = await door.client();
  const got: string[] = [];
  client.on('message', (_topic, bytes) => void got.push(String(bytes).split(' ')[0]));
  await client.subscribeAsync('devices/#', { qos });
  return got;
}

const everything = Array.from({ length: MESSAGES }, (_, i) => String(i + 1));
// Nobody is cut off for the time that passes: whatever goes on here goes on while the frozen one is there.
const limits = { subscriberStallMsMax: 3_600_000, perClient: { sendQueueBytesMax: 512 * 1024 } };

describe('while a subscriber is frozen', () => {
  it('at QoS 0 its messages are dropped and counted, and all others are served', async () => {
    door = await openTestDoor({ limits, batch: { inFlightBytesMax: 1 << 20 } });
    const stuck = await frozen('stuck', 0);
    const got = await reader(0);
    await publishAll();
    await eventually(() => got.length === MESSAGES);
    expect(got).toEqual(everything);
    expect(stuck.closed).toBe(false);
    const { held, connections } = door.door.stats();
    expect(connections).toBe(3);
    expect(held!.sendQueueMessagesDropped).toBeGreaterThan(0);
    expect(held!.sendQueueBytes).toBeLessThanOrEqual(512 * 1024);
    expect(door.lines.has('QoS 0 message dropped')).toBe(true);
    expect(door.log.messages()).toHaveLength(MESSAGES);
    // It gets what was kept for it when it reads again, and its queue is free.
    stuck.socket.resume();
    await eventually(() => door.door.stats().held!.sendQueueBytes === 0);
    expect(stuck.broken).toBeNull();
  });

  it('at QoS 1 it is cut off when its queue is full, and all others are served', async () => {
    door = await openTestDoor({ limits });
    const stuck = await frozen('stuck', 1);
    const got = await reader(1);
    await publishAll();
    await eventually(() => got.length === MESSAGES);
    expect(got).toEqual(everything);
    stuck.socket.resume();
    await stuck.end();
    await eventually(() => door.door.stats().held!.sendQueueBytes === 0);
    expect(door.door.stats().subscribersCutOff).toBe(1);
  });

  it('in a persistent session, what it did not get waits for it, as far as its queue goes', async () => {
    door = await openTestDoor({ limits });
    const stuck = await frozen('stuck', 1, { clean: false });
    const got = await reader(1);
    await publishAll();
    await eventually(() => got.length === MESSAGES);
    stuck.socket.destroy();
    await eventually(() => door.door.stats().connections === 2);
    const back = await door.accepted('stuck', { clean: false });
    // It did not acknowledge any of them, so all that its queue holds come, the first of them again.
    const { offlineMessages } = door.door.stats().held!;
    expect(offlineMessages).toBeGreaterThan(1000);
    const published = () => back.packets.filter((p) => p.cmd === 'publish').length;
    await back.until(() => published() === offlineMessages);
  });

  it('several frozen ones share a bound of memory; the largest is cut off', async () => {
    door = await openTestDoor({ limits: { ...limits, total: { sendQueueBytesMax: 1024 * 1024 } } });
    const stuck = [];
    for (let i = 0; i < 5; i++) stuck.push(await frozen(`stuck${i}`, 0));
    const got = await reader(0);
    await publishAll();
    await eventually(() => got.length === MESSAGES);
    expect(door.door.stats().held!.sendQueueBytes).toBeLessThanOrEqual(1024 * 1024);
    await eventually(() => door.door.stats().connections < 7);
    for (const one of stuck) one.socket.destroy();
    await eventually(() => door.door.stats().held!.sendQueueBytes === 0);
  });

  it('a client that does not read its acknowledgements is cut off in time, too', async () => {
    door = await openTestDoor({ limits: { subscriberStallMsMax: 200, writeBufferBytesMax: 1024 } });
    const device = await door.accepted('d1');
    device.socket.pause();
    const burst = Buffer.concat(Array.from({ length: 5000 }, (_, i) => telemetry('d1', 'x', i + 1)));
    // Acknowledgements are small; it takes many until the sockets are full of them.
    const flood = setInterval(() => device.socket.write(burst), 5);
    await eventually(() => door.lines.has('does not drain'));
    clearInterval(flood);
  });
});
