import { EventEmitter } from 'node:events';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { PortalCounters } from '../dataplane/shared/counters.js';
import type { SessionFilter, SessionsPage } from '../dataplane/shared/sessions.js';
import { NONE } from '../model/compact.js';
import type { Problem } from '../model/problem.js';
import { FAMILIES } from '../net/address.js';
import type { Snapshot } from '../portal/portal.js';
import type { PortalStatus, ProxyStatus } from '../portal/status.js';
import type { RedirectDriver } from '../redirect/driver.js';
import { StateDir } from '../state/statedir.js';
import type { StateMemory } from '../state/statefile.js';
import { raiseDescriptorLimit } from '../sys/limits.js';
import { keepMallocSmall } from '../sys/malloc.js';
import type { PortalContext } from './activeportal.js';
import { ActivePortals } from './activeportals.js';
import { memoryOfPorts, portalContext, startBoth } from './assembly.js';
import { Backlog } from './backlog.js';
import { Capacity } from './capacity.js';
import { EventLog } from './eventlog.js';
import { DONE, Executor, type Underway } from './executor.js';
import { NodeLock } from './nodelock.js';
import type { ProxyOptions } from './options.js';
import { isUnfinished, plan, planTelling } from './plan.js';
import { ProblemReports } from './problemreports.js';
import { ProxyPortMoves } from './proxyportmoves.js';
import { Redirects } from './redirects.js';
import { Turns } from './turns.js';

/** How often, ms, a listener that could not be had is tried again. */
const RETRY_PERIOD = 5000;

interface StopOptions {
  readonly keepRules: boolean;
  readonly drainTimeoutMs: number;
  readonly hurry?: Promise<void>;
}

/** How often, ms, the driver is asked whether others have taken redirects away. */
const DISTURBANCE_PERIOD = 500;

interface ProxyEvents {
  /** Something that a Service asks for cannot be had on this node. */
  problem: [Problem];
  /** The data plane broke; the process should end and be started again. */
  failed: [Error];
}

/**
 * Brings the node to the desired state and keeps it there: sockets in the data plane, redirects in the
 * driver. New portals listen before they are redirected to; those that go are first redirected to no more.
 */
export class ServiceProxy extends EventEmitter<ProxyEvents> {
  readonly #options: ProxyOptions;
  readonly #lock: NodeLock;
  readonly #state: StateDir;
  readonly #portMemory: StateMemory;
  readonly #driver: RedirectDriver;
  readonly #dataplane: Dataplane;
  readonly #context: PortalContext;
  readonly #portals: ActivePortals;
  readonly #reports: ProblemReports;
  readonly #redirects: Redirects;
  readonly #executor: Executor;
  readonly #moves: ProxyPortMoves;
  readonly #eventLog: EventLog;
  readonly #timers: NodeJS.Timeout[] = [];
  #desired: Snapshot;
  #ownPorts: readonly number[] = NONE;
  #firstState = true;
  #nextRun: Promise<void> | null = null;
  readonly #turns = new Turns();
  readonly #moveTurns = new Turns();
  readonly #backlog = new Backlog();
  #stopping = false;

  private constructor(
    options: ProxyOptions,
    lock: NodeLock,
    state: StateDir,
    portMemory: StateMemory,
    driver: RedirectDriver,
    dataplane: Dataplane,
    context: PortalContext,
    portals: ActivePortals,
  ) {
    super();
    this.#portals = portals;
    this.#options = options;
    this.#lock = lock;
    this.#state = state;
    this.#portMemory = portMemory;
    this.#driver = driver;
    this.#dataplane = dataplane;
    this.#context = context;
    this.#reports = new ProblemReports(options.log, driver, (problem) => this.emit('problem', problem));
    this.#redirects = new Redirects(driver, this.#backlog, options.log);
    const shared = { context, portals, redirects: this.#redirects };
    this.#executor = new Executor({
      ...shared,
      dataplane,
      savePorts: () => this.#savePorts(),
      opened: (opened) => this.#reports.tell(opened),
    });
    this.#desired = this.#executor.current.portals;
    this.#moves = new ProxyPortMoves({
      ...shared,
      executor: this.#executor,
      settled: (settled) => this.#reports.tell(settled, true),
    });
    this.#eventLog = new EventLog(options.log, () => context.capacity.limit);
    dataplane.on('event', (event) => this.#eventLog.write(event));
    dataplane.on('untold', (untold) => this.#eventLog.count(untold));
    dataplane.on('failed', (error) => this.emit('failed', error));
    if (driver.wasDisturbed) this.#every(DISTURBANCE_PERIOD, () => this.#logged(this.#repairSoon()));
    const retryPeriod = Math.min(RETRY_PERIOD, options.syncPeriodMs);
    this.#every(options.syncPeriodMs, () => this.#logged(this.#audit()));
    this.#every(retryPeriod, async () => {
      await this.#exclusively(() => this.#retry());
      await this.#logged(this.#clearPorts());
    });
  }

  /**
   * Makes this process the node's proxy and starts the workers.
   * @param openDriver called once no other instance can be there to be disturbed
   * @throws Error that says what to do: a second instance, a state directory that cannot be written,
   * no usable driver
   */
  static async start(
    options: ProxyOptions,
    openDriver: () => Promise<RedirectDriver>,
  ): Promise<ServiceProxy> {
    keepMallocSmall();
    const lock = NodeLock.take();
    let state: StateDir | undefined;
    try {
      state = await StateDir.open(options.stateDir, options.log);
      const portMemory = memoryOfPorts(options);
      const capacity = new Capacity(raiseDescriptorLimit());
      const [driver, dataplane] = await startBoth(openDriver, {
        workers: options.workers,
        descriptors: capacity.forTraffic,
        maxFlows: capacity.maxFlows,
        udpTimeout: options.udpTimeoutMs,
      });
      const portals = new ActivePortals();
      const context = await portalContext(options, portMemory, capacity, driver, portals);
      return new ServiceProxy(options, lock, state, portMemory, driver, dataplane, context, portals);
    } catch (error) {
      await state?.removeIfEmpty();
      lock.release();
      throw error;
    }
  }

  /**
   * Makes a snapshot the desired state; resolves when it, or a newer one, is in effect as far as it can be.
   * @param ownPorts TCP ports of this node that the program answers on beside the portals'
   * @throws Error if workers broke
   */
  apply(snapshot: Snapshot, ownPorts: readonly number[] = NONE): Promise<void> {
    this.#desired = snapshot;
    this.#ownPorts = ownPorts;
    this.#nextRun ??= this.#backlog.during(async () => {
      await this.#change(() => {
        this.#nextRun = null;
        return this.#reconcile();
      });
      await this.#clearPorts();
    });
    return this.#nextRun;
  }

  /** Resolves when the driver has done its part too. */
  async #change(work: () => Promise<Underway>): Promise<void> {
    const { redirected } = await this.#turns.take(work);
    await redirected;
  }

  /** For how long the node has been behind the desired state, or behind an audit that cannot be made, ms. */
  get behindMs(): number {
    return this.#backlog.waitedMs;
  }

  /**
   * Takes notice of listeners that others have opened or, with a negative number, closed:
   * clients have the fewer descriptors.
   */
  othersListen(count: number): void {
    const { capacity } = this.#context;
    capacity.listenersOpened(count);
    this.#dataplane.budget.limit = capacity.forTraffic;
  }

  /** Name of the redirect driver in use. */
  get driver(): string {
    return this.#driver.name;
  }

  /** Whether traffic passes the kernel's connection tracking on its way to the portals. */
  get usesConntrack(): boolean {
    const driver = this.#driver;
    return driver.bringsTraffic && FAMILIES.some((family) => driver.captureOf(family) === 'port');
  }

  /** How each portal is; costs much less than the whole {@link status}. */
  states(): readonly Pick<PortalStatus, 'key' | 'state'>[] {
    return [...this.#portals.all()];
  }

  status(): ProxyStatus {
    return { ...this.summary(), portals: [...this.portals()] };
  }

  /** The {@link status} without the portals. */
  summary(): Omit<ProxyStatus, 'portals'> {
    const problems = [...(this.#driver.problems ?? NONE), ...(this.#driver.gate?.problems ?? NONE)];
    const { name: driver, fallbacks = NONE } = this.#driver;
    return { driver, fallbacks, workers: this.#options.workers, problems };
  }

  /** Each portal's status, read when it is taken; one that has gone by then is left out. */
  *portals(): Iterable<PortalStatus> {
    for (const active of this.#portals.present()) yield active.status();
  }

  /** As {@link portals}. */
  *counters(): Iterable<PortalCounters> {
    for (const { id, portal } of this.#portals.present()) {
      const { key, service, portName, protocol, family } = portal;
      yield { key, service, portName, protocol, family, ...this.#dataplane.counters(id) };
    }
  }

  /** The open TCP connections and UDP flows, see {@link Dataplane.sessions}. */
  sessions(filter: SessionFilter, mostListed: number): AsyncIterable<SessionsPage> {
    return this.#dataplane.sessions(filter, mostListed);
  }

  /** TCP connections that are open although their Service port was removed. */
  get connectionsOfRemoved(): number {
    return this.#dataplane.connectionsOfRemoved;
  }

  /**
   * Leaves nothing behind, or the rules and the port memory if told so. Connections get `drainTimeoutMs` to
   * end, and no more once `hurry` resolves.
   */
  async stop({ keepRules, drainTimeoutMs, hurry }: StopOptions): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#exclusively(async () => {
      // New clients are served meanwhile. Open connections, and the resets that end them, need the redirects:
      // an address takes its connections along, and the kernel stops to track and translate with the last
      // rule that asks for it (nf_ct_netns_put).
      await this.#dataplane.drain(drainTimeoutMs, hurry);
      await this.#dataplane.stop();
      this.#eventLog.flush();
      await this.#redirects.end();
      if (!keepRules) await this.#redirects.clear();
      if (!keepRules) await this.#forgetPorts();
    });
    this.#lock.release();
  }

  async #forgetPorts(): Promise<void> {
    await this.#portMemory.forget();
    await this.#state.removeIfEmpty();
  }

  /** Work that takes longer than its period is not begun twice. Who does it tells of its errors. */
  #every(period: number, work: () => Promise<void>): void {
    let busy = false;
    const tick = async () => {
      if (busy) return;
      busy = true;
      await work().catch(() => undefined);
      busy = false;
    };
    this.#timers.push(setInterval(tick, period));
  }

  /** One change of the node at a time. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    return this.#logged(this.#turns.take(work));
  }

  #logged(run: Promise<void>): Promise<void> {
    run.catch((error: unknown) => this.#options.log.error({ err: error }, 'a change of the node failed'));
    return run;
  }

  async #reconcile(): Promise<Underway> {
    if (this.#stopping) return DONE;
    const { ports, publicPorts } = this.#context;
    if (this.#firstState) ports.keepOnly(this.#desired);
    this.#firstState = false;
    publicPorts.setOwn(this.#ownPorts);
    return this.#executor.run(plan(this.#executor.current, this.#desired));
  }

  /** Waits for a move of proxy ports wherever it was begun. */
  #clearPorts(): Promise<void> {
    return this.#moveTurns.take(async () => {
      if (this.#moves.areDue) await this.#change(() => this.#unlessStopping(() => this.#moves.begin()));
      if (this.#moves.areOpen) await this.#change(() => this.#unlessStopping(() => this.#moves.end()));
    });
  }

  async #unlessStopping(work: () => Promise<Underway>): Promise<Underway> {
    return this.#stopping ? DONE : work();
  }

  /**
   * Written before anything points at the ports: a killed run's successor must find the ports its rules name.
   * Ports that were given back do no harm there, and wait for the next change or retry.
   */
  async #savePorts(): Promise<void> {
    const { ports } = this.#context;
    if (ports.dirty && !(await this.#portMemory.keep(ports.saved()))) ports.dirty = true;
  }

  async #audit(): Promise<void> {
    if (!this.#stopping) await this.#redirects.audit(this.#portals);
  }

  async #repairSoon(): Promise<void> {
    if (this.#stopping) return;
    if (await this.#redirects.wereDisturbed()) await this.#audit();
  }

  /**
   * Tries again what failed, and what could not be written or bound, and follows the node's addresses for
   * NodePorts.
   */
  async #retry(): Promise<void> {
    if (this.#stopping) return;
    const { current } = this.#executor;
    if (isUnfinished(current, this.#desired)) this.#logged((await this.#reconcile()).redirected);
    await this.#savePorts();
    const retried = [...this.#portals.all()].filter((active) => !active.isComplete || active.followsNode);
    const changed = retried.filter((active) => active.openListeners());
    this.#reports.tell(retried);
    const { redirected } = await this.#executor.run(planTelling(changed.map(({ key }) => key)));
    this.#logged(redirected);
  }
}
