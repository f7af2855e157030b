import { encodeIdentity, FrameBuilder } from '../../model/frame.ts';
import { partitionOf } from '../../model/partition.ts';
import type { OutgoingPartial } from './partial.ts';

/** A frame is closed at this size, which every log takes. */
const FRAME_BYTES = 256 * 1024;
const IDENTITY = encodeIdentity('', '$partial');

/** Frames for PARTIALS, in order for each partition: those of one group in one partition, marks in all. */
export function partialFrames(
  partials: readonly OutgoingPartial[],
  partitions: number,
): { partition: number; frame: Uint8Array<ArrayBuffer> }[] {
  const frames: { partition: number; frame: Uint8Array<ArrayBuffer> }[] = [];
  const builders = new Map<number, FrameBuilder>();
  const add = (partition: number, bytes: Uint8Array): void => {
    let builder = builders.get(partition);
    if (builder === undefined) {
      builder = new FrameBuilder(4096);
      builders.set(partition, builder);
    }
    builder.append(0, IDENTITY, bytes, 0, bytes.length);
    if (builder.bytes >= FRAME_BYTES) frames.push({ partition, frame: new Uint8Array(builder.finish()) });
  };
  for (const { group, bytes } of partials) {
    if (group !== null) add(partitionOf(group, partitions), bytes);
    else for (let partition = 0; partition < partitions; partition++) add(partition, bytes);
  }
  for (const [partition, builder] of builders) {
    if (builder.messages > 0) frames.push({ partition, frame: new Uint8Array(builder.finish()) });
  }
  return frames;
}
