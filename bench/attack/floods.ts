import { setTimeout as sleep } from 'node:timers/promises';
import type { DoorProcess } from './door-process.ts';
import { connectPacket, packet, publishPacket, subscribePacket } from './packets.ts';
import { RawSocket } from './raw-socket.ts';

export interface Flood {
  name: string;
  /** What is sent, for the table. */
  about: string;
  /** Sends it, and gives the sockets to be closed when the memory has been read. */
  run(door: DoorProcess): Promise<RawSocket[]>;
}

const KIB = 1024;

/** Opens sockets a few hundred at a time. */
async function openMany(
  port: number,
  count: number,
  greet: (socket: RawSocket, i: number) => void,
): Promise<RawSocket[]> {
  const sockets: RawSocket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = new RawSocket(port);
    greet(socket, i);
    sockets.push(socket);
    if (i % 250 === 249) await sleep(20);
  }
  return sockets;
}

async function many(socket: RawSocket, packets: number): Promise<true> {
  for (let i = 0; i < packets; i++) await socket.next();
  return true;
}

async function accepted(port: number, id: string, clean = true): Promise<RawSocket> {
  const socket = new RawSocket(port);
  socket.send(connectPacket(id, null, clean));
  await socket.next();
  return socket;
}

/** The beginning of a packet that announces `total` bytes. */
function announced(first: number, total: number, sent: number): Buffer {
  const whole = packet(first, Buffer.alloc(total));
  return whole.subarray(0, sent);
}

/** Connections that say nothing. */
const halfOpen: Flood = {
  name: 'half-open',
  about: '8,000 connections that send nothing',
  run: ({ port }) => openMany(port, 8000, () => {}),
};

const slowloris: Flood = {
  name: 'slowloris',
  about: '2,000 connections that send one byte of a CONNECT now and then',
  async run({ port }) {
    const connect = connectPacket('x'.repeat(200), null);
    const sockets = await openMany(port, 2000, () => {});
    for (let at = 0; at < 15; at++) {
      for (const socket of sockets) if (!socket.closed) socket.send(connect.subarray(at, at + 1));
      await sleep(100);
    }
    return sockets;
  },
};

const hugeConnect: Flood = {
  name: 'huge CONNECT',
  about: '2,000 connections with 60 KiB of a CONNECT that does not end',
  run: ({ port }) => openMany(port, 2000, (socket) => socket.send(announced(0x10, 62 * KIB, 60 * KIB))),
};

const announcedConnect: Flood = {
  name: 'endless CONNECT',
  about: 'one connection that announces 256 MiB and sends 150 MiB',
  async run({ port }) {
    const socket = new RawSocket(port);
    socket.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
    const chunk = Buffer.alloc(256 * KIB);
    for (let i = 0; i < 600 && !socket.closed; i++) await socket.sendAll(chunk);
    return [socket];
  },
};

const endlessPackets: Flood = {
  name: 'packets that do not end',
  about: '400 accepted clients with 1,000 KiB of a PUBLISH of 1,001 KiB',
  async run({ port }) {
    const part = announced(0x30, 1001 * KIB, 1000 * KIB);
    const sockets: RawSocket[] = [];
    for (let i = 0; i < 400; i++) {
      const socket = await accepted(port, `endless-${i}`);
      sockets.push(socket);
      await socket.sendAll(part);
    }
    return sockets;
  },
};

const retained: Flood = {
  name: 'tiny retained topics',
  about: '10 clients retain 20,000 topics each, one byte, with 30 KiB of other messages between',
  async run({ port }) {
    const sockets = await Promise.all(Array.from({ length: 10 }, (_, i) => accepted(port, `retain-${i}`)));
    const noise = publishPacket('noise', Buffer.alloc(30 * KIB));
    for (let n = 0; n < 20_000; n++) {
      for (const [i, socket] of sockets.entries()) {
        await socket.sendAll(publishPacket(`flood/${i}/${n}`, 'x', 0, true));
        if (n % 20 === 0) await socket.sendAll(noise);
      }
    }
    await sleep(1000);
    return sockets;
  },
};

const subscribe: Flood = {
  name: 'subscriptions',
  about: '20 clients subscribe to 20,000 filters each',
  async run({ port }) {
    const sockets = await Promise.all(Array.from({ length: 20 }, (_, i) => accepted(port, `subscribe-${i}`)));
    for (let n = 0; n < 200; n++) {
      for (const socket of sockets) {
        const filters = Array.from({ length: 100 }, (_, k) => `flood/${n}/${k}/+/some/more/levels`);
        await socket.sendAll(subscribePacket(n + 1, filters, 0));
      }
      await Promise.all(sockets.map((socket) => socket.next()));
    }
    return sockets;
  },
};

const offline: Flood = {
  name: 'offline queues',
  about: '50 absent sessions subscribed to everything, 60,000 messages of 1 KiB',
  async run({ port }) {
    for (let i = 0; i < 50; i++) {
      const socket = await accepted(port, `absent-${i}`, false);
      socket.send(subscribePacket(1, ['offline/#'], 1));
      await socket.next();
      socket.destroy();
    }
    const publisher = await accepted(port, 'offline-publisher');
    const payload = Buffer.alloc(KIB);
    for (let n = 0; n < 60_000; n++) {
      await publisher.sendAll(publishPacket('offline/x', payload, (n % 65_535) + 1));
      if (n % 100 === 99) await many(publisher, 100);
    }
    return [publisher];
  },
};

const frozen: Flood = {
  name: 'frozen subscribers',
  about: '20 subscribers that read nothing, 20,000 messages of 4 KiB',
  async run({ port }) {
    const sockets: RawSocket[] = [];
    for (let i = 0; i < 20; i++) {
      const socket = await accepted(port, `frozen-${i}`);
      socket.send(subscribePacket(1, ['frozen/#'], 0));
      await socket.next();
      socket.socket.pause();
      sockets.push(socket);
    }
    const publisher = await accepted(port, 'frozen-publisher');
    const payload = Buffer.alloc(4 * KIB);
    for (let n = 0; n < 20_000; n++) {
      await publisher.sendAll(publishPacket('frozen/x', payload, (n % 65_535) + 1));
      // Where publishers wait for those that are frozen, this one is patient for a while only.
      if (n % 100 === 99) {
        if (!(await Promise.race([many(publisher, 100), sleep(5000, false, { ref: false })]))) break;
      }
    }
    return [...sockets, publisher];
  },
};

export const FLOODS: readonly Flood[] = [
  halfOpen,
  slowloris,
  hugeConnect,
  announcedConnect,
  endlessPackets,
  retained,
  subscribe,
  offline,
  frozen,
];
