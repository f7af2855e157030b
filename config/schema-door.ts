import { address, bytes, checkedText, choice, duration, integer, list, path, section } from './fields.ts';
import { topicLevelProblem } from './names.ts';

/** Settings of the door: where devices connect, and who may. */

const MIB = 2 ** 20;

export const mqttSection = section('The MQTT front door. At least one of the four addresses must be set.', {
  listen: address(
    'Where devices connect over plain TCP; null for none. Use 0.0.0.0:1883 to let other machines in, and then see `access`.',
  )
    .nullable()
    .default({ host: '127.0.0.1', port: 1883 }),
  websocketListen: address('Where clients connect over MQTT on WebSocket, such as browsers; null for none.')
    .nullable()
    .default(null),
  tlsListen: address(
    'Where devices connect over TLS, by custom on port 8883; null for none. Needs tls.certFile and tls.keyFile.',
  )
    .nullable()
    .default(null),
  websocketTlsListen: address(
    'Where clients connect over WebSocket inside TLS; null for none. Needs tls.certFile and tls.keyFile.',
  )
    .nullable()
    .default(null),
  tls: section('The certificate of the TLS listeners.', {
    certFile: path('PEM file with the certificate and its chain.').nullable().default(null),
    keyFile: path('PEM file with the private key of the certificate.').nullable().default(null),
    clientCaFile: path(
      'PEM file with the authorities that sign client certificates. When set, a TLS client without such a certificate is refused.',
    )
      .nullable()
      .default(null),
  }).prefault({}),
  packetBytesMax: bytes(
    'Largest MQTT packet taken; a larger one closes its connection. Raise it for devices that send large batches.',
    {
      min: 128,
      max: 64 * MIB,
    },
  ).default(MIB),
  connectTimeoutMs: duration('How long a new connection may take to introduce itself (CONNECT) before it is closed.', {
    min: 100,
    max: 600_000,
  }).default(10_000),
  connectionsMax: integer(
    'Most connections at a time; more are refused. Each takes a file descriptor: raise `ulimit -n` along with it.',
    1,
    1_000_000,
  ).default(20_000),
  topicLevelsMax: integer(
    'Most levels (parts between slashes) of a topic or filter; deeper ones are refused.',
    3,
    128,
  ).default(16),
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
        'Id of the device that logs in as this user; null means the user name. Not for operators.',
        (id) => topicLevelProblem(id, 'a device id'),
      )
        .nullable()
        .default(null),
    }),
  ).default([]),
});

/** `$scrypt$ln=15,r=8,p=1$SALT$HASH`, the PHC string format with base64 without padding. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$[A-Za-z0-9+/]{8,}\$[A-Za-z0-9+/]{16,}$/;

function hashProblem(text: string): { what: string; remedy: string } | null {
  const match = SCRYPT.exec(text);
  // The value itself stays out of the message: whoever got this wrong has most likely written the password.
  if (match === null)
    return { what: 'not a scrypt hash', remedy: 'make one with `sluice passwd`, and put it in quotes' };
  const bytesNeeded = 128 * 2 ** Number(match[1]) * Number(match[2]);
  if (bytesNeeded > 256 * MIB) {
    return {
      what: `a scrypt hash that takes ${bytesNeeded / MIB} MiB to check`,
      remedy: 'make a new one with `sluice passwd`',
    };
  }
  return null;
}
