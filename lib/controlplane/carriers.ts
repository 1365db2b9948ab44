import type { Logger } from 'pino';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { CarrierReasons } from '../dataplane/shared/carrier.js';
import { NONE } from '../model/compact.js';
import { FAMILIES, type Family, isLoopback } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import { type CarrierMode, type CarrierOptions, firstPacketQueueOf, homesAmong } from '../portal/carrier.js';
import { routesEachDatagram, type ServicePolicy, speaksRtps } from '../portal/policy.js';
import type { Portal } from '../portal/portal.js';
import { probeTracking } from '../sys/netlink/trackingprobe.js';
import type { ForwardingWatch } from './forwardingwatch.js';
import type { Placement } from './placement.js';
import type { Redirects } from './redirects.js';

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP'];
const READS_RTPS = 'workers read the datagrams of a Service with an annotation about RTPS';

const ON_LOOPBACK = 'one of its endpoints has a loopback address, and packets of other hosts never go there';

/** What decides whether the kernel may carry a portal. */
type Candidate = Pick<Portal, 'policy' | 'family' | 'protocol' | 'endpoints'>;

/** For each family and protocol, why the kernel cannot carry it on this node; null if it can. */
type Support = Readonly<Record<Family, CarrierReasons>>;

export interface CarrierTools {
  readonly options: CarrierOptions;
  readonly workers: number;
  readonly redirects: Pick<Redirects, 'openCarrier'>;
  readonly dataplane: Pick<Dataplane, 'openCarrier'>;
  readonly forwarding: Pick<ForwardingWatch, 'begin'>;
  readonly log: Pick<Logger, 'info'>;
}

/** Decides which portals the kernel may carry. */
export class Carriers {
  readonly #tools: CarrierTools;
  /** Null: no portal has asked yet. */
  #support: Support | null = null;

  constructor(tools: CarrierTools) {
    this.#tools = tools;
  }

  /**
   * Finds out what the kernel can carry on this node, once a portal wants it. Call it before the portals are
   * used: the answers to all other questions depend on it.
   * @throws Error if a worker has ended
   */
  async openFor(portals: Iterable<Pick<Portal, 'policy'>>): Promise<void> {
    if (this.#support !== null) return;
    for (const { policy } of portals) {
      if (this.modeOf(policy) === 'relay') continue;
      this.#support = await this.#findSupport();
      for (const limit of this.limits) this.#tools.log.info(limit);
      return;
    }
  }

  modeOf({ carrier }: ServicePolicy): CarrierMode {
    return carrier ?? this.#tools.options.mode;
  }

  /** Why a portal is relayed although its mode is another. Null: it is not, or it shall be relayed. */
  obstacleTo({ policy, family, protocol, endpoints }: Candidate): string | null {
    if (this.modeOf(policy) === 'relay') return null;
    const isReached = !endpoints.some(({ address }) => isLoopback(address));
    return this.#obstacleOf(policy, family, protocol) ?? (isReached ? null : ON_LOOPBACK);
  }

  /** The problem of a portal that the kernel shall carry and cannot. */
  problemOf(portal: Candidate): string | null {
    const reason = this.obstacleTo(portal);
    if (reason === null || this.modeOf(portal.policy) !== 'kernel') return null;
    return `the kernel cannot carry its traffic, so kube-portal relays it: ${reason}`;
  }

  /** Whether the kernel may carry clients of a portal. */
  mayCarry(portal: Candidate): boolean {
    return this.#wantsKernel(portal.policy) && this.obstacleTo(portal) === null;
  }

  /**
   * Whether the kernel may take over flows of a portal that the relay has begun. Nobody needs to read all
   * datagrams of a Service that pins its clients.
   */
  mayTakeOver({ policy, family, protocol, endpoints }: Candidate): boolean {
    if (!this.#wantsKernel(policy) || !speaksRtps(policy) || routesEachDatagram(policy)) return false;
    const isReached = !endpoints.some(({ address }) => isLoopback(address));
    return isReached && protocol === 'UDP' && this.#support?.[family].UDP === null;
  }

  /** Whether the kernel may carry clients of a Service with this policy, on any of its ports. */
  mayCarryAny(policy: ServicePolicy): boolean {
    const isCarried = (family: Family) =>
      PROTOCOLS.some((protocol) => this.#obstacleOf(policy, family, protocol) === null);
    return this.#wantsKernel(policy) && FAMILIES.some(isCarried);
  }

  /**
   * The worker that decides about a portal's connections or flows: one that serves the portal and has queues.
   * @param placement of a portal that the kernel may carry
   */
  homeOf(id: number, placement: Placement): number {
    return placement ?? id % homesAmong(this.#tools.workers);
  }

  get masqueradesAll(): boolean {
    return this.#tools.options.masqueradeAll;
  }

  /** The queue of the first packets for which a worker decides. */
  queueOf(protocol: Protocol, home: number): number {
    return firstPacketQueueOf(protocol, home, this.#tools.options);
  }

  /** One sentence for each reason: what is relayed, and why. None while no portal has asked. */
  get limits(): readonly string[] {
    return this.#support === null ? NONE : limitsOf(this.#support);
  }

  #wantsKernel(policy: ServicePolicy): boolean {
    return this.#support !== null && this.modeOf(policy) !== 'relay';
  }

  #obstacleOf(policy: ServicePolicy, family: Family, protocol: Protocol): string | null {
    return speaksRtps(policy) ? READS_RTPS : (this.#support?.[family][protocol] ?? null);
  }

  async #findSupport(): Promise<Support> {
    const { redirects, dataplane, forwarding } = this.#tools;
    const rules = await redirects.openCarrier();
    const nobody = (reason: string) => ({ TCP: reason, UDP: reason });
    if (FAMILIES.every((family) => rules[family] !== null)) {
      return { IPv4: nobody(rules.IPv4 ?? ''), IPv6: nobody(rules.IPv6 ?? '') };
    }
    const workers = await dataplane.openCarrier();
    await forwarding.begin();
    const reasonFor = (family: Family, protocol: Protocol) =>
      rules[family] ?? probed(family, protocol) ?? workers[protocol];
    const of = (family: Family) => ({ TCP: reasonFor(family, 'TCP'), UDP: reasonFor(family, 'UDP') });
    return { IPv4: of('IPv4'), IPv6: of('IPv6') };
  }
}

function probed(family: Family, protocol: Protocol): string | null {
  const reason = probeTracking(family, protocol);
  return reason && `connection tracking cannot be told of flows: ${reason}`;
}

function limitsOf(support: Support): string[] {
  const reasonOf = (family: Family, protocol: Protocol) => support[family][protocol];
  const kinds = FAMILIES.flatMap((family) => PROTOCOLS.map((protocol) => ({ family, protocol })));
  const reasons = new Set(kinds.map(({ family, protocol }) => reasonOf(family, protocol)));
  return [...reasons].flatMap((reason) => {
    if (reason === null) return [];
    const concerned = kinds.filter(({ family, protocol }) => reasonOf(family, protocol) === reason);
    if (concerned.length === kinds.length) return `all traffic is relayed: ${reason}`;
    const names = concerned.map(({ family, protocol }) => `${protocol} over ${family}`);
    return `relayed: ${names.join(', ')}: ${reason}`;
  });
}
