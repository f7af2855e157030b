import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hashPassword } from './access.ts';
import { type KeyPair, TestAuthority } from './certificates.fixture.ts';
import { openTestDoor, type TestDoor } from './door.fixture.ts';
import type { ClientCertificates } from './listeners.ts';
import { alternativeNames } from './tls-identity.ts';

let authority: TestAuthority;
let stranger: TestAuthority;
let server: KeyPair;
let ca: Buffer;
let door: TestDoor;

beforeAll(async () => {
  [authority, stranger] = await Promise.all([TestAuthority.create('ours'), TestAuthority.create('theirs')]);
  server = await authority.sign('/CN=localhost', 'DNS:localhost');
  ca = await authority.certificate();
});
afterAll(() => Promise.all([authority.close(), stranger.close()]));
afterEach(() => door?.close());

async function open(
  clientCertificates: ClientCertificates,
  users: { name: string; password: string; device?: string }[] = [],
) {
  const listen = { host: '127.0.0.1', port: 0 };
  const rules = await Promise.all(
    users.map(async ({ name, password, device }) => {
      const passwordHash = await hashPassword(password);
      return { name, passwordHash, role: 'device' as const, device: device ?? null };
    }),
  );
  door = await openTestDoor({
    listeners: { tls: listen, websocketTls: listen, tlsKeys: { ...server, ca }, clientCertificates },
    access: { anonymous: 'never', users: rules },
  });
}

const urlOf = (kind: 'tls' | 'websocketTls'): string =>
  kind === 'tls'
    ? `mqtts://localhost:${door.door.addresses.tls!.port}`
    : `wss://localhost:${door.door.addresses.websocketTls!.port}`;

const connect = (pair: Partial<KeyPair>, options: object, kind: 'tls' | 'websocketTls' = 'tls') =>
  door.client({ ca, ...pair, connectTimeout: 5000, ...options }, urlOf(kind));

describe('a client certificate', () => {
  it.each(['tls', 'websocketTls'] as const)('makes its client the device that it names (%s)', async (kind) => {
    await open({ required: true, deviceFrom: 'commonName' });
    const pair = await authority.sign('/O=plant/CN=d1');
    const device = await connect(pair, { clientId: 'd1' }, kind);
    await device.publishAsync('devices/d1/telemetry', 'mine', { qos: 1 });
    expect(door.log.messages().map((m) => m.payload)).toEqual(['mine']);
    await expect(connect(pair, { clientId: 'd2' }, kind)).rejects.toThrow(/Identifier rejected/);
    // The first is still there: a client id that is refused takes nothing over.
    await device.publishAsync('devices/d1/telemetry', 'still', { qos: 1 });
    // And it may publish as itself only.
    device.publish('devices/d2/telemetry', 'theirs', { qos: 1 });
    await new Promise<void>((resolve) => device.once('close', () => resolve()));
    expect(door.log.messages().map((m) => m.payload)).toEqual(['mine', 'still']);
  });

  it('may name the device in an alternative name', async () => {
    await open({ required: true, deviceFrom: 'dnsName' });
    const pair = await authority.sign('/CN=some text', 'DNS:pump-7,URI:urn:x');
    await connect(pair, { clientId: 'pump-7' });
    const two = await authority.sign('/CN=pump-7', 'DNS:pump-7,DNS:pump-8');
    await expect(connect(two, { clientId: 'pump-7' })).rejects.toThrow(/Not authorized/);
    const none = await authority.sign('/CN=pump-7');
    await expect(connect(none, { clientId: 'pump-7' })).rejects.toThrow(/Not authorized/);
  });

  it('may name the device in a URI, if there is one', async () => {
    await open({ required: true, deviceFrom: 'uri' });
    await connect(await authority.sign('/CN=x', 'URI:urn:dev:1,DNS:x'), { clientId: 'urn:dev:1' });
    const two = await authority.sign('/CN=x', 'URI:urn:dev:1,URI:urn:dev:2');
    await expect(connect(two, { clientId: 'urn:dev:1' })).rejects.toThrow(/Not authorized/);
  });

  it.each([
    ['DNS:a, URI:urn:b, IP Address:192.0.2.1', ['DNS:a', 'URI:urn:b', 'IP Address:192.0.2.1']],
    ['URI:"x, DNS:y", DNS:z', ['URI:x, DNS:y', 'DNS:z']],
    ['DNS:"quo\\"te, DNS:y"', ['DNS:quo"te, DNS:y']],
    ['DNS:a, broken"', []],
    ['', []],
  ])('reads alternative names such as %s, where one cannot pretend to be two', (text, names) => {
    expect(alternativeNames(text)).toEqual(names);
  });

  it('may let anybody in whom our authority knows, without naming a device', async () => {
    await open({ required: true, deviceFrom: 'none' });
    const pair = await authority.sign('/CN=the fleet');
    await connect(pair, { clientId: 'd1' });
    await connect(pair, { clientId: 'd2' });
  });

  it('is asked for when it is required, and must be of our authority', async () => {
    await open({ required: true, deviceFrom: 'commonName' });
    await expect(connect({}, { clientId: 'd1' })).rejects.toThrow();
    const foreign = await stranger.sign('/CN=d1');
    await expect(connect(foreign, { clientId: 'd1' })).rejects.toThrow();
    await expect(connect(foreign, { clientId: 'd1' }, 'websocketTls')).rejects.toThrow();
    expect(door.door.stats().connections).toBe(0);
  });

  it('may be left away when it is optional, but not be a wrong one', async () => {
    const users = [{ name: 'd1', password: 'one', device: 'd1' }];
    await open({ required: false, deviceFrom: 'commonName' }, users);
    await connect({}, { clientId: 'd1', username: 'd1', password: 'one' });
    await expect(connect({}, { clientId: 'd1' })).rejects.toThrow(/Not authorized/);
    await connect(await authority.sign('/CN=d2'), { clientId: 'd2' });
    const foreign = await stranger.sign('/CN=d3');
    await expect(connect(foreign, { clientId: 'd3' })).rejects.toThrow();
    await expect(connect(foreign, { clientId: 'd1', username: 'd1', password: 'one' })).rejects.toThrow();
    await expect(connect(foreign, { clientId: 'd3' }, 'websocketTls')).rejects.toThrow();
  });

  it('and a password have to agree about the device', async () => {
    await open({ required: true, deviceFrom: 'commonName' }, [{ name: 'u', password: 'p', device: 'd1' }]);
    const right = await authority.sign('/CN=d1');
    await connect(right, { clientId: 'd1', username: 'u', password: 'p' });
    await expect(connect(right, { clientId: 'd1', username: 'u', password: 'no' })).rejects.toThrow(/Bad username/);
    const other = await authority.sign('/CN=d2');
    await expect(connect(other, { clientId: 'd1', username: 'u', password: 'p' })).rejects.toThrow(
      /Identifier rejected/,
    );
  });
});

describe('TLS', () => {
  it('is not spoken below 1.2', async () => {
    await open({ required: false, deviceFrom: 'none' });
    const { port } = door.door.addresses.tls!;
    const socket = connectTls({ port, ca, servername: 'localhost', minVersion: 'TLSv1', maxVersion: 'TLSv1.1' });
    const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
    expect(error.message).toMatch(/protocol|version|alert/i);
  });

  it('shows a renewed certificate to new connections, and keeps the old one when the new is broken', async () => {
    await open({ required: false, deviceFrom: 'commonName' });
    const { port } = door.door.addresses.tls!;
    const shown = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connectTls({ port, ca, servername: 'localhost' }, () => {
          resolve(socket.getPeerX509Certificate()!.serialNumber);
          socket.destroy();
        });
        socket.once('error', reject);
      });
    const first = await shown();
    const client = await connect(await authority.sign('/CN=d1'), { clientId: 'd1' });
    const renewed = await authority.sign('/CN=localhost', 'DNS:localhost');
    door.door.renewTls({ ...renewed, ca });
    const second = await shown();
    expect(second).not.toBe(first);
    await client.publishAsync('devices/d1/telemetry', 'on the old connection', { qos: 1 });
    expect(() => door.door.renewTls({ cert: 'not a certificate', key: renewed.key, ca })).toThrow('cannot be used');
    expect(await shown()).toBe(second);
  });
});
