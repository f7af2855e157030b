import type { Random } from '../simulation/random.ts';

/** Packets of MQTT 3.1.1 as a grammar: mostly right, sometimes wrong in one of the ways that have a name, and then mutated. */

const TOPICS = ['news', 'news/today', 'a/', '/a', 'a//b', '$SYS/x', 'devices/f0/state', 't'.repeat(300), 'é/\u{1f4a1}'];
const FILTERS = [
  '#',
  '+',
  'news/#',
  'a/+',
  '+/a',
  'devices/+/telemetry',
  'devices/f1/#',
  '$share/g/t',
  '$SYS/#',
  'é/+',
];
const BAD_TEXTS = [
  Buffer.from([0xff]),
  Buffer.from('61c080', 'hex'),
  Buffer.from('61eda080', 'hex'),
  Buffer.from('a\0b'),
  Buffer.alloc(0),
];

export function packet(first: number, ...body: Uint8Array[]): Buffer {
  const content = Buffer.concat(body);
  const head = [first];
  for (let rest = content.length; ; rest >>>= 7) {
    head.push((rest & 127) | (rest > 127 ? 128 : 0));
    if (rest < 128) break;
  }
  return Buffer.concat([Uint8Array.from(head), content]);
}

export function field(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content as Uint8Array);
  return Buffer.concat([uint16(bytes.length), bytes]);
}

export function uint16(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 255]);
}

export function connect(random: Random, clientId: string): Buffer {
  if (random.chance(0.03)) return packet(0x10, field('MQIsdp'), Uint8Array.of(3, 2, 0, 0), field(clientId));
  let flags = random.chance(0.6) ? 2 : 0;
  const fields: Buffer[] = [field(random.chance(0.03) ? '' : clientId)];
  if (random.chance(0.3)) {
    flags |= 4 | (random.int(0, random.chance(0.1) ? 3 : 2) << 3) | (random.chance(0.3) ? 32 : 0);
    fields.push(field(random.chance(0.3) ? `devices/${clientId}/telemetry` : random.pick(TOPICS)), field('lost'));
  }
  if (random.chance(0.03)) flags ^= 1 << random.int(0, 7);
  if (flags & 128) fields.push(field('user'));
  if (flags & 64) fields.push(field('password'));
  const level = random.chance(0.03) ? random.int(0, 255) : 4;
  return packet(
    0x10,
    field(random.chance(0.02) ? 'MQTX' : 'MQTT'),
    Uint8Array.of(level, flags, 0, random.int(0, 60)),
    ...fields,
  );
}

/** A PUBLISH; ids come from a small range, so that they meet again. */
export function publish(random: Random, topic: string | Uint8Array, payload: string, qosMax = 2): Buffer {
  const qos = random.int(0, qosMax);
  const dup = qos > 0 && random.chance(0.1);
  const retain = random.chance(0.05);
  const first = 0x30 | (qos << 1) | (dup ? 8 : 0) | (retain ? 1 : 0);
  const id = qos > 0 ? [uint16(random.chance(0.01) ? 0 : random.int(1, 40))] : [];
  return packet(first, field(topic), ...id, Buffer.from(payload));
}

/** Any packet but CONNECT and telemetry. */
export function other(random: Random): Buffer {
  const id = uint16(random.chance(0.02) ? 0 : random.int(1, 40));
  switch (random.int(0, 11)) {
    case 0:
    case 1: {
      const filters = Array.from({ length: random.int(random.chance(0.03) ? 0 : 1, 4) }, () => [
        field(random.chance(0.03) ? random.pick(BAD_TEXTS) : random.pick(FILTERS)),
        Uint8Array.of(random.chance(0.02) ? random.int(3, 255) : random.int(0, 2)),
      ]);
      return packet(0x82, id, ...filters.flat());
    }
    case 2:
      return packet(0xa2, id, ...Array.from({ length: random.int(1, 3) }, () => field(random.pick(FILTERS))));
    case 3:
      return packet(0xc0);
    case 4:
      return packet(0x40, id);
    case 5:
      return packet(0x50, id);
    case 6:
    case 7:
      return packet(0x62, id);
    case 8:
      return packet(0x70, id);
    case 9:
      return publish(
        random,
        random.chance(0.1) ? random.pick(BAD_TEXTS) : random.pick(TOPICS),
        'x'.repeat(random.int(0, 40)),
      );
    case 10:
      return random.chance(0.2) ? packet(random.int(0, 255), randomBytes(random, random.int(0, 20))) : packet(0xc0);
    default:
      return publish(random, random.pick(TOPICS), '');
  }
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.int(0, 255));
}

/** Damages bytes in one of the ways that streams are damaged. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  const at = random.int(0, Math.max(0, out.length - 1));
  switch (random.int(0, 6)) {
    case 0:
      out[at] ^= 1 << random.int(0, 7);
      return out;
    case 1:
      out[at] = random.pick([0, 1, 0x7f, 0x80, 0xff]);
      return out;
    case 2:
      return out.subarray(0, at);
    case 3:
      return Buffer.concat([out.subarray(0, at), randomBytes(random, random.int(1, 8)), out.subarray(at)]);
    case 4:
      return Buffer.concat([out.subarray(0, at), out.subarray(Math.min(out.length, at + random.int(1, 4)))]);
    case 5: // a length that lies
      if (out.length > 1) out[1] = random.int(0, 255);
      return out;
    default:
      return Buffer.concat([out, out.subarray(at)]);
  }
}
