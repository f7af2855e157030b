/** Longest device id, bytes of UTF-8. It is a key of the log, a level of a topic and a column of each reading. */
export const DEVICE_ID_BYTES_MAX = 256;

const PREFIX = 'devices/';
const SUFFIX = '/telemetry';

/**
 * A device id is one level of a topic: 1 to 256 bytes of UTF-8 without `/`, `+`, `#` and U+0000.
 */
export function isDeviceId(id: string): boolean {
  if (id.length === 0 || id.length > DEVICE_ID_BYTES_MAX) return false;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    if (code === 0x2f || code === 0x2b || code === 0x23 || code === 0) return false;
  }
  return Buffer.byteLength(id) <= DEVICE_ID_BYTES_MAX;
}

/**
 * What stands for the device in `devices/{device}/telemetry`, not checked (it may be empty or too long); null when the topic
 * is not of that shape.
 */
export function telemetryDevice(topic: string): string | null {
  if (!topic.startsWith(PREFIX) || !topic.endsWith(SUFFIX)) return null;
  if (topic.length < PREFIX.length + SUFFIX.length) return null;
  const device = topic.slice(PREFIX.length, topic.length - SUFFIX.length);
  return device.includes('/') ? null : device;
}
