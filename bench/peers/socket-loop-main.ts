import { createServer, type Socket } from 'node:net';

/**
 * Finds MQTT packets in a stream and acknowledges them; looks at nothing and keeps nothing.
 *
 *     CONNECT (0x1_)      CONNACK
 *     PUBLISH (0x3_)      QoS 1: PUBACK with its packet identifier, one write for all of a read; QoS 0: nothing
 *     PINGREQ (0xC_)      PINGRESP
 *
 * QoS 2 is not spoken: its handshake says nothing about reading sockets.
 *
 *     node dist/bench/peers/socket-loop-main.js PORT
 */
const READ_BYTES = 64 * 1024;
const CONNACK = [0x20, 2, 0, 0];
const PINGRESP = [0xd0, 0];

/** One connection: the rest of a packet that was cut by a read is kept before the next. */
function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let carry: Buffer = Buffer.alloc(0);
  const replies = Buffer.allocUnsafe(READ_BYTES);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    const bytes = carry.length === 0 ? chunk : Buffer.concat([carry, chunk]);
    let at = 0;
    let used = 0;
    while (bytes.length - at >= 2) {
      let length = 0;
      let head = at + 1;
      for (let shift = 0; head < bytes.length; shift += 7) {
        const byte = bytes[head++];
        length |= (byte & 127) << shift;
        if (byte < 128) break;
      }
      if (head + length > bytes.length || bytes[head - 1] > 127) break;
      const type = bytes[at] >> 4;
      if (type === 3 && (bytes[at] & 6) === 2) {
        const id = head + 2 + ((bytes[head] << 8) | bytes[head + 1]);
        replies[used++] = 0x40;
        replies[used++] = 2;
        replies[used++] = bytes[id];
        replies[used++] = bytes[id + 1];
      } else if (type === 1 || type === 12) {
        for (const byte of type === 1 ? CONNACK : PINGRESP) replies[used++] = byte;
      }
      at = head + length;
      if (used > replies.length - 8) {
        socket.write(Buffer.from(replies.subarray(0, used)));
        used = 0;
      }
    }
    if (used > 0) socket.write(Buffer.from(replies.subarray(0, used)));
    carry = bytes.subarray(at);
  });
}

createServer(serve).listen(Number(process.argv[2]), '127.0.0.1');
