/** Columns of state by dense id: typed arrays that grow by doubling, and by a quarter once they are large, so that little is kept unused. */

const LARGE_ITEMS = 1 << 16;
const LARGE_GROWTH = 1.25;
/** Rows of a few items each always fit in whole. */
const ROUND_ITEMS = 64;

/** `column` itself when it holds `index`, else a larger copy whose new part is filled with `fill`. */
export function withRoom<T extends Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array>(
  column: T,
  index: number,
  fill: number,
): T {
  if (index < column.length) return column;
  const growth = column.length < LARGE_ITEMS ? 2 : LARGE_GROWTH;
  const make = column.constructor as new (length: number) => T;
  const larger = new make(Math.max(index + 1, Math.ceil((column.length * growth) / ROUND_ITEMS) * ROUND_ITEMS));
  larger.set(column);
  if (fill !== 0) larger.fill(fill, column.length);
  return larger;
}
