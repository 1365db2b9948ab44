import { WILDCARD } from '../net/address.js';
import type { Connections } from '../server/connections.js';
import { HttpServer } from '../server/http.js';
import type { OwnNames } from '../server/own-names.js';
import type { Routes } from '../server/route.js';
import type { BindTarget } from './parse.js';

/** The HTTP servers that flags give an address. */
export class HttpServers {
  readonly #connections: Connections;
  readonly #names: OwnNames;
  readonly #servers: HttpServer[] = [];

  constructor(connections: Connections, names: OwnNames) {
    this.#connections = connections;
    this.#names = names;
  }

  /** Ports of the open servers. */
  get ports(): readonly number[] {
    return this.#servers.map(({ port }) => port);
  }

  /** @throws Error that names the flag if the server cannot listen */
  async listen(target: BindTarget, flag: string, routes: Routes): Promise<void> {
    if (target === 'off') return;
    const { host, port } = target;
    const bothFamilies = isUnspecified(host);
    const connections = this.#connections;
    const names = this.#names;
    this.#servers.push(
      await HttpServer.listen({ host, bothFamilies, port, flag, routes, connections, names }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
  }
}

/** As in Go and kube-proxy, the unspecified address of one family means all addresses of both families. */
function isUnspecified(host: string): boolean {
  return Object.values(WILDCARD).some((address) => address === host);
}
