import { FACT_TOPIC } from '../../model/fact.ts';
import { encodeIdentity, FrameBuilder } from '../../model/frame.ts';
import { encodeTold, type Told } from '../../model/told.ts';

/** A frame is closed at this size, which every log takes. */
const FRAME_BYTES = 256 * 1024;
const IDENTITY = encodeIdentity('', FACT_TOPIC);

/** Frames for FACTS, in order. */
export function factFrames(facts: readonly Told[]): Uint8Array<ArrayBuffer>[] {
  const frames: Uint8Array<ArrayBuffer>[] = [];
  if (facts.length === 0) return frames;
  const builder = new FrameBuilder(4096);
  for (const fact of facts) {
    const bytes = encodeTold(fact);
    builder.append(0, IDENTITY, bytes, 0, bytes.length);
    if (builder.bytes >= FRAME_BYTES) frames.push(new Uint8Array(builder.finish()));
  }
  if (builder.messages > 0) frames.push(new Uint8Array(builder.finish()));
  return frames;
}
