/**
 * V8's CPU profiles (`node --cpu-prof`, one file for each thread), folded: how much time each stack of functions took.
 *
 *     nodes       the tree of calls; a node is a function called from its parent
 *     samples     which node was on top, one each millisecond or so
 *     timeDeltas  µs from each sample to the one before it
 *
 * Format: the type Profile of the DevTools protocol.
 */
export interface CpuProfile {
  nodes: ProfileNode[];
  /** µs of the system's monotonic clock, the same for all processes. */
  startTime: number;
  samples: number[];
  timeDeltas: number[];
}

export interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string };
  children?: number[];
}

export interface Frame {
  /** Of the function; empty for those that have none. */
  name: string;
  /** Its file: from the project's folder on, `node:…`, or empty for what V8 itself does. */
  file: string;
}

export interface Stack {
  /** Outermost first; never empty. */
  frames: Frame[];
  micros: number;
}

/** What V8 calls the time in which a thread had nothing to do, and the frame around all. */
const NOTHING = new Set(['(idle)', '(root)']);
/** Where a worker of piscina sleeps until it is given work; to V8 it is at work meanwhile. */
const WAITING = 'atomicsWaitLoop';

/** Stacks and their time between two moments of the monotonic clock, µs; time without work is left out. */
export function fold(profile: CpuProfile, fromMicros = 0, toMicros = Number.POSITIVE_INFINITY): Stack[] {
  const self = new Map<number, number>();
  const { samples, timeDeltas } = profile;
  let at = profile.startTime;
  for (let i = 0; i < samples.length; i++) {
    at += timeDeltas[i];
    // A sample stands for the time until the next.
    const micros = timeDeltas[i + 1] ?? 0;
    if (at >= fromMicros && at < toMicros && micros > 0) self.set(samples[i], (self.get(samples[i]) ?? 0) + micros);
  }
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id);
  const stacks: Stack[] = [];
  for (const [id, micros] of self) {
    const frames: Frame[] = [];
    for (let node = byId.get(id); node !== undefined; node = byId.get(parents.get(node.id) ?? -1)) {
      const { functionName, url } = node.callFrame;
      if (!NOTHING.has(functionName)) frames.push({ name: functionName, file: fileOf(url) });
    }
    if (frames.length > 0 && frames[0].name !== WAITING) stacks.push({ frames: frames.reverse(), micros });
  }
  return stacks;
}

/** From `dist/` on with the extension of the source, from `node_modules/` on, or as it is. */
export function fileOf(url: string): string {
  const own = /\/dist\/(.+)\.js$/.exec(url);
  if (own !== null && !url.includes('/node_modules/')) return `${own[1]}.ts`;
  const at = url.lastIndexOf('/node_modules/');
  return at === -1 ? url : url.slice(at + 1);
}
