import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { encodeConnect } from '../../device-sim/blast-connection.ts';

/**
 * Subscribes to everything with QoS 1, acknowledges what it gets, and prints how much that is: "received N", at most 20 times a second.
 * What it got is kept as it came, which costs next to nothing; SIGUSR2 writes it to FILE, prints "dumped N", and forgets it.
 *
 *     node dist/bench/peers/subscriber-main.js PORT FILE
 */
const SUBSCRIBE = Buffer.from([0x82, 6, 0, 1, 0, 1, 0x23, 1]); // packet 1, filter "#", QoS 1

let received = 0;
let told = -1;
let carry: Buffer = Buffer.alloc(0);
let kept: Buffer[] = [];
const socket = connect({ port: Number(process.argv[2]), host: '127.0.0.1', noDelay: true });
socket.write(encodeConnect('bench-subscriber'));
socket.on('data', (chunk: Buffer) => {
  const bytes = carry.length === 0 ? chunk : Buffer.concat([carry, chunk]);
  const acks: number[] = [];
  let at = 0;
  while (bytes.length - at >= 2) {
    let length = bytes[at + 1] & 127;
    let head = at + 2;
    for (let shift = 7; bytes[head - 1] > 127 && head < bytes.length; shift += 7)
      length |= (bytes[head++] & 127) << shift;
    if (bytes[head - 1] > 127 || head + length > bytes.length) break;
    take(bytes, at, head, acks);
    at = head + length;
  }
  if (acks.length > 0) socket.write(Buffer.from(acks));
  carry = bytes.subarray(at);
  kept.push(bytes.subarray(0, at));
});

function take(bytes: Buffer, at: number, head: number, acks: number[]): void {
  const type = bytes[at] >> 4;
  if (type === 2) socket.write(SUBSCRIBE);
  else if (type === 9) tell();
  else if (type === 3) {
    received++;
    if ((bytes[at] & 6) === 0) return;
    const id = head + 2 + ((bytes[head] << 8) | bytes[head + 1]);
    acks.push(0x40, 2, bytes[id], bytes[id + 1]);
  }
}

function tell(): void {
  if (received !== told) process.stdout.write(`received ${received}\n`);
  told = received;
  setTimeout(tell, 50);
}
// Nobody is to be dropped for its silence: the broker's keep-alive is 60 s, and acknowledgements count.
setInterval(() => socket.write(Buffer.from([0xc0, 0])), 20_000);

let dumps = 0;
process.on('SIGUSR2', () => {
  writeFileSync(process.argv[3], Buffer.concat(kept));
  kept = [];
  process.stdout.write(`dumped ${++dumps}\n`);
});
