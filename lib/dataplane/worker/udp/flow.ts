import type { DatagramSender } from '../../../sys/datagramsender.js';
import type { Failover } from '../failover.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import type { Carrier } from './carrier.js';
import { NO_FLOW } from './flowkeys.js';
import { NO_SLOT } from './inbox.js';

/**
 * After a path has refused a segmented run, it gets single datagrams only for this time, ms. Then segments
 * are tried again, as the path's MTU may be another one.
 */
const SEGMENTS_PAUSE = 60_000;

/** The socket that a flow's client sends to. */
export interface ListeningSocket {
  readonly fd: number;
  readonly portal: ServedPortal;
  /** Those that came through it. The {@link FlowTable} keeps them. */
  readonly flows: Set<UdpFlow>;
}

/** One client's conversation with a Service. Times are the loop's, ms. */
export class UdpFlow {
  /** Given by the {@link FlowTable}; NO_FLOW outside of it. */
  index = NO_FLOW;
  /** Null only while one to another endpoint is opened. */
  carrier: Carrier | null = null;
  /** The one before, kept open for answers under way. */
  previousCarrier: Carrier | null = null;
  /** Datagrams received up to the last reply: the later ones were never answered. */
  answeredUpTo = 0;
  /** Number of the last datagram. */
  lastNumber = 0;
  /** When the endpoint was chosen or last heard of. */
  heardAt = 0;
  /** When somebody said that the endpoint is not there, and could not prove it. */
  suspectedAt = Number.NEGATIVE_INFINITY;
  /** Whether anything was sent to the endpoint since then. */
  wasAskedAgain = false;
  /** When the flow was last moved because of that. */
  movedUnprovenAt = Number.NEGATIVE_INFINITY;
  /** When an endpoint last refused the flow, and which endpoints were tried since the first one did. */
  refusedAt = Number.NEGATIVE_INFINITY;
  failover: Failover | null = null;
  /** From when on runs may be segmented again: a path may have refused them. */
  #segmentsFrom = 0;
  #pinRefreshAt: number;
  /** In the batch in hand: the first and last slot, see Inbox. */
  firstSlot = NO_SLOT;
  lastSlot = NO_SLOT;

  constructor(
    readonly listener: ListeningSocket,
    /** The listener's, or the one that serves this client in its place. */
    readonly portal: ServedPortal,
    /** Null where clients are not pinned. */
    readonly pinKey: PinKey | null,
    public target: Target,
    /** How many hops its datagrams have onward, see hops.ts; the fewest of the batch in hand. */
    public hops: number,
    now: number,
  ) {
    this.#pinRefreshAt = now + portal.balancer.refreshPeriod;
  }

  /** A datagram joins the batch in hand. @param hops that it has onward */
  limitHops(hops: number): void {
    this.hops = this.firstSlot === NO_SLOT ? hops : Math.min(this.hops, hops);
  }

  /** The client has asked for something since the last reply. */
  get isWaiting(): boolean {
    return this.lastNumber > this.answeredUpTo;
  }

  /** A pin lives from pick to pick. A flow picks only once, so a long one refreshes its pin now and then. */
  keepPin(now: number): void {
    if (this.pinKey === null || now < this.#pinRefreshAt) return;
    const { balancer } = this.portal;
    balancer.refresh(this.pinKey);
    this.#pinRefreshAt = now + balancer.refreshPeriod;
  }

  /** Sends datagrams of the client to the endpoint. @returns as {@link DatagramSender.sendConnected} */
  send(sender: DatagramSender, now: number): number {
    this.wasAskedAgain = true;
    sender.maySegment = this.maySegment(now);
    const sent = (this.carrier as Carrier).send(sender);
    if (sender.segments === 'refused') this.refuseSegments(now);
    return sent;
  }

  /** Whether runs of datagrams may be segmented by the kernel. */
  maySegment(now: number): boolean {
    return now >= this.#segmentsFrom;
  }

  /** A segmented run did not fit the path, or its device. */
  refuseSegments(now: number): void {
    this.#segmentsFrom = now + SEGMENTS_PAUSE;
  }
}
