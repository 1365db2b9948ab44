import type { Failover } from '../failover.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { type FlowIndex, NONE } from './flowtable.js';
import type { EndpointSocket } from './sockets/endpointsocket.js';

/** How long, ms, a path that refused a segmented run is sent whole datagrams only: its MTU may be another one later. */
const SEGMENTS_PAUSE = 60_000;

/** One client's conversation with a Service: what the {@link FlowTable} does not need to find it. Times are the loop's, ms. */
export class UdpFlow {
  /** The socket towards the endpoint; null only while another is looked for. */
  socket: EndpointSocket | null = null;
  /** The socket towards the endpoint before, kept open for answers under way. */
  left: EndpointSocket | null = null;
  /** Datagrams received up to the last reply: the later ones were never answered. */
  answeredUpTo = 0;
  /** Number of the last datagram. */
  lastNumber = 0;
  /** When the endpoint was chosen or last heard of. */
  heardAt = 0;
  /** When somebody said that the endpoint is not there, and could not prove it. */
  suspectedAt = Number.NEGATIVE_INFINITY;
  /** Whether anything was sent to the endpoint since then. */
  asked = false;
  /** When the flow was last moved because of that. */
  movedUnprovenAt = Number.NEGATIVE_INFINITY;
  /** When an endpoint last refused the flow, and the way that it has gone since the first one that did. */
  refusedAt = Number.NEGATIVE_INFINITY;
  failover: Failover | null = null;
  pinRefreshAt = 0;
  /** From when on runs may be segmented again: a path may have refused them. */
  segmentsFrom = 0;
  /** In the batch in hand: the first and last slot, see Inbox. */
  firstSlot = NONE;
  lastSlot = NONE;

  constructor(
    readonly index: FlowIndex,
    /** Descriptor of the listener that the client came through. */
    readonly listenerFd: number,
    readonly portal: ServedPortal,
    /** Null where clients are not pinned. */
    readonly pinKey: PinKey | null,
    public target: Target,
    /** How many hops its datagrams have onward, see hops.ts; the fewest of the batch in hand. */
    public hops: number,
  ) {}

  /** A datagram joins the batch in hand. @param hops that it has onward */
  limitHops(hops: number): void {
    this.hops = this.firstSlot === NONE ? hops : Math.min(this.hops, hops);
  }

  /** The client has asked for something since the last reply. */
  get isWaiting(): boolean {
    return this.lastNumber > this.answeredUpTo;
  }

  /** Whether runs of datagrams may be segmented by the kernel. */
  maySegment(now: number): boolean {
    return now >= this.segmentsFrom;
  }

  /** A segmented run did not fit the path, or its device. */
  refuseSegments(now: number): void {
    this.segmentsFrom = now + SEGMENTS_PAUSE;
  }
}
