import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { SluiceError } from '../model/errors.ts';
import type { DoorLimits } from './limits.ts';
import { acceptWebSockets } from './websocket.ts';

export interface ListenAddress {
  host: string;
  /** 0 takes a free port. */
  port: number;
}

/** Certificate and key of the TLS listeners, and the authorities that clients' certificates are asked for: PEM. */
export interface TlsKeys {
  cert: string | Buffer;
  key: string | Buffer;
  ca: string | Buffer | null;
}

/** Where to listen; what is absent or null is not opened. The two that use TLS need `tlsKeys`. */
export interface ListenerOptions {
  tcp?: ListenAddress | null;
  tls?: ListenAddress | null;
  websocket?: ListenAddress | null;
  websocketTls?: ListenAddress | null;
  tlsKeys?: TlsKeys | null;
}

type ListenerKind = 'tcp' | 'tls' | 'websocket' | 'websocketTls';

/** Where the door really listens, null for what is not opened. */
export type DoorAddresses = Record<ListenerKind, ListenAddress | null>;

/** A new client's byte stream, whatever lies beneath it. */
export interface Arrival {
  wire: Duplex;
  /** address:port, for the log. */
  remote: string;
  /** It comes from the machine itself, and not from a foreign page in a browser there. */
  loopback: boolean;
}

export interface Listeners {
  addresses: DoorAddresses;
  /** Takes no more connections; those that are there stay. */
  close(): void;
}

/** Opens all listeners, or none: rejects with LISTEN_FAILED. */
export async function openListeners(
  options: ListenerOptions,
  limits: DoorLimits,
  onArrival: (arrival: Arrival) => void,
): Promise<Listeners> {
  const opened: (Server | HttpServer)[] = [];
  const closers: (() => void)[] = [];
  const addresses: DoorAddresses = { tcp: null, tls: null, websocket: null, websocketTls: null };
  const open = async (kind: ListenerKind, server: Server | HttpServer): Promise<void> => {
    addresses[kind] = await listen(server, options[kind]!);
    opened.push(server);
  };
  const onSocket = (socket: Socket): void => {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    onArrival({ wire: socket, ...origin(socket, undefined) });
  };
  const withWebSockets = (server: HttpServer): HttpServer => {
    server.headersTimeout = server.requestTimeout = limits.connectTimeoutMs;
    // A message may hold several packets, so it may be larger than one.
    const sockets = acceptWebSockets(server, 2 * limits.packetBytesMax, (wire, request) => {
      request.socket.setNoDelay(true);
      onArrival({ wire, ...origin(request.socket, request) });
    });
    closers.push(sockets.close);
    return server;
  };
  try {
    if (options.tcp) await open('tcp', createTcpServer(onSocket));
    if (options.websocket) await open('websocket', withWebSockets(createHttpServer(answerPlain)));
    if (options.tls) {
      const server = createTlsServer(secure(options.tlsKeys, limits), onSocket);
      server.on('tlsClientError', () => {}); // a failed handshake is the client's affair
      await open('tls', server);
    }
    if (options.websocketTls)
      await open('websocketTls', withWebSockets(createHttpsServer(secure(options.tlsKeys, limits), answerPlain)));
  } catch (error) {
    for (const server of opened) server.close();
    throw error;
  }
  return {
    addresses,
    close() {
      for (const close of closers) close();
      for (const server of opened) {
        server.close();
        if ('closeIdleConnections' in server) server.closeIdleConnections();
      }
    },
  };
}

function secure(keys: TlsKeys | null | undefined, limits: DoorLimits): TlsOptions {
  if (!keys) throw new SluiceError('CONFIG_INVALID', 'a TLS listener needs a certificate and a key');
  const { cert, key, ca } = keys;
  const options = { cert, key, minVersion: 'TLSv1.2' as const, handshakeTimeout: limits.connectTimeoutMs };
  return ca === null ? options : { ...options, ca, requestCert: true, rejectUnauthorized: true };
}

function listen(server: Server | HttpServer, { host, port }: ListenAddress): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new SluiceError('LISTEN_FAILED', `cannot listen on ${host}:${port}: ${error.code ?? error.message}`, {
          values: { host, port },
          cause: error,
        }),
      );
    });
    server.listen({ host, port }, () => {
      server.removeAllListeners('error');
      server.on('error', () => {}); // a connection that could not be accepted (no file descriptors left) is tried again by its client
      const address = server.address() as AddressInfo;
      resolve({ host: address.address, port: address.port });
    });
  });
}

function answerPlain(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { 'content-type': 'text/plain', connection: 'close', upgrade: 'websocket' });
  response.end('MQTT over WebSocket, subprotocol mqtt\n');
}

function origin(socket: Socket, request: IncomingMessage | undefined): { remote: string; loopback: boolean } {
  const address = socket.remoteAddress ?? '';
  return {
    remote: `${address}:${socket.remotePort ?? 0}`,
    loopback: isLoopback(address) && isOwnPage(request?.headers.origin),
  };
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

/**
 * A browser on this machine runs pages of anybody, and lets them open WebSockets to it; it tells where the page came from.
 * Such a page has no part in what is allowed to the machine itself.
 */
function isOwnPage(pageOrigin: string | undefined): boolean {
  if (pageOrigin === undefined) return true;
  const host = URL.canParse(pageOrigin) ? new URL(pageOrigin).hostname : '';
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
