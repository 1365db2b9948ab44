import type { Dispatcher } from 'undici';
import { readApiError } from './api-error.js';
import { CredentialSource, type Credentials } from './credentials.js';
import type { ClusterUser } from './kubeconfig.js';
import { linesOf } from './lines.js';
import { Pool } from './undici-pool.js';

/** A few watches, a list and an event at the same time. */
const CONNECTIONS = 8;
/**
 * An API server has at most a minute for a request that is no watch (its --request-timeout),
 * but answers far sooner.
 */
const ANSWER_TIMEOUT_MS = 20_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface ClientTimes {
  /**
   * A connection on which nothing arrives for so long is probed by the kernel, once a second; libuv allows
   * ten probes without an answer. So a watch on a half-open connection fails this
   * long plus ten seconds after the last word.
   */
  readonly keepAliveMs: number;
  /**
   * An API server sends a bookmark about once a minute;
   * longer silence means that something on the way swallows it.
   */
  readonly silenceMs: number;
  /** How long a credential plug-in may take; its own limit unless given. */
  readonly pluginMs?: number;
}

const DEFAULT_TIMES: ClientTimes = { keepAliveMs: 10_000, silenceMs: 180_000 };

export type Query = Readonly<Record<string, string | number>>;

type ApiRequest = Omit<Dispatcher.RequestOptions, 'headers'> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** Requests to one API server over one pool of connections, always with the present credentials. */
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
    this.#credentials = new CredentialSource(clusterUser, times.pluginMs);
    this.#times = { ...DEFAULT_TIMES, ...times };
  }

  /** @throws ApiError, or what the network, the files or the credential plug-in threw */
  async get(path: string, query: Query, signal: AbortSignal): Promise<unknown> {
    const { body } = await this.#request({ method: 'GET', path: this.#pathOf(path, query), signal });
    return body.json();
  }

  /** Resolves to the lines of an answer that goes on, as they come. @throws as {@link get}, the lines too */
  async lines(path: string, query: Query, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const { body } = await this.#request({
      method: 'GET',
      path: this.#pathOf(path, query),
      bodyTimeout: this.#times.silenceMs,
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

  /** What a failed request says, fit to be told to people: without the credentials that it may quote. */
  tellable(message: string): string {
    return this.#credentials.hideIn(message);
  }

  /** Ends every request at once. */
  async close(): Promise<void> {
    this.#credentials.close();
    await this.#pool?.destroy();
    this.#pool = null;
  }

  #pathOf(path: string, query: Query): string {
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
    if (answer.statusCode === 401) this.#credentials.refused();
    throw await readApiError(answer);
  }

  /** New certificates need new connections; requests under way end on the old ones. */
  #poolFor(tls: Credentials['tls']): Pool {
    const fingerprint = JSON.stringify(tls);
    if (this.#pool !== null && fingerprint === this.#poolTls) return this.#pool;
    this.#pool?.close().catch(() => undefined);
    this.#poolTls = fingerprint;
    this.#pool = new Pool(this.#base.origin, {
      connections: CONNECTIONS,
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
