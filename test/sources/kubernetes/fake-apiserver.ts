import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { FakeCollections, type FakeEvent, type FakeObject } from './fake-collections.js';

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
  readonly #collections: FakeCollections;
  readonly #watches = new Set<Watch>();
  readonly #scheme: string;

  constructor({ tls, paths = [PATHS.services, PATHS.slices, PATHS.nodes] }: FakeApiServerOptions) {
    this.#collections = new FakeCollections(paths);
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
    this.#tell(path, this.#collections.put(path, object));
  }

  delete(path: string, key: string): void {
    this.#tell(path, this.#collections.delete(path, key));
  }

  /** Sends every watch the present version. */
  bookmark(): void {
    const metadata = { name: '', resourceVersion: String(this.#collections.version) };
    for (const { response } of this.#watches)
      response.write(lineOf({ type: 'BOOKMARK', object: { metadata } }));
  }

  /** Forgets the history, as etcd's compaction does. */
  compact(): void {
    this.#collections.compact();
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

  #tell(path: string, event: FakeEvent): void {
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
    if (!this.#collections.has(url.pathname)) {
      answer(response, 404, { message: 'the server could not find it' });
    } else if (url.searchParams.has('watch')) this.#watch(url, response);
    else this.#list(url, response);
  }

  #list({ pathname, searchParams }: URL, response: ServerResponse): void {
    const limit = Number(searchParams.get('limit') ?? Number.POSITIVE_INFINITY);
    const page = this.#collections.page(pathname, searchParams.get('continue') ?? '', limit);
    if (page === null) {
      answer(response, 410, { message: 'the continue token is too old' });
      return;
    }
    const { objects, version, next } = page;
    // Older clients read the kind of the list. Tests need not give their objects a kind.
    const { apiVersion, kind = '' }: Partial<FakeObject> = objects[0] ?? {};
    answer(response, 200, {
      apiVersion,
      kind: `${kind}List`,
      metadata: { resourceVersion: String(version), ...(next && { continue: next }) },
      items: objects,
    });
  }

  #watch({ pathname: path, searchParams }: URL, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (searchParams.get('sendInitialEvents') === 'true') this.#sendAll(path, response);
    else if (!this.#sendMissed(path, Number(searchParams.get('resourceVersion')), response)) return;
    const watch = { path, response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }

  /** A watch that begins with a list: all objects, and a bookmark at the list's end (WatchList). */
  #sendAll(path: string, response: ServerResponse): void {
    const { objects, version } = this.#collections.page(path, '', Number.POSITIVE_INFINITY)!;
    for (const object of objects) response.write(lineOf({ type: 'ADDED', object }));
    const { apiVersion, kind }: Partial<FakeObject> = objects[0] ?? {};
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const metadata = { resourceVersion: String(version), annotations };
    response.write(lineOf({ type: 'BOOKMARK', object: { apiVersion, kind, metadata } }));
  }

  /** @returns false: the watch has ended, because what came after the version is forgotten */
  #sendMissed(path: string, version: number, response: ServerResponse): boolean {
    const missed = this.#collections.changesAfter(path, version);
    if (missed === null) {
      const object = { kind: 'Status', code: 410, message: 'too old resource version' };
      response.end(lineOf({ type: 'ERROR', object }));
      return false;
    }
    for (const event of missed) response.write(lineOf(event));
    return true;
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function lineOf({ type, object }: { type: string; object: unknown }): string {
  return `${JSON.stringify({ type, object })}\n`;
}
