import { isDeepStrictEqual } from 'node:util';
import type { DataplanePortal } from '../dataplane/dataplane.js';
import { type ListenerGroup, type ListenerSpec, setFilter, steer } from '../dataplane/listeners.js';
import { NONE } from '../model/compact.js';
import { hostPort } from '../net/hostport.js';
import { type Admission, EVERYONE } from '../portal/admission.js';
import type { Portal, Vip } from '../portal/portal.js';
import { affinityStatus, type PortalStatus } from '../portal/status.js';
import type { Redirect, RedirectDriver } from '../redirect/driver.js';
import { EADDRINUSE, SysError } from '../sys/errno.js';
import { nodeAdmission } from './admission.js';
import type { Capacity } from './capacity.js';
import {
  areVipsTaken,
  explainFilter,
  explainOwnServer,
  explainProxyPort,
  explainRefusal,
  explainSteering,
  isAmong,
  type MissingListener,
  toBeSaid,
  vipsServed,
} from './listenfailure.js';
import type { Placement, Placements } from './placement.js';
import { type OpenListener, PortalSockets } from './portalsockets.js';
import { PortRangeError } from './portpool.js';
import type { ProxyPorts } from './proxyports.js';
import {
  type ListenerContext,
  listenersForNodePort,
  listenersForVips,
  neighboursOf,
  samePlace,
  type WantedListener,
} from './wantedlisteners.js';

/**
 * A proxy port in use by others is exchanged for another this often
 * before the portal waits for its next retry.
 */
const PORT_TRIES = 100;

/** What all portals of a node share. */
export interface PortalContext extends ListenerContext {
  readonly workers: number;
  readonly driver: Pick<RedirectDriver, 'captureOf' | 'bringsTraffic' | 'unsupported' | 'gate'>;
  readonly ports: ProxyPorts;
  readonly placements: Placements;
  readonly capacity: Capacity;
  /** The id of the portal with a key. */
  idOf(key: string): number | undefined;
}

/** A portal that exists on this node: its sockets, its place in the data plane and what is wrong with it. */
export class ActivePortal {
  /**
   * What became of its redirect: the driver has not been given it, has another version of it,
   * could not put it in place, or did.
   */
  redirectState: 'missing' | 'outdated' | 'refused' | 'inPlace' = 'missing';
  /** Of what it wants: the driver may be at an earlier one. */
  redirectVersion = 0;
  readonly #sockets: PortalSockets;
  #portal: Portal;
  #placement: Placement;
  #proxyPort: number | null = null;
  // Lists and not maps: they are short,
  // and with thousands of portals a map in each is the most of the memory.
  #missing: readonly MissingListener[] = NONE;
  #said: readonly MissingListener[] = NONE;
  /** What its listeners should do and the kernel refuses, with the consequence. */
  #shortcomings: readonly string[] = NONE;
  #saidShortcomings: readonly string[] = NONE;
  #admission: Admission = EVERYONE;

  constructor(
    portal: Portal,
    readonly id: number,
    readonly context: PortalContext,
  ) {
    this.#sockets = new PortalSockets(context);
    this.#portal = portal;
    this.#placement = context.placements.join(portal.service, portal.policy.affinity !== null);
  }

  get portal(): Portal {
    return this.#portal;
  }

  get key(): string {
    return this.#portal.key;
  }

  get state(): PortalStatus['state'] {
    if (!this.isSupported) return 'unsupported';
    if (this.redirectState !== 'inPlace') return areVipsTaken(this.#missing) ? 'taken' : 'pending';
    return this.#isEmpty ? 'no-endpoints' : 'serving';
  }

  get isSupported(): boolean {
    return !this.context.driver.unsupported.has(this.#portal.family);
  }

  get isComplete(): boolean {
    return this.#missing.length === 0 && this.#shortcomings.length === 0;
  }

  /**
   * Whether clients of any VIP can be served or refused as they should: others, and a NodePort,
   * may still be missing.
   */
  get canRedirect(): boolean {
    if (!this.isSupported || this.#missing.some(({ wanted }) => wanted === null || isProxyPort(wanted)))
      return false;
    return this.#portal.vips.length === 0 || this.#vipsServed.length > 0;
  }

  /** Whether its listeners or clients depend on the addresses that the node has. */
  get followsNode(): boolean {
    return this.#portal.nodePort !== null || this.#portal.admission.insiders !== null;
  }

  /** Takes a new version of the portal. @returns whether its redirect must be made anew */
  update(portal: Portal): boolean {
    const before = this.#portal;
    const { placements } = this.context;
    this.#portal = portal;
    // Before it leaves: a Service's only portal would else forget where it was, and move with every update.
    this.#placement = placements.join(portal.service, portal.policy.affinity !== null);
    placements.leave(before.service, before.policy.affinity !== null);
    if (before.key !== portal.key) this.context.ports.rename(before.key, portal.key);
    const isAnother = before.key !== portal.key || !sameVips(before.vips, portal.vips);
    if (isAnother) this.#outdate();
    return isAnother;
  }

  /**
   * Lets go of listeners that are not wanted any more:
   * the workers close them with the next {@link forDataplane}.
   * @returns whether there were any
   */
  closeListeners(): boolean {
    const kept = [...this.#wanted(), ...this.#left()];
    return this.#sockets.giveUp(
      ({ spec }) => spec.onlyWorker !== this.#placement || !kept.some((one) => samePlace(one, spec)),
    );
  }

  /**
   * Opens listeners that are wanted and not there, and closes those no longer wanted.
   * @returns whether the data plane must hear of it
   */
  openListeners(): boolean {
    const served = this.#vipsServed;
    this.#missing = NONE;
    this.#shortcomings = NONE;
    this.#takeProxyPort();
    let changed = this.closeListeners();
    for (const { group } of this.#sockets.all) this.#steer(group);
    for (const listener of this.#wanted()) {
      if (this.#sockets.has(listener)) continue;
      changed = this.#open(listener) || changed;
    }
    if (!sameVips(served, this.#vipsServed)) this.#outdate();
    changed = this.#admit() || changed;
    if (this.#isEmpty) this.#ignoreOutsiders();
    return changed;
  }

  /**
   * Takes another proxy port, as clients of the node may use the one that it has. That stays open until
   * nothing leads there: then {@link ProxyPorts.letGo}, and close it.
   * @returns whether there is a new one to redirect to
   */
  movePort(): boolean {
    const { ports } = this.context;
    if (this.#proxyPort === null) {
      ports.release(this.#portal);
      return false;
    }
    try {
      this.#proxyPort = ports.move(this.#portal);
    } catch (error) {
      if (!(error instanceof PortRangeError)) throw error;
      return false;
    }
    this.#outdate();
    this.openListeners();
    return true;
  }

  /** The workers have got its listeners, and close them from now on. */
  handOver(): void {
    this.#sockets.handOver();
  }

  /** Once the workers have endpoints, everyone may be heard again. */
  hearEveryone(): void {
    if (this.#isEmpty) return;
    for (const listener of this.#sockets.all) if (listener.heard !== null) this.#hear(listener, null);
  }

  /** The portal is going: the workers close the sockets that they have got. */
  release(): void {
    this.#sockets.giveUp(() => true);
    this.context.placements.leave(this.#portal.service, this.#portal.policy.affinity !== null);
    this.context.ports.leave(this.#portal.key);
  }

  forDataplane(): DataplanePortal {
    const { key, service, protocol, family, endpoints, policy } = this.#portal;
    return {
      id: this.id,
      key,
      service,
      protocol,
      family,
      endpoints,
      policy,
      listeners: this.#sockets.all,
      onlyWorker: this.#placement,
      admission: this.#admissionByIds(),
    };
  }

  /**
   * For workers, who know portals by their ids.
   * The other portal may have got another key since the ranges were made.
   */
  #admissionByIds(): Admission<number> {
    const { sources, insiders } = this.#admission;
    const portal = this.context.idOf(this.#portal.admission.insiders?.portal ?? '');
    return { sources, insiders: insiders === null || portal === undefined ? null : { ...insiders, portal } };
  }

  /** What it wants now, to be given to the driver. */
  redirect(): Redirect {
    const { key, service, portName, protocol, family } = this.#portal;
    const label = portName === '' ? service : `${service}:${portName}`;
    return {
      id: key,
      label,
      protocol,
      family,
      vips: this.#vipsServed,
      proxyPort: this.#proxyPort ?? 0,
    };
  }

  /**
   * The driver has put a version in place, or was refused. Where another one is wanted by now,
   * that changes nothing.
   */
  redirected(version: number, isRefused: boolean): void {
    if (version === this.redirectVersion) this.redirectState = isRefused ? 'refused' : 'inPlace';
  }

  /** Nothing is to lead to it any more, also where the driver is at an earlier version still. */
  unredirect(): void {
    this.redirectVersion++;
    this.redirectState = 'missing';
  }

  status(): PortalStatus {
    const { key, service, portName, protocol, family, vips, nodePort, endpoints, policy } = this.#portal;
    return {
      key,
      service,
      portName,
      protocol,
      family,
      vips,
      nodePort,
      proxyPort: this.#proxyPort,
      endpoints: endpoints.map(({ address, port }) => hostPort(address, port)),
      affinity: affinityStatus(policy),
      state: this.state,
      problems: this.isSupported
        ? this.problems()
        : [
            `VIPs of ${family} are not served: ${this.context.driver.unsupported.get(family)}`,
            ...this.problems(),
          ],
    };
  }

  /** Why listeners are missing, or do not all that they should. */
  problems(): string[] {
    return [...this.#missing.map(({ message }) => message), ...this.#shortcomings];
  }

  /**
   * The {@link problems} that were not among what this returned before.
   * @param isSettled whether those count that moves of proxy ports may end
   */
  freshProblems(isSettled: boolean): string[] {
    const known = this.#said;
    this.#said = toBeSaid(this.#missing, known, isSettled);
    const unsaid = this.#shortcomings.filter((message) => !this.#saidShortcomings.includes(message));
    this.#saidShortcomings = this.#shortcomings;
    return [...this.#said.filter((one) => !isAmong(one, known)).map(({ message }) => message), ...unsaid];
  }

  /** @returns whether the data plane must hear of it */
  #admit(): boolean {
    const admission = nodeAdmission(this.#portal, this.context.driver.captureOf(this.#portal.family));
    if (isDeepStrictEqual(admission, this.#admission)) return false;
    this.#admission = admission;
    return true;
  }

  #ignoreOutsiders(): void {
    const heard = this.#admission.insiders?.sources ?? [];
    for (const listener of this.#sockets.all)
      if (listener.heard !== heard.join()) this.#hear(listener, heard);
  }

  /** @param heard see {@link setFilter} */
  #hear(listener: OpenListener, heard: readonly string[] | null): void {
    const code = setFilter(listener.group, heard);
    if (code === 0) listener.heard = heard?.join() ?? null;
    else this.#fallShort(explainFilter(listener.group.spec, heard, code));
  }

  /** As soon as a listener is there: until then clients meet any worker. */
  #steer(group: ListenerGroup): void {
    if (this.#portal.policy.affinity === null) return;
    const code = steer(group);
    if (code !== 0) this.#fallShort(explainSteering(group.spec, code));
  }

  #fallShort(message: string): void {
    this.#shortcomings = [...this.#shortcomings, message];
  }

  #takeProxyPort(): void {
    const { driver, ports } = this.context;
    if (driver.captureOf(this.#portal.family) === 'address' || !this.isSupported) return;
    try {
      this.#proxyPort = ports.take(this.#portal);
    } catch (error) {
      if (!(error instanceof PortRangeError)) throw error;
      this.#miss(null, error.message);
    }
  }

  /** The driver has another version of the redirect, if any. */
  #outdate(): void {
    this.redirectVersion++;
    if (this.redirectState !== 'missing') this.redirectState = 'outdated';
  }

  get #vipsServed(): readonly Vip[] {
    return vipsServed(this.#portal.vips, this.#missing);
  }

  get #isEmpty(): boolean {
    return this.#portal.endpoints.length === 0;
  }

  /**
   * Without endpoints nothing listens, so that the kernel refuses clients at once; the proxy port stays
   * reserved. Clients that are to be ignored need a listener that does so.
   */
  #wanted(): WantedListener[] {
    if (this.#isEmpty && this.#portal.unserved === 'refuse') return [];
    const forVips = this.isSupported ? listenersForVips(this.#portal, this.#proxyPort, this.context) : [];
    return [...forVips, ...listenersForNodePort(this.#portal, this.context)];
  }

  /** The proxy ports that it has moved from, as long as something may lead there. */
  #left(): Vip[] {
    const { ports, bindAddress } = this.context;
    if (this.#isEmpty || !ports.hasLeft) return [];
    return ports.leftBy(this.key).map((port) => ({ address: bindAddress[this.#portal.family], port }));
  }

  /** @returns whether a socket was opened; else the reason is among the problems */
  #open(listener: WantedListener): boolean {
    const { protocol, family } = this.#portal;
    const owner = isProxyPort(listener)
      ? undefined
      : this.context.ports.ownerOf(protocol, family, listener.port);
    if (owner !== undefined) {
      this.#miss(listener, explainProxyPort(listener, protocol, owner), { isWaiting: true });
      return false;
    }
    try {
      const group = isProxyPort(listener) ? this.#openProxyPort(listener) : this.#openGroup(listener);
      this.#steer(group);
      const redirectedPort =
        isProxyPort(listener) && this.context.driver.bringsTraffic ? group.spec.port : null;
      this.#sockets.adopt(group, redirectedPort);
      return true;
    } catch (error) {
      if (error instanceof PortRangeError) this.#miss(null, error.message);
      else if (error instanceof SysError) this.#refused(listener, error);
      else throw error;
      return false;
    }
  }

  #openProxyPort(listener: WantedListener): ListenerGroup {
    for (let tries = 1; ; tries++) {
      try {
        return this.#openGroup({ ...listener, port: this.#proxyPort as number });
      } catch (error) {
        if (!(error instanceof SysError) || error.code !== EADDRINUSE || tries === PORT_TRIES) throw error;
        this.#proxyPort = this.context.ports.retake(this.#portal);
        this.#outdate();
      }
    }
  }

  #openGroup(listener: WantedListener): ListenerGroup {
    const { protocol, family } = this.#portal;
    const spec: ListenerSpec = {
      protocol,
      family,
      address: listener.address,
      port: listener.port,
      neighbours: neighboursOf(listener, this.#portal, this.context),
      freeBind: listener.kind === 'vip',
      onlyWorker: this.#placement,
    };
    return this.#sockets.open(spec);
  }

  #refused(listener: WantedListener, error: SysError): void {
    const { protocol } = this.#portal;
    const isTaken = error.code === EADDRINUSE;
    const isOwn = isTaken && this.context.publicPorts.isOwn(protocol, listener.port);
    const message = isOwn ? explainOwnServer(listener, protocol) : explainRefusal(listener, protocol, error);
    this.#miss(listener, message, { isTaken });
  }

  #miss(wanted: WantedListener | null, message: string, { isTaken = false, isWaiting = false } = {}): void {
    this.#missing = [...this.#missing, { wanted, message, isTaken, isWaiting }];
  }
}

function isProxyPort({ kind }: WantedListener): boolean {
  return kind === 'proxyPort';
}

function sameVips(a: readonly Vip[], b: readonly Vip[]): boolean {
  if (a.length !== b.length) return false;
  return a === b || b.every((vip, index) => a[index] !== undefined && samePlace(a[index], vip));
}
