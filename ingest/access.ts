import { isDeviceId } from '../model/device.ts';
import { SluiceError } from '../model/errors.ts';
import { telemetryDevice } from './device-id.ts';
import { RETURN_CODE } from './mqtt-bytes.ts';
import { PasswordChecker, type PasswordQueue } from './passwords.ts';

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
  /** The client has shown a certificate that our authorities signed. */
  certificate?: ClientCertificate | null;
}

export interface ClientCertificate {
  /** The device that it names; null when certificates are not to name devices, empty when this one should and does not. */
  device: string | null;
  subject: string;
}

/** A refusal carries the return code that CONNACK gives and a reason for the log. */
export type Admission =
  | { granted: true; principal: Principal }
  | { granted: false; returnCode: number; reason: string };

/** Shared groups are granted by the broker but never delivered to; saying no is honest. */
const SHARED_PREFIX = '$share/';
/** What the door tells of itself (door-status.ts). */
const OWN_STATUS = '$SYS/';

export class Access {
  readonly #rules: AccessRules;
  readonly #users = new Map<string, UserRule>();
  readonly #passwords: PasswordChecker;

  /** Throws CONFIG_INVALID when a user is named twice, a hash is malformed or a pinned device is not a device id. */
  constructor(rules: AccessRules, queue: Partial<PasswordQueue> = {}) {
    this.#rules = rules;
    for (const user of rules.users) {
      if (this.#users.has(user.name)) throw new SluiceError('CONFIG_INVALID', `the user "${user.name}" is named twice`);
      if (user.device != null && !isDeviceId(user.device))
        throw new SluiceError('CONFIG_INVALID', `"${user.device}" (user "${user.name}") is not a device id`);
      this.#users.set(user.name, user);
    }
    this.#passwords = new PasswordChecker(
      rules.users.map((u) => [u.name, u.passwordHash] as const),
      queue,
    );
  }

  /**
   * Without a user name a certificate speaks for a client. With both, the password is checked as well, and a device must be
   * the one that its certificate names. `wanted` tells whether the client still waits for the answer.
   */
  async admit(
    { clientId, username, password, loopback, certificate = null }: Credentials,
    wanted: () => boolean = () => true,
  ): Promise<Admission> {
    if (username === undefined) {
      if (certificate !== null) return byCertificate(clientId, certificate);
      const allowed = this.#rules.anonymous === 'always' || (this.#rules.anonymous === 'loopback' && loopback);
      if (allowed) return { granted: true, principal: { name: ANONYMOUS, device: null } };
      return refuse(RETURN_CODE.notAuthorized, 'anonymous clients are not taken here; see access.anonymous');
    }
    const checked = await this.#passwords.check(username, password ?? Buffer.alloc(0), wanted);
    if (checked === 'busy')
      return refuse(RETURN_CODE.serverUnavailable, 'too many passwords wait for their check; it is to come again');
    if (!checked) return refuse(RETURN_CODE.badCredentials, 'unknown user or wrong password');
    const user = this.#users.get(username)!;
    if (user.role === 'operator') return { granted: true, principal: { name: user.name, device: null } };
    const device = user.device ?? clientId;
    if (!isDeviceId(device)) return refuseId(device);
    if (certificate?.device != null && certificate.device !== device)
      return refuse(RETURN_CODE.identifierRejected, 'its certificate names another device than its user does');
    return { granted: true, principal: { name: user.name, device } };
  }
}

function byCertificate(clientId: string, { device, subject }: ClientCertificate): Admission {
  if (device === '')
    return refuse(RETURN_CODE.notAuthorized, 'its certificate names no device; see mqtt.tls.deviceFrom');
  if (device !== null && device !== clientId)
    return refuse(RETURN_CODE.identifierRejected, 'its client id is not the device that its certificate names');
  if (!isDeviceId(clientId)) return refuseId(clientId);
  return { granted: true, principal: { name: `certificate ${device ?? subject}`, device: clientId } };
}

/** Nobody can be configured with this name, since user names are not empty. */
const ANONYMOUS = '';

/**
 * Whether two clients have shown the same credential, so that one may take the other's client id over. Anonymous clients have
 * none; all that tells them apart is where they come from (see address-key.ts).
 */
export function sameCredential(a: Principal, aAddress: string, b: Principal, bAddress: string): boolean {
  if (a.name !== b.name) return false;
  return a.name !== ANONYMOUS || aAddress === bAddress;
}

function refuseId(device: string): Admission {
  const reason = `the client id ${JSON.stringify(device.slice(0, 80))} cannot be a device id: 1 to 256 bytes without / + #`;
  return refuse(RETURN_CODE.identifierRejected, reason);
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

/** Whether a filter may be granted. What the broker says of itself is for named operators: it tells of other clients. */
export function maySubscribe(principal: Principal, filter: string): boolean {
  if (filter.startsWith(SHARED_PREFIX)) return false;
  if (principal.device !== null) return belowOwn(principal.device, filter);
  return !filter.startsWith('$') || (principal.name !== ANONYMOUS && filter.startsWith(OWN_STATUS));
}

/** Whether a message on this topic may be delivered: the same borders, for whatever was subscribed or queued before. */
export function mayReceive(principal: Principal, topic: string): boolean {
  if (principal.device !== null) return belowOwn(principal.device, topic);
  // The broker's inner topics, which name each client that comes and goes, are not for anybody.
  return !topic.startsWith('$') || (principal.name !== ANONYMOUS && topic.startsWith(`${OWN_STATUS}broker/`));
}

function belowOwn(device: string, topic: string): boolean {
  return topic.startsWith(`devices/${device}/`) || topic.startsWith(`alarms/${device}/`);
}
