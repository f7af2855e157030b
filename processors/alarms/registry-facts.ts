import type { Registry } from '../registry/registry.ts';
import type { DeviceFacts } from './condition.ts';

/** What conditions ask of the registry. A text that is not said is no group. */
export function registryFacts(registry: Registry): DeviceFacts {
  return {
    levelOf: (device) => (name) => (name === null ? null : (registry.entry(device)?.thresholds.get(name) ?? null)),
    isRegistered: (device) => registry.entry(device) !== null,
    groupOf(device, group) {
      const entry = registry.entry(device);
      if (entry === null) return null;
      const value = group.kind === 'tag' ? entry.tags.get(group.tag) : entry[group.kind];
      return value === undefined || value === '' ? null : value;
    },
  };
}
