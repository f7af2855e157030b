/** Columns of state by dense id: typed arrays that grow by doubling. */

/** `column` itself when it holds `index`, else a larger copy whose new part is filled with `fill`. */
export function withRoom<T extends Float64Array | Int32Array | Uint32Array | Uint8Array>(
  column: T,
  index: number,
  fill: number,
): T {
  if (index < column.length) return column;
  const make = column.constructor as new (length: number) => T;
  const larger = new make(Math.max(index + 1, column.length * 2));
  larger.set(column);
  if (fill !== 0) larger.fill(fill, column.length);
  return larger;
}
