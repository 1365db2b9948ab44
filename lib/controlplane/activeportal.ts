import { isDeepStrictEqual } from 'node:util';
import type { DataplanePortal, PortalCarriage } from '../dataplane/dataplaneportal.js';
import { NONE } from '../model/compact.js';
import { type Admission, EVERYONE } from '../portal/admission.js';
import { speaksRtps } from '../portal/policy.js';
import type { Portal, PortalVip, Vip } from '../portal/portal.js';
import type { PortalStatus } from '../portal/status.js';
import type { Redirect, RedirectDriver } from '../redirect/driver.js';
import { admissionByIds, nodeAdmission, type PortalIdLookup } from './admission.js';
import type { Capacity } from './capacity.js';
import { areSameCarried, type CarriedContext, carriedVips } from './carriedvips.js';
import type { Carriers } from './carriers.js';
import { hearOnly, steerClients } from './clientfilters.js';
import { type OpeningContext, openMissing } from './listeneropening.js';
import type { Placement, Placements } from './placement.js';
import { areVipsTaken, isWithoutProxyPort, type PortalProblem, vipsServed } from './portalproblem.js';
import { leftListeners, moveProxyPort, proxyPortOf, takeProxyPort } from './portalproxyport.js';
import { isSameRedirect, portalRedirect } from './portalredirect.js';
import { PortalSockets } from './portalsockets.js';
import { portalStatus } from './portalstatus.js';
import { RedirectProgress } from './redirectprogress.js';
import { isSamePlace, type WantedListener, wantedListeners } from './wantedlisteners.js';

/** What all portals of a node share. */
export interface NodeContext extends OpeningContext, PortalIdLookup, CarriedContext {
  readonly driver: Pick<RedirectDriver, 'captureOf' | 'bringsTraffic' | 'unsupported' | 'gate'>;
  readonly carriers: Carriers;
  readonly placements: Placements;
  readonly capacity: Capacity;
}

/** A portal on this node: its sockets, its redirect, its place in the workers, its problems. */
export class ActivePortal {
  /** How far the driver is with its redirect. */
  readonly redirectProgress = new RedirectProgress();
  readonly #sockets: PortalSockets;
  #portal: Portal;
  #placement: Placement;
  /** A list: with thousands of portals, a map in each of them would take most of the memory. */
  #problems: readonly PortalProblem[] = NONE;
  #admission: Admission = EVERYONE;
  /** What the kernel may carry, from the beginning on or later. Null: nothing. */
  #carriedVips: readonly PortalVip[] | null = null;

  constructor(
    portal: Portal,
    readonly id: number,
    readonly context: NodeContext,
  ) {
    this.#sockets = new PortalSockets(context);
    this.#portal = portal;
    this.#placement = context.placements.join(portal.service, portal.policy);
  }

  get portal(): Portal {
    return this.#portal;
  }

  get key(): string {
    return this.#portal.key;
  }

  get state(): PortalStatus['state'] {
    if (!this.isSupported) return 'unsupported';
    if (!this.redirectProgress.isInPlace) return areVipsTaken(this.#problems) ? 'taken' : 'pending';
    return this.#isEmpty ? 'no-endpoints' : 'serving';
  }

  /** Whether the driver serves VIPs of its family. */
  get isSupported(): boolean {
    return !this.context.driver.unsupported.has(this.#portal.family);
  }

  get carrier(): PortalStatus['carrier'] {
    // The kernel only takes over flows that the relay has begun, if their datagrams are read.
    return this.#carriedVips === null || speaksRtps(this.#portal.policy) ? 'relay' : 'kernel';
  }

  /** Who may use it on this node, and which clients another portal serves. */
  get admission(): Admission {
    return this.#admission;
  }

  /** What went wrong since the portal last began to open its listeners. */
  get problems(): readonly PortalProblem[] {
    return this.#problems;
  }

  get isComplete(): boolean {
    return this.#problems.length === 0;
  }

  /** Whether at least one VIP can be served. Other VIPs and the NodePort may be missing. */
  get canRedirect(): boolean {
    if (!this.isSupported || isWithoutProxyPort(this.#problems)) return false;
    return this.#portal.vips.length === 0 || this.#vipsServed.length > 0;
  }

  /** Whether its listeners or its clients depend on the node's addresses. */
  get followsNode(): boolean {
    return this.#portal.nodePort !== null || this.#portal.admission.insiders !== null;
  }

  /** Takes a new version of the portal. @returns whether it needs a new redirect */
  update(portal: Portal): boolean {
    const before = this.#portal;
    const { placements } = this.context;
    const redirect = this.redirect();
    this.#portal = portal;
    // It joins before it leaves: else a Service's only portal would move to another worker with every update.
    this.#placement = placements.join(portal.service, portal.policy);
    placements.leave(before.service, before.policy);
    if (before.key !== portal.key) this.context.ports.rename(before.key, portal.key);
    this.#carry();
    const isAnother = before.key !== portal.key || !isSameRedirect(redirect, this.redirect());
    if (isAnother) this.redirectProgress.outdate();
    return isAnother;
  }

  /**
   * Gives up listeners that are not wanted any more. The workers close them with the next
   * {@link forDataplane}.
   * @returns whether there were any
   */
  closeListeners(): boolean {
    const kept = [...this.#wanted(), ...leftListeners(this.#portal, this.context)];
    return this.#sockets.giveUp(
      ({ spec }) => spec.onlyWorker !== this.#placement || !kept.some((one) => isSamePlace(one, spec)),
    );
  }

  /**
   * Opens listeners that are wanted and not open, and gives up those that are not wanted any more.
   * @returns whether the data plane must be told of it
   */
  openListeners(): boolean {
    const before = this.redirect();
    this.#problems = takeProxyPort(this.#portal, this.context);
    const hasClosed = this.closeListeners();
    for (const { group } of this.#sockets.all) this.#note(steerClients(group, this.#portal.policy));
    const { hasOpened, problems } = openMissing(this.#wanted(), this.#sockets, {
      portal: this.#portal,
      onlyWorker: this.#placement,
      context: this.context,
    });
    this.#note(problems);
    const hasOtherCarriage = this.#carry();
    if (!isSameRedirect(before, this.redirect())) this.redirectProgress.outdate();
    const hasOtherClients = this.#admit();
    if (this.#isEmpty) this.#note(hearOnly(this.#sockets.all, this.#admission.insiders?.sources ?? NONE));
    return hasClosed || hasOpened || hasOtherClients || hasOtherCarriage;
  }

  /**
   * Takes another proxy port, because the port that it has is public now. The old port stays open until no
   * redirect leads to it. Then the caller calls {@link ProxyPorts.freeLeftPorts} and {@link closeListeners}.
   * @returns whether there is a new port to redirect to
   */
  movePort(): boolean {
    if (!moveProxyPort(this.#portal, this.context)) return false;
    this.redirectProgress.outdate();
    this.openListeners();
    return true;
  }

  /** The workers own its listeners now, and close them later. */
  handOver(): void {
    this.#sockets.handOver();
  }

  /** Hears all clients again. Call it once the workers have endpoints: it does nothing without any. */
  hearEveryone(): void {
    if (!this.#isEmpty) this.#note(hearOnly(this.#sockets.all, null));
  }

  /** The portal is removed. The workers close the sockets that they own. */
  release(): void {
    this.#sockets.giveUp(() => true);
    this.context.placements.leave(this.#portal.service, this.#portal.policy);
    this.context.ports.leave(this.#portal.key);
  }

  /** The portal as workers get it. */
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
      admission: admissionByIds(this.#admission, this.#portal, this.context),
      carriage: this.#carriage,
    };
  }

  /** The redirect that the portal wants now. */
  redirect(): Redirect {
    const { carriers } = this.context;
    return portalRedirect(this.#portal, this.#vipsServed, this.#proxyPort, this.#carriage, carriers);
  }

  status(): PortalStatus {
    const { state, problems, context } = this;
    const unsupported = context.driver.unsupported.get(this.#portal.family);
    return portalStatus(this.#portal, {
      state,
      problems,
      unsupported,
      proxyPort: this.#proxyPort,
      carrier: this.carrier,
      carriers: context.carriers,
    });
  }

  get #carriage(): PortalCarriage | null {
    const vips = this.#carriedVips;
    return vips && { vips, homeWorker: this.context.carriers.homeOf(this.id, this.#placement) };
  }

  get #vipsServed(): readonly Vip[] {
    return vipsServed(this.#portal.vips, this.#problems);
  }

  get #isEmpty(): boolean {
    return this.#portal.endpoints.length === 0;
  }

  get #proxyPort(): number | null {
    return proxyPortOf(this.#portal, this.context);
  }

  #wanted(): WantedListener[] {
    return wantedListeners(this.#portal, this.#proxyPort, this.context);
  }

  /** @returns whether the kernel may carry other traffic than before */
  #carry(): boolean {
    const vips = carriedVips(this.#portal, this.context, this.#problems);
    if (areSameCarried(vips, this.#carriedVips)) return false;
    this.#carriedVips = vips;
    return true;
  }

  /** @returns whether other clients than before are let in */
  #admit(): boolean {
    const admission = nodeAdmission(this.#portal, this.context.driver.captureOf(this.#portal.family));
    if (isDeepStrictEqual(admission, this.#admission)) return false;
    this.#admission = admission;
    return true;
  }

  #note(problems: readonly PortalProblem[]): void {
    if (problems.length > 0) this.#problems = [...this.#problems, ...problems];
  }
}
