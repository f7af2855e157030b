let bytesOfLast: Uint8Array = new Uint8Array(0);
let last = new DataView(bytesOfLast.buffer);

/**
 * A DataView of the same bytes, which takes several of them at a time. That of the bytes last asked for is kept: whoever works through a chunk
 * asks once for each message in it.
 */
export function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== bytesOfLast) {
    last = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    bytesOfLast = bytes;
  }
  return last;
}
