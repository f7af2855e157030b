import { setTimeout as sleep } from 'node:timers/promises';
import { connectPacket, type Login, publishPacket } from './packets.ts';
import { RawSocket } from './raw-socket.ts';

export interface StormOptions {
  port: number;
  clients: number;
  /** Every tenth client logs in as one of these, in turn. */
  users: readonly Login[];
  deadlineMs: number;
}

export interface StormResult {
  served: number;
  /** Time until half, 99 % and all of the clients had their message acknowledged, ms. */
  halfMs: number;
  mostMs: number;
  allMs: number;
  /** Connections that were refused or lost, after which a client came again. */
  retries: number;
  /** The clients, still connected. */
  sockets: RawSocket[];
}

/** A client that is turned away comes again after this time, and a random part of as much. */
const RETRY_MS = 500;

/**
 * All clients connect at once, as after a power cut: each sends CONNECT, and a message of QoS 1 once it is accepted, and stays.
 * One that is turned away tries again. Every client is served in the end, or the deadline passes.
 */
export async function runStorm({ port, clients, users, deadlineMs }: StormOptions): Promise<StormResult> {
  const startMs = performance.now();
  const times: number[] = [];
  const sockets: RawSocket[] = [];
  let retries = 0;
  const serve = async (i: number): Promise<void> => {
    const id = `storm-${i}`;
    const login = users.length > 0 && i % 10 === 0 ? users[(i / 10) % users.length] : null;
    while (performance.now() - startMs < deadlineMs) {
      const socket = new RawSocket(port);
      socket.send(connectPacket(id, login));
      const connack = await socket.next();
      if (connack !== null && connack[0] === 0x20 && connack[3] === 0) {
        socket.send(publishPacket(`devices/${id}/telemetry`, '{"temperature":21.5}', 1));
        const puback = await socket.next();
        if (puback !== null && puback[0] === 0x40) {
          times.push(performance.now() - startMs);
          sockets.push(socket);
          return;
        }
      }
      socket.destroy();
      retries++;
      await sleep(RETRY_MS * (1 + Math.random()));
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => serve(i)));
  times.sort((a, b) => a - b);
  const at = (part: number): number => Math.round(times[Math.max(0, Math.ceil(times.length * part) - 1)] ?? 0);
  return { served: times.length, halfMs: at(0.5), mostMs: at(0.99), allMs: at(1), retries, sockets };
}
