import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import { hostPort } from '../net/hostport.js';
import { type HttpAnswer, text } from './answer.js';
import type { Connections } from './connections.js';
import { LongAnswers } from './long-answers.js';
import type { OwnNames } from './own-names.js';
import { BadQuery } from './query.js';
import type { Route, Routes } from './route.js';
import { sendStream } from './sending.js';

/** What a server answers, wherever it listens. */
export interface ServingOptions {
  readonly routes: Routes;
  readonly connections: Connections;
  /** The server answers requests to one of these names or to an IP address. Absent: to every name. */
  readonly names?: OwnNames;
  /** Headers of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpOptions extends ServingOptions {
  /** Address to listen on. Absent: all addresses of the node. */
  readonly host?: string | undefined;
  /** True: listens on all addresses of both IP families, and `host` is for messages only. */
  readonly bothFamilies?: boolean;
  readonly port: number;
  /** True: a socket on `::` does not take IPv4 connections (IPV6_V6ONLY). */
  readonly ipv6Only?: boolean;
  /** The flag or field that contains the address, for messages. */
  readonly flag: string;
  /** For messages: what the user can do if the server cannot listen. */
  readonly advice?: string;
}

/** A small HTTP server for health probes, Prometheus and people. */
export class HttpServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens. @throws Error that names the flag if the server cannot listen on the address */
  static async listen(options: HttpOptions): Promise<HttpServer> {
    const { host, bothFamilies = false, port, ipv6Only = false } = options;
    try {
      return await HttpServer.#listen({ host: bothFamilies ? undefined : host, port, ipv6Only }, options);
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, options);
    }
  }

  /**
   * Listens on a Unix socket. {@link close} removes the socket.
   * @throws NodeJS.ErrnoException if the server cannot listen on the path
   */
  static listenOnPath(path: string, options: ServingOptions): Promise<HttpServer> {
    return HttpServer.#listen({ path }, options);
  }

  static async #listen(place: ListenOptions, options: ServingOptions): Promise<HttpServer> {
    const server = createLimitedServer(options);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(place, resolve);
    });
    // An accept(2) has failed, for example with EMFILE. The client waits or connects again.
    server.on('error', () => undefined);
    return new HttpServer(server);
  }

  /** The port of the server. If the options say 0, this is the port that the kernel chose. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Stops listening and closes every connection. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

function createLimitedServer(options: ServingOptions): Server {
  const { connections } = options;
  const { idleMs } = connections.limits;
  const limits = { headersTimeout: idleMs, requestTimeout: idleMs, connectionsCheckingInterval: idleMs };
  const longAnswers = new LongAnswers(idleMs);
  const server = createServer(limits, (request, response) => {
    if (!connections.beginRequest(request.socket)) {
      request.socket.destroy();
      return;
    }
    // The client may be silent while it waits for the answer.
    request.socket.setTimeout(0);
    response.once('close', () => connections.endRequest(request.socket));
    respond(options, longAnswers, request, response).catch(() => request.socket.destroy());
  });
  server.on('connection', (socket) => connections.add(socket));
  server.setTimeout(idleMs);
  return server;
}

async function respond(
  options: ServingOptions,
  longAnswers: LongAnswers,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const { status, contentType, headers, body } = await answerTo(options, request, gone.signal);
  response.writeHead(status, {
    'content-type': contentType,
    'x-content-type-options': 'nosniff',
    ...options.headers,
    ...headers,
  });
  if (request.method === 'HEAD') response.end();
  else if (typeof body === 'string') response.end(body);
  else if (Symbol.iterator in body) await longAnswers.send(response, body, gone.signal);
  else await sendStream(response, body, gone.signal, options.connections.limits.idleMs);
}

async function answerTo(
  { routes, names }: ServingOptions,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { method = '', headers, url = '/' } = request;
  if (names?.include(headers.host) === false) {
    return text(
      `${headers.host} is not a name of this node: use the node's IP address, its name, or localhost\n`,
      421,
    );
  }
  const [path = '', ...query] = url.split('?');
  const isReading = method === 'GET' || method === 'HEAD';
  const route = isReading ? (own(routes, path) ?? routes['*']) : own(routes, `${method} ${path}`);
  if (route === undefined && !isReading) return text('only GET and HEAD are supported here\n', 405);
  if (route === undefined) return text(`no such path; there are: ${Object.keys(routes).join(' ')}\n`, 404);
  try {
    return await route({ method, path, query: new URLSearchParams(query.join('?')), signal });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return text(`${message}\n`, error instanceof BadQuery ? 400 : 500);
  }
}

function own(routes: Routes, key: string): Route | undefined {
  return Object.hasOwn(routes, key) ? routes[key] : undefined;
}

function listenError(error: NodeJS.ErrnoException, options: HttpOptions): Error {
  const { host = '*', port, flag, advice = "give another address:port, or '' for none" } = options;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program listens there already',
    EADDRNOTAVAIL: 'this node has no such address',
    EACCES: 'this user is not allowed to listen on that port',
  };
  const reason = reasons[error.code ?? ''] ?? error.message;
  return new Error(`${flag}: cannot listen on ${hostPort(host, port)}: ${reason}; ${advice}`, {
    cause: error,
  });
}
