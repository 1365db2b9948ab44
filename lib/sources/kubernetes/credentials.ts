import { readRegularFile, SMALL_FILE } from '../../sys/readfile.js';
import { ExecPlugin } from './exec-plugin.js';
import type { ClusterUser } from './kubeconfig.js';
import { Secrets } from './secrets.js';

/** What authenticates the server to this program, and this program to the server. */
export interface Credentials {
  /** Options of Node's `tls.connect`. */
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
  /** Headers of each request. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The present credentials of a user. Tokens and certificates are read from their files each time, because the
 * kubelet and others replace these files. A plug-in runs again if its credential expires or is refused.
 */
export class CredentialSource {
  readonly #cluster: ClusterUser['cluster'];
  readonly #user: ClusterUser['user'];
  readonly #plugin: ExecPlugin | null;
  readonly #secrets = new Secrets();

  /** @param pluginTimeoutMs milliseconds that a plug-in may take; another value only in tests */
  constructor({ cluster, user }: ClusterUser, pluginTimeoutMs?: number) {
    this.#cluster = cluster;
    this.#user = user;
    this.#plugin = user.plugin ? new ExecPlugin(user.plugin, pluginTimeoutMs) : null;
  }

  /** @throws Error that names the file that cannot be read, or the plug-in that failed */
  async current(): Promise<Credentials> {
    const { caFile, caData, tlsServerName, skipTLSVerify } = this.#cluster;
    const { certFile, certData, keyFile, keyData } = this.#user;
    const ca = await pemOf(caFile, caData);
    const fromPlugin = await this.#plugin?.credential();
    const cert = fromPlugin?.cert ?? (await pemOf(certFile, certData));
    const key = fromPlugin?.key ?? (await pemOf(keyFile, keyData));
    const authorization = this.#bearer(fromPlugin?.token) ?? (await this.#authorization());
    return {
      tls: {
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(tlsServerName && { servername: tlsServerName }),
        ...(skipTLSVerify && { rejectUnauthorized: false }),
      },
      headers: {
        ...(authorization !== undefined && { authorization }),
        ...(this.#user.impersonateUser && { 'impersonate-user': this.#user.impersonateUser }),
      },
    };
  }

  /** The server refused the credentials. If they are from a plug-in, it runs again for the next request. */
  invalidate(): void {
    this.#plugin?.invalidate();
  }

  /** The text without credentials, for logs. */
  redact(text: string): string {
    return this.#secrets.redact(text);
  }

  /** Ends a running plug-in. */
  close(): void {
    this.#plugin?.close();
  }

  async #authorization(): Promise<string | undefined> {
    const { tokenFile, token, username, password } = this.#user;
    if (tokenFile) return this.#bearer((await readText(tokenFile)).trim());
    if (token) return this.#bearer(token.trim());
    return username || password ? this.#basic(username ?? '', password ?? '') : undefined;
  }

  #bearer(token: string | undefined): string | undefined {
    if (token === undefined) return undefined;
    this.#secrets.remember(token);
    return `Bearer ${token}`;
  }

  #basic(username: string, password: string): string {
    const pair = Buffer.from(`${username}:${password}`).toString('base64');
    this.#secrets.remember(password);
    this.#secrets.remember(pair);
    return `Basic ${pair}`;
  }
}

/** PEM text. As in client-go, data inside the kubeconfig wins over a file. */
async function pemOf(
  file: string | null | undefined,
  data: string | null | undefined,
): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString();
  return file ? readText(file) : undefined;
}

async function readText(file: string): Promise<string> {
  try {
    return (await readRegularFile(file, SMALL_FILE)).toString();
  } catch (error) {
    throw new Error(`cannot read ${file}: ${(error as Error).message}`);
  }
}
