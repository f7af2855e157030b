import { SluiceError } from './errors.ts';
import { encodeFact, type Fact, factOf } from './fact.ts';
import { encodeGroupResult, type GroupResult, groupResultOf } from './group-result.ts';

/** What goes by the topic FACTS into telemetry partitions, as a message with an empty device and the topic FACT_TOPIC. */
export type Told = Fact | GroupResult;

const fatalUtf8 = new TextDecoder('utf-8', { fatal: true });

export function encodeTold(told: Told): Uint8Array<ArrayBuffer> {
  return told.kind === 'rollup' ? encodeGroupResult(told) : encodeFact(told);
}

/** Throws INPUT_INVALID when the bytes are neither a fact nor a group's result. */
export function decodeTold(bytes: Uint8Array): Told {
  let json: unknown;
  try {
    json = JSON.parse(fatalUtf8.decode(bytes));
  } catch (cause) {
    throw new SluiceError('INPUT_INVALID', 'a fact is not JSON', { cause });
  }
  if (typeof json !== 'object' || json === null) throw new SluiceError('INPUT_INVALID', 'a fact is not an object');
  const members = new Map<string, unknown>(Object.entries(json));
  return members.get('kind') === 'rollup' ? groupResultOf(members) : factOf(members);
}
