import { EventEmitter } from 'node:events';
import type { DataplanePins } from '../dataplane/dataplanepins.js';
import type { PortalCounters } from '../dataplane/shared/counters.js';
import type { EndpointFilter, EndpointStatus } from '../dataplane/shared/endpoints.js';
import type { Participant } from '../dataplane/shared/participants.js';
import type { ListedSessions, SessionFilter } from '../dataplane/shared/sessions.js';
import { NONE } from '../model/compact.js';
import type { Problem } from '../model/problem.js';
import { FAMILIES } from '../net/address.js';
import { ownBit } from '../portal/carrier.js';
import type { Snapshot } from '../portal/portal.js';
import type { PortalStatus, ProxyStatus } from '../portal/status.js';
import type { RedirectDriver } from '../redirect/driver.js';
import { keepMallocSmall } from '../sys/malloc.js';
import { assemble, type ProxyParts } from './assembly.js';
import { CarriedSessions } from './carriedsessions.js';
import { listEndpoints } from './endpoints.js';
import { EventLog } from './eventlog.js';
import type { ProxyOptions } from './options.js';
import { ProblemReports } from './problemreports.js';
import { Reconciler } from './reconciler.js';
import { allSessions, type SessionHolder } from './sessions.js';
import { Upkeep } from './upkeep.js';

interface StopOptions {
  /** Whether rules and saved proxy ports stay for the next run. */
  readonly keepRules: boolean;
  /** Milliseconds that open connections get to end. */
  readonly drainTimeoutMs: number;
  /** Once it resolves, connections get no more time. */
  readonly hurry?: Promise<void>;
}

interface ProxyEvents {
  /** This node cannot give a Service something that it asks for. */
  problem: [Problem, reason: string];
  /** This node keeps the kernel from carrying traffic. The text says what to do. */
  nodeProblem: [string];
  /** The data plane broke. The process should end and be started again. */
  failed: [Error];
}

/**
 * The node's proxy. It brings the node to the desired state and keeps it there: sockets in the data plane,
 * redirects in the driver. A new portal listens before it gets its redirect. A removed portal loses its
 * redirect before it closes.
 */
export class ServiceProxy extends EventEmitter<ProxyEvents> {
  readonly #options: ProxyOptions;
  readonly #parts: ProxyParts;
  readonly #reconciler: Reconciler;
  readonly #upkeep: Upkeep;
  readonly #eventLog: EventLog;
  readonly #sessionHolders: readonly SessionHolder[];

  private constructor(options: ProxyOptions, parts: ProxyParts) {
    super();
    const { log } = options;
    const { driver, dataplane, context } = parts;
    this.#options = options;
    this.#parts = parts;
    const reports = new ProblemReports(log, driver, (...problem) => this.emit('problem', ...problem));
    const { forwarding } = parts;
    forwarding.on('problem', (problem) => this.emit('nodeProblem', problem));
    this.#reconciler = new Reconciler({ ...parts, reports, log });
    const carried = new CarriedSessions(parts.portals, ownBit(options.carrier.markMask));
    this.#sessionHolders = [dataplane, carried];
    this.#eventLog = new EventLog(log, () => context.capacity.limit);
    dataplane.on('event', (event) => this.#eventLog.write(event));
    dataplane.on('suppressed', (suppressed) => this.#eventLog.count(suppressed));
    dataplane.on('failed', (error) => this.emit('failed', error));
    this.#upkeep = new Upkeep({ ...parts, reconciler: this.#reconciler, options });
  }

  /**
   * Makes this process the node's proxy and starts the workers.
   * @param openDriver called once this process holds the lock of the node: it disturbs no other instance
   * @throws Error that says what to do: another instance runs, the state directory cannot be written,
   * no driver is usable
   */
  static async start(
    options: ProxyOptions,
    openDriver: () => Promise<RedirectDriver>,
  ): Promise<ServiceProxy> {
    keepMallocSmall();
    return new ServiceProxy(options, await assemble(options, openDriver));
  }

  /**
   * Makes a snapshot the desired state. Resolves when this snapshot or a newer one is in effect, except for
   * what cannot be opened or redirected.
   * @param ownPorts TCP ports of kube-portal's own servers
   * @throws Error if workers broke
   */
  apply(snapshot: Snapshot, ownPorts: readonly number[] = NONE): Promise<void> {
    return this.#reconciler.apply(snapshot, ownPorts);
  }

  /** Milliseconds since the node fell behind the desired state, or since audits fail. 0: it is not behind. */
  get behindMs(): number {
    return this.#parts.backlog.waitedMs;
  }

  /**
   * Counts listeners that other parts of this process opened. A negative number: closed. Clients get fewer
   * descriptors.
   */
  othersListen(count: number): void {
    const { context, dataplane } = this.#parts;
    const { capacity } = context;
    capacity.listenersOpened(count);
    dataplane.budget.limit = capacity.forTraffic;
  }

  /** Name of the redirect driver in use. */
  get driver(): string {
    return this.#parts.driver.name;
  }

  /** Whether traffic passes the kernel's connection tracking on its way to the portals. */
  get usesConntrack(): boolean {
    const driver = this.#parts.driver;
    return driver.bringsTraffic && FAMILIES.some((family) => driver.captureOf(family) === 'port');
  }

  /** State and carrier of each portal. Costs much less than the whole {@link status}. */
  states(): readonly Pick<PortalStatus, 'key' | 'state' | 'carrier'>[] {
    return [...this.#parts.portals.all()];
  }

  status(): ProxyStatus {
    return { ...this.summary(), portals: [...this.portals()] };
  }

  /** The {@link status} without the portals. */
  summary(): Omit<ProxyStatus, 'portals'> {
    const problems = [
      ...(this.#parts.driver.problems ?? NONE),
      ...(this.#parts.driver.gate?.problems ?? NONE),
      ...this.#parts.forwarding.problems,
    ];
    const { name: driver, fallbacks = NONE } = this.#parts.driver;
    const { workers, carrier } = this.#options;
    const carrierLimits = [...this.#parts.context.carriers.limits, ...this.#parts.forwarding.limits];
    return { driver, fallbacks, workers, carrier: carrier.mode, carrierLimits, problems };
  }

  /** Each portal's status, read when it is taken. A portal that has gone by then is left out. */
  *portals(): Iterable<PortalStatus> {
    for (const active of this.#parts.portals.present()) yield active.status();
  }

  /** Each portal's counters, read when they are taken, as {@link portals}. */
  *counters(): Iterable<PortalCounters> {
    for (const { id, portal } of this.#parts.portals.present()) {
      const { key, service, portName, protocol, family } = portal;
      yield { key, service, portName, protocol, family, ...this.#parts.dataplane.counters(id) };
    }
  }

  /** The open TCP connections and UDP flows: first those that workers relay, then those in the kernel. */
  sessions(filter: SessionFilter, maxListed: number): AsyncIterable<ListedSessions> {
    return allSessions(this.#sessionHolders, filter, maxListed);
  }

  /** The endpoints of Services, with what each has had, see {@link listEndpoints}. */
  endpoints(filter: EndpointFilter): AsyncIterable<readonly EndpointStatus[]> {
    return listEndpoints(this.#parts.portals.present(), filter, this.#parts.dataplane);
  }

  /** The DDS participants that send to Services, see {@link Dataplane.participants}. */
  participants(service: string | null): AsyncIterable<readonly Participant[]> {
    return this.#parts.dataplane.participants(service);
  }

  /** Which clients are pinned to which endpoints. */
  get pins(): DataplanePins {
    return this.#parts.dataplane.pins;
  }

  /** TCP connections that are open although their Service port was removed. */
  get connectionsOfRemoved(): number {
    return this.#parts.dataplane.connectionsOfRemoved;
  }

  /**
   * Stops the proxy and removes all that it made. With `keepRules`, the rules and the saved ports stay.
   * Connections get `drainTimeoutMs` to end. They are ended at once when `hurry` resolves.
   */
  async stop({ keepRules, drainTimeoutMs, hurry }: StopOptions): Promise<void> {
    const { dataplane, lock, state, pinMemory } = this.#parts;
    this.#upkeep.end();
    await this.#reconciler.end(async () => {
      // New clients are served meanwhile. Open connections, and the resets that end them, need the redirects.
      // If an address is removed, its connections break. If no rule needs connection tracking, the kernel
      // stops to track and translate (nf_ct_netns_put).
      await dataplane.drain(drainTimeoutMs, hurry);
      await pinMemory.prepareToEnd();
      await dataplane.stop();
      await pinMemory.close();
      this.#eventLog.flush();
      await this.#parts.redirects.end();
      if (!keepRules) await this.#parts.redirects.clear();
      if (!keepRules) await this.#forgetPorts();
    });
    state.release();
    lock.release();
  }

  async #forgetPorts(): Promise<void> {
    await this.#parts.portMemory.forget();
    await this.#parts.state.removeIfEmpty();
  }
}
