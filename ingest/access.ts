import { SluiceError } from '../model/errors.ts';
import { isDeviceId, telemetryDevice } from './device-id.ts';
import { RETURN_CODE } from './mqtt-bytes.ts';
import { PasswordChecker } from './passwords.ts';

export { hashPassword } from './passwords.ts';

/** Who may connect and what they may do, as the configuration says it. */
export interface AccessRules {
  /** Clients without a user name: only from the machine itself, from anywhere, or not at all. */
  anonymous: 'loopback' | 'always' | 'never';
  users: readonly UserRule[];
}

export interface UserRule {
  name: string;
  /** `scrypt$N$r$p$salt$hash`, made with `sluice passwd`. */
  passwordHash: string;
  /**
   * A device publishes below `devices/{its id}/` and subscribes below `devices/{its id}/` and `alarms/{its id}/`. An
   * operator publishes and subscribes anything; nobody publishes on `$…`.
   */
  role: 'device' | 'operator';
  /** The device that this user is; the client id when absent. */
  device?: string | null;
}

/** What an accepted client is. `device` is set for the role `device` alone; anonymous clients have the rights of operators. */
export interface Principal {
  name: string;
  device: string | null;
}

export interface Credentials {
  clientId: string;
  username: string | undefined;
  password: Buffer | undefined;
  /** The connection comes from the machine itself (and not from a foreign page in its browser). */
  loopback: boolean;
}

/** A refusal carries the return code that CONNACK gives and a reason for the log. */
export type Admission =
  | { granted: true; principal: Principal }
  | { granted: false; returnCode: number; reason: string };

/** Shared groups are granted by the broker but never delivered to; saying no is honest. */
const SHARED_PREFIX = '$share/';

export class Access {
  readonly #rules: AccessRules;
  readonly #users = new Map<string, UserRule>();
  readonly #passwords: PasswordChecker;

  /** Throws CONFIG_INVALID when a user is named twice, a hash is malformed or a pinned device is not a device id. */
  constructor(rules: AccessRules) {
    this.#rules = rules;
    for (const user of rules.users) {
      if (this.#users.has(user.name)) throw new SluiceError('CONFIG_INVALID', `the user "${user.name}" is named twice`);
      if (user.device != null && !isDeviceId(user.device))
        throw new SluiceError('CONFIG_INVALID', `"${user.device}" (user "${user.name}") is not a device id`);
      this.#users.set(user.name, user);
    }
    this.#passwords = new PasswordChecker(rules.users.map((u) => [u.name, u.passwordHash] as const));
  }

  async admit({ clientId, username, password, loopback }: Credentials): Promise<Admission> {
    if (username === undefined) {
      const allowed = this.#rules.anonymous === 'always' || (this.#rules.anonymous === 'loopback' && loopback);
      if (allowed) return { granted: true, principal: { name: '', device: null } };
      return refuse(RETURN_CODE.notAuthorized, 'anonymous clients are not taken here; see access.anonymous');
    }
    if (!(await this.#passwords.check(username, password ?? Buffer.alloc(0))))
      return refuse(RETURN_CODE.badCredentials, 'unknown user or wrong password');
    const user = this.#users.get(username)!;
    if (user.role === 'operator') return { granted: true, principal: { name: user.name, device: null } };
    const device = user.device ?? clientId;
    if (!isDeviceId(device)) {
      const reason = `the client id ${JSON.stringify(device)} cannot be a device id: 1 to 256 bytes without / + #`;
      return refuse(RETURN_CODE.identifierRejected, reason);
    }
    return { granted: true, principal: { name: user.name, device } };
  }
}

function refuse(returnCode: number, reason: string): Admission {
  return { granted: false, returnCode, reason };
}

/** Why a client may not publish on a topic; null when it may. */
export function publishProblem(principal: Principal, topic: string): string | null {
  if (topic.startsWith('$')) return 'topics that begin with $ are reserved';
  if (principal.device !== null && !topic.startsWith(`devices/${principal.device}/`))
    return `a device may publish below devices/${principal.device}/ only`;
  const device = telemetryDevice(topic);
  if (device !== null && !isDeviceId(device))
    return `${JSON.stringify(device.slice(0, 80))} is not a device id: 1 to 256 bytes without / + #`;
  return null;
}

/** Whether a filter may be granted. */
export function maySubscribe(principal: Principal, filter: string): boolean {
  if (filter.startsWith(SHARED_PREFIX)) return false;
  return principal.device === null || belowOwn(principal.device, filter);
}

/** Whether a message on this topic may be delivered: the same borders, for whatever was subscribed or queued before. */
export function mayReceive(principal: Principal, topic: string): boolean {
  return principal.device === null || belowOwn(principal.device, topic);
}

function belowOwn(device: string, topic: string): boolean {
  return topic.startsWith(`devices/${device}/`) || topic.startsWith(`alarms/${device}/`);
}
