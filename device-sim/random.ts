import { randomNormal } from 'd3-random';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/**
 * Randomness that is a function of its keys: the same seed, device, purpose and time give the same draws on every machine and
 * in every order of asking. Nothing here keeps state between calls, so a fleet can be asked for any moment at once.
 */

/** Mixes integers into one 32-bit seed. The steps are the finalizer of MurmurHash3 after each key. */
export function mix(...keys: readonly number[]): number {
  let h = 0x2545f491;
  for (const key of keys) {
    // Times in ms need more than 32 bits: both halves take part.
    h = scramble(h ^ (key | 0));
    h = scramble(h ^ Math.floor(key / 4294967296));
  }
  return h;
}

function scramble(value: number): number {
  let h = Math.imul(value ^ 0x9e3779b9, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A number for a name, to be used as a key: the purpose of a draw ("noise of the temperature"). */
export function keyOf(name: string): number {
  let h = 0;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h;
}

/** A source of uniform numbers in [0, 1), the same ones for the same keys. */
export function uniformsAt(...keys: readonly number[]): () => number {
  const generator = xoroshiro128plus(mix(...keys));
  // The first outputs of this generator still show its seed.
  for (let i = 0; i < 4; i++) generator.next();
  return () => uniformFloat64(generator);
}

/** A source of normally distributed numbers (mean 0, deviation 1), the same ones for the same keys. */
export function normalsAt(...keys: readonly number[]): () => number {
  return randomNormal.source(uniformsAt(...keys))();
}

/** One uniform number in [0, 1) for the keys. */
export function uniformAt(...keys: readonly number[]): number {
  return uniformsAt(...keys)();
}

/**
 * Noise that wanders: normal numbers (deviation 1) at multiples of `periodMs`, joined by a smooth curve. A continuous
 * function of the time, for drift, weather and load.
 */
export function wander(seed: number, device: number, purpose: number, tsMs: number, periodMs: number): number {
  const at = tsMs / periodMs;
  const left = Math.floor(at);
  const x = at - left;
  const weight = x * x * (3 - 2 * x);
  return knot(seed, device, purpose, left) * (1 - weight) + knot(seed, device, purpose, left + 1) * weight;
}

/** The knots of `wander` are asked for again and again (each serves a whole period), so the newest are remembered. */
const knots = new Map<string, number>();
const KNOTS_MAX = 20_000;

function knot(seed: number, device: number, purpose: number, index: number): number {
  const name = `${seed},${device},${purpose},${index}`;
  let value = knots.get(name);
  if (value === undefined) {
    value = normalsAt(seed, device, purpose, index)();
    if (knots.size >= KNOTS_MAX) knots.clear();
    knots.set(name, value);
  }
  return value;
}
