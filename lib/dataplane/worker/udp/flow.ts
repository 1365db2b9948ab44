import type { DatagramSender } from '../../../sys/datagramsender.js';
import { FIELD } from '../../shared/counters.js';
import type { Failover } from '../failover.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import type { Carrier } from './carrier.js';
import { NO_FLOW } from './flowkeys.js';
import type { Heat } from './hot/heat.js';
import { NO_SLOT } from './inbox.js';
import type { ClientVip, ListenerVips } from './kernel/clientvip.js';
import type { Sender } from './rtps/participant.js';

/**
 * A flow whose path has refused a segmented run sends single datagrams for this time. Then it tries segments
 * again: the path's MTU may have changed.
 */
const SEGMENTS_PAUSE_MS = 60_000;

/** The listening socket that a flow's client sends to. */
export interface ListeningSocket {
  readonly fd: number;
  readonly portal: ServedPortal;
  readonly port: number;
  /** Whether netfilter redirects its datagrams, so that it does not see the address that clients use. */
  readonly isRedirected: boolean;
  readonly vips: ListenerVips;
  /** The open flows whose clients send to it. The {@link FlowTable} keeps this set. */
  readonly flows: Set<UdpFlow>;
}

/** One client's conversation with a Service. Times are in ms of the loop's clock. */
export class UdpFlow {
  /** Set by the {@link FlowTable}; NO_FLOW while the flow is not in the table. */
  index = NO_FLOW;
  /** Null only until the carrier to a new endpoint is open. */
  carrier: Carrier | null = null;
  /** The retired carrier to the endpoint before, see {@link Carrier.retire}. */
  previousCarrier: Carrier | null = null;
  /** Number of the last datagram, of any flow, before the last reply. Later ones have no answer yet. */
  answeredUpTo = 0;
  /** Number of the flow's last datagram, see Inbox.received. */
  lastNumber = 0;
  /** When the endpoint was chosen, or last answered. */
  aliveAt = 0;
  /** When an ICMP error without proof last said that the endpoint is not there. */
  suspectedAt = Number.NEGATIVE_INFINITY;
  /** Whether a datagram was sent to the endpoint since {@link suspectedAt}. */
  wasAskedAgain = false;
  /** When the flow last moved because of such errors. */
  movedUnprovenAt = Number.NEGATIVE_INFINITY;
  /** When an endpoint last refused the flow. */
  refusedAt = Number.NEGATIVE_INFINITY;
  /** The endpoints that were tried since the first one refused. */
  failover: Failover | null = null;
  /** The VIP that the client uses. Null until the flow is about to be handed over to the kernel. */
  vip: ClientVip | null = null;
  /** Index of the device by which the first datagram came; 0: a program of this node has sent it. */
  inputDevice = 0;
  /** Whether the kernel has an entry for the flow, by which it carries the client's datagrams. */
  isCarried = false;
  /** Whether the flow stays with the relay, because its hand-over has failed. */
  isRelayOnly = false;
  /** Null until datagrams are counted, because the kernel may take the flow over. */
  heat: Heat | null = null;
  /** Whether a participant has announced itself in the flow. */
  hasAnnounced = false;
  /** Whether the key of the flow has a participant. */
  isOfParticipant = false;
  /** Who sent the last RTPS message, if the portal speaks RTPS. */
  lastSender: Sender | null = null;
  /** What its endpoint is asked while the client is silent, see LinkWatch. Null if it was never asked. */
  question: Uint8Array | null = null;
  /** From this time on, runs may be segmented. */
  #segmentsFrom = 0;
  #pinRefreshAt: number;
  /** The first and the last slot that the flow has in the present batch, see Inbox. */
  firstSlot = NO_SLOT;
  lastSlot = NO_SLOT;

  constructor(
    readonly listener: ListeningSocket,
    /** The listener's portal, or the portal that serves this client in its place, see admission. */
    readonly portal: ServedPortal,
    /** Null if clients are not pinned. */
    readonly pinKey: PinKey | null,
    public target: Target,
    /** Hops that the flow's datagrams have left, see hops.ts. The minimum of the present batch. */
    public hops: number,
    now: number,
  ) {
    this.#pinRefreshAt = now + portal.balancer.refreshPeriod;
  }

  /** Counts the flow among those that are relayed, or no longer. */
  countActive(change: 1 | -1): void {
    this.portal.count(FIELD.flowsActive, change);
    this.target.counts.active += change;
  }

  /** Whether an ICMP error quotes the flow's question. Nobody but those who got the question knows it. */
  hasAsked(quote: Uint8Array): boolean {
    return this.question !== null && Buffer.compare(quote, this.question) === 0;
  }

  /** A datagram joins the flow's batch. @param hops that the datagram has left */
  limitHops(hops: number): void {
    this.hops = this.firstSlot === NO_SLOT ? hops : Math.min(this.hops, hops);
  }

  /** Whether the client has sent something since the last reply. */
  get isWaiting(): boolean {
    return this.lastNumber > this.answeredUpTo;
  }

  /** Refreshes the flow's pin now and then. Picks keep a pin alive too, but a flow picks only once. */
  keepPin(now: number): void {
    if (this.pinKey === null || now < this.#pinRefreshAt) return;
    const { balancer } = this.portal;
    balancer.refresh(this.pinKey);
    this.#pinRefreshAt = now + balancer.refreshPeriod;
  }

  /** Counts datagrams that go to the endpoint by the relay. */
  countSent({ count, bytes }: Pick<DatagramSender, 'count' | 'bytes'>): void {
    this.portal.count(FIELD.datagramsIn, count);
    this.portal.count(FIELD.bytesIn, bytes);
    if (this.portal.router === null) this.target.counts.sent(count, bytes);
  }

  /** Sends datagrams of the client to the endpoint. @returns as {@link DatagramSender.sendConnected} */
  send(sender: DatagramSender, now: number): number {
    this.wasAskedAgain = true;
    sender.maySegment = this.maySegment(now);
    const sent = (this.carrier as Carrier).send(sender);
    if (sender.segments === 'refused') this.refuseSegments(now);
    return sent;
  }

  /** Whether the kernel may segment runs of this flow's datagrams (UDP_SEGMENT). */
  maySegment(now: number): boolean {
    return now >= this.#segmentsFrom;
  }

  /** A segmented run did not fit the path's MTU or the device. */
  refuseSegments(now: number): void {
    this.#segmentsFrom = now + SEGMENTS_PAUSE_MS;
  }
}

/** Whether two flows to one Service have pins of their own. */
export function hasOtherPin(one: UdpFlow, other: UdpFlow): boolean {
  return one.pinKey !== other.pinKey && one.portal.balancer.service === other.portal.balancer.service;
}
