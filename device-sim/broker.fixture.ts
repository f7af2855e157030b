import { createServer, type Server, type Socket } from 'node:net';
import { Aedes } from 'aedes';

/** A plain Aedes for tests, which keeps what was published to it. */
export interface TestBroker {
  readonly url: string;
  readonly port: number;
  readonly messages: { client: string; topic: string; payload: Buffer }[];
  readonly clients: Set<string>;
  /** Cuts all connections and stops listening; what was received stays. */
  stop(): Promise<void>;
  /** Listens again on the same port. */
  start(): Promise<void>;
}

export async function startBroker(
  options: { password?: string; loseAcks?: (n: number) => boolean } = {},
): Promise<TestBroker> {
  const messages: TestBroker['messages'] = [];
  const clients = new Set<string>();
  let received = 0;
  let port = 0;
  let aedes: Aedes | null = null;
  let server: Server | null = null;
  const sockets = new Set<Socket>();

  async function start(): Promise<void> {
    aedes = await Aedes.createBroker({
      authenticate: (client, _user, password, done) => {
        clients.add(client.id);
        done(null, options.password === undefined || password?.toString() === options.password);
      },
      authorizePublish: (client, packet, done) => {
        messages.push({ client: client?.id ?? '', topic: packet.topic, payload: Buffer.from(packet.payload) });
        // The connection dies after the message was taken and before its acknowledgement is out.
        if (options.loseAcks?.(++received)) client?.conn.destroy();
        done(null);
      },
    });
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      aedes!.handle(socket);
    });
    await new Promise<void>((resolve) => server!.listen(port, '127.0.0.1', resolve));
    port = (server.address() as { port: number }).port;
  }

  async function stop(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    if (server) await new Promise((resolve) => server!.close(resolve));
    if (aedes) await new Promise<void>((resolve) => aedes!.close(() => resolve()));
    aedes = null;
    server = null;
  }

  await start();
  return { url: `mqtt://127.0.0.1:${port}`, port, messages, clients, stop, start };
}
