import { setFlagsFromString } from 'node:v8';

/**
 * The way of a reading (evaluation.ts) is a loop over short functions: event time, redeliveries, block, windows, rules. By default V8
 * inlines 920 bytes of bytecode into a function, which is used up before it comes to redeliveries and rules. With more, the
 * loop and what it calls become one piece of code, and a reading takes about a quarter less CPU (docs/decisions/002-inlining.md). Holds
 * for what the process compiles from now on, in all of its threads.
 */
export function inlineTheWayOfAReading(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');
  setFlagsFromString('--max-inlined-bytecode-size=1000');
}
