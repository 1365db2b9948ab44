import { pino } from 'pino';
import type { Test } from 'tap';
import type { ObjectSet } from '../../../lib/model/objects.js';
import type { ClusterUser } from '../../../lib/sources/kubernetes/kubeconfig.js';
import { type KubernetesOptions, KubernetesSource } from '../../../lib/sources/kubernetes/kubernetes.js';
import { PATIENCE_MS } from '../../lab/program.js';
import { FakeApiServer, type FakeApiServerOptions, PATHS } from './fake-apiserver.js';
import type { FakeObject } from './fake-collections.js';

export function service(name: string, port = 80, more: object = {}): FakeObject {
  return {
    metadata: { namespace: 'default', name },
    spec: { clusterIP: '10.96.0.10', ports: [{ port }], ...more },
  };
}

export function slice(service: string, ...addresses: readonly string[]): FakeObject {
  return {
    metadata: {
      namespace: 'default',
      name: `${service}-1`,
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

/** A source under test, with the states it delivered and the lines it logged. */
export class Harness {
  readonly lines: Record<string, unknown>[] = [];
  readonly states: ObjectSet[] = [];
  readonly source: KubernetesSource;
  readonly #waiters = new Set<() => void>();

  constructor(t: Test, options: Omit<KubernetesOptions, 'log' | 'nodeName'>) {
    const stream = {
      write: (line: string) => {
        this.lines.push(JSON.parse(line) as Record<string, unknown>);
        this.#wake();
      },
    };
    const log = pino({ level: 'debug' }, stream);
    this.source = new KubernetesSource({ ...options, nodeName: 'robot', log });
    t.teardown(() => this.source.stop());
  }

  start(): Promise<void> {
    return this.source.start((objects) => {
      this.states.push(objects);
      this.#wake();
    });
  }

  get now(): ObjectSet {
    return this.states.at(-1)!;
  }

  /** Names and first ports of the Services at present. */
  get services(): string[] {
    return [...(this.states.at(-1)?.services.values() ?? [])]
      .map(({ name, ports }) => `${name}:${ports[0]!.port}`)
      .sort();
  }

  /** All endpoints' addresses at present. */
  get addresses(): string[] {
    return [...(this.states.at(-1)?.slices.values() ?? [])]
      .flatMap(({ endpoints }) => endpoints.map(({ address }) => address))
      .sort();
  }

  /** Messages of at least a warning, with their reasons. */
  get troubles(): string[] {
    return this.lines
      .filter(({ level }) => Number(level) >= 40)
      .map(({ msg, reason }) => [msg, reason].filter(Boolean).join(': '));
  }

  /** Waits until `isSo()`. It is checked after each state and log line, and from time to time. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!isSo()) {
      if (Date.now() > deadline) throw new Error(`never: ${what}\n${JSON.stringify(this.lines, null, 1)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, 20);
        const waiters = this.#waiters;
        function wake() {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        }
        waiters.add(wake);
      });
    }
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}

/** The user of a fake server that asks for no credentials. */
function clusterUserOf({ url }: FakeApiServer): ClusterUser {
  return { cluster: { name: 'test', server: url, skipTLSVerify: false }, user: { name: '' } };
}

/**
 * A fake server, and a source for it that is not started.
 * @param times shorter than the source's defaults, unless given
 */
export async function prepare(
  t: Test,
  options: FakeApiServerOptions = {},
  times: KubernetesOptions['times'] = { keepAliveMs: 1000 },
) {
  const api = await FakeApiServer.forTest(t, options);
  const harness = new Harness(t, { clusterUser: clusterUserOf(api), times });
  return { api, harness };
}

/** As {@link prepare}, with one Service that is listed and watched. */
export async function prepareSynced(
  t: Test,
  ...options: [FakeApiServerOptions?, KubernetesOptions['times']?]
) {
  const { api, harness } = await prepare(t, ...options);
  api.put(PATHS.services, service('web'));
  await harness.start();
  await harness.until(() => api.watches === 3, 'three watches');
  return { api, harness };
}

export function listsOf(api: FakeApiServer, path: string) {
  return api.requests.filter(({ url }) => url.pathname === path && !url.searchParams.has('watch'));
}

export function watchesOf(api: FakeApiServer, path: string) {
  return api.requests.filter(({ url }) => url.pathname === path && url.searchParams.has('watch'));
}
