import type { DoorLimits } from './limits.ts';
import type { PartialPacket } from './partial-packets.ts';
import type { Wire } from './wire.ts';

/**
 * What a client has not done in time, or null. Time in which the door did not listen does not count. `freshSinceMs`: no CONNECT
 * has come since the socket was opened then; `keepAliveMs`: how long it may be silent, 0 for ever.
 */
export function overdue(
  wire: Wire,
  partial: PartialPacket,
  { subscriberStallMsMax, connectTimeoutMs, packetTimeoutMs }: DoorLimits,
  freshSinceMs: number | null,
  keepAliveMs: number,
  nowMs: number,
): string | null {
  if (wire.stalledForMs(nowMs) > subscriberStallMsMax)
    return 'it does not drain what it is sent; see mqtt.subscriberStallMsMax';
  if (freshSinceMs !== null) return nowMs - freshSinceMs > connectTimeoutMs ? 'no CONNECT in time' : null;
  if (wire.paused) {
    partial.postpone(nowMs);
    return null;
  }
  if (partial.ageMs(nowMs) > packetTimeoutMs)
    return `a packet was not complete after ${packetTimeoutMs} ms; see mqtt.packetTimeoutMs`;
  if (keepAliveMs > 0 && nowMs - wire.heardMs > keepAliveMs) return 'silent for one and a half times its keep-alive';
  return null;
}
