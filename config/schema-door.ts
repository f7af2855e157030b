import { address, bytes, checkedText, choice, duration, integer, list, path, section } from './fields.ts';
import { topicLevelProblem } from './names.ts';
import { perAddressSection, perClientSection, totalSection } from './schema-limits.ts';

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
      'PEM file with the authorities that sign client certificates. When set, clients are asked for one, and a wrong one is refused.',
    )
      .nullable()
      .prefault(null),
    clientCertificate: choice(
      'With clientCaFile: `required` refuses a TLS client without a certificate; `optional` lets it show a password instead.',
      ['required', 'optional'],
    ).default('required'),
    deviceFrom: choice(
      'Where the device id stands in a client certificate: `commonName` of the subject, the one `dnsName` or `uri` of its alternative names, or `none`: the certificate lets a client in under any client id. A client id that differs from the device is refused.',
      ['commonName', 'dnsName', 'uri', 'none'],
    ).default('commonName'),
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
  packetTimeoutMs: duration('How long a client may take to send one packet, from its first byte to its last.', {
    min: 1000,
    max: 3_600_000,
  }).prefault('1m'),
  passwordWaitMsMax: duration(
    'How long a password may wait for its check when very many come at once; then the client is told to come again.',
    { min: 1000, max: 600_000 },
  ).prefault('20s'),
  subscriberStallMsMax: duration('A client that reads nothing of what it is sent for this long is disconnected.', {
    min: 100,
    max: 3_600_000,
  }).prefault('10s'),
  sessionExpiryMs: duration(
    'A persistent session (clean session 0) whose client has been away for this long is forgotten, with its subscriptions and its queue.',
    { min: 1000 },
  ).prefault('7d'),
  willBytesMax: bytes('Largest will message; a client with a larger one is refused.', { min: 0, max: 65_535 }).prefault(
    '16KiB',
  ),
  filtersPerPacketMax: integer(
    'Most filters in one SUBSCRIBE or UNSUBSCRIBE; a packet with more closes its connection.',
    1,
    10_000,
  ).default(256),
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
  perAddress: perAddressSection.prefault({}),
  perClient: perClientSection.prefault({}),
  total: totalSection.prefault({}),
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
