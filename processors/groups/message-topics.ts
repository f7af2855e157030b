/**
 * The MQTT topic on which each device's newest message came, for windows by a level of it. A device that keeps to one topic costs a
 * comparison of bytes a message, and nothing where no window asks. Nothing of this is state: a message tells its topic before its readings are looked at.
 */
export class MessageTopics {
  /** By device. */
  readonly #topics: Uint8Array[] = [];
  readonly #listeners: ((device: number) => void)[] = [];

  /** Is told of each device whose message came on another topic than the one before. */
  onChange(listener: (device: number) => void): void {
    this.#listeners.push(listener);
  }

  /** A message of the device came on the topic in `bytes` from `start` up to `end`. */
  heard(device: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#listeners.length === 0) return;
    const known = this.#topics[device];
    if (known !== undefined && isSame(known, bytes, start, end)) return;
    while (this.#topics.length < device) this.#topics.push(NONE);
    this.#topics[device] = bytes.slice(start, end);
    for (const listener of this.#listeners) listener(device);
  }

  /** A level of the topic, counted from 1; empty where the topic has fewer. */
  level(device: number, level: number): string {
    const topic = this.#topics[device];
    return topic === undefined ? '' : (utf8.decode(topic).split('/')[level - 1] ?? '');
  }
}

const NONE = new Uint8Array(0);
const utf8 = new TextDecoder();

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
