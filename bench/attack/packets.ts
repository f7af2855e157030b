/** The few MQTT 3.1.1 packets that attackers and reconnecting fleets send, written by hand so that they can be wrong, too. */

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

export function packet(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

export interface Login {
  username: string;
  password: string;
}

export function connectPacket(clientId: string, login: Login | null, clean = true): Buffer {
  const flags = (clean ? 2 : 0) | (login === null ? 0 : 128 | 64);
  const head = Buffer.from([0, 4, 77, 81, 84, 84, 4, flags, 0, 60]);
  const credentials = login === null ? [] : [text(login.username), text(login.password)];
  return packet(0x10, head, text(clientId), ...credentials);
}

/** QoS 1 when it has an id. */
export function publishPacket(topic: string, payload: string | Buffer, id = 0, retain = false): Buffer {
  const first = 0x30 | (id > 0 ? 2 : 0) | (retain ? 1 : 0);
  const idBytes = id > 0 ? Buffer.from([id >> 8, id & 255]) : Buffer.alloc(0);
  return packet(first, text(topic), idBytes, Buffer.from(payload));
}

export function subscribePacket(id: number, filters: readonly string[], qos: 0 | 1): Buffer {
  const parts = filters.flatMap((filter) => [text(filter), Buffer.from([qos])]);
  return packet(0x82, Buffer.from([id >> 8, id & 255]), ...parts);
}
