import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { hashPassword } from './access.ts';
import { eventually, openTestDoor, settle, type TestDoor, telemetry } from './door.fixture.ts';
import { PasswordChecker } from './passwords.ts';

let door: TestDoor;
afterEach(() => door?.close());

async function users(...names: string[]) {
  const passwordHash = await hashPassword('secret');
  return names.map((name) => ({ name, passwordHash, role: 'device' as const, device: null }));
}

const secret = Buffer.from('secret');

describe('a client id', () => {
  it('is taken over by the same user only, and the one who has it notices nothing of another', async () => {
    door = await openTestDoor({ access: { anonymous: 'loopback', users: await users('ann', 'bob') } });
    const ann = await door.accepted('d1', { username: 'ann', password: secret });
    for (const other of [{ username: 'bob', password: secret }, {}]) {
      const thief = door.raw();
      const connect = { clientId: 'd1', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const;
      thief.send({ cmd: 'connect', ...connect, ...other });
      expect((await thief.next('connack')).returnCode).toBe(2);
      await thief.end();
    }
    ann.send(telemetry('d1', 'still here', 1));
    await ann.until(() => ann.acked.length === 1);
    expect(door.lines.has('its client id is in use with another credential')).toBe(true);
    const again = await door.accepted('d1', { username: 'ann', password: secret });
    await ann.end();
    again.send(telemetry('d1', 'taken over', 1));
    await again.until(() => again.acked.length === 1);
    again.socket.end();
    await again.end();
    // Once it is free, another may have it.
    await eventually(() => door.door.stats().connections === 0);
    await door.accepted('d1', { username: 'bob', password: secret });
  });

  it('goes to one of two users who come at the same time, not to both', async () => {
    door = await openTestDoor({ access: { anonymous: 'never', users: await users('ann', 'bob') } });
    const both = ['ann', 'bob'].map((username) => {
      const client = door.raw();
      const connect = { clientId: 'd1', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const;
      client.send({ cmd: 'connect', ...connect, username, password: secret });
      return client.next('connack');
    });
    expect((await Promise.all(both)).map((c) => c.returnCode).sort()).toEqual([0, 2]);
    expect(door.door.stats().connections).toBe(1);
  });

  it('is taken over by an anonymous client from the same address', async () => {
    door = await openTestDoor();
    const first = await door.accepted('d1');
    await door.accepted('d1');
    await first.end();
  });
});

describe('passwords', () => {
  it('of an address that guessed too often are not looked at for a while', async () => {
    const clock = new ManualClock(1_700_000_000_000);
    const limits = { perAddress: { authFailuresMax: 2, authBackoffMsMax: 60_000 } };
    const access = { anonymous: 'loopback' as const, users: await users('ann') };
    door = await openTestDoor({ access, limits, clock });
    const connect = (password: string) => door.client({ username: 'ann', password });
    for (let i = 0; i < 3; i++) await expect(connect('guess')).rejects.toThrow(/Bad username/);
    await expect(connect('secret')).rejects.toThrow(/Server unavailable/);
    // Who needs no password is not concerned.
    await door.client();
    clock.advance(1001);
    await connect('secret');
  });

  it('wait in a line that is bounded, and whoever hung up or waited too long is passed over', async () => {
    const clock = new ManualClock(0);
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const hash = await hashPassword('secret');
    const checker = new PasswordChecker(
      names.map((name) => [name, hash] as const),
      { waitingMax: 3, waitMsMax: 1000, clock },
    );
    let gone = false;
    const running = ['a', 'b'].map((name) => checker.check(name, secret)); // these two begin at once
    const hungUp = checker.check('c', secret, () => !gone);
    const patient = ['d', 'e'].map((name) => checker.check(name, secret));
    expect(await checker.check('f', secret)).toBe('busy');
    gone = true;
    // The place of the one who hung up is free for another.
    const late = checker.check('g', secret);
    expect(await hungUp).toBe('busy');
    expect(await Promise.all([...running, ...patient, late])).toEqual([true, true, true, true, true]);
    expect(checker.derivations).toBe(5);
    // Known ones wait for nobody.
    expect(await checker.check('a', secret)).toBe(true);
    const busy = ['x', 'y'].map((name) => checker.check(name, secret));
    const tooLate = checker.check('z', secret);
    clock.advance(1001);
    expect(await tooLate).toBe('busy');
    expect(await Promise.all(busy)).toEqual([false, false]);
    expect(checker.derivations).toBe(7);
  });
});

describe('$SYS', () => {
  it('is for named operators, who get the figures of the door and nothing of its clients', async () => {
    const clock = new ManualClock(1_700_000_000_000);
    const operator = { name: 'op', passwordHash: await hashPassword('secret'), role: 'operator' as const };
    door = await openTestDoor({ access: { anonymous: 'always', users: [operator] }, clock });
    const op = await door.client({ username: 'op', password: 'secret' });
    const got = new Map<string, string>();
    op.on('message', (topic, payload) => void got.set(topic, String(payload)));
    expect((await op.subscribeAsync('$SYS/#', { qos: 0 }))[0].qos).toBe(0);
    const nobody = await door.client();
    await expect(nobody.subscribeAsync('$SYS/#')).rejects.toThrow();
    await expect(nobody.subscribeAsync('$SYS/broker/uptime')).rejects.toThrow();
    clock.advance(10_000);
    await eventually(() => got.size === 7);
    await settle();
    expect([...got.keys()].every((topic) => topic.startsWith('$SYS/broker/'))).toBe(true);
    expect(got.get('$SYS/broker/clients/connected')).toBe('2');
    expect(got.get('$SYS/broker/uptime')).toBe('10');
    nobody.publish('$SYS/broker/uptime', '0');
    await new Promise<void>((resolve) => nobody.once('close', () => resolve()));
  });
});
