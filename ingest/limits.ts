/** What one remote address may do; of IPv6 the first 64 bits are the address. */
export interface AddressLimits {
  connectionsMax: number;
  /** Connections that have not sent their CONNECT yet, TLS and WebSocket handshakes included. */
  unintroducedMax: number;
  /** New connections a second in the long run, and how many may come at once after a quiet time. 0: no limit. */
  connectsPerSecondMax: number;
  connectBurst: number;
  /** Wrong passwords that are forgiven; each further one doubles the wait before the next is looked at. 0: no back-off. */
  authFailuresMax: number;
  authBackoffMsMax: number;
}

/** What one client may do. */
export interface ClientLimits {
  /** Above these rates its socket is read no faster; nothing is dropped. 0: no limit. */
  perSecondMessagesMax: number;
  perSecondBytesMax: number;
  /** Messages that wait for the log; its socket is not read above this. */
  inFlightMessagesMax: number;
  subscriptionsMax: number;
  /** What a persistent session is kept while its client is away or does not acknowledge. */
  offlineMessagesMax: number;
  offlineBytesMax: number;
  retainedMessagesMax: number;
  retainedBytesMax: number;
  /** What a client is sent and has not read yet. Above it QoS 0 is dropped, and at QoS 1 and 2 the client is cut off. */
  sendQueueBytesMax: number;
}

/** What all clients together may take. */
export interface TotalLimits {
  unintroducedMax: number;
  /** Bytes of packets that have begun and not ended, of all clients together. */
  partialBytesMax: number;
  /** QoS 2 messages that wait for their PUBREL, those of absent clients included. */
  handshakesMax: number;
  /** Passwords that wait for their check. */
  passwordsWaitingMax: number;
  subscriptionsMax: number;
  /** Persistent sessions. */
  sessionsMax: number;
  offlineMessagesMax: number;
  offlineBytesMax: number;
  retainedMessagesMax: number;
  retainedBytesMax: number;
  sendQueueBytesMax: number;
}

/** Bounds of the door. Each has a default that suits a laptop and a small server. */
export interface DoorLimits {
  /** Connections at once, those that have not sent CONNECT included. */
  connectionsMax: number;
  /** Largest CONNECT, which anybody may send. */
  connectPacketBytesMax: number;
  /** Largest packet of an accepted client. */
  packetBytesMax: number;
  /** How long a new connection may take to send its CONNECT. */
  connectTimeoutMs: number;
  /** How long an accepted client may take to send one packet, from its first byte to its last. */
  packetTimeoutMs: number;
  topicBytesMax: number;
  /** Levels of a topic or filter; Aedes matches at most 100. */
  topicLevelsMax: number;
  clientIdBytesMax: number;
  willBytesMax: number;
  /** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
  filtersPerPacketMax: number;
  /** A client that does not read what it is sent is not read from either above this. */
  writeBufferBytesMax: number;
  /** A subscriber that takes nothing for this long is cut off. */
  subscriberStallMsMax: number;
  /** A CONNECT whose password could not be looked at for this long is told to come again. */
  passwordWaitMsMax: number;
  /** A persistent session whose client has been away for this long is forgotten. */
  sessionExpiryMs: number;
  /** How long `close` waits for appends in flight before it gives up on them. */
  drainMsMax: number;
  perAddress: AddressLimits;
  perClient: ClientLimits;
  total: TotalLimits;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DOOR_LIMITS: Readonly<DoorLimits> = {
  connectionsMax: 20_000,
  connectPacketBytesMax: 64 * KIB,
  packetBytesMax: MIB,
  connectTimeoutMs: 10_000,
  packetTimeoutMs: 60_000,
  topicBytesMax: 1024,
  topicLevelsMax: 32,
  clientIdBytesMax: 256,
  willBytesMax: 16 * KIB,
  filtersPerPacketMax: 256,
  writeBufferBytesMax: 256 * KIB,
  subscriberStallMsMax: 10_000,
  passwordWaitMsMax: 20_000,
  sessionExpiryMs: 7 * 86_400_000,
  drainMsMax: 10_000,
  perAddress: {
    connectionsMax: 10_000,
    unintroducedMax: 2500,
    connectsPerSecondMax: 500,
    connectBurst: 10_000,
    authFailuresMax: 20,
    authBackoffMsMax: 60_000,
  },
  perClient: {
    perSecondMessagesMax: 0,
    perSecondBytesMax: 0,
    inFlightMessagesMax: 65_535,
    subscriptionsMax: 1000,
    offlineMessagesMax: 10_000,
    offlineBytesMax: 8 * MIB,
    retainedMessagesMax: 1000,
    retainedBytesMax: 4 * MIB,
    sendQueueBytesMax: 8 * MIB,
  },
  total: {
    unintroducedMax: 5000,
    partialBytesMax: 128 * MIB,
    handshakesMax: 1_000_000,
    passwordsWaitingMax: 5000,
    subscriptionsMax: 200_000,
    sessionsMax: 50_000,
    offlineMessagesMax: 1_000_000,
    offlineBytesMax: 256 * MIB,
    retainedMessagesMax: 100_000,
    retainedBytesMax: 64 * MIB,
    sendQueueBytesMax: 256 * MIB,
  },
};

/** Some of the limits; the others keep their defaults. */
export type LimitOverrides = Partial<Omit<DoorLimits, 'perAddress' | 'perClient' | 'total'>> & {
  perAddress?: Partial<AddressLimits>;
  perClient?: Partial<ClientLimits>;
  total?: Partial<TotalLimits>;
};

export function doorLimits(overrides: LimitOverrides = {}): DoorLimits {
  return {
    ...DOOR_LIMITS,
    ...overrides,
    perAddress: { ...DOOR_LIMITS.perAddress, ...overrides.perAddress },
    perClient: { ...DOOR_LIMITS.perClient, ...overrides.perClient },
    total: { ...DOOR_LIMITS.total, ...overrides.total },
  };
}
