import { isDeepStrictEqual } from 'node:util';
import {
  type ListenerGroup,
  type ListenerSpec,
  openListeners,
  setFilter,
  steer,
} from '../dataplane/listeners.js';
import type { Admission } from '../dataplane/messages.js';
import type { DataplanePortal, PortalListener } from '../dataplane/pool.js';
import { NONE } from '../model/compact.js';
import type { Portal } from '../model/portal.js';
import type { Redirect, RedirectDriver } from '../redirect/driver.js';
import { EACCES, EADDRINUSE, SysError } from '../sys/errno.js';
import { type NodeAdmission, nodeAdmission } from './admission.js';
import type { Capacity } from './capacity.js';
import type { NodeAddresses } from './nodeaddresses.js';
import type { Placement, Placements } from './placement.js';
import { PortRangeError, type ProxyPorts } from './proxyports.js';
import type { PortalStatus } from './status.js';

/** A proxy port in use by others is exchanged for another this often before the portal waits for its next retry. */
const PORT_TRIES = 100;

const NEEDS_CAPABILITY = 'ports below 1024 need the capability NET_BIND_SERVICE, or --redirect=iptables';

/** What all portals of a node share. */
export interface PortalContext {
  readonly workers: number;
  readonly capture: 'port' | 'address';
  /** Whether a driver really redirects; without one clients may use the proxy ports directly. */
  readonly redirects: boolean;
  readonly unsupported: RedirectDriver['unsupported'];
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly nodeAddresses: NodeAddresses;
  readonly ports: ProxyPorts;
  readonly placements: Placements;
  readonly capacity: Capacity;
  /** The slot of the portal with a key. */
  slotOf(key: string): number | undefined;
}

interface WantedListener {
  readonly address: string;
  readonly port: number;
  readonly kind: 'proxyPort' | 'vip' | 'nodePort';
}

interface OpenListener extends PortalListener {
  /** Whom it hears while there are no endpoints, see {@link setFilter}; null for everyone. */
  heard: string | null;
}

interface MissingListener {
  readonly kind: WantedListener['kind'];
  /** Why, and what to do. */
  readonly message: string;
}

const EVERYONE: NodeAdmission = { sources: null, insiders: null };

/** A portal that exists on this node: its sockets, its place in the data plane and what is wrong with it. */
export class ActivePortal {
  /** What became of its redirect: the driver has not been given it, could not put it in place, or did. */
  redirectState: 'missing' | 'refused' | 'inPlace' = 'missing';
  #portal: Portal;
  #placement: Placement;
  #proxyPort: number | null = null;
  // Lists and not maps: they are short, and with thousands of portals a map in each is the most of the memory.
  #listeners: readonly OpenListener[] = NONE;
  #missing: readonly MissingListener[] = NONE;
  #admission: NodeAdmission = EVERYONE;

  constructor(
    portal: Portal,
    readonly slot: number,
    readonly context: PortalContext,
  ) {
    this.#portal = portal;
    this.#placement = context.placements.join(portal.service, portal.affinity !== null);
  }

  get portal(): Portal {
    return this.#portal;
  }

  get key(): string {
    return this.#portal.key;
  }

  get state(): PortalStatus['state'] {
    if (!this.isSupported) return 'unsupported';
    if (this.redirectState !== 'inPlace') return 'pending';
    return this.#isEmpty ? 'no-endpoints' : 'serving';
  }

  get isSupported(): boolean {
    return !this.context.unsupported.has(this.#portal.family);
  }

  get isComplete(): boolean {
    return this.#missing.length === 0;
  }

  /** Whether clients of the VIPs can be served or refused as they should: a NodePort may still be missing. */
  get canRedirect(): boolean {
    return this.isSupported && !this.#missing.some(({ kind }) => kind !== 'nodePort');
  }

  /** Whether its listeners or clients depend on the addresses that the node has. */
  get followsNode(): boolean {
    return this.#portal.nodePort !== null || this.#portal.insiders !== null;
  }

  /** Takes a new version of the portal. @returns whether its redirect must be made anew */
  update(portal: Portal): boolean {
    const before = this.#portal;
    const { placements } = this.context;
    this.#portal = portal;
    // Before it leaves: a Service's only portal would else forget where it was, and move with every update.
    this.#placement = placements.join(portal.service, portal.affinity !== null);
    placements.leave(before.service, before.affinity !== null);
    if (before.key !== portal.key) this.context.ports.rename(before.key, portal.key);
    return before.key !== portal.key || !sameVips(before, portal);
  }

  /**
   * Lets go of listeners that are not wanted any more: the workers close them with the next {@link forDataplane}.
   * @returns whether there were any
   */
  closeListeners(): boolean {
    const wanted = this.#wanted();
    return this.#dropListeners(
      ({ spec }) => spec.onlyWorker !== this.#placement || !wanted.some((one) => samePlace(one, spec)),
    );
  }

  /**
   * Opens listeners that are wanted and not there, and closes those no longer wanted.
   * @returns whether the data plane must hear of it
   */
  openListeners(): boolean {
    this.#missing = NONE;
    this.#takeProxyPort();
    let changed = this.closeListeners();
    for (const listener of this.#wanted()) {
      if (this.#listeners.some(({ group }) => samePlace(group.spec, listener))) continue;
      changed = this.#open(listener) || changed;
    }
    if (this.#portal.affinity !== null) for (const { group } of this.#listeners) steer(group);
    changed = this.#admit() || changed;
    if (this.#isEmpty) this.#ignoreOutsiders();
    return changed;
  }

  /** Once the workers have endpoints, everyone may be heard again. */
  hearEveryone(): void {
    if (this.#isEmpty) return;
    for (const listener of this.#listeners) {
      if (listener.heard !== null) setFilter(listener.group, null);
      listener.heard = null;
    }
  }

  /** The portal is going: the data plane closes its sockets. */
  release(): void {
    this.#dropListeners(() => true);
    this.context.placements.leave(this.#portal.service, this.#portal.affinity !== null);
    this.context.ports.release(this.#portal);
  }

  forDataplane(): DataplanePortal {
    const { key, service, protocol, family, endpoints, affinity } = this.#portal;
    return {
      slot: this.slot,
      key,
      service,
      protocol,
      family,
      endpoints,
      listeners: this.#listeners,
      onlyWorker: this.#placement,
      affinityTimeout: affinity === null ? null : affinity.timeoutSeconds * 1000,
      admission: this.#resolvedAdmission(),
    };
  }

  #resolvedAdmission(): Admission {
    const { sources, insiders } = this.#admission;
    const slot = this.context.slotOf(this.#portal.insiders?.key ?? '');
    return {
      sources,
      insiders: insiders === null || slot === undefined ? null : { slot, sources: insiders },
    };
  }

  redirect(): Redirect {
    const { key, service, portName, protocol, family, vips } = this.#portal;
    const label = portName === '' ? service : `${service}:${portName}`;
    return { id: key, label, protocol, family, vips, proxyPort: this.#proxyPort ?? 0 };
  }

  status(): PortalStatus {
    const { key, service, portName, protocol, family, vips, nodePort, endpoints, affinity } = this.#portal;
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
      affinity,
      state: this.state,
      problems: this.isSupported
        ? this.problems()
        : [`VIPs of ${family} are not served: ${this.context.unsupported.get(family)}`, ...this.problems()],
    };
  }

  /** Why listeners are missing. */
  problems(): string[] {
    return this.#missing.map(({ message }) => message);
  }

  /** @returns whether the data plane must hear of it */
  #admit(): boolean {
    const admission = nodeAdmission(this.#portal, this.context.capture);
    if (isDeepStrictEqual(admission, this.#admission)) return false;
    this.#admission = admission;
    return true;
  }

  #ignoreOutsiders(): void {
    const heard = this.#admission.insiders ?? [];
    for (const listener of this.#listeners) {
      if (listener.heard === heard.join()) continue;
      listener.heard = heard.join();
      setFilter(listener.group, heard);
    }
  }

  #takeProxyPort(): void {
    const { capture, ports } = this.context;
    if (capture === 'address' || !this.isSupported) return;
    try {
      this.#proxyPort = ports.take(this.#portal);
    } catch (error) {
      if (!(error instanceof PortRangeError)) throw error;
      this.#miss('proxyPort', error.message);
    }
  }

  get #isEmpty(): boolean {
    return this.#portal.endpoints.length === 0;
  }

  /**
   * Without endpoints nothing listens, so that the kernel refuses clients at once; the proxy port stays reserved. Clients that
   * are to be ignored need a listener that does so.
   */
  #wanted(): WantedListener[] {
    if (this.#isEmpty && this.#portal.unserved === 'refuse') return [];
    return [...this.#wantedForVips(), ...this.#wantedNodePorts()];
  }

  #wantedNodePorts(): WantedListener[] {
    const { nodePort, family } = this.#portal;
    if (nodePort === null) return [];
    return this.context.nodeAddresses
      .of(family)
      .map((address) => ({ address, port: nodePort, kind: 'nodePort' }));
  }

  #wantedForVips(): WantedListener[] {
    const { family, vips } = this.#portal;
    if (!this.isSupported) return [];
    if (this.context.capture === 'address') return vips.map((vip) => ({ ...vip, kind: 'vip' }));
    if (this.#proxyPort === null) return [];
    return [{ address: this.context.bindAddress[family], port: this.#proxyPort, kind: 'proxyPort' }];
  }

  /** @returns whether a socket was opened; else the reason is among the problems */
  #open(listener: WantedListener): boolean {
    try {
      const group = listener.kind === 'proxyPort' ? this.#openProxyPort(listener) : this.#openGroup(listener);
      const redirectedPort = listener.kind === 'proxyPort' && this.context.redirects ? group.spec.port : null;
      this.#listeners = this.#listeners.concat({ group, redirectedPort, heard: null });
      this.context.capacity.listenersOpened(countOf(group));
      return true;
    } catch (error) {
      if (!(error instanceof SysError || error instanceof PortRangeError)) throw error;
      this.#miss(listener.kind, this.#explain(listener, error));
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
        this.redirectState = 'missing';
      }
    }
  }

  #openGroup({ address, port, kind }: WantedListener): ListenerGroup {
    const { protocol, family, affinity } = this.#portal;
    const spec: ListenerSpec = {
      protocol,
      family,
      address,
      port,
      freeBind: kind === 'vip',
      steered: affinity !== null,
      onlyWorker: this.#placement,
    };
    return openListeners(spec, this.context.workers);
  }

  #explain({ address, port, kind }: WantedListener, error: SysError | PortRangeError): string {
    if (error instanceof PortRangeError) return error.message;
    const place = `${hostPort(address, port)}/${this.#portal.protocol}`;
    if (error.code === EACCES) return `cannot listen on ${place}: ${NEEDS_CAPABILITY}; trying again`;
    if (error.code !== EADDRINUSE) return `cannot listen on ${place}: ${error.message}; trying again`;
    const what = kind === 'nodePort' ? 'NodePort' : kind === 'vip' ? 'VIP' : 'proxy port';
    return `${what} ${place} is taken by another program; stop it (ss -lntup shows it) or change the Service; trying again`;
  }

  #miss(kind: WantedListener['kind'], message: string): void {
    this.#missing = [...this.#missing, { kind, message }];
  }

  /** @returns whether there were any */
  #dropListeners(isUnwanted: (group: ListenerGroup) => boolean): boolean {
    const dropped = this.#listeners.filter(({ group }) => isUnwanted(group));
    if (dropped.length === 0) return false;
    this.#listeners = this.#listeners.filter((listener) => !dropped.includes(listener));
    for (const { group } of dropped) this.context.capacity.listenersClosed(countOf(group));
    return true;
  }
}

type Place = Pick<ListenerSpec, 'address' | 'port'>;

function samePlace(a: Place, b: Place): boolean {
  return a.port === b.port && a.address === b.address;
}

function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function countOf(group: ListenerGroup): number {
  return group.fds.filter((fd) => fd !== null).length;
}

function sameVips(a: Portal, b: Portal): boolean {
  return (
    a.vips.length === b.vips.length &&
    a.vips.every((vip, index) => vip.address === b.vips[index].address && vip.port === b.vips[index].port)
  );
}
