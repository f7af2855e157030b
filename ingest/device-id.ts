const PREFIX = 'devices/';
const SUFFIX = '/telemetry';

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
