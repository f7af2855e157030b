import { scryptSync } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Access, hashPassword, maySubscribe, publishProblem, type UserRule } from './access.ts';
import { openTestDoor, settle, type TestDoor, telemetry } from './door.fixture.ts';
import { PasswordChecker, parseHash } from './passwords.ts';

let door: TestDoor | undefined;
afterEach(async () => {
  await door?.close();
  door = undefined;
});

let users: UserRule[];
beforeAll(async () => {
  const passwordHash = await hashPassword('correct horse');
  users = [
    { name: 'fleet', passwordHash, role: 'device' },
    { name: 'press', passwordHash, role: 'device', device: 'press-1' },
    { name: 'boss', passwordHash, role: 'operator' },
  ];
});

describe('passwords', () => {
  it('are hashed as the format says, so that another scrypt finds the same key', async () => {
    const hash = await hashPassword('p\u00e4ss');
    const [scheme, n, r, p, salt, key] = hash.split('$');
    expect([scheme, n, r, p]).toEqual(['scrypt', '16384', '8', '1']);
    const derived = scryptSync('p\u00e4ss', Buffer.from(salt, 'base64'), 32, { N: 16_384, r: 8, p: 1 });
    expect(derived.toString('base64')).toBe(key);
    expect(await hashPassword('p\u00e4ss')).not.toBe(hash);
  });

  it('are checked once for a storm of equal ones, again for a wrong one, and for unknown users as well', async () => {
    const checker = new PasswordChecker([['a', users[0].passwordHash]]);
    const good = Buffer.from('correct horse');
    const storm = await Promise.all(Array.from({ length: 100 }, () => checker.check('a', good)));
    expect(storm.every(Boolean)).toBe(true);
    expect(checker.derivations).toBe(1);
    expect(await checker.check('a', good)).toBe(true);
    expect(checker.derivations).toBe(1);
    expect(await checker.check('a', Buffer.from('wrong'))).toBe(false);
    expect(await checker.check('nobody', good)).toBe(false);
    expect(checker.derivations).toBe(3);
    expect(await checker.check('a', good)).toBe(true); // a wrong one in between forgets nothing
    expect(checker.derivations).toBe(3);
  });

  it.each([
    '',
    'plain',
    'scrypt$16384$8$1$AAAA$AAAA',
    'scrypt$3$8$1$c2FsdHNhbHQ=$a2V5a2V5a2V5a2V5a2V5',
    'scrypt$1073741824$8$1$c2FsdHNhbHQ=$a2V5a2V5a2V5a2V5a2V5',
  ])('are not taken from a malformed hash: %s', (hash) => {
    expect(() => parseHash(hash)).toThrow(/malformed/);
    if (hash !== '') expect(() => parseHash(hash)).not.toThrow(hash.slice(-8));
  });
});

describe('access rules', () => {
  const someone = { clientId: 'c', username: undefined, password: undefined };

  it('let anonymous clients in from where they say', async () => {
    for (const [anonymous, local, remote] of [
      ['loopback', true, false],
      ['always', true, true],
      ['never', false, false],
    ] as const) {
      const access = new Access({ anonymous, users: [] });
      expect((await access.admit({ ...someone, loopback: true })).granted).toBe(local);
      expect((await access.admit({ ...someone, loopback: false })).granted).toBe(remote);
    }
  });

  it('refuse rules that contradict themselves', () => {
    expect(() => new Access({ anonymous: 'never', users: [users[0], users[0]] })).toThrow(/named twice/);
    expect(() => new Access({ anonymous: 'never', users: [{ ...users[1], device: 'a/b' }] })).toThrow(
      /not a device id/,
    );
  });

  it('keep a device to its own topics', () => {
    const device = { name: 'fleet', device: 'd1' };
    expect(publishProblem(device, 'devices/d1/telemetry')).toBeNull();
    expect(publishProblem(device, 'devices/d1/state/door')).toBeNull();
    for (const topic of [
      'devices/d2/telemetry',
      'devices/d1',
      'devices/d11/telemetry',
      'alarms/d1/hot',
      'news',
      '$SYS/x',
    ])
      expect(publishProblem(device, topic)).not.toBeNull();
    for (const filter of ['devices/d1/#', 'devices/d1/+', 'alarms/d1/#', 'alarms/d1/hot'])
      expect(maySubscribe(device, filter)).toBe(true);
    for (const filter of [
      '#',
      'devices/#',
      'devices/+/telemetry',
      'devices/d2/#',
      '+/d1/#',
      'alarms/#',
      '$SYS/#',
      '$share/g/devices/d1/#',
    ])
      expect(maySubscribe(device, filter)).toBe(false);
  });
});

describe('the door', () => {
  const connected = { protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 };

  async function answer(options: object): Promise<number> {
    const client = door!.raw();
    client.send({ cmd: 'connect', ...connected, clientId: 'd1', ...options } as never);
    return (await client.next('connack')).returnCode ?? -1;
  }

  it('answers with the return codes of the specification', async () => {
    door = await openTestDoor({ access: { anonymous: 'never', users } });
    expect(await answer({})).toBe(5);
    expect(await answer({ username: 'fleet', password: Buffer.from('wrong') })).toBe(4);
    expect(await answer({ username: 'ghost', password: Buffer.from('correct horse') })).toBe(4);
    expect(await answer({ username: 'fleet' })).toBe(4);
    expect(await answer({ clientId: 'a/b', username: 'fleet', password: Buffer.from('correct horse') })).toBe(2);
    const will = { topic: 'devices/d2/telemetry', payload: Buffer.from('x'), qos: 0, retain: false };
    expect(await answer({ username: 'fleet', password: Buffer.from('correct horse'), will })).toBe(5);
    expect(door.door.stats()).toMatchObject({ connectionsRefused: 6, connections: 0 });
    expect(await answer({ username: 'fleet', password: Buffer.from('correct horse') })).toBe(0);
    expect(door.lines.lines.join('\n')).not.toContain('correct horse');
  });

  it('ends a device that publishes as another, on the lane and beside it', async () => {
    door = await openTestDoor({ access: { anonymous: 'never', users } });
    const login = { username: 'fleet', password: Buffer.from('correct horse') };
    for (const packet of [
      telemetry('d2', 'x', 1),
      telemetry('d2', 'x', 1, { retain: true }),
      telemetry('d1', 'x', 1, { topic: 'devices/d2/state' }),
    ]) {
      const client = await door.accepted('d1', login);
      client.send(telemetry('d1', 'mine', 7), packet);
      await client.end();
      expect(client.acked.filter((id) => id !== 7)).toEqual([]);
    }
    await settle();
    expect(new Set(door.log.messages().map((m) => m.device))).toEqual(new Set(['d1']));
    expect(door.lines.has('a device may publish below devices/d1/ only')).toBe(true);
  });

  it('takes a pinned device for what it is, whatever its client id says', async () => {
    door = await openTestDoor({ access: { anonymous: 'never', users } });
    const client = await door.accepted('any/thing', { username: 'press', password: Buffer.from('correct horse') });
    client.send(telemetry('press-1', 'x', 1));
    await client.until(() => client.acked.length === 1);
    expect(door.log.messages()[0].device).toBe('press-1');
  });

  it('delivers to a device only what is its own, also from a session that asked for more', async () => {
    door = await openTestDoor({ access: { anonymous: 'never', users } });
    const login = { username: 'fleet', password: 'correct horse' };
    const boss = await door.client({ username: 'boss', password: 'correct horse' });
    const session = { ...login, clientId: 'd1', clean: false };
    const device = await door.client(session);
    const granted = await device
      .subscribeAsync(['devices/#', 'devices/d1/commands'], { qos: 1 })
      .catch((e: Error) => e);
    expect(JSON.stringify(granted)).not.toBe(undefined);
    await device.endAsync();
    await boss.publishAsync('devices/d2/secret', 'not for d1', { qos: 1 });
    await boss.publishAsync('devices/d1/commands', 'open', { qos: 1 });
    const got: string[] = [];
    const again = await door.accepted('d1', {
      username: 'fleet',
      password: Buffer.from('correct horse'),
      clean: false,
    });
    await again.until(() => again.packets.some((p) => p.cmd === 'publish'));
    await settle();
    for (const p of again.packets) if (p.cmd === 'publish') got.push(`${p.topic} ${p.payload}`);
    expect(got).toEqual(['devices/d1/commands open']);
  });
});
