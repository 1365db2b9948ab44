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

/** Milliseconds. A listener that could not be opened is tried again after this time. */
const RETRY_PERIOD_MS = 5000;

interface StopOptions {
  readonly keepRules: boolean;
  readonly drainTimeoutMs: number;
  readonly hurry?: Promise<void>;
}

/** Milliseconds between two questions to the driver whether other programs removed redirects. */
const DISTURBANCE_PERIOD_MS = 500;

interface ProxyEvents {
  /** This node cannot give a Service something that it asks for. */
  problem: [Problem];
  /** The data plane broke. The process should end and be started again. */
  failed: [Error];
}

/**
 * Brings the node to the desired state and keeps it there: sockets in the data plane, redirects in the
 * driver. A new portal listens before it gets its redirect. A removed portal loses its redirect before it
 * closes.
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
  #isFirstState = true;
  #nextRun: Promise<void> | null = null;
  readonly #turns = new Turns();
  readonly #moveTurns = new Turns();
  readonly #backlog = new Backlog();
  #isStopping = false;

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
    if (driver.wasDisturbed) this.#every(DISTURBANCE_PERIOD_MS, () => this.#logged(this.#repairSoon()));
    const retryPeriod = Math.min(RETRY_PERIOD_MS, options.syncPeriodMs);
    this.#every(options.syncPeriodMs, () => this.#logged(this.#audit()));
    this.#every(retryPeriod, async () => {
      await this.#exclusively(() => this.#retry());
      await this.#logged(this.#clearPorts());
    });
  }

  /**
   * Makes this process the node's proxy and starts the workers.
   * @param openDriver called once this process holds the lock of the node: it disturbs no other instance
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
   * Makes a snapshot the desired state. Resolves when this snapshot or a newer one is in effect, except for
   * what cannot be opened or redirected.
   * @param ownPorts TCP ports of kube-portal's own servers
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

  /** Resolves when the driver is done too. */
  async #change(work: () => Promise<Underway>): Promise<void> {
    const { redirected } = await this.#turns.take(work);
    await redirected;
  }

  /** Milliseconds since the node fell behind the desired state, or since audits fail. 0: it is not behind. */
  get behindMs(): number {
    return this.#backlog.waitedMs;
  }

  /**
   * Counts listeners that other parts of this process opened. A negative number: closed. Clients get fewer
   * descriptors.
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

  /** The state of each portal. Costs much less than {@link status}. */
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

  /** The status of each portal, read at its turn. A portal that is removed before its turn is left out. */
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
   * Stops the proxy and removes all that it made. With `keepRules`, the rules and the saved ports stay.
   * Connections get `drainTimeoutMs` to end. They are ended at once when `hurry` resolves.
   */
  async stop({ keepRules, drainTimeoutMs, hurry }: StopOptions): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#exclusively(async () => {
      // New clients are served meanwhile. Open connections, and the resets that end them, need the redirects.
      // If an address is removed, its connections break. If no rule needs connection tracking, the kernel
      // stops to track and translate (nf_ct_netns_put).
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

  /** If the work takes longer than the period, a turn is left out. The work logs its own errors. */
  #every(period: number, work: () => Promise<void>): void {
    let isBusy = false;
    const tick = async () => {
      if (isBusy) return;
      isBusy = true;
      await work().catch(() => undefined);
      isBusy = false;
    };
    this.#timers.push(setInterval(tick, period));
  }

  /** Does one change of the node at a time. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    return this.#logged(this.#turns.take(work));
  }

  #logged(run: Promise<void>): Promise<void> {
    run.catch((error: unknown) => this.#options.log.error({ err: error }, 'a change of the node failed'));
    return run;
  }

  async #reconcile(): Promise<Underway> {
    if (this.#isStopping) return DONE;
    const { ports, publicPorts } = this.#context;
    if (this.#isFirstState) ports.keepOnly(this.#desired);
    this.#isFirstState = false;
    publicPorts.setOwn(this.#ownPorts);
    return this.#executor.run(plan(this.#executor.current, this.#desired));
  }

  /** Moves proxy ports, if any must move. Waits for moves that run already. */
  #clearPorts(): Promise<void> {
    return this.#moveTurns.take(async () => {
      if (this.#moves.areDue) await this.#change(() => this.#unlessStopping(() => this.#moves.begin()));
      if (this.#moves.areOpen) await this.#change(() => this.#unlessStopping(() => this.#moves.end()));
    });
  }

  async #unlessStopping(work: () => Promise<Underway>): Promise<Underway> {
    return this.#isStopping ? DONE : work();
  }

  /**
   * Saved before a rule uses the ports: if this process is killed, the next run must find the ports of the
   * rules. Ports that were freed do no harm in the file, and are removed with the next change or retry.
   */
  async #savePorts(): Promise<void> {
    const { ports } = this.#context;
    if (ports.isDirty && !(await this.#portMemory.keep(ports.saved()))) ports.isDirty = true;
  }

  async #audit(): Promise<void> {
    if (!this.#isStopping) await this.#redirects.audit(this.#portals);
  }

  async #repairSoon(): Promise<void> {
    if (this.#isStopping) return;
    if (await this.#redirects.wereDisturbed()) await this.#audit();
  }

  /**
   * Tries again steps that failed, files that could not be written and listeners that could not be opened.
   * NodePorts follow the node's addresses.
   */
  async #retry(): Promise<void> {
    if (this.#isStopping) return;
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
