import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { BlastResult } from '../../device-sim/blast.ts';
import type { Child } from '../children.ts';
import type { ContentTally } from '../content.ts';
import { type ProcessSample, sampleTree } from '../processes.ts';

/** Something that takes MQTT and is measured in the same run, with the same generator. One file a peer. */
export interface Peer {
  name: string;
  about: string;
  /** Why it cannot run here; null when it can. */
  missing(): string | null;
  /** Rejects with what its processes wrote when one does not come up. `folder` is on the disk to be measured. */
  start(folder: string): Promise<RunningPeer>;
}

export interface RunningPeer {
  /** mqtt://HOST:PORT */
  url: string;
  /** Costs so far of all processes of the chain. */
  sample(): ProcessSample[];
  /** Where messages go on to somewhere: what has arrived there so far, and what a blast should make arrive. */
  destination?: { arrived(): Promise<number>; expected(result: BlastResult): number };
  /** Where messages end somewhere, they are read back after a round and compared with what was acknowledged. */
  contents?: Contents;
  stop(): Promise<void>;
}

export interface Contents {
  /** What is there now is not looked at. */
  begin(): Promise<void>;
  /** Puts what has come since `begin` into the tally. */
  readInto(tally: ContentTally): Promise<void>;
}

/** The young generation that the door has (cli/child.ts): Node peers are given the same, so that this is not the difference. */
export const SEMI_SPACE_MIB = 32;

/** A peer of one process. */
export function ofOneProcess(name: string, child: Child, port: number, own?: string): RunningPeer {
  return {
    url: `mqtt://127.0.0.1:${port}`,
    sample: () => sampleTree(child.pid, () => name),
    async stop() {
      await child.stop();
      if (own !== undefined) await rm(own, { recursive: true, force: true });
    },
  };
}

/**
 * Starts a peer of several parts. `build` tells how each part is stopped as soon as it runs; they are stopped in reverse order, also
 * when a later one does not come up.
 */
export async function ofParts(
  build: (onStop: (stop: () => Promise<unknown>) => void) => Promise<Omit<RunningPeer, 'stop'>>,
): Promise<RunningPeer> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    return { ...(await build((one) => stops.push(one))), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A folder of the peer's own, which it removes when it stops. */
export function ownFolder(folder: string, name: string): Promise<string> {
  return mkdtemp(join(folder, `${name}-`));
}

export function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
