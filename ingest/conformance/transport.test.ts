import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { eventually, RawClient, type TestDoor, telemetry } from '../door.fixture.ts';
import { accepts, closeDoor, connect, field, freshDoor, PINGREQ } from './bytes.fixture.ts';

afterEach(closeDoor);

async function webDoor(): Promise<{ door: TestDoor; url: string }> {
  const any = { host: '127.0.0.1', port: 0 };
  const door = await freshDoor({ listeners: { tcp: any, websocket: any } });
  return { door, url: `ws://127.0.0.1:${door.door.addresses.websocket!.port}/mqtt` };
}

async function opened(socket: WebSocket): Promise<WebSocket> {
  await new Promise((resolve) => socket.once('open', resolve));
  return socket;
}

const CONNECT = connect(2, field('web'));

describe('over WebSocket', () => {
  it('[MQTT-6.0.0-1] binary frames are taken, others close the connection and are not read', async () => {
    const { door, url } = await webDoor();
    for (const accepted of [false, true]) {
      const socket = await opened(new WebSocket(url, 'mqtt'));
      const got: Buffer[] = [];
      socket.on('message', (data) => got.push(data as Buffer));
      const closed = new Promise<number>((resolve) => socket.once('close', resolve));
      if (accepted) {
        socket.send(CONNECT);
        await eventually(() => Buffer.concat(got).length === 4);
      }
      const text = accepted ? telemetry('web', 'as text', 1) : CONNECT;
      socket.send(text.toString('latin1'), { binary: false });
      socket.send(telemetry('web', 'behind', 2));
      expect(await closed).toBe(1003);
      expect(Buffer.concat(got)).toHaveLength(accepted ? 4 : 0);
    }
    expect(door.log.messages()).toEqual([]);
    await eventually(() => door.door.stats().connections === 0);
  });

  it('[MQTT-6.0.0-2] packets and frames need not line up', async () => {
    const { door, url } = await webDoor();
    const socket = await opened(new WebSocket(url, 'mqtt'));
    let bytes = 0;
    socket.on('message', (data: Buffer) => {
      bytes += data.length;
    });
    const all = Buffer.concat([CONNECT, telemetry('web', 'one', 1), PINGREQ, telemetry('web', 'two', 2)]);
    for (const byte of all) socket.send(Uint8Array.of(byte));
    socket.send(Buffer.concat([telemetry('web', 'three', 3), telemetry('web', 'four', 4).subarray(0, 9)]));
    socket.send(telemetry('web', 'four', 4).subarray(9));
    await eventually(() => bytes === 4 + 4 * 4 + 2);
    expect(door.log.messages().map((m) => m.payload)).toEqual(['one', 'two', 'three', 'four']);
    socket.close();
  });

  it('[MQTT-6.0.0-4] the subprotocol that is selected is mqtt; without it nothing is served', async () => {
    const { url } = await webDoor();
    const socket = await opened(new WebSocket(url, ['other', 'mqttv3.1', 'mqtt']));
    expect(socket.protocol).toBe('mqtt');
    socket.close();
    const old = await opened(new WebSocket(url, ['mqttv3.1']));
    expect(old.protocol).toBe('mqttv3.1');
    old.close();
    for (const offered of [[], ['other']]) {
      const stranger = new WebSocket(url, offered);
      const ended = new Promise((resolve) => stranger.once('close', resolve));
      stranger.on('error', () => {});
      await ended;
    }
  });
});

describe('with others', () => {
  it('[MQTT-7.0.0-2] a plain client needs nothing beyond the standard', async () => {
    const door = await freshDoor();
    const client = await connectAsync(`mqtt://127.0.0.1:${door.port}`, { reconnectPeriod: 0 }, false);
    const got: string[] = [];
    client.on('message', (topic, payload) => got.push(`${topic} ${payload}`));
    expect((await client.subscribeAsync('t/#', { qos: 2 })).map((s) => s.qos)).toEqual([2]);
    for (const qos of [0, 1, 2] as const) await client.publishAsync(`t/${qos}`, 'x', { qos });
    await eventually(() => got.length === 3);
    expect(got).toEqual(['t/0 x', 't/1 x', 't/2 x']);
    await client.endAsync();
  });

  it('[MQTT-7.1.1-1] TCP is ordered, lossless and goes both ways, however it is cut', async () => {
    const door = await freshDoor();
    const client: RawClient = await accepts(door, CONNECT);
    expect(client).toBeInstanceOf(RawClient);
    for (let id = 1; id <= 50; id++) {
      const bytes = telemetry('web', `${id}`, id);
      for (let at = 0; at < bytes.length; at += id) client.socket.write(bytes.subarray(at, at + id));
    }
    await client.until(() => client.acked.length === 50);
    expect(client.acked).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    expect(door.log.messages().map((m) => m.payload)).toEqual(client.acked.map(String));
  });
});
