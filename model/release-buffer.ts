import { MessageChannel } from 'node:worker_threads';

/** Sending through a port that is closed moves the buffers that go along, and there is nobody to get them. */
const closed = new MessageChannel().port1;
closed.close();

/**
 * Gives the memory of a large buffer back at once, instead of with the collection that finds it dead: one that was used for longer than
 * two young collections is old by then, and its bytes count as growth of the old heap until all of it is marked
 * (docs/decisions/006-young-garbage.md). Costs about a microsecond.
 *
 * `bytes` has a buffer of its own, of which no other view is in use; all views of it are empty from now on. A part of a larger
 * buffer is left alone.
 */
export function releaseBuffer(bytes: Uint8Array<ArrayBuffer>): void {
  const { buffer } = bytes;
  if (bytes.byteLength === 0 || bytes.byteLength !== buffer.byteLength) return;
  closed.postMessage(null, [buffer]);
}
