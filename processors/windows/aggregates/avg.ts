/** The mean has no state of its own: it is made from those of count and sum. */
export function result(count: number, sum: number): number {
  return sum / count;
}
