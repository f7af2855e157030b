const EMPTY = new Uint8Array(0);
/** A packet that is split over reads is collected in a buffer that starts at this size and doubles as bytes really arrive. */
const CARRY_BYTES_MIN = 4096;

/**
 * Cuts the byte stream of one connection into MQTT packets, whatever the sizes of the chunks it comes in.
 *
 *     scanner.feed(chunk);
 *     while (scanner.next()) use(scanner.bytes, scanner.start, scanner.bodyStart, scanner.end);
 *     if (scanner.problem !== null) close();
 *
 * A caller that cannot take more just stops calling `next`; the place in the chunk is kept. Packets that lie whole in a chunk
 * are given as a place in that chunk, without copying; a packet that is split is collected in a buffer of its own that is
 * never reused. So whoever wants to keep `bytes` may, as long as the source does not reuse its chunks.
 */
export class PacketScanner {
  /** The current packet: `bytes[start]` is its first byte, `bytes[bodyStart]` the first after the fixed header. */
  bytes: Uint8Array = EMPTY;
  start = 0;
  bodyStart = 0;
  end = 0;
  /** Why the stream cannot be read any further; null while it can. */
  problem: string | null = null;
  /** The largest packet that is taken, bytes with its fixed header. May be changed between packets. */
  packetBytesMax: number;
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  #carry: Uint8Array = EMPTY;
  #carryLength = 0;
  /** Length of the packet that is being collected, 0 while its header is not complete. */
  #carryTotal = 0;

  constructor(packetBytesMax: number) {
    this.packetBytesMax = packetBytesMax;
  }

  /** Bytes that are held of a packet that is not complete. */
  get heldBytes(): number {
    return this.#carry.length;
  }

  /** Gives the next chunk. Only when the last one is used up: `next` returned false and `problem` is null. */
  feed(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Moves to the next complete packet. False when more bytes are needed, or when `problem` is set. */
  next(): boolean {
    if (this.problem !== null) return false;
    if (this.#carryLength > 0) return this.#collect();
    const chunk = this.#chunk;
    const at = this.#at;
    const length = chunk.length;
    if (at >= length) {
      this.#chunk = EMPTY;
      this.bytes = EMPTY;
      return false;
    }
    let remaining = 0;
    let header = at + 1;
    for (let shift = 0; ; shift += 7) {
      if (shift === 28) return this.#refuse('the remaining length takes more than four bytes');
      if (header >= length) return this.#carryFrom(at, 0);
      const byte = chunk[header++];
      remaining |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    const end = header + remaining;
    if (end - at > this.packetBytesMax) return this.#refuseSize(end - at);
    if (end > length) return this.#carryFrom(at, end - at);
    this.bytes = chunk;
    this.start = at;
    this.bodyStart = header;
    this.end = end;
    this.#at = end;
    return true;
  }

  /** Keeps the rest of the chunk, which is the beginning of a packet of `total` bytes (0: not known yet). */
  #carryFrom(at: number, total: number): false {
    const rest = this.#chunk.length - at;
    this.#carry = Buffer.allocUnsafe(Math.max(rest, Math.min(total === 0 ? 0 : total, CARRY_BYTES_MIN), 8));
    this.#carry.set(this.#chunk.subarray(at));
    this.#carryLength = rest;
    this.#carryTotal = total;
    this.#chunk = EMPTY;
    this.bytes = EMPTY;
    this.#at = 0;
    return false;
  }

  #collect(): boolean {
    while (this.#carryTotal === 0) {
      if (this.#at >= this.#chunk.length) return false;
      this.#carry[this.#carryLength++] = this.#chunk[this.#at++];
      if (!this.#readCarriedHeader()) return false;
    }
    const take = Math.min(this.#carryTotal - this.#carryLength, this.#chunk.length - this.#at);
    this.#room(this.#carryLength + take);
    this.#carry.set(this.#chunk.subarray(this.#at, this.#at + take), this.#carryLength);
    this.#carryLength += take;
    this.#at += take;
    if (this.#carryLength < this.#carryTotal) return false;
    this.bytes = this.#carry;
    this.start = 0;
    this.bodyStart = this.#headerBytes();
    this.end = this.#carryTotal;
    this.#carry = EMPTY;
    this.#carryLength = 0;
    this.#carryTotal = 0;
    return true;
  }

  /** Works out the total once the carried header is complete. False when the stream cannot go on. */
  #readCarriedHeader(): boolean {
    if (this.#carryLength < 2 || this.#carry[this.#carryLength - 1] >= 128) {
      return this.#carryLength < 5 || this.#refuse('the remaining length takes more than four bytes');
    }
    let remaining = 0;
    for (let i = 1; i < this.#carryLength; i++) remaining |= (this.#carry[i] & 127) << (7 * (i - 1));
    const total = this.#carryLength + remaining;
    if (total > this.packetBytesMax) return this.#refuseSize(total);
    this.#carryTotal = total;
    return true;
  }

  #headerBytes(): number {
    let at = 1;
    while (this.#carry[at] >= 128) at++;
    return at + 1;
  }

  #room(bytes: number): void {
    if (bytes <= this.#carry.length) return;
    const larger = Buffer.allocUnsafe(
      Math.min(this.#carryTotal, Math.max(bytes, this.#carry.length * 2, CARRY_BYTES_MIN)),
    );
    larger.set(this.#carry.subarray(0, this.#carryLength));
    this.#carry = larger;
  }

  #refuseSize(bytes: number): false {
    return this.#refuse(`a packet of ${bytes} bytes is larger than the ${this.packetBytesMax} that are taken`);
  }

  #refuse(problem: string): false {
    this.problem = problem;
    this.#chunk = EMPTY;
    this.#carry = EMPTY;
    this.bytes = EMPTY;
    return false;
  }
}
