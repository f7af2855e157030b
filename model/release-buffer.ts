import { MessageChannel } from 'node:worker_threads';

/** Sending through a port that is closed moves the buffers that go along, and there is nobody to get them. */
const closed = new MessageChannel().port1;
closed.close();

/** A smaller one is not worth it, and one of the pool that Node.js cuts its small buffers from (8 KiB, or 64) cannot be moved. */
const BUFFER_BYTES_MIN = Math.max(16 * 1024, Buffer.poolSize + 1);

/**
 * Gives the memory of a large buffer back at once, instead of with the collection that finds it dead: one that was used for longer than
 * two young collections is old by then, and its bytes count as growth of the old heap until all of it is marked
 * (docs/decisions/007-large-inserts.md). Costs about a microsecond.
 *
 * `bytes` lies in an ArrayBuffer that the caller alone has: all views of it are empty from now on.
 */
export function releaseBuffer({ buffer }: Uint8Array<ArrayBuffer>): void {
  if (buffer.byteLength >= BUFFER_BYTES_MIN) closed.postMessage(null, [buffer]);
}
