import type { AddressInfo } from 'node:net';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ReadingsBlock } from './blocks.ts';
import { openStore } from './clickhouse.ts';
import { type SpawnedStore, spawnStore } from './embedded/spawned.ts';
import type { Store } from './store.ts';

/** A TCP proxy that does with the next connections what it is told: cut them before the request, or before the answer, or let them be. */
class FaultyProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  faults: ('refuse' | 'cutAnswer')[] = [];

  constructor(target: number) {
    this.#server = createServer((client) => {
      const fault = this.faults.shift();
      if (fault === 'refuse') return void client.destroy();
      const upstream = createConnection(target, '127.0.0.1');
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream);
      if (fault === 'cutAnswer') upstream.once('data', () => client.destroy());
      else upstream.pipe(client);
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** Enough for a buffer that is worth to be given back. */
const ROWS = 4000;

describe('inserting over a bad network', () => {
  let spawned: SpawnedStore;
  let direct: Store;
  beforeAll(async () => {
    spawned = await spawnStore();
    direct = openStore({ url: spawned.url, ...spawned.credentials });
    await direct.migrate();
  });
  afterAll(async () => {
    await direct?.close();
    await spawned?.remove();
  });

  const blocks = (n: number) => {
    const block = new ReadingsBlock({ device: () => 'd', metric: () => 'm' }, 0);
    for (let i = 0; i < ROWS; i++) block.add(0, n * ROWS + i, i, '', 0, n, i, false);
    return block.finish();
  };

  it('inserts each token once, however often the answer is lost', async () => {
    const proxy = new FaultyProxy(Number(new URL(spawned.url).port));
    const retries: number[] = [];
    const url = await proxy.listen();
    try {
      for (let n = 0; n < 12; n++) {
        // A client of its own each time, so that each request opens a connection and meets the next fault.
        const onRetry = ({ tries }: { tries: number }) => retries.push(tries);
        const client = openStore({ url, ...spawned.credentials, retryPauseMs: 1, onRetry });
        proxy.faults = n % 3 === 0 ? ['cutAnswer', 'cutAnswer'] : n % 3 === 1 ? ['refuse', 'cutAnswer', 'refuse'] : [];
        const given = blocks(n);
        await client.insert('readings', given, { token: `lossy-${n}`, release: n % 2 === 0 });
        await client.close();
        // Given back when told to, but not while a socket of an earlier try may still read it.
        const isReleased = n % 2 === 0 && n % 3 === 2;
        expect(given.map((block) => block.buffer.byteLength > 0)).toEqual([!isReleased]);
      }
      expect(retries.length).toBe(4 * 2 + 4 * 3);
      expect(await direct.query('SELECT count() AS n FROM readings')).toEqual([{ n: 12 * ROWS }]); // without FINAL
    } finally {
      proxy.close();
    }
  });

  it('goes on when the store comes back, and stops when told to', async () => {
    const { port } = new URL(spawned.url);
    const client = openStore({ url: spawned.url, ...spawned.credentials, retryPauseMs: 5, retryPauseMsMax: 20 });
    await spawned.kill();
    const inserting = client.insert('readings', blocks(100), { token: 'back' });
    const stopping = new AbortController();
    const stopped = client.insert('readings', blocks(101), { token: 'never', signal: stopping.signal });
    stopping.abort();
    await expect(stopped).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    spawned = await spawnStore({ dir: spawned.dir, port: Number(port) });
    await inserting;
    expect(await client.query('SELECT count() AS n, max(offset) AS last FROM readings')).toEqual([
      { n: 13 * ROWS, last: 100 },
    ]);
    const late = client.insert('readings', blocks(102), { token: 'late' });
    await client.close();
    await late.catch((error) => expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' }));
  });

  it('refuses a wrong password at once', async () => {
    const client = openStore({ url: spawned.url, username: 'sluice', password: 'wrong' });
    await expect(client.insert('readings', blocks(1), { token: 'x' })).rejects.toMatchObject({ code: 'STORE_REFUSED' });
    await client.close();
  });
});
