import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls';
import { SluiceError } from '../model/errors.ts';
import type { ConnectionGate, Visit } from './connection-gate.ts';
import type { DoorLimits } from './limits.ts';
import { type CertificateIdentity, type CertificateName, certificateIdentity } from './tls-identity.ts';
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

/** How clients' certificates are taken, where there are authorities for them. */
export interface ClientCertificates {
  /** A client without one is refused. One that is presented has to be right in any case. */
  required: boolean;
  deviceFrom: CertificateName;
}

/** Where to listen; what is absent or null is not opened. The two that use TLS need `tlsKeys`. */
export interface ListenerOptions {
  tcp?: ListenAddress | null;
  tls?: ListenAddress | null;
  websocket?: ListenAddress | null;
  websocketTls?: ListenAddress | null;
  tlsKeys?: TlsKeys | null;
  clientCertificates?: ClientCertificates;
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
  /** What its certificate says; null without one. */
  certificate: CertificateIdentity | null;
  visit: Visit;
}

export interface Listeners {
  addresses: DoorAddresses;
  /** New connections are shown this certificate from now on. Throws CONFIG_INVALID when it cannot be used, and keeps the old one. */
  renew(keys: TlsKeys): void;
  /** Takes no more connections; those that are there stay. */
  close(): void;
}

/** How many connections the kernel keeps ready; a fleet that comes back all at once must not be left to wait for repeated SYNs. */
const BACKLOG = 4096;
const HEADER_BYTES_MAX = 8192;

/** Opens all listeners, or none: rejects with LISTEN_FAILED. */
export async function openListeners(
  options: ListenerOptions,
  limits: DoorLimits,
  gate: ConnectionGate,
  onArrival: (arrival: Arrival) => void,
): Promise<Listeners> {
  const opened: Server[] = [];
  const closers: (() => void)[] = [];
  const secured: (TlsServer | HttpsServer)[] = [];
  const addresses: DoorAddresses = { tcp: null, tls: null, websocket: null, websocketTls: null };
  const certificates = options.clientCertificates ?? { required: true, deviceFrom: 'none' };
  const asksForCertificates = options.tlsKeys?.ca != null;
  // A TLS socket does not tell which socket it was made of, but both have the same ends.
  const visits = new Map<string, Visit>();
  /** Every socket is first seen here, whatever is spoken on it later. */
  const open = async (kind: ListenerKind, speak: (socket: Socket) => void): Promise<void> => {
    const server = createTcpServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
      socket.on('error', () => {}); // it closes, which is all that matters here
      const visit = gate.enter(socket.remoteAddress ?? '', socket);
      if (visit === null) {
        socket.destroy();
        return;
      }
      const key = ends(socket);
      visits.set(key, visit);
      socket.once('close', () => {
        gate.leave(visit);
        if (visits.get(key) === visit) visits.delete(key);
      });
      speak(socket);
    });
    addresses[kind] = await listen(server, options[kind]!);
    opened.push(server);
  };
  const arrive = (wire: Duplex, socket: Socket, request: IncomingMessage | undefined): void => {
    const visit = visits.get(ends(socket));
    const known = !asksForCertificates || !(socket instanceof TLSSocket) || properlyKnown(socket, certificates);
    if (visit === undefined || !known) {
      wire.on('error', () => {});
      wire.destroy();
      return;
    }
    const certificate =
      asksForCertificates && socket instanceof TLSSocket ? certificateIdentity(socket, certificates.deviceFrom) : null;
    onArrival({ wire, ...origin(socket, request), certificate, visit });
  };
  const overTls = (server: TlsServer | HttpsServer): ((raw: Socket) => void) => {
    secured.push(server);
    server.on('tlsClientError', () => {}); // a failed handshake is the client's affair
    return (raw) => void server.emit('connection', raw);
  };
  const webSockets = (server: HttpServer | HttpsServer): void => {
    // A message may hold several packets, so it may be larger than one.
    const sockets = acceptWebSockets(server, 2 * limits.packetBytesMax, (wire, request) =>
      arrive(wire, request.socket, request),
    );
    closers.push(sockets.close);
  };
  try {
    if (options.tcp) await open('tcp', (socket) => arrive(socket, socket, undefined));
    if (options.websocket) {
      const server = createHttpServer({ maxHeaderSize: HEADER_BYTES_MAX }, answerPlain);
      webSockets(server);
      await open('websocket', (socket) => void server.emit('connection', socket));
    }
    if (options.tls) {
      const server = createTlsServer(secure(options.tlsKeys, limits, certificates));
      server.on('secureConnection', (socket) => arrive(socket, socket, undefined));
      await open('tls', overTls(server));
    }
    if (options.websocketTls) {
      const settings = { ...secure(options.tlsKeys, limits, certificates), maxHeaderSize: HEADER_BYTES_MAX };
      const server = createHttpsServer(settings, answerPlain);
      webSockets(server);
      await open('websocketTls', overTls(server));
    }
  } catch (error) {
    for (const server of opened) server.close();
    throw error;
  }
  return {
    addresses,
    renew(keys) {
      const context = secure(keys, limits, certificates);
      try {
        for (const server of secured) server.setSecureContext(context);
      } catch (error) {
        throw new SluiceError('CONFIG_INVALID', 'the new certificate cannot be used', { cause: error });
      }
    },
    close() {
      for (const close of closers) close();
      for (const server of opened) server.close();
      gate.close();
    },
  };
}

function secure(
  keys: TlsKeys | null | undefined,
  limits: DoorLimits,
  { required }: ClientCertificates,
): TlsOptions & { minVersion: 'TLSv1.2' } {
  if (!keys) throw new SluiceError('CONFIG_INVALID', 'a TLS listener needs a certificate and a key');
  const { cert, key, ca } = keys;
  const options = { cert, key, minVersion: 'TLSv1.2' as const, handshakeTimeout: limits.connectTimeoutMs };
  // Where a certificate is optional, a wrong one is let through the handshake, and refused after it.
  return ca === null ? options : { ...options, ca, requestCert: true, rejectUnauthorized: required };
}

/** No certificate where one may be missing, or one that our authorities have signed. */
function properlyKnown(socket: TLSSocket, { required }: ClientCertificates): boolean {
  if (socket.authorized || socket.getPeerCertificate()?.subject === undefined) return socket.authorized || !required;
  return false;
}

function ends(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

function listen(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new SluiceError('LISTEN_FAILED', `cannot listen on ${host}:${port}: ${error.code ?? error.message}`, {
          values: { host, port },
          cause: error,
        }),
      );
    });
    server.listen({ host, port, backlog: BACKLOG }, () => {
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
