import { Duplex } from 'node:stream';

/** The connection's side of the stream. */
export interface BrokerPeer {
  /** The client comes back to a session that was kept; set before its CONNACK is written. */
  sessionPresent: boolean;
  /** The broker has room for more packets. */
  brokerReads(): void;
  /** Whole packets of the broker; `done` is called when it may write more. */
  brokerWrites(chunks: readonly Uint8Array[], done: () => void): void;
  /** The broker is through with this client: what was written so far is to be sent, and the socket closed. */
  brokerCloses(): void;
}

/**
 * What the broker takes for the client's socket. Its bytes never meet the real socket directly: the connection decides
 * which packets the broker gets to see, and puts the broker's packets between its own.
 *
 * The broker writes a packet in several pieces, but corks the stream for as long as it does; so `_writev` and `_write` are
 * always given whole packets.
 */
export class BrokerStream<Peer extends BrokerPeer = BrokerPeer> extends Duplex {
  readonly peer: Peer;

  constructor(peer: Peer) {
    super({ allowHalfOpen: false, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.peer = peer;
  }

  override _read(): void {
    this.peer.brokerReads();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.peer.brokerWrites([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    this.peer.brokerWrites(
      chunks.map((c) => c.chunk),
      done,
    );
  }

  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    this.peer.brokerCloses();
    done(null);
  }
}
