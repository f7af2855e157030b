import { bytes, duration, integer, section } from './fields.ts';

/** What clients of the door may take of it. The defaults are ingest/limits.ts's. */

const MANY = 10_000_000;

export const perAddressSection = section(
  'What one remote address may do. Of IPv6 the first 64 bits count as one address. Behind a load balancer all clients come from its address: raise these along with mqtt.connectionsMax then.',
  {
    connectionsMax: integer('Most connections at a time; more are refused.', 1, MANY).default(10_000),
    unintroducedMax: integer(
      'Most connections that have not sent their CONNECT yet. Above it the longest silent one is ended, or the new one refused.',
      1,
      MANY,
    ).default(2500),
    connectsPerSecondMax: integer('Most new connections a second in the long run; 0 for no limit.', 0, MANY).default(
      500,
    ),
    connectBurst: integer('How many new connections may come at once after a quiet time.', 1, MANY).default(10_000),
    authFailuresMax: integer(
      'Wrong passwords that are forgiven. Beyond them each makes the address wait twice as long before the next password is looked at, from one second; ten minutes without one end it. 0 for no such wait.',
      0,
      MANY,
    ).default(20),
    authBackoffMsMax: duration('The longest such wait.', { min: 1000, max: 86_400_000 }).prefault('1m'),
  },
);

export const perClientSection = section('What one client may do.', {
  perSecondMessagesMax: integer(
    'Most messages a second; a faster client is read more slowly, and nothing of it is dropped. 0 for no limit.',
    0,
    MANY,
  ).default(0),
  perSecondBytesMax: bytes('Most bytes of messages a second, in the same way. 0 for no limit.').prefault(0),
  inFlightMessagesMax: integer(
    'Most QoS 1 and 2 messages that wait for the log; its socket is not read above this.',
    1,
    65_535,
  ).default(65_535),
  subscriptionsMax: integer('Most subscriptions; further ones are told 128 in SUBACK.', 1, MANY).default(1000),
  offlineMessagesMax: integer(
    'Most messages kept for a persistent session whose client is away or does not acknowledge. The oldest that was not sent makes room for the next; the log is not concerned.',
    1,
    MANY,
  ).default(10_000),
  offlineBytesMax: bytes('Most bytes kept for such a session.', { min: 1024 }).prefault('8MiB'),
  retainedMessagesMax: integer(
    'Most retained messages of a client; further ones are delivered and not retained.',
    0,
    MANY,
  ).default(1000),
  retainedBytesMax: bytes('Most bytes of retained messages of a client.').prefault('4MiB'),
  sendQueueBytesMax: bytes(
    'Most bytes that wait for a subscriber to read them. Above it messages of QoS 0 are dropped for it, and at QoS 1 and 2 it is disconnected. Others never wait for it.',
    { min: 1024 },
  ).prefault('8MiB'),
});

export const totalSection = section('What all clients together may take of one door, in memory above all.', {
  unintroducedMax: integer(
    'Most connections that have not sent their CONNECT yet. Above it the longest silent one is ended, or the new one refused.',
    1,
    MANY,
  ).default(5000),
  partialBytesMax: bytes(
    'Most bytes of packets that have begun and not ended; above it the connection whose packet began first is ended.',
    { min: 65_536 },
  ).prefault('128MiB'),
  handshakesMax: integer(
    'Most QoS 2 messages that wait for their PUBREL; above it the session with the most is forgotten, and its client disconnected.',
    1,
    MANY,
  ).default(1_000_000),
  passwordsWaitingMax: integer(
    'Most passwords that wait for their check; further clients are told to come again.',
    1,
    MANY,
  ).default(5000),
  subscriptionsMax: integer('Most subscriptions, those of absent clients included.', 1, MANY).default(200_000),
  sessionsMax: integer('Most persistent sessions; further ones are refused.', 0, MANY).default(50_000),
  offlineMessagesMax: integer(
    'Most messages kept for persistent sessions; above it the largest queue loses its older half.',
    1,
    MANY,
  ).default(1_000_000),
  offlineBytesMax: bytes('Most bytes kept for persistent sessions.', { min: 1024 }).prefault('256MiB'),
  retainedMessagesMax: integer('Most retained messages.', 0, MANY).default(100_000),
  retainedBytesMax: bytes('Most bytes of retained messages.').prefault('64MiB'),
  sendQueueBytesMax: bytes(
    'Most bytes that wait for subscribers to read them; above it the subscriber with the most is disconnected.',
    { min: 65_536 },
  ).prefault('256MiB'),
});
