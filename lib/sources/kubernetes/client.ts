import type { Dispatcher } from 'undici';
import { readApiError } from './api-error.js';
import { CredentialSource, type Credentials } from './credentials.js';
import type { ClusterUser } from './kubeconfig.js';
import { linesOf } from './lines.js';
import { Pool } from './undici-pool.js';

/** Enough for three watches, their lists and an Event at the same time. */
const MAX_CONNECTIONS = 8;
/** An API server may take a minute for a request that is no watch (--request-timeout). Usually it is fast. */
const ANSWER_TIMEOUT_MS = 20_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface ClientTimes {
  /**
   * Milliseconds without data on a connection before the kernel sends its first keep-alive probe. It sends
   * ten probes, one a second (libuv). If none is answered, the connection fails: 10 s after the first probe.
   */
  readonly keepAliveMs: number;
  /**
   * Milliseconds without data before a watch fails. API servers send a bookmark about once a minute, so a
   * longer silence means that something between us and the server drops data.
   */
  readonly watchSilenceMs: number;
  /** Milliseconds that a credential plug-in may take. Default: 30,000. */
  readonly pluginTimeoutMs?: number;
}

const DEFAULT_TIMES: ClientTimes = { keepAliveMs: 10_000, watchSilenceMs: 180_000 };

/** Parameters of a URL, not encoded. */
export type QueryParameters = Readonly<Record<string, string | number>>;

type ApiRequest = Omit<Dispatcher.RequestOptions, 'headers'> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** Sends requests to one API server over a pool of connections. Each request reads the credentials again. */
export class ApiClient {
  readonly server: string;
  readonly #base: URL;
  readonly #credentials: CredentialSource;
  readonly #times: ClientTimes;
  #pool: Pool | null = null;
  #poolTls = '';

  constructor(clusterUser: ClusterUser, times: Partial<ClientTimes> = {}) {
    this.server = clusterUser.cluster.server;
    this.#base = new URL(this.server);
    this.#credentials = new CredentialSource(clusterUser, times.pluginTimeoutMs);
    this.#times = { ...DEFAULT_TIMES, ...times };
  }

  /** @throws ApiError if the server refuses; Error of the network, of a credential file or of the plug-in */
  async get(path: string, query: QueryParameters, signal: AbortSignal): Promise<unknown> {
    const { body } = await this.#request({ method: 'GET', path: this.#pathOf(path, query), signal });
    return body.json();
  }

  /**
   * Resolves to the lines of an answer without end, when the answer begins.
   * @throws as {@link get}; the iterator too
   */
  async lines(path: string, query: QueryParameters, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const { body } = await this.#request({
      method: 'GET',
      path: this.#pathOf(path, query),
      bodyTimeout: this.#times.watchSilenceMs,
      signal,
    });
    return linesOf(body);
  }

  /** @throws as {@link get} */
  async post(path: string, object: unknown): Promise<void> {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(object);
    const answer = await this.#request({
      method: 'POST',
      path: this.#pathOf(path, {}),
      headers,
      body,
    });
    await answer.body.dump();
  }

  /** The message of a failed request without credentials. For logs: servers may quote the credentials. */
  redact(message: string): string {
    return this.#credentials.redact(message);
  }

  /** Ends all requests at once. */
  async close(): Promise<void> {
    this.#credentials.close();
    await this.#pool?.destroy();
    this.#pool = null;
  }

  #pathOf(path: string, query: QueryParameters): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) search.set(name, String(value));
    return `${this.#base.pathname.replace(/\/$/, '')}${path}${search.size > 0 ? `?${search}` : ''}`;
  }

  async #request(options: ApiRequest): Promise<Dispatcher.ResponseData> {
    const credentials = await this.#credentials.current();
    const answer = await this.#poolFor(credentials.tls).request({
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      ...options,
      headers: {
        accept: 'application/json',
        'user-agent': 'kube-portal',
        ...credentials.headers,
        ...options.headers,
      },
    });
    if (answer.statusCode < 300) return answer;
    if (answer.statusCode === 401) this.#credentials.invalidate();
    throw await readApiError(answer);
  }

  /** New certificates need new connections. Requests that are under way end on the old connections. */
  #poolFor(tls: Credentials['tls']): Pool {
    const fingerprint = JSON.stringify(tls);
    if (this.#pool !== null && fingerprint === this.#poolTls) return this.#pool;
    this.#pool?.close().catch(() => undefined);
    this.#poolTls = fingerprint;
    this.#pool = new Pool(this.#base.origin, {
      connections: MAX_CONNECTIONS,
      connect: {
        ...tls,
        timeout: CONNECT_TIMEOUT_MS,
        keepAlive: true,
        keepAliveInitialDelay: this.#times.keepAliveMs,
      },
    });
    return this.#pool;
  }
}
