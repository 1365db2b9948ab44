import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js';
import type { ClusterUser } from './kubeconfig.js';

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
 * Says who we are, as it is now: tokens and certificates are read from their files each time, because the kubelet and
 * others replace them while we run; a plug-in is asked again when what it gave expires or is refused.
 */
export class CredentialSource {
  readonly #cluster: ClusterUser['cluster'];
  readonly #user: ClusterUser['user'];
  #plugin = new ExecAuth();

  constructor({ cluster, user }: ClusterUser) {
    this.#cluster = cluster;
    this.#user = user;
  }

  /** @throws Error that names the file that cannot be read, or with the plug-in's own words */
  async current(): Promise<Credentials> {
    const { caFile, caData, tlsServerName, skipTLSVerify } = this.#cluster;
    const { certFile, certData, keyFile, keyData } = this.#user;
    const ca = await textOf(caFile, caData);
    const fromPlugin = await this.#askPlugin();
    const cert = fromPlugin.cert ?? (await textOf(certFile, certData));
    const key = fromPlugin.key ?? (await textOf(keyFile, keyData));
    const authorization = fromPlugin.authorization ?? (await this.#authorization());
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
    this.#plugin = new ExecAuth();
  }

  async #authorization(): Promise<string | undefined> {
    const { tokenFile, token, username, password } = this.#user;
    if (tokenFile) return `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
    if (token) return `Bearer ${token.trim()}`;
    if (username) return `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
    return undefined;
  }

  async #askPlugin(): Promise<{ cert?: string; key?: string; authorization?: string }> {
    if (!this.#plugin.isAuthProvider(this.#user)) return {};
    const options: RequestOptions = {};
    await this.#plugin.applyAuthentication(this.#user, options);
    const { cert, key } = options as { cert?: string; key?: string };
    const authorization = (options.headers as { Authorization?: string } | undefined)?.Authorization;
    return { ...(cert && { cert }), ...(key && { key }), ...(authorization && { authorization }) };
  }
}

/** PEM text. As in client-go, data in the kubeconfig itself wins over a file. */
async function textOf(
  file: string | null | undefined,
  data: string | null | undefined,
): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString();
  return file ? readFile(file, 'utf8') : undefined;
}
