import type { HealthCheck } from '../model/healthcheck.js';
import { objectKey } from '../model/objects.js';
import type { Problem } from '../model/problem.js';
import { type HttpAnswer, json } from './answer.js';
import type { Connections } from './connections.js';
import { HttpServer } from './http.js';

/** Milliseconds between two attempts to listen on a port that is not free. */
const RETRY_MS = 5000;
const FIELD = 'spec.healthCheckNodePort';

export interface HealthCheckOptions {
  /** Addresses of the node to listen on. Called each time a port is opened. Null: all addresses. */
  readonly addresses: () => readonly string[] | null;
  /** Whether the proxy is healthy. If not, every health check answers 503. */
  readonly isHealthy: () => boolean;
  readonly connections: Connections;
  /** Called with the number of opened listeners. Negative: closed listeners. */
  readonly onListeners: (count: number) => void;
  /** Called once for each problem, for example a port that another program uses. */
  readonly onProblem: (problem: Problem) => void;
}

interface OpenPort {
  check: HealthCheck;
  servers: HttpServer[];
}

/**
 * The health-check node ports of load balancers with externalTrafficPolicy Local. Each port has a small HTTP
 * server with kube-proxy's answers: 200 while the node has local endpoints, otherwise 503.
 */
export class HealthCheckPorts {
  readonly #options: HealthCheckOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Map<string, OpenPort>();
  readonly #problems = new Map<string, string>();
  #wanted: readonly HealthCheck[] = [];
  #work: Promise<void> = Promise.resolve();

  constructor(options: HealthCheckOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      if (this.#problems.size > 0) this.update(this.#wanted);
    }, RETRY_MS).unref();
  }

  /** Sets the wanted ports. Resolves once every port is open or has a problem. Never rejects. */
  update(checks: readonly HealthCheck[]): Promise<void> {
    this.#wanted = checks;
    this.#work = this.#work.then(() => this.#synchronize());
    return this.#work;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.update([]);
  }

  async #synchronize(): Promise<void> {
    const wanted = new Map(this.#wanted.map((check) => [objectKey(check), check]));
    for (const key of this.#problems.keys()) if (!wanted.has(key)) this.#problems.delete(key);
    for (const [key, { check, servers }] of this.#open) {
      if (wanted.get(key)?.port === check.port) continue;
      this.#open.delete(key);
      await this.#close(servers);
    }
    for (const [key, check] of wanted) {
      const known = this.#open.get(key);
      if (known !== undefined) known.check = check;
      else await this.#listen(key, check);
    }
  }

  async #listen(key: string, check: HealthCheck): Promise<void> {
    const port: OpenPort = { check, servers: [] };
    try {
      for (const host of this.#options.addresses() ?? [undefined]) {
        port.servers.push(await this.#serve(host, port));
        this.#options.onListeners(1);
      }
      this.#open.set(key, port);
      this.#problems.delete(key);
    } catch (error) {
      await this.#close(port.servers);
      this.#report(key, (error as Error).message);
    }
  }

  async #close(servers: readonly HttpServer[]): Promise<void> {
    await Promise.all(servers.map((server) => server.close()));
    this.#options.onListeners(-servers.length);
  }

  #serve(host: string | undefined, port: OpenPort): Promise<HttpServer> {
    return HttpServer.listen({
      host,
      port: port.check.port,
      ipv6Only: host !== undefined,
      flag: FIELD,
      advice: 'stop that program (ss -lntp shows it) or change the Service; trying again',
      connections: this.#options.connections,
      routes: { '*': () => answer(port.check, this.#options.isHealthy()) },
    });
  }

  #report(key: string, message: string): void {
    const problem = { object: `Service ${key}`, message };
    if (this.#problems.get(key) !== message) this.#options.onProblem(problem);
    this.#problems.set(key, message);
  }
}

function answer({ namespace, name, localEndpoints }: HealthCheck, isHealthy: boolean): HttpAnswer {
  const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy: isHealthy };
  return {
    ...json(body, localEndpoints > 0 && isHealthy ? 200 : 503),
    headers: { 'x-load-balancing-endpoint-weight': String(localEndpoints) },
  };
}
