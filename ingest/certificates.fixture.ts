import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface KeyPair {
  cert: Buffer;
  key: Buffer;
}

/** An authority of the test's own, made with openssl. */
export class TestAuthority {
  readonly #folder: string;
  #serial = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(name: string): Promise<TestAuthority> {
    const authority = new TestAuthority(await mkdtemp(join(tmpdir(), 'sluice-ca-')));
    await authority.#openssl([
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    ]);
    return authority;
  }

  certificate(): Promise<Buffer> {
    return readFile(join(this.#folder, 'ca.pem'));
  }

  /** A certificate with this subject (as `/CN=d1`) and these alternative names (as `DNS:d1`). */
  async sign(subject: string, alternativeNames?: string): Promise<KeyPair> {
    const name = `c${++this.#serial}`;
    await this.#openssl(['req', ...NEW_KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject]);
    const extensions = alternativeNames === undefined ? [] : ['-extfile', `${name}.ext`];
    if (alternativeNames !== undefined)
      await writeFile(join(this.#folder, `${name}.ext`), `subjectAltName=${alternativeNames}\n`);
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', String(this.#serial)];
    await this.#openssl([
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...ca,
      '-days',
      '2',
      '-out',
      `${name}.pem`,
      ...extensions,
    ]);
    const [cert, key] = await Promise.all(['pem', 'key'].map((end) => readFile(join(this.#folder, `${name}.${end}`))));
    return { cert, key };
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }

  async #openssl(args: string[]): Promise<void> {
    await run('openssl', args, { cwd: this.#folder });
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
