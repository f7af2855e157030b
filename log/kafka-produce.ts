import { crc32c } from './crc32c.ts';

/**
 * Kafka's Produce request and its record batches, encoded without copying what is large: the request is a list of pieces, of
 * which the values are the frames themselves, to be written to the socket one behind the other. kafkajs's own encoder copies each
 * value nine times on its way, and works its checksum out byte by byte.
 *
 *     size int32 │ api key, version int16 │ correlation id int32 │ client id string
 *     transactional id (null) │ acks int16 │ timeout int32
 *     [ topic string  [ partition int32 │ size int32 │ record batch ] ]
 *
 *     record batch (magic 2)
 *     base offset int64 │ length int32 │ leader epoch int32 │ magic int8 │ CRC-32C of all that follows uint32
 *     attributes int16 │ last offset delta int32 │ first, largest timestamp int64
 *     producer id int64 │ producer epoch int16 │ first sequence int32 │ number of records int32
 *     [ length varint │ attributes int8 │ timestamp delta, offset delta varint │ key │ VALUE │ headers ]
 *
 * All versions from 3 to 7 of the request have this form; those from 5 on have the answer that is decoded here.
 * https://kafka.apache.org/protocol#The_Messages_Produce, https://kafka.apache.org/documentation/#recordbatch
 */
export const PRODUCE_KEY = 0;
export const PRODUCE_VERSION = 7;

export interface ProducedMessage {
  key: Buffer | null;
  value: Buffer;
  headers: Record<string, string>;
}

export interface ProducePartition {
  partition: number;
  firstSequence: number;
  messages: ProducedMessage[];
}

export interface ProduceRequest {
  acks: number;
  timeout: number;
  producerId: string;
  producerEpoch: number;
  topicData: { topic: string; partitions: ProducePartition[] }[];
}

/** What the answer says of each partition: error code 0, and the offset of the first record. */
export interface ProducedPartition {
  topic: string;
  partition: number;
  errorCode: number;
  baseOffset: number;
}

/** A value of at least so many bytes is a piece of its own; smaller ones are copied between the headers around them. */
const PIECE_BYTES_MIN = 1024;
/** Bytes of a batch from its first to the number of its records, and those of them that the field `length` does not count. */
const BATCH_HEAD = 61;
const BATCH_UNCOUNTED = 12;
/** More than the request's, a partition's and a record's own fields take. */
const REQUEST_ROOM = 64;
const PARTITION_ROOM = 8 + BATCH_HEAD;
const RECORD_ROOM = 40;

/** The request as it goes over the wire, in pieces. The values must not be changed before they have been written. */
export function encodeProduce(
  request: ProduceRequest,
  correlationId: number,
  clientId: string,
  nowMs: number,
): Uint8Array[] {
  const out = new Pieces(roomOf(request, clientId));
  const start = out.place();
  out.int32(0); // the size, known at the end
  out.int16(PRODUCE_KEY);
  out.int16(PRODUCE_VERSION);
  out.int32(correlationId);
  out.text(clientId);
  out.int16(-1); // no transaction
  out.int16(request.acks);
  out.int32(request.timeout);
  out.int32(request.topicData.length);
  for (const { topic, partitions } of request.topicData) {
    out.text(topic);
    out.int32(partitions.length);
    for (const one of partitions) {
      out.int32(one.partition);
      writeBatch(out, request, one, nowMs);
    }
  }
  out.cut();
  start.writeInt32BE(out.bytes - 4);
  return out.pieces;
}

function writeBatch(
  out: Pieces,
  request: ProduceRequest,
  { firstSequence, messages }: ProducePartition,
  nowMs: number,
) {
  const bodies = messages.map(bodyBytes);
  let recordBytes = 0;
  for (const [i, body] of bodies.entries())
    recordBytes += body + sizeOfVarint(i) - 1 + sizeOfVarint(body + sizeOfVarint(i) - 1);
  out.int32(BATCH_HEAD + recordBytes);
  out.int64(0n);
  out.int32(BATCH_HEAD - BATCH_UNCOUNTED + recordBytes);
  out.int32(0);
  out.int8(2);
  const checksum = out.place();
  out.int32(0);
  out.cut();
  const counted = out.pieces.length;
  out.int16(0); // neither compressed nor in a transaction
  out.int32(messages.length - 1);
  out.int64(BigInt(nowMs));
  out.int64(BigInt(nowMs));
  out.int64(BigInt(request.producerId));
  out.int16(request.producerEpoch);
  out.int32(firstSequence);
  out.int32(messages.length);
  for (const [i, message] of messages.entries()) writeRecord(out, i, bodies[i] + sizeOfVarint(i) - 1, message);
  out.cut();
  let crc = 0;
  for (let i = counted; i < out.pieces.length; i++) crc = crc32c(out.pieces[i], crc);
  checksum.writeInt32BE(crc);
}

/** Bytes of a record after its length, when its offset delta takes one. */
function bodyBytes({ key, value, headers }: ProducedMessage): number {
  const entries = Object.entries(headers);
  let bytes = 3 + sizeOfBytes(key) + sizeOfBytes(value) + sizeOfVarint(entries.length);
  for (const [name, text] of entries) bytes += sizeOfText(name) + sizeOfText(text);
  return bytes;
}

function writeRecord(out: Pieces, index: number, bytes: number, { key, value, headers }: ProducedMessage): void {
  out.varint(bytes);
  out.int8(0);
  out.varint(0); // the batch's own time
  out.varint(index);
  if (key === null) out.varint(-1);
  else {
    out.varint(key.length);
    out.copy(key);
  }
  out.varint(value.length);
  if (value.length < PIECE_BYTES_MIN) out.copy(value);
  else out.piece(value);
  const entries = Object.entries(headers);
  out.varint(entries.length);
  for (const entry of entries) {
    for (const text of entry) {
      out.varint(Buffer.byteLength(text));
      out.copy(Buffer.from(text));
    }
  }
}

/** The answer, as it comes after its correlation id. */
export function decodeProduced(payload: Buffer): { partitions: ProducedPartition[]; throttleMs: number } {
  const partitions: ProducedPartition[] = [];
  let at = 4;
  for (let topics = payload.readInt32BE(0); topics > 0; topics--) {
    const length = payload.readInt16BE(at);
    const topic = payload.toString('utf8', at + 2, at + 2 + length);
    at += 2 + length;
    const count = payload.readInt32BE(at);
    at += 4;
    for (let i = 0; i < count; i++, at += 30) {
      partitions.push({
        topic,
        partition: payload.readInt32BE(at),
        errorCode: payload.readInt16BE(at + 4),
        baseOffset: Number(payload.readBigInt64BE(at + 6)),
      });
    }
  }
  return { partitions, throttleMs: payload.readInt32BE(at) };
}

/** Room for everything but the values that are pieces of their own. */
function roomOf({ topicData }: ProduceRequest, clientId: string): number {
  let room = REQUEST_ROOM + Buffer.byteLength(clientId);
  for (const { topic, partitions } of topicData) {
    room += 6 + Buffer.byteLength(topic);
    for (const { messages } of partitions) {
      room += PARTITION_ROOM;
      for (const { key, value, headers } of messages) {
        room += RECORD_ROOM + (key?.length ?? 0) + (value.length < PIECE_BYTES_MIN ? value.length : 0);
        for (const [name, text] of Object.entries(headers))
          room += 10 + Buffer.byteLength(name) + Buffer.byteLength(text);
      }
    }
  }
  return room;
}

/** Writes small fields into one buffer, and cuts it where a large piece goes between them. */
class Pieces {
  readonly pieces: Uint8Array[] = [];
  /** Bytes of `pieces`. */
  bytes = 0;
  readonly #buffer: Buffer;
  #from = 0;
  #at = 0;

  constructor(room: number) {
    this.#buffer = Buffer.allocUnsafe(room);
  }

  /** Where the next field goes, to be written later. */
  place(): Buffer {
    return this.#buffer.subarray(this.#at);
  }

  int8(value: number): void {
    this.#at = this.#buffer.writeInt8(value, this.#at);
  }

  int16(value: number): void {
    this.#at = this.#buffer.writeInt16BE(value, this.#at);
  }

  int32(value: number): void {
    this.#at = this.#buffer.writeInt32BE(value, this.#at);
  }

  int64(value: bigint): void {
    this.#at = this.#buffer.writeBigInt64BE(value, this.#at);
  }

  /** With its length in two bytes before it. */
  text(value: string): void {
    this.int16(Buffer.byteLength(value));
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
  }

  /** Zigzag, seven bits a byte, the lowest first. */
  varint(value: number): void {
    let left = zigzag(value);
    while (left > 127) {
      this.#buffer[this.#at++] = (left & 127) | 128;
      left >>>= 7;
    }
    this.#buffer[this.#at++] = left;
  }

  copy(value: Uint8Array): void {
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  piece(value: Uint8Array): void {
    this.cut();
    this.pieces.push(value);
    this.bytes += value.length;
  }

  /** What was written since the last cut becomes a piece. */
  cut(): void {
    if (this.#at === this.#from) return;
    this.pieces.push(this.#buffer.subarray(this.#from, this.#at));
    this.bytes += this.#at - this.#from;
    this.#from = this.#at;
  }
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

function sizeOfVarint(value: number): number {
  let bytes = 1;
  for (let left = zigzag(value); left > 127; left >>>= 7) bytes++;
  return bytes;
}

function sizeOfBytes(value: Uint8Array | null): number {
  return value === null ? 1 : sizeOfVarint(value.length) + value.length;
}

function sizeOfText(text: string): number {
  const bytes = Buffer.byteLength(text);
  return sizeOfVarint(bytes) + bytes;
}
