import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * - pass: everything goes through
 * - slow: answers come a few bytes at a time
 * - cut: every connection is reset, at once or after the first bytes of an answer
 * - swallow: requests arrive, and nothing ever comes back
 * - away: nobody listens to connections; those that are open are reset
 */
export type Weather = 'pass' | 'slow' | 'cut' | 'swallow' | 'away';

/** A TCP proxy in front of the store, which can be a bad network. */
export interface StoreProxy {
  port: number;
  weather: Weather;
  close(): Promise<void>;
}

const SLOW_CHUNK_BYTES = 64;
const SLOW_EVERY_MS = 15;

export async function startProxy(target: number): Promise<StoreProxy> {
  const open = new Set<Socket>();
  let weather: Weather = 'pass';
  const server: Server = createServer((client) => {
    if (weather === 'away') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        open.delete(socket);
        const other = socket === client ? upstream : client;
        if (!other.destroyed) other.resetAndDestroy();
      });
    }
    client.on('data', (bytes) => {
      if (!upstream.write(bytes)) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
    upstream.on('data', (bytes) => void answer(client, upstream, bytes));
  });

  async function answer(client: Socket, upstream: Socket, bytes: Buffer): Promise<void> {
    if (weather === 'swallow' || client.destroyed) return;
    if (weather === 'cut') {
      client.write(bytes.subarray(0, Math.min(bytes.length - 1, 20)), () => client.resetAndDestroy());
      return;
    }
    if (weather === 'pass') {
      client.write(bytes);
      return;
    }
    upstream.pause();
    for (let at = 0; at < bytes.length && !client.destroyed; at += SLOW_CHUNK_BYTES) {
      client.write(bytes.subarray(at, at + SLOW_CHUNK_BYTES));
      await new Promise((resolve) => setTimeout(resolve, SLOW_EVERY_MS));
      if (weather !== 'slow') {
        client.write(bytes.subarray(at + SLOW_CHUNK_BYTES));
        break;
      }
    }
    upstream.resume();
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get weather() {
      return weather;
    },
    set weather(next) {
      const was = weather;
      weather = next;
      // What was swallowed never comes; the other side has to find out by itself, or when the connection ends.
      if (next === 'away' || was === 'swallow') for (const socket of open) socket.resetAndDestroy();
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
