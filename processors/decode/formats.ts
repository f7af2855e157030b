import type { DecodeLimits, PayloadDecoder } from './decoder.ts';
import { JsonDecoder } from './json.ts';
import { SkeletonDecoder } from './skeleton.ts';

/** Payload formats by the name that the configuration uses. A new format is one file and one row. */
export const FORMATS = {
  json: (limits: DecodeLimits): PayloadDecoder => new SkeletonDecoder(new JsonDecoder(limits)),
} as const;

export type FormatName = keyof typeof FORMATS;
