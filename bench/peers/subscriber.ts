import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, projectRoot, startChild, untilUp } from '../children.ts';
import type { ContentTally } from '../content.ts';
import type { Contents } from './peer.ts';

/** One who has subscribed to everything: subscriber-main.ts in a process of its own. */
export interface Subscriber {
  child: Child;
  arrived(): Promise<number>;
  contents: Contents;
}

/** Resolves when its subscription is granted. `folder` takes what it has got, when somebody wants to look at it. */
export async function startSubscriber(port: number, folder: string): Promise<Subscriber> {
  const main = join(projectRoot(), 'dist/bench/peers/subscriber-main.js');
  const file = join(folder, 'received.bin');
  const child = startChild(process.execPath, [main, String(port), file]);
  await untilUp(child, 'the subscriber', async () => child.output().includes('received 0\n'));
  let dumps = 0;
  const dump = async () => {
    const line = `dumped ${++dumps}\n`;
    process.kill(child.pid, 'SIGUSR2');
    while (!child.output().includes(line)) await sleep(20);
  };
  return {
    child,
    arrived: async () => Number([...child.output().matchAll(/received (\d+)\n/g)].at(-1)?.[1] ?? 0),
    contents: {
      begin: dump,
      async readInto(tally) {
        await dump();
        addPackets(await readFile(file), tally);
      },
    },
  };
}

/** Whole MQTT packets one after another; those that are not PUBLISH are passed over. */
export function addPackets(bytes: Buffer, tally: ContentTally): void {
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    let head = at + 1;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[head++];
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    const end = head + length;
    if (bytes[at] >> 4 === 3) {
      const topicEnd = head + 2 + bytes.readUInt16BE(head);
      const device = bytes.toString('latin1', head + 2, topicEnd).split('/')[1] ?? '';
      const idBytes = (bytes[at] & 6) === 0 ? 0 : 2;
      tally.addPayload(device, bytes, topicEnd + idBytes, end);
    }
    at = end;
  }
}
