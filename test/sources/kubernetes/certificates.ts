import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of a certificate and its key. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * A certificate authority for tests. Its files are in one directory: `ca.crt`, `ca.key`, and a pair for each
 * name.
 */
export class Authority {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      this.#path('ca.key'),
      '-out',
      this.caFile,
      '-days',
      '2',
      '-subj',
      '/CN=test-ca',
    );
  }

  get caFile(): string {
    return this.#path('ca.crt');
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  /**
   * @param subject as in `/O=system:masters/CN=admin`
   * @param names for a server, such as `IP:127.0.0.1,DNS:kubernetes`
   */
  issue(name: string, subject: string, names = `DNS:${name}`): KeyPair {
    const pair = { cert: this.#path(`${name}.crt`), key: this.#path(`${name}.key`) };
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      pair.key,
      '-out',
      pair.cert,
      '-days',
      '2',
      '-subj',
      subject,
      '-CA',
      this.caFile,
      '-CAkey',
      this.#path('ca.key'),
      '-addext',
      `subjectAltName=${names}`,
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      '-addext',
      'extendedKeyUsage=serverAuth,clientAuth',
    );
    return pair;
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
