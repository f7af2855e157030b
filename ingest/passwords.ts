import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
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

/**
 * Checks passwords of named users. An unknown user costs as much as a known one. What was verified once is remembered as a
 * keyed digest (one for each user, forgotten with the process), so that a fleet that reconnects does not pay again; equal
 * checks at the same time share one derivation, and no more than two run at once.
 */
export class PasswordChecker {
  readonly #hashes = new Map<string, ParsedHash>();
  readonly #verified = new Map<string, Buffer>();
  readonly #inFlight = new Map<string, Promise<boolean>>();
  readonly #key = randomBytes(32);
  readonly #nobody: ParsedHash;
  readonly #queue: (() => void)[] = [];
  #running = 0;

  /** `users` are pairs of name and hash. Throws CONFIG_INVALID for a malformed hash. */
  constructor(users: Iterable<readonly [name: string, hash: string]>) {
    for (const [name, hash] of users) this.#hashes.set(name, parseHash(hash));
    // An unknown user is checked against a hash of the same cost that no password fits.
    const first = this.#hashes.values().next().value ?? {
      ...COST,
      salt: randomBytes(SALT_BYTES),
      key: randomBytes(KEY_BYTES),
    };
    this.#nobody = { ...first, salt: randomBytes(SALT_BYTES), key: randomBytes(first.key.length) };
  }

  /** Derivations that were really made; for tests and metrics. */
  derivations = 0;

  async check(name: string, password: Buffer): Promise<boolean> {
    const digest = createHmac('sha256', this.#key).update(name).update('\0').update(password).digest();
    const verified = this.#verified.get(name);
    if (verified !== undefined && timingSafeEqual(verified, digest)) return true;
    const token = digest.toString('base64');
    let check = this.#inFlight.get(token);
    if (check === undefined) {
      check = this.#derive(name, password, digest).finally(() => this.#inFlight.delete(token));
      this.#inFlight.set(token, check);
    }
    return await check;
  }

  async #derive(name: string, password: Buffer, digest: Buffer): Promise<boolean> {
    const known = this.#hashes.get(name);
    const hash = known ?? this.#nobody;
    if (this.#running >= DERIVATIONS_MAX) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#running++;
    try {
      this.derivations++;
      const fits = timingSafeEqual(await derive(password, hash), hash.key) && known !== undefined;
      if (fits) this.#verified.set(name, digest);
      return fits;
    } finally {
      this.#running--;
      this.#queue.shift()?.();
    }
  }
}
