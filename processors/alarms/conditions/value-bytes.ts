import type { Value } from '../../../model/expressions/expression.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';

/** A value in a checkpoint: its kind (0 none, 1 number, 2 text, 3 false, 4 true), and a number or text itself. */
export function writeValue(out: StateWriter, value: Value | null): void {
  if (typeof value === 'number') {
    out.varint(1);
    out.f64(value);
  } else if (typeof value === 'string') {
    out.varint(2);
    out.text(value);
  } else out.varint(value === null ? 0 : value ? 4 : 3);
}

export function readValue(from: StateReader): Value | null {
  switch (from.below(5, 'the kind of a value')) {
    case 1:
      return from.f64();
    case 2:
      return from.text();
    case 3:
      return false;
    case 4:
      return true;
    default:
      return null;
  }
}
