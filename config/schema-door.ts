import { address, bytes, checkedText, choice, duration, integer, list, path, section } from './fields.ts';
import { topicLevelProblem } from './names.ts';

/** Settings of the door: where devices connect, and who may. */

const MIB = 2 ** 20;

export const mqttSection = section('The MQTT front door. At least one of the four addresses must be set.', {
  listen: address(
    'Where devices connect over plain TCP; null for none. Use 0.0.0.0:1883 to let other machines in, and then see `access`.',
  )
    .nullable()
    .prefault('127.0.0.1:1883'),
  websocketListen: address('Where clients connect over MQTT on WebSocket, such as browsers; null for none.')
    .nullable()
    .prefault(null),
  tlsListen: address(
    'Where devices connect over TLS, by custom on port 8883; null for none. Needs tls.certFile and tls.keyFile.',
  )
    .nullable()
    .prefault(null),
  websocketTlsListen: address(
    'Where clients connect over WebSocket inside TLS; null for none. Needs tls.certFile and tls.keyFile.',
  )
    .nullable()
    .prefault(null),
  tls: section('The certificate of the TLS listeners.', {
    certFile: path('PEM file with the certificate and its chain.').nullable().prefault(null),
    keyFile: path('PEM file with the private key of the certificate.').nullable().prefault(null),
    clientCaFile: path(
      'PEM file with the authorities that sign client certificates. When set, a TLS client without such a certificate is refused.',
    )
      .nullable()
      .prefault(null),
  }).prefault({}),
  packetBytesMax: bytes(
    'Largest MQTT packet taken; a larger one closes its connection. Raise it for devices that send large batches.',
    {
      min: 128,
      max: 64 * MIB,
    },
  ).prefault('1MiB'),
  connectTimeoutMs: duration('How long a new connection may take to introduce itself (CONNECT) before it is closed.', {
    min: 100,
    max: 600_000,
  }).prefault('10s'),
  connectionsMax: integer(
    'Most connections at a time; more are refused. Each takes a file descriptor: raise `ulimit -n` along with it.',
    1,
    1_000_000,
  ).default(20_000),
  topicLevelsMax: integer(
    'Most levels (parts between slashes) of a topic or filter; deeper ones are refused.',
    3,
    100,
  ).default(32),
});

export const accessSection = section('Who may connect, and what they may do.', {
  anonymous: choice(
    'Whether clients without a user name may connect: `loopback` only from this machine, `never`, or `always` (for tests and closed networks: whoever reaches the port may publish as any device).',
    ['loopback', 'always', 'never'],
  ).default('loopback'),
  users: list(
    'Users with a password.',
    section('One user.', {
      name: checkedText('The MQTT user name. Unique.', (name) =>
        name === '' ? { what: 'an empty name', remedy: 'write the user name that the client sends' } : null,
      ),
      passwordHash: checkedText('The scrypt hash of the password, as `sluice passwd` prints it.', hashProblem),
      role: choice(
        '`device` publishes below devices/{its id}/ and subscribes to its own topics only; `operator` may read and publish every topic.',
        ['device', 'operator'],
      ).default('device'),
      device: checkedText(
        'The one device that this user is. null takes the client id, for a credential that many devices share: each of them could then call itself another. Not for operators.',
        (id) => topicLevelProblem(id, 'a device id'),
      )
        .nullable()
        .prefault(null),
    }),
  ).prefault([]),
});

/** `scrypt$N$r$p$SALT$KEY`, salt and key in base64; ingest/passwords.ts makes and reads it, within the same bounds. */
const SCRYPT = /^scrypt\$(\d{1,8})\$(\d{1,4})\$(\d{1,2})\$([A-Za-z0-9+/]{11,}={0,2})\$([A-Za-z0-9+/]{22,}={0,2})$/;

function hashProblem(text: string): { what: string; remedy: string } | null {
  const remedy = 'make one with `sluice passwd`';
  const match = SCRYPT.exec(text);
  // The value itself stays out of the message: whoever got this wrong has most likely written the password.
  if (match === null) return { what: 'not a scrypt hash', remedy };
  const [N, r, p] = match.slice(1, 4).map(Number);
  if (N < 2 || (N & (N - 1)) !== 0 || r < 1 || p < 1 || p > 16)
    return { what: 'a scrypt hash of impossible cost', remedy };
  const bytesNeeded = 128 * N * r + 128 * r * p;
  if (bytesNeeded > 256 * MIB) {
    return { what: `a scrypt hash that takes ${Math.ceil(bytesNeeded / MIB)} MiB to check`, remedy };
  }
  return null;
}
