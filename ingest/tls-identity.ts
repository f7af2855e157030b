import type { PeerCertificate, TLSSocket } from 'node:tls';

/** Where the device id stands in a client certificate; 'none': a certificate lets a client connect, and names nobody. */
export type CertificateName = 'commonName' | 'dnsName' | 'uri' | 'none';

/** What a client certificate says. */
export interface CertificateIdentity {
  /** Null when certificates are not to name devices; empty when this one should and does not. */
  device: string | null;
  /** For the log. */
  subject: string;
}

/** Reads the certificate of a client that has passed the handshake; null when it has none. */
export function certificateIdentity(socket: TLSSocket, name: CertificateName): CertificateIdentity | null {
  const certificate = socket.getPeerCertificate();
  // Without a certificate Node gives an empty object.
  if (certificate?.subject === undefined) return null;
  const { CN } = certificate.subject;
  const subject = (typeof CN === 'string' ? CN : '').slice(0, 256);
  return { device: name === 'none' ? null : (nameIn(certificate, name) ?? ''), subject };
}

/** The one name of the kind that is asked for. Two of them would leave the choice to whoever reads it, so they are none. */
function nameIn(certificate: PeerCertificate, name: CertificateName): string | null {
  if (name === 'commonName') {
    // Several common names come as a list.
    const { CN } = certificate.subject as { CN?: string | string[] };
    return typeof CN === 'string' && CN !== '' ? CN : null;
  }
  const prefix = name === 'dnsName' ? 'DNS:' : 'URI:';
  const all = alternativeNames(certificate.subjectaltname ?? '').filter((one) => one.startsWith(prefix));
  return all.length === 1 && all[0].length > prefix.length ? all[0].slice(prefix.length) : null;
}

/**
 * `DNS:a, URI:"x, y"`: a name that holds what could be taken for another entry is quoted as a JSON string. Splitting at
 * commas alone would let one name pretend to be two.
 */
export function alternativeNames(text: string): string[] {
  const out: string[] = [];
  const entry = /([^,:"]+:)("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;
  while (entry.lastIndex < text.length) {
    const match = entry.exec(text);
    if (match === null) return []; // not of that form: nobody is named
    const [, kind, value] = match;
    out.push(kind + (value.startsWith('"') ? (JSON.parse(value) as string) : value));
  }
  return out;
}
