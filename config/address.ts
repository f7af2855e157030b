import { clip, describe, type Parsed } from './quantity.ts';

/** Where a server listens. `host` is an IPv4 or IPv6 address (without brackets) or a name; port 0 takes any free port. */
export interface Address {
  host: string;
  port: number;
}

const REMEDY = 'write HOST:PORT, as 127.0.0.1:1883 (this machine only), 0.0.0.0:1883 (every network) or "[::1]:1883"';

/** Parses HOST:PORT; an IPv6 host stands in brackets. */
export function parseAddress(value: unknown): Parsed<Address> {
  if (Array.isArray(value)) {
    return {
      what: 'a list is not an address',
      remedy: 'put quotes around an IPv6 address, as "[::1]:1883": bare brackets are a list in YAML',
    };
  }
  if (typeof value === 'number') {
    return {
      what: `${value} has no host`,
      remedy: `write 127.0.0.1:${value} for this machine only, or 0.0.0.0:${value}`,
    };
  }
  if (value === null) return { what: 'has no value', remedy: REMEDY };
  if (typeof value !== 'string') return { what: `${describe(value)} is not an address`, remedy: REMEDY };
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(value);
  if (match === null) return malformed(value);
  const port = Number(match[3]);
  if (port > 65_535) return { what: `port ${port} is out of range`, remedy: 'choose a port from 0 to 65535' };
  const host = match[1] ?? match[2];
  if (match[1] !== undefined && !host.includes(':')) {
    return { what: `"${clip(value)}": brackets are for IPv6 addresses`, remedy: `write ${host}:${port}` };
  }
  if (/^[\d.]+$/.test(host) && !isIpv4(host)) {
    return { what: `"${clip(host)}" is not an IPv4 address`, remedy: REMEDY };
  }
  return { value: { host, port } };
}

function malformed(value: string): Parsed<Address> {
  const what = `"${clip(value)}" is not HOST:PORT`;
  const onlyPort = /^:?(\d{1,5})$/.exec(value);
  if (onlyPort)
    return { what, remedy: `write 127.0.0.1:${onlyPort[1]} for this machine only, or 0.0.0.0:${onlyPort[1]}` };
  const url = /^[a-z]+:\/\/([^/]+)\/?.*$/.exec(value);
  if (url) return { what, remedy: `leave the scheme and the path away, as ${clip(url[1])}` };
  if (/^[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*$/.test(value)) {
    return { what, remedy: 'put an IPv6 host in brackets, as "[::1]:1883"' };
  }
  if (/^[^\s:[\]/]+$/.test(value)) return { what: `"${clip(value)}" has no port`, remedy: REMEDY };
  return { what, remedy: REMEDY };
}

function isIpv4(host: string): boolean {
  const parts = host.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}

export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIpv4(host) && host.startsWith('127.'));
}

/** Whether two servers cannot both listen there: the same port on the same host, or one of them on every host. */
export function collide(a: Address, b: Address): boolean {
  if (a.port === 0 || a.port !== b.port) return false;
  const everywhere = (host: string): boolean => host === '0.0.0.0' || host === '::';
  const same = (host: string): string => (host === 'localhost' ? '127.0.0.1' : host.toLowerCase());
  return everywhere(a.host) || everywhere(b.host) || same(a.host) === same(b.host);
}
