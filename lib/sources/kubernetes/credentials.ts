import { readRegularFile, SMALL_FILE } from '../../sys/readfile.js';
import { ExecPlugin } from './exec-plugin.js';
import type { ClusterUser } from './kubeconfig.js';
import { Secrets } from './secrets.js';

/** What a connection and a request need to be trusted, in both directions. */
export interface Credentials {
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Says who we are, as it is now: tokens and certificates are read from their files each time, because the
 * kubelet and others replace them while we run;
 * a plug-in is asked again when what it gave expires or is refused.
 */
export class CredentialSource {
  readonly #cluster: ClusterUser['cluster'];
  readonly #user: ClusterUser['user'];
  readonly #plugin: ExecPlugin | null;
  readonly #secrets = new Secrets();

  /** @param pluginTimeoutMs how long a plug-in may take; for tests */
  constructor({ cluster, user }: ClusterUser, pluginTimeoutMs?: number) {
    this.#cluster = cluster;
    this.#user = user;
    this.#plugin = user.plugin ? new ExecPlugin(user.plugin, pluginTimeoutMs) : null;
  }

  /** @throws Error that names the file that cannot be read, or the plug-in */
  async current(): Promise<Credentials> {
    const { caFile, caData, tlsServerName, skipTLSVerify } = this.#cluster;
    const { certFile, certData, keyFile, keyData } = this.#user;
    const ca = await textOf(caFile, caData);
    const fromPlugin = await this.#plugin?.credential();
    const cert = fromPlugin?.cert ?? (await textOf(certFile, certData));
    const key = fromPlugin?.key ?? (await textOf(keyFile, keyData));
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

  /** The server refused them: the plug-in must not be spared the next time. */
  refused(): void {
    this.#plugin?.forget();
  }

  /** Text that may be told to people: whatever of the credentials stands in it is hidden. */
  hideIn(text: string): string {
    return this.#secrets.hide(text);
  }

  /** Ends a plug-in that runs. */
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

/** PEM text. As in client-go, data in the kubeconfig itself wins over a file. */
async function textOf(
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
