import { EventEmitter } from 'node:events';
import { Dataplane, type DataplaneOptions } from '../dataplane/dataplane.js';
import { probeSteering } from '../dataplane/listeners.js';
import type { PortalCounters } from '../dataplane/shared/counters.js';
import type { SessionFilter, SessionsPage } from '../dataplane/shared/sessions.js';
import { NONE } from '../model/compact.js';
import { diffSnapshots } from '../model/diff.js';
import type { Problem } from '../model/problem.js';
import { FAMILIES, type Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal, Snapshot, Vip } from '../portal/portal.js';
import type { PortalStatus, ProxyStatus } from '../portal/status.js';
import {
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from '../redirect/driver.js';
import { StateDir } from '../state/statedir.js';
import { mappingOf, PORTS_FILE, StateFile, StateMemory } from '../state/statefile.js';
import { raiseDescriptorLimit } from '../sys/limits.js';
import { keepMallocSmall } from '../sys/malloc.js';
import { ActivePortal, type PortalContext } from './activeportal.js';
import { Backlog } from './backlog.js';
import { Capacity } from './capacity.js';
import { EventLog } from './eventlog.js';
import { NodeLock } from './nodelock.js';
import type { ProxyOptions } from './options.js';
import { Placements } from './placement.js';
import { familyOfKey, ProxyPorts } from './proxyports.js';
import { PublicPorts } from './publicports.js';
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
  readonly #portals: Map<string, ActivePortal>;
  readonly #eventLog: EventLog;
  readonly #timers: NodeJS.Timeout[] = [];
  #current: Snapshot = new Map();
  #desired: Snapshot = new Map();
  #ownPorts: readonly number[] = NONE;
  #firstState = true;
  /** Whether clients of the node may know a number by now that is a portal's proxy port. */
  #portsMayClash = false;
  #nextRun: Promise<void> | null = null;
  readonly #turns = new Turns();
  readonly #driverTurns = new Turns();
  readonly #moves = new Turns();
  readonly #backlog = new Backlog();
  #lastRedirectFailure = '';
  readonly #reportedFamilies = new Set<Family>();
  #stopping = false;

  private constructor(
    options: ProxyOptions,
    lock: NodeLock,
    state: StateDir,
    portMemory: StateMemory,
    driver: RedirectDriver,
    dataplane: Dataplane,
    context: PortalContext,
    portals: Map<string, ActivePortal>,
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
      const portals = new Map<string, ActivePortal>();
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
    return [...this.#portals.values()];
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
    for (const active of this.#present()) yield active.status();
  }

  /** As {@link portals}. */
  *counters(): Iterable<PortalCounters> {
    for (const { slot, portal } of this.#present()) {
      const { key, service, portName, protocol, family } = portal;
      yield { key, service, portName, protocol, family, ...this.#dataplane.counters(slot) };
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

  /** The portals of this moment, except those that have gone, with their slots, when their turn comes. */
  *#present(): Iterable<ActivePortal> {
    for (const active of [...this.#portals.values()]) {
      if (this.#portals.get(active.portal.key) === active) yield active;
    }
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
      await this.#driverTurns.end();
      if (!keepRules) await this.#clearRedirects();
      if (!keepRules) await this.#forgetPorts();
    });
    this.#lock.release();
  }

  async #forgetPorts(): Promise<void> {
    await this.#portMemory.forget();
    await this.#state.removeIfEmpty();
  }

  async #clearRedirects(): Promise<void> {
    try {
      await this.#driver.clear();
    } catch (error) {
      this.#options.log.error(
        { reason: (error as Error).message },
        'some redirects could not be removed; run "kube-portal run --cleanup"',
      );
    }
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
    const desired = this.#desired;
    if (this.#firstState) this.#context.ports.keepOnly(desired);
    this.#firstState = false;
    const diff = diffSnapshots(this.#current, desired);
    const { added, changed, removed } = diff;
    this.#current = desired;
    if (this.#context.publicPorts.update(diff, this.#ownPorts)) this.#portsMayClash = true;
    const wantedSoon = new Set(added.flatMap(({ vips }) => vips.map(({ address }) => address)));
    const isLeaving = ({ vips }: Portal) => !vips.some(({ address }) => wantedSoon.has(address));
    const leaving = removed.filter(isLeaving).map(({ key }) => key);
    if (leaving.length > 0) await this.#redirect({ set: [], remove: leaving });
    const slots = removed.map(({ key }) => this.#forget(key));
    const updated = changed.map(({ before, after }) => ({ active: this.#rekey(before.key, after), after }));
    const redirectsChanged = updated
      .filter(({ active, after }) => active.update(after))
      .map(({ active }) => active);
    const touched = updated.map(({ active }) => active);
    await this.#vacate(touched, slots);
    for (const active of touched) active.openListeners();
    for (const portal of added) {
      const active = this.#create(portal);
      active.openListeners();
      touched.push(active);
      redirectsChanged.push(active);
    }
    this.#report(touched);
    const stale = [...removed, ...changed.map(({ before }) => before)].map(({ key }) => key);
    return this.#put(
      touched,
      redirectsChanged,
      stale.filter((key) => !leaving.includes(key) && !desired.has(key)),
    );
  }

  /**
   * A proxy port that clients of the node know from now on is given up: the portal listens on another one
   * too, its redirect leads there, the old one closes, and then those that wait for it open.
   */
  #clearPorts(): Promise<void> {
    return this.#moves.take(async () => {
      if (this.#portsMayClash) await this.#change(() => this.#moveProxyPorts());
      if (this.#context.ports.hasLeft) await this.#change(() => this.#openLeftPorts());
    });
  }

  async #moveProxyPorts(): Promise<Underway> {
    if (this.#stopping) return DONE;
    const { ports } = this.#context;
    const moving = ports.exposed().flatMap((key) => this.#portals.get(key) ?? []);
    const moved = moving.filter((active) => active.movePort());
    this.#portsMayClash = ports.exposed().length > 0;
    if (this.#portsMayClash) this.#report(this.#portals.values(), true);
    return moved.length > 0 ? this.#put(moved, moved, []) : DONE;
  }

  async #openLeftPorts(): Promise<Underway> {
    if (this.#stopping) return DONE;
    const left = this.#context.ports.letGo((key) => this.#leadsAway(key));
    const moved = left.flatMap((key) => this.#portals.get(key) ?? []);
    await this.#vacate(moved, []);
    const waiting = [...this.#portals.values()].filter((active) => !active.isComplete);
    const opened = waiting.filter((active) => active.openListeners());
    this.#report(waiting, true);
    return opened.length > 0 ? this.#put(opened, [], []) : DONE;
  }

  /**
   * Whether no redirect leads to the port any more that the portal with this key had, or has beside another.
   */
  #leadsAway(key: string): boolean {
    const active = this.#portals.get(key);
    return active === undefined ? this.#lastRedirectFailure === '' : active.redirectState === 'inPlace';
  }

  /**
   * What one portal gives up, another may open in the same change: it must be closed by then. The workers get
   * all that changed, so that affinity does not see half a Service.
   */
  async #vacate(updated: readonly ActivePortal[], removedSlots: readonly number[]): Promise<void> {
    const vacating = updated.filter((active) => active.closeListeners());
    if (vacating.length === 0 && removedSlots.length === 0) return;
    const set = vacating.length === 0 ? [] : updated.map((active) => active.forDataplane());
    await this.#dataplane.apply(set, removedSlots);
  }

  #create(portal: Portal): ActivePortal {
    const active = new ActivePortal(portal, this.#dataplane.takeSlot(), this.#context);
    this.#portals.set(portal.key, active);
    if (!active.isSupported) this.#reportUnsupported(portal.family);
    return active;
  }

  #rekey(before: string, { key }: Portal): ActivePortal {
    const active = this.#portals.get(before) as ActivePortal;
    this.#portals.delete(before);
    this.#portals.set(key, active);
    return active;
  }

  /** Said when there are such portals only, and once for all of them. */
  #reportUnsupported(family: Family): void {
    if (this.#reportedFamilies.has(family)) return;
    this.#reportedFamilies.add(family);
    const reason = this.#driver.unsupported.get(family);
    this.#options.log.warn({ family, reason }, `VIPs of ${family} are not served on this node`);
  }

  #forget(key: string): number {
    const active = this.#portals.get(key) as ActivePortal;
    active.release();
    this.#portals.delete(key);
    return active.slot;
  }

  /**
   * Tells the workers what the portals listen on, and then redirects. The driver gets ready while the workers
   * take it in. Other changes do not wait for the driver: iptables may take its time, or hang.
   * @param stale redirects that nobody wants any more
   * @returns once the workers have it
   */
  async #put(
    touched: readonly ActivePortal[],
    redirectsChanged: readonly ActivePortal[],
    stale: readonly string[],
  ): Promise<Underway> {
    this.#dataplane.budget.limit = this.#context.capacity.forTraffic;
    if (touched.length > 0) await this.#savePorts();
    const listening = this.#listen(touched);
    // It may fail before the driver, which hears of it then, has its turn.
    listening.catch(() => undefined);
    const isMissing = ({ redirectState }: ActivePortal) => redirectState !== 'inPlace';
    const moved = touched.filter((active) => isMissing(active) && !redirectsChanged.includes(active));
    const wanted = [...redirectsChanged, ...moved].filter((active) => active.canRedirect);
    const lost = touched.filter((active) => active.redirectState === 'outdated' && !active.canRedirect);
    for (const active of lost) active.redirectState = 'missing';
    const gone = [...stale, ...lost.map(({ key }) => key)];
    const isIdle = wanted.length === 0 && gone.length === 0;
    const redirected = isIdle ? listening : this.#redirectTo(wanted, gone, listening);
    // It fails as listening does.
    redirected.catch(() => undefined);
    await listening;
    return { redirected };
  }

  async #redirectTo(
    wanted: readonly ActivePortal[],
    stale: readonly string[],
    listening: Promise<void>,
  ): Promise<void> {
    const sent = wanted.map((active) => ({
      active,
      redirect: active.redirect(),
      version: active.redirectVersion,
    }));
    const set = sent.map(({ redirect }) => redirect);
    const failure = await this.#redirect({ set, remove: stale }, listening);
    for (const { active, redirect, version } of sent) {
      active.redirected(version, failure?.concerns(redirect.id) ?? false);
    }
  }

  async #listen(touched: readonly ActivePortal[]): Promise<void> {
    if (touched.length === 0) return;
    const set = touched.map((active) => active.forDataplane());
    await this.#dataplane.apply(set, []);
    for (const active of touched) active.hearEveryone();
  }

  /** Says what cannot be had now, once. @param isSettled whether proxy ports have moved as far as they can */
  #report(touched: Iterable<ActivePortal>, isSettled = false): void {
    for (const active of touched) {
      const { key, service } = active.portal;
      for (const message of active.freshProblems(isSettled)) {
        this.#options.log.warn({ portal: key }, message);
        this.emit('problem', { object: `Service ${service}`, message });
      }
    }
  }

  /**
   * Written before anything points at the ports: a killed run's successor must find the ports its rules name.
   * Ports that were given back do no harm there, and wait for the next change or retry.
   */
  async #savePorts(): Promise<void> {
    const { ports } = this.#context;
    if (ports.dirty && !(await this.#portMemory.keep(ports.saved()))) ports.dirty = true;
  }

  /** @param listening resolves once the portals hear their clients; the driver gets ready meanwhile */
  async #redirect(change: RedirectChange, listening?: Promise<void>): Promise<RedirectError | null> {
    return this.#tryRedirect(async () => {
      const prepared = await this.#driver.prepare(change);
      await listening;
      await prepared.commit();
    });
  }

  /**
   * A failing driver keeps what is wanted and is asked again at the next audit;
   * the same failure is logged once.
   */
  async #tryRedirect(work: () => Promise<unknown>): Promise<RedirectError | null> {
    try {
      await this.#backlog.during(() => this.#driverTurns.take(work));
      this.#backlog.settle();
      this.#lastRedirectFailure = '';
      return null;
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      // One Service with an address that no node takes must not make them all unhealthy.
      if (error instanceof RedirectsRefused) this.#backlog.settle();
      if (error.message !== this.#lastRedirectFailure) this.#options.log.error(error.message);
      this.#lastRedirectFailure = error.message;
      return error;
    }
  }

  /**
   * Changes that need no redirect go on meanwhile:
   * a kernel with thousands of rules takes its time to list them.
   */
  async #audit(): Promise<void> {
    if (this.#stopping) return;
    const failure = await this.#tryRedirect(async () => {
      const repaired = await this.#driver.audit();
      if (repaired > 0) {
        this.#options.log.warn(
          { repaired, driver: this.#driver.name },
          'redirects were missing or changed; put back',
        );
      }
    });
    for (const active of this.#portals.values()) {
      const isRepaired = active.redirectState === 'refused' && !failure?.concerns(active.portal.key);
      if (isRepaired) active.redirectState = 'inPlace';
    }
  }

  /** Not while the driver is at work itself: what it changes is no disturbance. */
  async #repairSoon(): Promise<void> {
    if (this.#stopping) return;
    if (await this.#driverTurns.take(async () => this.#driver.wasDisturbed?.())) await this.#audit();
  }

  /** Tries again what could not be written or bound, and follows the node's addresses for NodePorts. */
  async #retry(): Promise<void> {
    if (this.#stopping) return;
    await this.#savePorts();
    const retried = [...this.#portals.values()].filter((active) => !active.isComplete || active.followsNode);
    const changed = retried.filter((active) => active.openListeners());
    this.#report(retried);
    if (changed.length === 0) return;
    const { redirected } = await this.#put(changed, [], []);
    this.#logged(redirected);
  }
}

/** A change that the workers have taken in, while the driver may be at it still. */
interface Underway {
  /** Settles once the redirects are in place, or are known not to be. */
  readonly redirected: Promise<void>;
}

const DONE: Underway = { redirected: Promise.resolve() };

/**
 * The workers come up while the driver finds out what works on this node.
 * @throws as either does; nothing runs then
 */
async function startBoth(
  openDriver: () => Promise<RedirectDriver>,
  options: DataplaneOptions,
): Promise<[RedirectDriver, Dataplane]> {
  const [driver, dataplane] = await Promise.allSettled([openDriver(), Dataplane.start(options)]);
  if (dataplane.status === 'rejected') throw dataplane.reason;
  if (driver.status === 'fulfilled') return [driver.value, dataplane.value];
  await dataplane.value.stop();
  throw driver.reason;
}

function memoryOfPorts({ stateDir, log }: ProxyOptions): StateMemory {
  return new StateMemory(new StateFile(stateDir, PORTS_FILE), log, {
    what: 'the proxy ports',
    loss: 'a restart may choose other ports and break open UDP flows',
  });
}

async function portalContext(
  options: ProxyOptions,
  portMemory: StateMemory,
  capacity: Capacity,
  driver: RedirectDriver,
  portals: ReadonlyMap<string, ActivePortal>,
): Promise<PortalContext> {
  const publicPorts = new PublicPorts();
  const saved = await savedPorts(driver, portMemory);
  return {
    workers: options.workers,
    driver,
    bindAddress: options.bindAddress,
    nodeAddresses: options.nodeAddresses,
    ports: new ProxyPorts(options.proxyPortRange, saved, publicPorts),
    publicPorts,
    placements: new Placements(options.workers, probeSteering(), capacity),
    capacity,
    slotOf: (key) => portals.get(key)?.slot,
    isVip: (protocol, place) => [...portals.values()].some(({ portal }) => hasVip(portal, protocol, place)),
  };
}

/** What an earlier run remembered, without families that have no proxy ports in this one. */
async function savedPorts(driver: RedirectDriver, memory: StateMemory): Promise<unknown> {
  const hasPorts = (family: Family) => driver.captureOf(family) === 'port';
  if (!FAMILIES.some(hasPorts)) return null;
  const saved = (await memory.recall(mappingOf)) ?? {};
  return Object.fromEntries(Object.entries(saved).filter(([key]) => hasPorts(familyOfKey(key))));
}

function hasVip(portal: Portal, protocol: Protocol, { address, port }: Vip): boolean {
  return (
    portal.protocol === protocol && portal.vips.some((vip) => vip.port === port && vip.address === address)
  );
}
