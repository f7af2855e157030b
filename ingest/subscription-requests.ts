import { PACKET, readUint16 } from './mqtt-bytes.ts';

/** A return code that says no. */
const REFUSED = 128;

/**
 * Sees to it that SUBSCRIBE and UNSUBSCRIBE of one client are dealt with one after another, since the broker would remove a
 * filter after it was asked for again; and that SUBACK has a return code for every filter [MQTT-3.8.4-5], since the broker
 * answers one that stands twice only once.
 */
export class SubscriptionRequests {
  /** A request is with the broker. */
  pending = false;
  /** The QoS that each filter of the SUBSCRIBE asks for, and its place among the different ones; null when none stands twice. */
  #filters: { qos: number; place: number }[] | null = null;

  /** The packet whose body is `bytes[bodyStart, end)` goes to the broker. It is well formed. */
  begin(subscribes: boolean, bytes: Uint8Array, bodyStart: number, end: number): void {
    this.pending = true;
    this.#filters = subscribes ? repeated(bytes, bodyStart + 2, end) : null;
  }

  /** Looks at what the broker writes while a request is pending: whole packets. Gives back what is to be sent. */
  answer(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    const bytes = Buffer.concat(chunks);
    for (let at = 0; at < bytes.length; ) {
      let bodyStart = at + 1;
      let length = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[bodyStart++];
        length |= (byte & 127) << shift;
        if (byte < 128) break;
      }
      const type = bytes[at] >>> 4;
      const end = bodyStart + length;
      if (type === PACKET.suback || type === PACKET.unsuback) {
        this.pending = false;
        const filters = this.#filters;
        this.#filters = null;
        if (filters === null || type === PACKET.unsuback) return [bytes];
        const answered = suback(bytes.subarray(bodyStart, end), filters);
        return [bytes.subarray(0, at), answered, bytes.subarray(end)];
      }
      at = end;
    }
    return [bytes];
  }
}

function repeated(bytes: Uint8Array, from: number, end: number): { qos: number; place: number }[] | null {
  const places = new Map<string, number>();
  const filters: { qos: number; place: number }[] = [];
  for (let at = from; at < end; ) {
    const filterEnd = at + 2 + readUint16(bytes, at);
    const filter = Buffer.from(bytes.subarray(at + 2, filterEnd)).toString('latin1');
    const place = places.get(filter) ?? places.size;
    places.set(filter, place);
    filters.push({ qos: bytes[filterEnd], place });
    at = filterEnd + 1;
  }
  return places.size === filters.length ? null : filters;
}

/** The SUBACK as it would be for as many SUBSCRIBEs [MQTT-3.8.4-4]: each filter has the QoS that it asked for, or none. */
function suback(body: Uint8Array, filters: { qos: number; place: number }[]): Uint8Array {
  const remaining = 2 + filters.length;
  const length = remaining < 128 ? [remaining] : [(remaining & 127) | 128, remaining >>> 7];
  const codes = filters.map(({ qos, place }) => (body[2 + place] === REFUSED ? REFUSED : qos));
  return Uint8Array.from([PACKET.suback << 4, ...length, body[0], body[1], ...codes]);
}
