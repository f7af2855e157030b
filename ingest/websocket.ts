import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';

/** Names of the subprotocol: MQTT 3.1.1's own [MQTT-6.0.0-3], and the older one. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];

/**
 * Takes WebSocket connections of an HTTP server and hands each over as a byte stream. Clients must name the subprotocol
 * `mqtt` and send binary frames [MQTT-6.0.0-1]; MQTT packets and frames need not line up [MQTT-6.0.0-2].
 */
export function acceptWebSockets(
  server: Server,
  messageBytesMax: number,
  onStream: (stream: Duplex, request: IncomingMessage) => void,
): { close(): void } {
  const sockets = new WebSocketServer({
    server,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  // Errors of the server are told to whoever opened it.
  sockets.on('error', () => {});
  sockets.on('connection', (socket, request) => {
    if (!SUBPROTOCOLS.includes(socket.protocol)) {
      socket.close(1002, 'the subprotocol is mqtt');
      return;
    }
    const stream = createWebSocketStream(socket);
    // The stream takes text for bytes; what is no binary frame must not get that far [MQTT-6.0.0-1].
    const [take] = socket.listeners('message') as ((data: unknown, isBinary: boolean) => void)[];
    socket.off('message', take);
    socket.on('message', (data, isBinary) => {
      if (socket.readyState !== socket.OPEN) return;
      if (isBinary) take.call(socket, data, isBinary);
      else socket.close(1003, 'binary frames only');
    });
    onStream(stream, request);
  });
  return { close: () => sockets.close() };
}
