import { isIPv4 } from 'node:net';

/**
 * What counts as one address when connections are limited. Who has an IPv6 address commonly has all 2^64 of its network, so
 * there the first 64 bits count; an IPv4 address written as IPv6 (::ffff:192.0.2.1) is the IPv4 one.
 */
export function addressKey(address: string): string {
  const bare = address.split('%')[0].toLowerCase();
  const tail = bare.slice(bare.lastIndexOf(':') + 1);
  if (isIPv4(bare)) return bare;
  if (bare.startsWith('::ffff:') && isIPv4(tail)) return tail;
  const [left, right] = bare.split('::');
  const groups = left === '' ? [] : left.split(':');
  if (right !== undefined) {
    const last = right === '' ? [] : right.split(':');
    // An embedded IPv4 address stands for two groups.
    const width = last.length + (isIPv4(tail) ? 1 : 0);
    groups.push(...new Array<string>(Math.max(0, 8 - groups.length - width)).fill('0'), ...last);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
