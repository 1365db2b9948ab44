import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { HTTP_CONNECTIONS } from '../controlplane/capacity.js';
import { NodeAddresses } from '../controlplane/nodeaddresses.js';
import type { ProxyOptions } from '../controlplane/options.js';
import { podsHere } from '../controlplane/podshere.js';
import { ServiceProxy } from '../controlplane/proxy.js';
import { countChanges } from '../model/changes.js';
import { buildDesiredState, type DesiredState } from '../model/desiredstate.js';
import type { Node } from '../model/node.js';
import type { ObjectSet } from '../model/objects.js';
import { describeProblem, freshProblems } from '../model/problem.js';
import { WILDCARD } from '../net/address.js';
import type { ProxyStatus } from '../portal/status.js';
import { Commands } from '../redirect/command.js';
import { createRedirectDriver } from '../redirect/create.js';
import { Connections } from '../server/connections.js';
import { healthRoutes } from '../server/health.js';
import { HealthCheckPorts } from '../server/health-check-ports.js';
import { HttpServer } from '../server/http.js';
import { metricsRoutes } from '../server/metrics.js';
import { OwnNames } from '../server/own-names.js';
import { Readiness } from '../server/readiness.js';
import type { Routes } from '../server/route.js';
import { sessionsRoute } from '../server/sessions.js';
import { SyncMetrics } from '../server/sync-metrics.js';
import type { Source } from '../sources/source.js';
import { forgetStartupCode } from '../sys/startup-code.js';
import { applyConntrack } from './conntrack.js';
import { createSource } from './create-source.js';
import { CLEARING_MS, HURRIED_CLEARING_MS } from './ending.js';
import type { LineOutput } from './line-output.js';
import type { Log } from './log.js';
import { nodePortAddresses } from './nodeport-addresses.js';
import type { BindTarget } from './parse.js';
import { primaryAddresses } from './primary-addresses.js';
import { proxyConfiguration } from './proxy-configuration.js';
import type { RunFlags } from './run-flags.js';
import type { Orders } from './signals.js';
import { collectStartupGarbage } from './small-heap.js';

/** One kube-portal at work: the source, the proxy and the servers, wired together. */
export class Daemon {
  /** Rejects when the data plane broke and the process should end; resolves never. */
  readonly broken: Promise<never>;
  readonly #flags: RunFlags;
  readonly #log: Logger;
  readonly #output: LineOutput;
  readonly #proxy: ServiceProxy;
  readonly #source: Source;
  readonly #commands: Commands;
  readonly #hurry: Promise<void>;
  readonly #readiness: Readiness;
  readonly #nodeAddresses: NodeAddresses;
  readonly #servers: HttpServer[] = [];
  readonly #connections = new Connections({ most: HTTP_CONNECTIONS, idleMs: HTTP_IDLE_MS });
  readonly #healthChecks: HealthCheckPorts;
  readonly #registry = new Registry();
  readonly #syncMetrics = new SyncMetrics(this.#registry);
  #desired: DesiredState | undefined;
  #lastUpdated: Date | null = null;

  private constructor(
    flags: RunFlags,
    log: Logger,
    output: LineOutput,
    source: Source,
    proxy: ServiceProxy,
    commands: Commands,
    nodeAddresses: NodeAddresses,
    hurry: Promise<void>,
  ) {
    this.#flags = flags;
    this.#log = log;
    this.#output = output;
    this.#proxy = proxy;
    this.#source = source;
    this.#nodeAddresses = nodeAddresses;
    this.#commands = commands;
    this.#hurry = hurry;
    proxy.on('problem', (problem) => source.warnOwner?.(problem, 'ListenFailed'));
    this.broken = new Promise((_, reject) => proxy.once('failed', reject));
    this.broken.catch((error: unknown) => log.fatal({ err: error }, 'the data plane broke'));
    const patienceMs = Math.max(2 * flags.iptablesSyncPeriod, LEAST_PATIENCE_MS);
    this.#readiness = new Readiness(
      () => proxy.states(),
      () => proxy.behindMs < patienceMs,
    );
    this.#healthChecks = new HealthCheckPorts({
      addresses: healthCheckHosts(nodeAddresses),
      isHealthy: () => this.#readiness.isReady(),
      connections: this.#connections,
      onListeners: (count) => proxy.othersListen(count),
      onProblem: (problem) => {
        log.warn(describeProblem(problem));
        source.warnOwner?.(problem, 'FailedToStartServiceHealthcheck');
      },
    });
  }

  /**
   * Resolves once the source's first state was put into effect,
   * or when told to stop while that is waited for.
   *
   * @throws Error that says what to do when something that is needed cannot be had;
   * nothing is left behind then.
   */
  static async start(flags: RunFlags, { logger: log, output }: Log, orders: Orders): Promise<Daemon> {
    const source = await createSource(flags, nodeNameOf(flags), log);
    const nodeAddresses = new NodeAddresses(flags.nodeportAddresses, () =>
      primaryAddresses(flags.bindAddress, source.node ?? null),
    );
    const options = proxyOptions(flags, nodeAddresses, log);
    const commands = new Commands();
    const hurry = () => commands.hurry(flags.drainTimeout + CLEARING_MS);
    orders.stop.then(hurry, hurry);
    orders.hurry.then(() => commands.hurry(HURRIED_CLEARING_MS));
    const proxy = await ServiceProxy.start(options, () =>
      createRedirectDriver(flags.redirect, { ...options, run: commands.run }),
    );
    // Not before there are rules: they load the module. Addresses have no tracking on their path.
    if (proxy.usesConntrack) applyConntrack(flags, log);
    const daemon = new Daemon(flags, log, output, source, proxy, commands, nodeAddresses, orders.hurry);
    try {
      await daemon.#listen();
      await Promise.race([daemon.#follow(), orders.stop]);
      return daemon;
    } catch (error) {
      await daemon.stop({ keepRules: flags.keepRules });
      throw error;
    }
  }

  status(): ProxyStatus {
    return this.#proxy.status();
  }

  /** Takes down what {@link start} put up. No part can keep another from being taken down. */
  async stop({ keepRules = false }: { keepRules?: boolean | undefined } = {}): Promise<void> {
    const { drainTimeout } = this.#flags;
    this.#readiness.stop();
    this.#commands.hurry(drainTimeout + CLEARING_MS);
    const source = this.#source.stop();
    const proxy = this.#proxy.stop({ keepRules, drainTimeoutMs: drainTimeout, hurry: this.#hurry });
    const servers = proxy.finally(() =>
      Promise.all([this.#healthChecks, ...this.#servers].map((server) => server.close())),
    );
    for (const part of await Promise.allSettled([source, servers])) {
      if (part.status === 'rejected') throw part.reason;
    }
  }

  async #listen(): Promise<void> {
    const { healthzBindAddress, metricsBindAddress } = this.#flags;
    const health = {
      isReady: () => this.#readiness.isReady(),
      isNodeEligible: () => this.#source.node?.isEligible ?? true,
      lastUpdated: () => this.#lastUpdated,
    };
    await this.#serve(healthzBindAddress, '--healthz-bind-address', healthRoutes(health));
    await this.#serve(metricsBindAddress, '--metrics-bind-address', this.#metricsRoutes());
  }

  #metricsRoutes(): Routes {
    const source = {
      summary: () => this.#proxy.summary(),
      portals: () => this.#proxy.portals(),
      states: () => this.#proxy.states(),
      counters: () => this.#proxy.counters(),
      droppedLogLines: () => this.#output.dropped,
      connectionsOfRemoved: () => this.#proxy.connectionsOfRemoved,
      configuration: () => proxyConfiguration(this.#flags),
    };
    return { ...metricsRoutes(source, this.#registry), '/sessions': sessionsRoute(this.#proxy) };
  }

  async #serve(target: BindTarget, flag: string, routes: Routes): Promise<void> {
    if (target === 'off') return;
    const connections = this.#connections;
    const names = new OwnNames([nodeNameOf(this.#flags), hostname()]);
    const { host, port } = target;
    const bothFamilies = isUnspecified(host);
    this.#servers.push(
      await HttpServer.listen({ host, bothFamilies, port, flag, routes, connections, names }),
    );
  }

  async #follow(): Promise<void> {
    let first: Promise<void> | undefined;
    await this.#source.start((objects) => {
      const applied = this.#apply(objects);
      first ??= applied;
      applied.catch((error: unknown) => this.#log.error({ err: error }, 'a change was not put into effect'));
    });
    // Stopped before there was a state.
    if (first === undefined) return;
    await first;
    this.#readiness.await(this.#desired?.snapshot.keys() ?? []);
    this.#log.info({ portals: this.#desired?.snapshot.size, redirect: this.#proxy.driver }, 'serving');
    setTimeout(() => forgetStart(this.#log), FORGET_AFTER).unref();
  }

  #node(): Node {
    const { clusterCidr } = this.#flags;
    const state = this.#source.node ?? null;
    return {
      name: nodeNameOf(this.#flags),
      zone: state?.zone ?? null,
      podCidrs: podsHere(clusterCidr, state?.podCidrs ?? []),
      nodePortAddresses: nodePortAddresses(this.#nodeAddresses, state),
    };
  }

  /** No proxy port may have the number of one of these. */
  #ownPorts({ healthChecks }: DesiredState): number[] {
    return [...this.#servers, ...healthChecks].map(({ port }) => port);
  }

  async #apply(objects: ObjectSet): Promise<void> {
    const startedMs = Date.now();
    this.#syncMetrics.received(startedMs);
    const desired = buildDesiredState(objects, this.#node(), this.#desired);
    for (const problem of freshProblems(desired.problems, this.#desired?.problems ?? [])) {
      this.#log.warn(describeProblem(problem));
      this.#source.warnOwner?.(problem, 'NotProxied');
    }
    const changes = countChanges(this.#desired?.objects ?? NO_OBJECTS, objects);
    this.#desired = desired;
    await this.#proxy.apply(desired.snapshot, this.#ownPorts(desired));
    await this.#healthChecks.update(desired.healthChecks);
    this.#lastUpdated = new Date();
    this.#syncMetrics.observe({ ...changes, startedMs, finishedMs: this.#lastUpdated.getTime() });
  }
}

/** Longer than any client takes for its request; Prometheus and load balancers come again after it. */
const HTTP_IDLE_MS = 10_000;

/** However often rules are checked, on a busy machine a check may take so long, ms. */
const LEAST_PATIENCE_MS = 10_000;

/**
 * Gives back the memory that only a start needs. Without descriptors for it the process is larger,
 * and that is all.
 */
function forgetStart(log: Logger): void {
  try {
    collectStartupGarbage();
    forgetStartupCode();
  } catch (error) {
    log.debug({ reason: (error as Error).message }, 'memory of the start is not given back');
  }
}

/**
 * After so long, ms, those who wait for /healthz have their answer:
 * until then the start is not over for them.
 */
const FORGET_AFTER = 500;

const NO_OBJECTS: ObjectSet = { services: new Map(), slices: new Map() };

/** As kube-proxy, which compares node names in lower case. */
function nodeNameOf({ hostnameOverride }: RunFlags): string {
  return (hostnameOverride ?? hostname()).trim().toLowerCase();
}

/**
 * As for Go's listeners, kube-proxy's among them,
 * the unspecified address of one family stands for all addresses of both.
 */
function isUnspecified(host: string): boolean {
  return Object.values(WILDCARD).some((address) => address === host);
}

/** Health checks are asked for where NodePorts are served. */
function healthCheckHosts(addresses: NodeAddresses): () => readonly string[] | null {
  return () => {
    const hosts = [...addresses.of('IPv4'), ...addresses.of('IPv6')];
    return Object.values(WILDCARD).every((address) => hosts.includes(address)) ? null : hosts;
  };
}

function proxyOptions(flags: RunFlags, nodeAddresses: NodeAddresses, log: Logger): ProxyOptions {
  return {
    workers: flags.workers,
    bindAddress: flags.bindAddress,
    nodeAddresses,
    proxyPortRange: flags.proxyPortRange,
    udpTimeoutMs: flags.udpTimeout ?? null,
    syncPeriodMs: flags.iptablesSyncPeriod,
    stateDir: flags.stateDir,
    log,
  };
}
