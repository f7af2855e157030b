import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openWritableEnv } from '../../log/lmdb-env.ts';
import { randomOf } from '../../processors/testing/scenario.ts';
import { PARTITIONS } from './log-contents.ts';

const MAP_BYTES = 16 * 2 ** 30;

/**
 * Damages the newest checkpoint of some partitions while nobody has them open (keys as in log/lmdb-checkpoints.ts).
 * - flip: one bit of the state, of the last change upon it, or of its record
 * - tear: the state ends early, as if half of it had been written
 * - file: one bit of the state where it lies in the file, behind LMDB's back
 */
export async function damageCheckpoints(dir: string, how: 'flip' | 'tear' | 'file', choice: number): Promise<number> {
  if (!existsSync(join(dir, 'data.mdb'))) return 0;
  const random = randomOf(Math.floor(choice * 2 ** 31));
  const states: Buffer[] = [];
  let damaged = 0;
  const env = openWritableEnv(dir, MAP_BYTES);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const slot = newestSlot(env, partition);
    if (slot === null || random() < 0.3) continue;
    const key = random() < 0.5 ? Uint8Array.of(4, 0, partition, slot, 0, 0, 0, 0) : newestKey(env, partition, slot);
    const record = Uint8Array.of(3, 0, partition, slot);
    const inRecord = random() < 0.2;
    const value = env.read((get) => get(inRecord && how === 'flip' ? record : key));
    if (value === undefined || value.length === 0) continue;
    damaged++;
    if (how === 'file') states.push(Buffer.from(value));
    else {
      const worse = how === 'tear' ? value.slice(0, Math.floor(value.length / 2)) : flipped(value, random());
      await env.commit([[inRecord && how === 'flip' ? record : key, worse]]);
    }
  }
  await env.close();
  for (const state of states) await flipInFile(join(dir, 'data.mdb'), state, random());
  return damaged;
}

/** Of the last change upon the slot's state; of the state itself where there is none. */
function newestKey(env: ReturnType<typeof openWritableEnv>, partition: number, slot: number): Uint8Array {
  let key = Uint8Array.of(4, 0, partition, slot, 0, 0, 0, 0);
  for (let n = 1; ; n++) {
    const change = Uint8Array.of(5, 0, partition, slot, 0, 0, 0, n);
    if (n > 255 || env.read((get) => get(change)) === undefined) return key;
    key = change;
  }
}

function newestSlot(env: ReturnType<typeof openWritableEnv>, partition: number): number | null {
  const sequences = [0, 1].map((slot) => {
    const record = env.read((get) => get(Uint8Array.of(3, 0, partition, slot)));
    return record === undefined ? -1 : Buffer.from(record).readUIntBE(2, 6);
  });
  if (Math.max(...sequences) < 0) return null;
  return sequences[1] > sequences[0] ? 1 : 0;
}

function flipped(bytes: Uint8Array, where: number): Uint8Array {
  const out = bytes.slice();
  out[Math.floor(where * out.length)] ^= 1 << Math.floor((where * 7919) % 8);
  return out;
}

/** Every place in the file where these bytes lie is damaged in the same way: only one of them is in use. */
async function flipInFile(path: string, state: Buffer, where: number): Promise<void> {
  const contents = await readFile(path);
  const file = await open(path, 'r+');
  for (let at = contents.indexOf(state); at !== -1; at = contents.indexOf(state, at + 1)) {
    await file.write(flipped(state, where), 0, state.length, at);
  }
  await file.close();
}
