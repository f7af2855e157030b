import { afterEach, describe, expect, it } from 'vitest';
import { type RawClient, settle, type TestDoor, telemetry } from '../door.fixture.ts';
import { closeDoor, freshDoor, messages, publish, pubrec, received, subscribe } from './bytes.fixture.ts';

afterEach(closeDoor);

async function reader(door: TestDoor, id: string, ...filters: [string, number][]): Promise<RawClient> {
  const client = await door.accepted(id);
  client.send(subscribe(1, ...filters));
  await client.next('suback');
  return client;
}

describe('order', () => {
  it('[MQTT-4.6.0-2] PUBACKs stand in the order of their PUBLISHes, over topics and partitions', async () => {
    const door = await freshDoor();
    const client = await door.accepted('gateway');
    door.log.holding = true;
    const devices = Array.from({ length: 12 }, (_, i) => `d${i}`); // in all four partitions
    let id = 0;
    for (const device of devices) client.send(telemetry(device, 'x', ++id), publish('news', 'x', { qos: 1, id: ++id }));
    await settle();
    // The log answers in the worst order there is.
    while (client.acked.length < id) {
      const held = door.log.held.splice(0).reverse();
      door.log.held.push(...held);
      door.log.release(1);
      await settle();
    }
    expect(client.acked).toEqual(Array.from({ length: id }, (_, i) => i + 1));
  });

  it('[MQTT-4.6.0-3] PUBRECs stand in the order of their PUBLISHes', async () => {
    const door = await freshDoor();
    const client = await door.accepted('gateway');
    door.log.holding = true;
    const ids = Array.from({ length: 12 }, (_, i) => i + 1);
    for (const id of ids) {
      const topic = id % 3 === 0 ? 'news' : `devices/d${id}/telemetry`;
      client.send(publish(topic, 'x', { qos: 2, id }));
    }
    await settle();
    while (client.packets.length < ids.length) {
      door.log.held.reverse();
      door.log.release(1);
      await settle();
    }
    expect(client.packets.map((p) => `${p.cmd} ${p.messageId}`)).toEqual(ids.map((id) => `pubrec ${id}`));
  });

  it('[MQTT-4.6.0-4] PUBRELs stand in the order of their PUBRECs', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c', { clean: false });
    client.send(subscribe(1, ['t', 2]));
    await client.next('suback');
    for (let id = 1; id <= 20; id++) client.send(publish('t', `${id}`, { qos: 2, id }));
    await client.until(() => messages(client).length === 20);
    const ids = client.packets.flatMap((p) => (p.cmd === 'publish' ? [p.messageId!] : [])).reverse();
    client.send(...ids.map(pubrec));
    await client.until(() => client.packets.filter((p) => p.cmd === 'pubrel').length === 20);
    expect(client.packets.flatMap((p) => (p.cmd === 'pubrel' ? [p.messageId!] : []))).toEqual(ids);
  });

  it('[MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one topic and QoS are delivered in order, and all of them', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['#', 2]);
    const kept = await door.accepted('kept', { clean: false });
    kept.send(subscribe(1, ['#', 1]));
    await kept.next('suback');
    const writer = await door.accepted('w');
    let id = 0;
    for (const topic of ['t', 'devices/w/telemetry']) {
      const batch: Buffer[] = [];
      for (let i = 0; i < 60; i++) batch.push(publish(topic, `${i}`, { qos: i % 3, id: ++id, retain: i % 7 < 2 })); // all kinds, in one write
      writer.send(...batch);
    }
    await received(seen, 120);
    await received(kept, 120);
    for (const client of [seen, kept]) {
      for (const topic of ['t', 'devices/w/telemetry']) {
        for (const qos of client === seen ? [0, 1, 2] : [0, 1]) {
          const payloads = client.packets.flatMap((p) =>
            p.cmd === 'publish' && p.topic === topic && p.qos === qos ? [Number(p.payload)] : [],
          );
          const order = payloads.filter((n) => client === seen || n % 3 === qos);
          expect(order).toEqual([...order].sort((a, b) => a - b));
          expect(order).toHaveLength(20);
        }
      }
    }
  });
});
