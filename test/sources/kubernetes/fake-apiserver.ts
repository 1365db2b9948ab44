import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface FakeObject {
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

interface WatchEvent {
  readonly type: string;
  readonly object: FakeObject;
  readonly version: number;
}

interface Watch {
  readonly path: string;
  readonly response: ServerResponse;
}

export interface FakeApiServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string };
  /** Collections that exist, by path. */
  readonly paths?: readonly string[];
}

export const PATHS = {
  services: '/api/v1/services',
  slices: '/apis/discovery.k8s.io/v1/endpointslices',
  betaSlices: '/apis/discovery.k8s.io/v1beta1/endpointslices',
  endpoints: '/api/v1/endpoints',
  nodes: '/api/v1/nodes',
} as const;

/** An API server with list and watch only. Tests can make it fail in many ways. */
export class FakeApiServer {
  /** The requests so far, in their order. */
  readonly requests: {
    readonly method: string;
    readonly url: URL;
    readonly authorization: string;
    readonly time: number;
  }[] = [];
  /** Events (events.k8s.io/v1) that were posted. */
  readonly events: FakeObject[] = [];
  /** Answers in place of the server, unless it returns null. */
  intercept: (url: URL, request: IncomingMessage) => { status: number; message: string } | null = () => null;
  readonly #server;
  readonly #objects = new Map<string, Map<string, FakeObject>>();
  readonly #watches = new Set<Watch>();
  readonly #scheme: string;
  #history: (WatchEvent & { readonly path: string })[] = [];
  #version = 100;
  #compactedVersion = 0;

  constructor({ tls, paths = [PATHS.services, PATHS.slices, PATHS.nodes] }: FakeApiServerOptions) {
    for (const path of paths) this.#objects.set(path, new Map());
    const handle = (request: IncomingMessage, response: ServerResponse) =>
      void this.#handle(request, response);
    this.#scheme = tls ? 'https' : 'http';
    this.#server = tls
      ? createTlsServer({ ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: false }, handle)
      : createServer(handle);
  }

  static async forTest(
    t: { teardown(run: () => Promise<void>): unknown },
    options: FakeApiServerOptions = {},
  ): Promise<FakeApiServer> {
    const server = new FakeApiServer(options);
    await server.listen();
    t.teardown(() => server.close());
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  get watches(): number {
    return this.#watches.size;
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Stops listening and breaks all connections. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Creates or replaces an object. */
  put(path: string, object: FakeObject): void {
    const collection = this.#objects.get(path)!;
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const stored = {
      ...object,
      metadata: { uid: `uid-of-${key}`, ...object.metadata, resourceVersion: String(++this.#version) },
    };
    const type = collection.has(key) ? 'MODIFIED' : 'ADDED';
    collection.set(key, stored);
    this.#tell(path, { type, object: stored, version: this.#version });
  }

  delete(path: string, key: string): void {
    const collection = this.#objects.get(path)!;
    const object = collection.get(key)!;
    collection.delete(key);
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) };
    this.#tell(path, { type: 'DELETED', object: { ...object, metadata }, version: this.#version });
  }

  /** Sends every watch the present version. */
  bookmark(): void {
    const metadata = { name: '', resourceVersion: String(this.#version) };
    for (const { response } of this.#watches)
      response.write(lineOf({ type: 'BOOKMARK', object: { metadata } }));
  }

  /** Forgets the past, as etcd's compaction does. */
  compact(): void {
    this.#history = [];
    this.#compactedVersion = this.#version;
  }

  /** Makes a change that the watches do not get, as if they were not connected. */
  silently(change: () => void): void {
    const watches = [...this.#watches];
    this.#watches.clear();
    change();
    for (const watch of watches) this.#watches.add(watch);
  }

  /** Sends bytes to the watches of a collection. */
  send(path: string, text: string): void {
    for (const watch of this.#watches) if (watch.path === path) watch.response.write(text);
  }

  /** Ends the watches, as a server does after their time limit. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
  }

  /** Breaks the watches' connections. */
  breakWatches(): void {
    for (const { response } of this.#watches) response.destroy();
  }

  /** The client ports of the watches' connections. */
  get watchPorts(): number[] {
    return [...this.#watches].map(({ response }) => (response.socket as Socket).remotePort as number);
  }

  #tell(path: string, event: WatchEvent): void {
    this.#history.push({ path, ...event });
    this.send(path, lineOf(event));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url as string, this.url);
    const { method = '', headers } = request;
    this.requests.push({ method, url, authorization: headers.authorization ?? '', time: performance.now() });
    const refusal = this.intercept(url, request);
    if (refusal !== null) {
      answer(response, refusal.status, { message: refusal.message });
      return;
    }
    if (method === 'POST' && url.pathname.startsWith('/apis/events.k8s.io/v1/')) {
      this.events.push(JSON.parse((await request.toArray()).join('')) as FakeObject);
      answer(response, 201, {});
      return;
    }
    const collection = this.#objects.get(url.pathname);
    if (collection === undefined) answer(response, 404, { message: 'the server could not find it' });
    else if (url.searchParams.has('watch')) this.#watch(url, response);
    else this.#list(url, [...collection.values()], response);
  }

  #list(url: URL, objects: readonly FakeObject[], response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? Number.POSITIVE_INFINITY);
    const [version = this.#version, start = 0] = (url.searchParams.get('continue') ?? '')
      .split('/')
      .filter(Boolean)
      .map(Number);
    if (version < this.#compactedVersion) {
      answer(response, 410, { message: 'the continue token is too old' });
      return;
    }
    const next = start + limit < objects.length ? `${version}/${start + limit}` : '';
    // Older clients read the kind of the list. Tests need not give their objects a kind.
    const { apiVersion, kind = '' }: Partial<FakeObject> = objects[0] ?? {};
    answer(response, 200, {
      apiVersion,
      kind: `${kind}List`,
      metadata: { resourceVersion: String(version), ...(next && { continue: next }) },
      items: objects.slice(start, start + limit),
    });
  }

  #watch(url: URL, response: ServerResponse): void {
    const since = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (since < this.#compactedVersion) {
      const object = { kind: 'Status', code: 410, message: 'too old resource version' };
      response.end(lineOf({ type: 'ERROR', object }));
      return;
    }
    for (const event of this.#history) {
      if (event.path === url.pathname && event.version > since) response.write(lineOf(event));
    }
    const watch = { path: url.pathname, response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function lineOf({ type, object }: { type: string; object: unknown }): string {
  return `${JSON.stringify({ type, object })}\n`;
}
