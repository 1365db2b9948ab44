import { hostname } from 'node:os';
import { Registry } from 'prom-client';
import { AdminChannel } from '../admin/channel.js';
import { endpointsRoute } from '../admin/endpoints.js';
import { participantsRoute } from '../admin/participants.js';
import { pinsRoutes } from '../admin/pins.js';
import { HTTP_CONNECTIONS } from '../controlplane/capacity.js';
import { describeProblem } from '../model/problem.js';
import type { ProxyStatus } from '../portal/status.js';
import { Connections } from '../server/connections.js';
import { healthRoutes } from '../server/health.js';
import { HealthCheckPorts } from '../server/health-check-ports.js';
import { metricsRoutes } from '../server/metrics.js';
import { OwnNames } from '../server/own-names.js';
import { Readiness } from '../server/readiness.js';
import type { Routes } from '../server/route.js';
import { sessionsRoute } from '../server/sessions.js';
import { SyncMetrics } from '../server/sync-metrics.js';
import { type DaemonParts, openParts } from './daemon-parts.js';
import { HttpServers } from './http-servers.js';
import type { Log } from './log.js';
import { nodeNameOf } from './node-name.js';
import { healthCheckAddresses } from './nodeport-addresses.js';
import { proxyConfiguration } from './proxy-configuration.js';
import type { RunFlags } from './run-flags.js';
import { CLEANUP_MS } from './shutdown.js';
import type { StopRequests } from './signals.js';
import { SourceFollower } from './source-follower.js';
import { releaseStartupMemory } from './startup-memory.js';
import { packageVersion } from './version.js';

/** Milliseconds. No client takes so long for its request. Prometheus connects again for its next scrape. */
const HTTP_IDLE_MS = 10_000;

/** Milliseconds. A check of the rules may take so long on a busy machine, however often rules are checked. */
const MIN_SYNC_LIMIT_MS = 10_000;

/** Milliseconds after the start. Clients that wait for /healthz have their answer by then. */
const RELEASE_DELAY_MS = 500;

/** A running kube-portal: connects the source, the proxy and the HTTP servers. */
export class Daemon {
  /** Rejects when the data plane has failed and the process must end. Never resolves. */
  readonly broken: Promise<never>;
  readonly #parts: DaemonParts;
  readonly #readiness: Readiness;
  readonly #connections = new Connections({ maxOpen: HTTP_CONNECTIONS, idleMs: HTTP_IDLE_MS });
  readonly #servers: HttpServers;
  readonly #healthChecks: HealthCheckPorts;
  readonly #registry = new Registry();
  readonly #follower: SourceFollower;
  #admin: AdminChannel | null = null;

  private constructor(parts: DaemonParts) {
    const { flags, source, proxy, nodeAddresses } = parts;
    const log = parts.log.logger;
    this.#parts = parts;
    this.#servers = new HttpServers(this.#connections, new OwnNames([nodeNameOf(flags), hostname()]));
    proxy.on('problem', (problem, reason) => source.warnOwner?.(problem, reason));
    proxy.on('nodeProblem', (message) =>
      source.warnOwner?.({ object: `Node ${nodeNameOf(flags)}`, message }, 'NotForwarding'),
    );
    this.broken = new Promise((_, reject) => proxy.once('failed', reject));
    this.broken.catch((error: unknown) => log.fatal({ err: error }, 'the data plane has failed'));
    const syncLimitMs = Math.max(2 * flags.iptablesSyncPeriod, MIN_SYNC_LIMIT_MS);
    this.#readiness = new Readiness(
      () => proxy.states(),
      () => proxy.behindMs < syncLimitMs,
    );
    this.#healthChecks = new HealthCheckPorts({
      addresses: () => healthCheckAddresses(nodeAddresses),
      isHealthy: () => this.#readiness.isReady(),
      connections: this.#connections,
      onListeners: (count) => proxy.othersListen(count),
      onProblem: (problem) => {
        log.warn(describeProblem(problem));
        source.warnOwner?.(problem, 'FailedToStartServiceHealthcheck');
      },
    });
    this.#follower = new SourceFollower({
      flags,
      log,
      source,
      proxy,
      nodeAddresses,
      healthChecks: this.#healthChecks,
      serverPorts: () => this.#servers.ports,
      metrics: new SyncMetrics(this.#registry),
    });
  }

  /**
   * Resolves once the source's first state is in effect, or on a request to stop before that.
   *
   * @throws Error that says what to do if the start fails. Rules and addresses are then removed.
   */
  static async start(flags: RunFlags, log: Log, stopRequests: StopRequests): Promise<Daemon> {
    const daemon = new Daemon(await openParts(flags, log, stopRequests));
    try {
      await daemon.#listen();
      await Promise.race([daemon.#follow(), stopRequests.stop]);
      return daemon;
    } catch (error) {
      await daemon.stop({ keepRules: flags.keepRules });
      throw error;
    }
  }

  status(): ProxyStatus {
    return this.#parts.proxy.status();
  }

  /** Stops everything that {@link start} started. If one part fails to stop, the others are still stopped. */
  async stop({ keepRules = false }: { keepRules?: boolean | undefined } = {}): Promise<void> {
    const { flags, commands, hurry } = this.#parts;
    const drainTimeoutMs = flags.drainTimeout;
    this.#readiness.stop();
    commands.hurry(drainTimeoutMs + CLEANUP_MS);
    // Before another process may take the state directory, and with it the path of the socket.
    await this.#admin?.close();
    const source = this.#parts.source.stop();
    const proxy = this.#parts.proxy.stop({ keepRules, drainTimeoutMs, hurry });
    const servers = proxy.finally(() => Promise.all([this.#healthChecks.close(), this.#servers.close()]));
    for (const part of await Promise.allSettled([source, servers])) {
      if (part.status === 'rejected') throw part.reason;
    }
  }

  async #listen(): Promise<void> {
    const { flags, log, source } = this.#parts;
    const health = {
      isReady: () => this.#readiness.isReady(),
      isNodeEligible: () => source.node?.isEligible ?? true,
      lastUpdated: () => this.#follower.lastUpdated,
    };
    await this.#servers.listen(flags.healthzBindAddress, '--healthz-bind-address', healthRoutes(health));
    await this.#servers.listen(flags.metricsBindAddress, '--metrics-bind-address', this.#metricsRoutes());
    this.#admin = await AdminChannel.open({
      stateDir: flags.stateDir,
      routes: this.#adminRoutes(),
      connections: this.#connections,
      version: packageVersion(),
      log: log.logger,
    });
  }

  #adminRoutes(): Routes {
    const { proxy } = this.#parts;
    return {
      '/v1/endpoints': endpointsRoute(proxy),
      '/v1/participants': participantsRoute(proxy),
      ...pinsRoutes(proxy.pins),
    };
  }

  #metricsRoutes(): Routes {
    const { flags, log, proxy } = this.#parts;
    const source = {
      summary: () => proxy.summary(),
      portals: () => proxy.portals(),
      states: () => proxy.states(),
      counters: () => proxy.counters(),
      droppedLogLines: () => log.output.dropped,
      connectionsOfRemoved: () => proxy.connectionsOfRemoved,
      endpoints: flags.endpointMetrics ? () => proxy.endpoints({ service: null, onlyUsed: true }) : null,
      pins: proxy.pins.cells,
      maxPins: flags.maxPins,
      configuration: () => proxyConfiguration(flags),
    };
    return { ...metricsRoutes(source, this.#registry), '/sessions': sessionsRoute(proxy) };
  }

  async #follow(): Promise<void> {
    const snapshot = await this.#follower.start();
    if (snapshot === null) return;
    const { log, proxy } = this.#parts;
    this.#readiness.await(snapshot.keys());
    log.logger.info({ portals: snapshot.size, redirect: proxy.driver }, 'serving');
    setTimeout(() => releaseStartupMemory(log.logger), RELEASE_DELAY_MS).unref();
  }
}
