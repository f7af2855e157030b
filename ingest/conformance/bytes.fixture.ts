import { expect } from 'vitest';
import { openTestDoor, type RawClient, type TestDoor, telemetry } from '../door.fixture.ts';

/** A packet by hand: its first byte, then its body; the remaining length is put between. */
export function packet(first: number, ...body: (string | readonly number[] | Uint8Array)[]): Buffer {
  const content = Buffer.concat(
    body.map((b) => (typeof b === 'string' ? Buffer.from(b) : Buffer.from(b as Uint8Array))),
  );
  const length: number[] = [];
  for (let rest = content.length; ; rest >>>= 7) {
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
    if (rest < 128) break;
  }
  return Buffer.concat([Buffer.from([first, ...length]), content]);
}

/** A field with its two bytes of length. */
export function field(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content as Uint8Array);
  return Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length & 255]), bytes]);
}

/** CONNECT of MQTT 3.1.1 with a keep-alive of 0. */
export function connect(flags: number, ...fields: Uint8Array[]): Buffer {
  return packet(0x10, field('MQTT'), [4, flags, 0, 0], ...fields);
}

export function publish(
  topic: string | Uint8Array,
  payload: string,
  { qos = 0, id = 1, dup = false, retain = false }: { qos?: number; id?: number; dup?: boolean; retain?: boolean } = {},
): Buffer {
  const first = 0x30 | (qos << 1) | (dup ? 8 : 0) | (retain ? 1 : 0);
  return packet(first, field(topic), qos > 0 ? [id >>> 8, id & 255] : [], payload);
}

export function subscribe(id: number, ...filters: [filter: string | Uint8Array, qos: number][]): Buffer {
  return packet(0x82, [id >>> 8, id & 255], ...filters.flatMap(([f, qos]) => [field(f), [qos]]));
}

export function unsubscribe(id: number, ...filters: string[]): Buffer {
  return packet(0xa2, [id >>> 8, id & 255], ...filters.map((f) => field(f)));
}

export const PINGREQ = packet(0xc0);
export const DISCONNECT = packet(0xe0);
export const pubrel = (id: number): Buffer => packet(0x62, [id >>> 8, id & 255]);
export const pubrec = (id: number): Buffer => packet(0x50, [id >>> 8, id & 255]);
export const pubcomp = (id: number): Buffer => packet(0x70, [id >>> 8, id & 255]);
export const puback = (id: number): Buffer => packet(0x40, [id >>> 8, id & 255]);

let open: TestDoor | null = null;

/** A door that `closeDoor` closes. */
export async function freshDoor(...args: Parameters<typeof openTestDoor>): Promise<TestDoor> {
  open = await openTestDoor(...args);
  return open;
}

export async function closeDoor(): Promise<void> {
  await open?.close();
  open = null;
}

/** Waits until all that this client sent has been dealt with, and all that was on its way to it has come. */
export async function settled(client: RawClient): Promise<void> {
  const id = 60_000;
  for (let round = 0; round < 2; round++) {
    client.send(unsubscribe(id, 'never/subscribed'));
    await client.next('unsuback');
  }
}

/** What a client is sent, as "topic payload qos" with its flags. */
export function messages(client: RawClient): string[] {
  return client.packets.flatMap((p) =>
    p.cmd === 'publish' ? [`${p.topic} ${p.payload} ${p.qos}${p.retain ? ' retain' : ''}${p.dup ? ' dup' : ''}`] : [],
  );
}

/** Waits for a number of messages in all, and then for anything that would be too many. */
export async function received(client: RawClient, count: number): Promise<string[]> {
  await client.until(() => messages(client).length >= count);
  await settled(client);
  return messages(client);
}

/** These bytes cost an accepted client its connection without any answer, and nobody else anything. */
export async function closes(door: TestDoor, bytes: Uint8Array): Promise<void> {
  const neighbour = await door.accepted('neighbour');
  const client = await door.accepted('offender');
  client.send(bytes);
  await client.end();
  expect(client.packets).toEqual([]);
  neighbour.send(telemetry('neighbour', 'fine', 1));
  await neighbour.until(() => neighbour.acked.length === 1);
  neighbour.socket.destroy();
  await neighbour.end();
}

/** These bytes, sent first, close the connection without a word. */
export async function closesUnheard(door: TestDoor, bytes: Uint8Array): Promise<void> {
  const client = door.raw();
  client.send(bytes);
  await client.end();
  expect(client.packets).toEqual([]);
}

/** These bytes, sent first, are answered with this return code, and then the connection is closed. */
export async function refuses(door: TestDoor, bytes: Uint8Array, returnCode: number): Promise<void> {
  const client = door.raw();
  client.send(bytes);
  await client.end();
  expect(client.packets).toMatchObject([{ cmd: 'connack', returnCode, sessionPresent: false }]);
}

/** These bytes, sent first, are accepted. */
export async function accepts(door: TestDoor, bytes: Uint8Array): Promise<RawClient> {
  const client = door.raw();
  client.send(bytes);
  expect(await client.next('connack')).toMatchObject({ returnCode: 0 });
  return client;
}
