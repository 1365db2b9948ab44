import type { Dispatcher } from 'undici';
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
/** Enough of an error's body to read its message. */
const MAX_ERROR_BYTES = 64 << 10;

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

/** The API server answered, but not what was asked for. The message is the server's own. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
    /** The server asks to stay away so long, ms. */
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }
}

/** What the system and undici call a connection that was not made or did not last. */
const NO_CONNECTION: ReadonlySet<unknown> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** Whether a request failed since there was no server to take it; one that answers too late was there. */
export function isUnreachable(error: Error): boolean {
  return NO_CONNECTION.has((error as { code?: unknown }).code);
}

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
    throw await errorOf(answer);
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

async function errorOf({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<ApiError> {
  const retryAfterMs = Number(headers['retry-after'] ?? 0) * 1000 || 0;
  const text = await beginning(body);
  return new ApiError(statusCode, messageOf(text) ?? `HTTP status ${statusCode}`, retryAfterMs);
}

async function beginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ERROR_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}

/** The message of a Status object, which API servers answer with. */
function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' && message !== '' ? message : undefined;
  } catch {
    return undefined;
  }
}
