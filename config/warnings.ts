import { type Address, formatAddress, isLoopback } from './address.ts';
import type { Config } from './schema.ts';

/** What is allowed and works, but somebody who reads it twice may not want: one sentence each, for the log at the start. */
export function warningsOf(config: Config): string[] {
  const { mqtt, access, store, gateway, log } = config;
  const out: string[] = [];
  const open = (address: Address | null): address is Address => address !== null && !isLoopback(address.host);
  const plain = [mqtt.listen, mqtt.websocketListen].filter(open);
  const reachable = [mqtt.listen, mqtt.websocketListen, mqtt.tlsListen, mqtt.websocketTlsListen].filter(open);
  if (access.anonymous === 'always' && reachable.length > 0) {
    out.push(
      `Whoever reaches ${formatAddress(reachable[0])} may publish as any device, because access.anonymous is always; add access.users and write loopback or never.`,
    );
  }
  if (
    access.anonymous !== 'always' &&
    access.users.length === 0 &&
    mqtt.tls.clientCaFile === null &&
    reachable.length > 0
  ) {
    out.push(
      `Nobody can connect to ${formatAddress(reachable[0])} from another machine yet: there are no access.users.`,
    );
  }
  if (access.users.length > 0 && plain.length > 0) {
    out.push(`Passwords cross the network in the clear on ${formatAddress(plain[0])}; mqtt.tlsListen protects them.`);
  }
  if (open(gateway.listen)) {
    out.push(
      `The page and the HTTP API at ${formatAddress(gateway.listen)} ask for no password; others can read all data there.`,
    );
  }
  if (store.url === null && open(store.listen)) {
    const may = store.readOnly ? 'read all data' : 'read, change and delete all data';
    out.push(
      `ClickHouse's HTTP interface at ${formatAddress(store.listen)} asks for no password; others can ${may} there.`,
    );
  }
  if (
    store.url?.startsWith('http:') === true &&
    store.passwordFile !== null &&
    !isLoopback(new URL(store.url).hostname.replace(/^\[|\]$/g, ''))
  ) {
    out.push(`The password of ClickHouse crosses the network in the clear on ${store.url}; use https.`);
  }
  if (log.kafka.sasl?.mechanism === 'plain' && !log.kafka.tls) {
    out.push("Kafka's password crosses the network in the clear, because log.kafka.tls is false.");
  }
  return out;
}
