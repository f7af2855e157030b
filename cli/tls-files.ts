import { readFileSync } from 'node:fs';
import type { MqttConfig } from '../config/schema.ts';
import type { TlsKeys } from '../ingest/listeners.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';

type TlsFiles = Pick<MqttConfig['tls'], 'certFile' | 'keyFile' | 'clientCaFile'>;

const LOOK_MS = 10_000;

/** The certificate of the TLS listeners; null when there is none. Throws when a file cannot be read. */
export function readTlsFiles({ certFile, keyFile, clientCaFile }: TlsFiles): TlsKeys | null {
  if (certFile === null || keyFile === null) return null;
  const ca = clientCaFile === null ? null : readFileSync(clientCaFile);
  return { cert: readFileSync(certFile), key: readFileSync(keyFile), ca };
}

/**
 * Looks every ten seconds whether the files say something else, as after a renewal, and hands it on. Reading them is surer than
 * being told of changes: files are replaced, folders are swapped, and some file systems tell nothing. Files that do not fit
 * together yet are tried again; until then the old certificate is used.
 */
export function watchTlsFiles(
  files: TlsFiles,
  first: TlsKeys,
  renew: (keys: TlsKeys) => void,
  clock: Clock,
  logger: Logger,
): TimerHandle {
  let known = fingerprint(first);
  let failed = '';
  const look = (): void => {
    timer = clock.after(LOOK_MS, look);
    try {
      const keys = readTlsFiles(files);
      if (keys === null || fingerprint(keys) === known) return;
      renew(keys);
      known = fingerprint(keys);
      failed = '';
      logger.info('the certificate of the TLS listeners was renewed', { certFile: files.certFile });
    } catch (error) {
      const reason = (error as Error).message;
      if (reason !== failed) logger.error('the certificate on disk cannot be used, the old one stays', { reason });
      failed = reason;
    }
  };
  let timer = clock.after(LOOK_MS, look);
  return { cancel: () => timer.cancel() };
}

function fingerprint({ cert, key, ca }: TlsKeys): string {
  return [cert, key, ca ?? ''].map((part) => part.toString('latin1')).join('\0');
}
