import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { type Clock, systemClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';

/**
 * A password hash is `scrypt$N$r$p$salt$hash`: the parameters of RFC 7914, then salt and derived key in base64. The values
 * below cost 16 MB and some tens of milliseconds for each check.
 */
const COST = { N: 16_384, r: 8, p: 1 };
const SALT_BYTES = 16;
const KEY_BYTES = 32;
/** Bounds of what a configured hash may ask for: 256 MB and a few seconds. */
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;
/** Derivations at once. They run on the thread pool, which the log needs too. */
const DERIVATIONS_MAX = 2;

interface ParsedHash {
  N: number;
  r: number;
  p: number;
  salt: Buffer;
  key: Buffer;
}

/** The hash of a password, for `access.users[].password` in the configuration. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(Buffer.from(password, 'utf8'), { ...COST, salt, key: Buffer.alloc(KEY_BYTES) });
  return `scrypt$${COST.N}$${COST.r}$${COST.p}$${salt.toString('base64')}$${key.toString('base64')}`;
}

/** Reads a hash. Throws CONFIG_INVALID when it is not one; the message never holds the hash. */
export function parseHash(hash: string): ParsedHash {
  const [scheme, n, r, p, salt, key, ...more] = hash.split('$');
  const parsed = {
    N: Number(n),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt ?? '', 'base64'),
    key: Buffer.from(key ?? '', 'base64'),
  };
  const whole = [parsed.N, parsed.r, parsed.p].every((v) => Number.isInteger(v) && v > 0);
  const costs = whole && (parsed.N & (parsed.N - 1)) === 0 && parsed.N > 1 && parsed.p <= 16;
  if (scheme !== 'scrypt' || more.length > 0 || !costs || memoryBytes(parsed) > MEMORY_BYTES_MAX)
    throw malformed('the scheme or its cost is not one that is taken');
  if (parsed.salt.length < 8 || parsed.key.length < 16) throw malformed('the salt or the key is too short');
  return parsed;
}

function malformed(what: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', `a password hash is malformed: ${what}`, {
    remedy: 'make one with `sluice passwd`',
  });
}

function memoryBytes(cost: { N: number; r: number; p: number }): number {
  return 128 * cost.N * cost.r + 128 * cost.r * cost.p;
}

function derive(password: Buffer, hash: ParsedHash): Promise<Buffer> {
  const { N, r, p } = hash;
  return new Promise((resolve, reject) => {
    scrypt(password, hash.salt, hash.key.length, { N, r, p, maxmem: 2 * memoryBytes(hash) }, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

/** How long checks may have to wait. */
export interface PasswordQueue {
  /** Most that wait; further ones are told at once. */
  waitingMax: number;
  /** A check that could not begin in this time is given up, before its client does. */
  waitMsMax: number;
  clock: Clock;
}

const QUEUE: PasswordQueue = { waitingMax: 5000, waitMsMax: 20_000, clock: systemClock };

interface Waiting {
  /** Somebody still wants the answer. */
  wanted: (() => boolean)[];
  sinceMs: number;
  begin: (go: boolean) => void;
}

interface Check {
  answer: Promise<boolean | 'busy'>;
  wanted: (() => boolean)[];
}

/**
 * Checks passwords of named users. An unknown user costs as much as a known one. What was verified once is remembered as a
 * keyed digest (one for each user, forgotten with the process), so that a fleet that reconnects does not pay again; equal
 * checks at the same time share one derivation, and no more than two run at once.
 *
 * The others wait in line. When more come than can be served, serving all of them late would serve none in time: clients hang
 * up, and come again. So the line is bounded, whoever has hung up is passed over, and whoever waited too long is told so.
 */
export class PasswordChecker {
  readonly #hashes = new Map<string, ParsedHash>();
  readonly #verified = new Map<string, Buffer>();
  readonly #inFlight = new Map<string, Check>();
  readonly #key = randomBytes(32);
  readonly #nobody: ParsedHash;
  readonly #queue: PasswordQueue;
  readonly #waiting: Waiting[] = [];
  #running = 0;
  /** Derivations that were really made; for tests and metrics. */
  derivations = 0;

  /** `users` are pairs of name and hash. Throws CONFIG_INVALID for a malformed hash. */
  constructor(users: Iterable<readonly [name: string, hash: string]>, queue: Partial<PasswordQueue> = {}) {
    this.#queue = { ...QUEUE, ...queue };
    for (const [name, hash] of users) this.#hashes.set(name, parseHash(hash));
    // An unknown user is checked against a hash of the same cost that no password fits.
    const first = this.#hashes.values().next().value ?? {
      ...COST,
      salt: randomBytes(SALT_BYTES),
      key: randomBytes(KEY_BYTES),
    };
    this.#nobody = { ...first, salt: randomBytes(SALT_BYTES), key: randomBytes(first.key.length) };
  }

  /** 'busy' when it could not be found out in time. `wanted` tells whether the answer is still of use. */
  async check(name: string, password: Buffer, wanted: () => boolean = () => true): Promise<boolean | 'busy'> {
    const digest = createHmac('sha256', this.#key).update(name).update('\0').update(password).digest();
    const verified = this.#verified.get(name);
    if (verified !== undefined && timingSafeEqual(verified, digest)) return true;
    const token = digest.toString('base64');
    let check = this.#inFlight.get(token);
    if (check === undefined) {
      const askers: (() => boolean)[] = [];
      const answer = this.#derive(name, password, digest, askers).finally(() => this.#inFlight.delete(token));
      check = { answer, wanted: askers };
      this.#inFlight.set(token, check);
    }
    check.wanted.push(wanted);
    return await check.answer;
  }

  async #derive(name: string, password: Buffer, digest: Buffer, wanted: (() => boolean)[]): Promise<boolean | 'busy'> {
    const known = this.#hashes.get(name);
    const hash = known ?? this.#nobody;
    if (this.#running < DERIVATIONS_MAX) this.#running++;
    else if (!(await this.#turn(wanted))) return 'busy';
    try {
      this.derivations++;
      const fits = timingSafeEqual(await derive(password, hash), hash.key) && known !== undefined;
      if (fits) this.#verified.set(name, digest);
      return fits;
    } finally {
      if (!this.#next()) this.#running--;
    }
  }

  /** Waits in line; false when it is too long. */
  #turn(wanted: (() => boolean)[]): Promise<boolean> {
    const { waitingMax, clock } = this.#queue;
    if (this.#waiting.length >= waitingMax) this.#dropUnwanted();
    if (this.#waiting.length >= waitingMax) return Promise.resolve(false);
    return new Promise((begin) => void this.#waiting.push({ wanted, sinceMs: clock.nowMs(), begin }));
  }

  /** Gives the place that is free to the first in line who is still there, and turns away who waited too long; false: nobody. */
  #next(): boolean {
    const { waitMsMax, clock } = this.#queue;
    for (let first = this.#waiting.shift(); first !== undefined; first = this.#waiting.shift()) {
      const inTime = clock.nowMs() - first.sinceMs <= waitMsMax && first.wanted.some((asked) => asked());
      first.begin(inTime);
      if (inTime) return true;
    }
    return false;
  }

  #dropUnwanted(): void {
    for (const one of this.#waiting.splice(0)) {
      if (one.wanted.some((asked) => asked())) this.#waiting.push(one);
      else one.begin(false);
    }
  }
}
