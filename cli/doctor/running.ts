import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Address, formatAddress } from '../../config/address.ts';
import type { Config } from '../../config/schema.ts';
import { writerOf } from '../../log/writer-lock.ts';
import { ALARMS, STATS, TELEMETRY } from '../../model/topics.ts';
import { ROLES, type Role } from '../roles.ts';
import { type Check, fail, ok, type Patient, reasonOf, warn } from './check.ts';

/** What runs now: addresses, the health of roles, the page. */

const PATIENCE_MS = 4_000;

/** Roles by the process that writes their part of the embedded log. On Kafka nothing of this is on this machine. */
export function runningRoles(config: Config): Map<string, number> {
  const out = new Map<string, number>();
  const topics: [Role, string][] = [
    ['door', TELEMETRY],
    ['processor', ALARMS],
    ['store', STATS.store],
  ];
  for (const [role, topic] of topics) {
    const pid = writerOf(join(config.dataDir, 'log', topic));
    if (pid !== null) out.set(role, pid);
  }
  return out;
}

interface Place {
  setting: string;
  address: Address;
  /** Whether what listens there is ours. */
  isOurs: () => Promise<boolean> | boolean;
}

export async function checkPorts({ config, running }: Patient): Promise<Check[]> {
  const { mqtt, gateway, store, health } = config;
  const places: Place[] = [];
  const add = (setting: string, address: Address | null, isOurs: Place['isOurs']): void => {
    if (address !== null && address.port !== 0) places.push({ setting, address, isOurs });
  };
  const byDoor = (): boolean => running.has('door');
  add('mqtt.listen', mqtt.listen, byDoor);
  add('mqtt.websocketListen', mqtt.websocketListen, byDoor);
  add('mqtt.tlsListen', mqtt.tlsListen, byDoor);
  add('mqtt.websocketTlsListen', mqtt.websocketTlsListen, byDoor);
  add('gateway.listen', gateway.listen, async () => 'roles' in (await json(gateway.listen, '/health')).body);
  if (store.url === null) add('store.listen', store.listen, () => running.has('store'));
  for (const role of ROLES) {
    const address = health[role];
    add(`health.${role}`, address, async () => (await json(address as Address, '/health')).body.role === role);
  }
  return Promise.all(places.map((place) => checkPort(place)));
}

async function checkPort({ setting, address, isOurs }: Place): Promise<Check> {
  const name = `port.${setting}`;
  const where = `${formatAddress(address)} (${setting})`;
  const code = await tryListen(address);
  if (code === null) return ok(name, `${where} is free`);
  if (code === 'EADDRINUSE') {
    if (await Promise.resolve(isOurs()).catch(() => false)) return ok(name, `${where} is taken by Sluice itself`);
    return fail(name, `${where} is taken by another program`, `stop it, or choose another address in ${setting}`);
  }
  if (code === 'EACCES') {
    return fail(
      name,
      `this user may not listen on ${where}`,
      'choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE',
    );
  }
  return fail(name, `nobody can listen on ${where}: ${code}`, `write an address of this machine in ${setting}`);
}

/** Takes the port and lets go of it; null when that worked, else the system's word for why not. */
function tryListen({ host, port }: Address): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

interface RoleAnswer {
  role?: string;
  instance?: string;
  state?: string;
  reasons?: string[];
  roles?: RoleAnswer[];
}

async function json(address: Address, path: string): Promise<{ status: number; body: RoleAnswer }> {
  const host = ['0.0.0.0', '::'].includes(address.host) ? '127.0.0.1' : address.host;
  const response = await fetch(`http://${formatAddress({ ...address, host })}${path}`, {
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return { status: response.status, body: (await response.json()) as RoleAnswer };
}

export async function checkRoles({ config, running }: Patient): Promise<Check[]> {
  const out: Check[] = [];
  let roles: RoleAnswer[] | null = null;
  try {
    roles = (await json(config.gateway.listen, '/health')).body.roles ?? null;
  } catch {
    // Nobody is there; whether somebody should be is told below.
  }
  if (roles !== null) out.push(...roles.map((role) => judgeRole(role)));
  else if (running.size > 0) {
    out.push(
      fail(
        'role.gateway',
        `${[...running.keys()].join(', ')} run, and the gateway does not answer at ${formatAddress(config.gateway.listen)}`,
        'see the log of the gateway, or give doctor the same --http as the program',
      ),
    );
  } else out.push(ok('roles', 'the program is stopped'));
  for (const role of ROLES) {
    const address = config.health[role];
    if (address === null) continue;
    try {
      out.push(judgeRole((await json(address, '/health')).body, `health.${role}`));
    } catch (error) {
      if (running.has(role)) {
        out.push(fail(`health.${role}`, `does not answer: ${reasonOf(error)}`, 'see the log of the role'));
      }
    }
  }
  return out;
}

export function judgeRole({ role = '', instance = '', state, reasons = [] }: RoleAnswer, name = `role.${role}`): Check {
  const who = instance === '' ? role : `${role} (${instance})`;
  const why = reasons.join('; ');
  if (state === 'ok') return ok(name, `${who} is well`);
  if (state === 'down') return fail(name, `${who} is down: ${why}`, 'see its log');
  return warn(name, `${who} is ${state}: ${why}`, 'the reason names what to change');
}

export async function checkPage({ config }: Patient): Promise<Check[]> {
  const built = existsSync(fileURLToPath(new URL('../../dashboards/page/index.html', import.meta.url)));
  if (!built) return [warn('page', 'the page has not been built; only the API is served', 'run `npm run build`')];
  const address = config.gateway.listen;
  const host = ['0.0.0.0', '::'].includes(address.host) ? '127.0.0.1' : address.host;
  const url = `http://${formatAddress({ ...address, host })}/`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const text = await answer.text();
    if (answer.ok && /<!doctype html>/i.test(text)) return [ok('page', `${url} is there`)];
    return [warn('page', `${url} answers ${answer.status}, and not with the page`, 'see what else listens there')];
  } catch {
    return [ok('page', 'the page is built; nobody serves it now')];
  }
}
