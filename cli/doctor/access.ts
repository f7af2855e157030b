import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../../config/schema.ts';
import { type Check, fail, inBytes, inTime, ok, type Patient, reasonOf, warn } from './check.ts';

/** Certificates and password hashes. Nothing of a key, a hash or a password is ever part of a sentence. */

const DAY_MS = 86_400_000;
const EXPIRES_SOON_MS = 30 * DAY_MS;

export function checkAccess({ config, nowMs }: Patient): Check[] {
  return [...checkCertificates(config, nowMs()), ...checkHashes(config.access.users)];
}

function checkCertificates({ mqtt, log }: Config, nowMs: number): Check[] {
  const { certFile, keyFile, clientCaFile } = mqtt.tls;
  const out: Check[] = [];
  if (certFile !== null) out.push(checkCertificate('tls.certificate', certFile, keyFile, nowMs));
  if (clientCaFile !== null) out.push(checkCertificate('tls.client-ca', clientCaFile, null, nowMs));
  if (log.kafka.caFile !== null) out.push(checkCertificate('kafka.ca', log.kafka.caFile, null, nowMs));
  return out;
}

export function checkCertificate(name: string, certFile: string, keyFile: string | null, nowMs: number): Check {
  const remedy = 'put a new certificate there and restart the door';
  try {
    const certificate = new X509Certificate(readFileSync(certFile));
    const fromMs = Date.parse(certificate.validFrom);
    const leftMs = Date.parse(certificate.validTo) - nowMs;
    if (leftMs <= 0) return fail(name, `${certFile} expired ${inTime(-leftMs)} ago`, remedy);
    if (fromMs > nowMs) {
      return fail(name, `${certFile} is valid only from ${certificate.validFrom}`, 'correct the clock, or wait');
    }
    if (keyFile !== null && !certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile)))) {
      return fail(name, `${keyFile} is not the key of ${certFile}`, 'give the key that the certificate was made for');
    }
    if (leftMs < EXPIRES_SOON_MS) return warn(name, `${certFile} expires in ${inTime(leftMs)}`, remedy);
    return ok(name, `${certFile} is valid for ${inTime(leftMs)}`);
  } catch (error) {
    return fail(name, `${certFile} cannot be used: ${reasonOf(error)}`, 'give a PEM file that this user may read');
  }
}

/** Memory that deriving a key takes, which is what makes guessing dear. */
const HASH_BYTES_MIN = 16 * 2 ** 20;
const HASH_BYTES_MAX = 128 * 2 ** 20;

export function checkHashes(users: Config['access']['users']): Check[] {
  if (users.length === 0) return [];
  const costs = users.map(({ name, passwordHash }) => {
    const [, n, r] = passwordHash.split('$').map(Number);
    return { name, bytes: 128 * n * r };
  });
  const named = (found: typeof costs): string =>
    `${found.length} of ${users.length} users (${found
      .slice(0, 3)
      .map((u) => u.name)
      .join(', ')}${found.length > 3 ? ', …' : ''})`;
  const cheap = costs.filter((u) => u.bytes < HASH_BYTES_MIN);
  const dear = costs.filter((u) => u.bytes > HASH_BYTES_MAX);
  const out: Check[] = [];
  if (cheap.length > 0) {
    const least = Math.min(...cheap.map((u) => u.bytes));
    out.push(
      warn(
        'users.hashes',
        `the password hash of ${named(cheap)} is cheap to guess: ${inBytes(least)} of memory a try`,
        'make new ones with `sluice passwd`',
      ),
    );
  }
  if (dear.length > 0) {
    const most = Math.max(...dear.map((u) => u.bytes));
    out.push(
      warn(
        'users.hashes',
        `the password hash of ${named(dear)} takes ${inBytes(most)} of memory for each CONNECT`,
        'make new ones with `sluice passwd`: many devices that reconnect at once would wait for each other',
      ),
    );
  }
  return out.length > 0 ? out : [ok('users.hashes', `${users.length} users, all with hashes of a good cost`)];
}
