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
  topicBytesMax: number;
  /** Levels of a topic or filter; Aedes matches at most 100. */
  topicLevelsMax: number;
  clientIdBytesMax: number;
  /** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
  filtersPerPacketMax: number;
  /** A client that does not read what it is sent is not read from either above this. */
  writeBufferBytesMax: number;
  /** A subscriber that takes nothing for this long is cut off, so that the others do not wait for it. */
  subscriberStallMsMax: number;
  /** How long `close` waits for appends in flight before it gives up on them. */
  drainMsMax: number;
}

export const DOOR_LIMITS: Readonly<DoorLimits> = {
  connectionsMax: 20_000,
  connectPacketBytesMax: 64 * 1024,
  packetBytesMax: 1024 * 1024,
  connectTimeoutMs: 10_000,
  topicBytesMax: 1024,
  topicLevelsMax: 32,
  clientIdBytesMax: 256,
  filtersPerPacketMax: 256,
  writeBufferBytesMax: 256 * 1024,
  subscriberStallMsMax: 10_000,
  drainMsMax: 10_000,
};
