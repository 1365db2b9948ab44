import {
  attachProgram,
  BPF_AND_K,
  BPF_JEQ_K,
  BPF_JGE_K,
  BPF_LD_IMM,
  BPF_LD_W_ABS,
  BPF_LD_W_IND,
  BPF_LDX_IMM,
  BPF_RET_K,
  BPF_TAX,
  type ClassicInstruction,
  NETLINK_ATTRIBUTE,
} from '../bpf.js';
import { SO_ATTACH_FILTER, SO_RCVBUFFORCE, SOL_SOCKET } from '../constants.js';
import { DatagramRing } from '../datagrams.js';
import { errno, SysError } from '../errno.js';
import { preferOption } from '../options.js';
import { CT_DELETE, CTA_MARK } from './flow.js';
import { FLOW_MESSAGE_SIZE, FlowReader } from './flowreader.js';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.js';

/** linux/netfilter/nfnetlink.h */
const NFNLGRP_CONNTRACK_DESTROY = 3;
/** struct nlmsghdr and struct nfgenmsg, bytes: the attributes are behind them. */
const HEADER_SIZE = 20;

/** Messages of one call. */
const BATCH = 64;
/**
 * Bytes. A message takes about 1 KiB in the kernel. When many flows end at once, they wait here while the
 * thread does other work.
 */
const RECEIVE_BUFFER = 8 << 20;

/**
 * Tells of tracked flows that have ended, and only of those whose mark says so. The kernel drops the other
 * messages before they take room in the receive buffer. A flow that began while nobody listened, or while
 * net.netfilter.nf_conntrack_events was 0, ends without a message.
 */
export class FlowEvents {
  readonly #netlink: NetlinkSocket;
  readonly #ring = new DatagramRing(BATCH, false, FLOW_MESSAGE_SIZE);
  readonly #flow = new FlowReader();

  private constructor(netlink: NetlinkSocket) {
    this.#netlink = netlink;
  }

  /**
   * @param marks flows whose mark, among the bits of the mask, is one of these
   * @param mask the bits that are compared
   * @throws SysError if the kernel has no such messages, or if it refuses the filter
   */
  static open(marks: readonly number[], mask: number): FlowEvents {
    const netlink = new NetlinkSocket(NETLINK_NETFILTER);
    try {
      if (!attachProgram(netlink.fd, SO_ATTACH_FILTER, passMarks(marks, mask))) {
        throw new SysError('filter of conntrack events', errno());
      }
      preferOption(netlink.fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
      netlink.join(NFNLGRP_CONNTRACK_DESTROY);
      return new FlowEvents(netlink);
    } catch (error) {
      netlink.close();
      throw error;
    }
  }

  /** For epoll: readable if {@link receive} has something to tell. */
  get fd(): number {
    return this.#netlink.fd;
  }

  /**
   * Receives up to 64 messages.
   * @param onEnded the flow, valid during this call only; its counters are final
   * @returns 0, or an errno: EAGAIN if there is none, ENOBUFS if the kernel had more than it could keep, so
   *   that nobody will ever hear of some flows that have ended
   */
  receive(onEnded: (flow: FlowReader) => void): number {
    const ring = this.#ring;
    ring.next = 0;
    const received = ring.receive(this.fd, BATCH);
    if (received < 0) return errno();
    for (let slot = 0; slot < received; slot++) {
      if (this.#flow.readSlot(ring, slot, CT_DELETE)) onEnded(this.#flow);
    }
    return 0;
  }

  close(): void {
    this.#netlink.close();
  }
}

/** A filter of sockets that finds the mark among the attributes of a message (SKF_AD_NLATTR). */
function passMarks(marks: readonly number[], mask: number): ClassicInstruction[] {
  const comparisons = marks.flatMap((mark) => [
    { code: BPF_JEQ_K, k: (mark & mask) >>> 0, otherwiseSkip: 1 },
    { code: BPF_RET_K, k: 0xffffffff },
  ]);
  return [
    { code: BPF_LD_IMM, k: HEADER_SIZE },
    { code: BPF_LDX_IMM, k: CTA_MARK },
    { code: BPF_LD_W_ABS, k: NETLINK_ATTRIBUTE },
    // A message without a mark ends here: the position is 0.
    { code: BPF_JGE_K, k: 1, otherwiseSkip: 3 + comparisons.length },
    { code: BPF_TAX, k: 0 },
    // The value is behind the attribute's header of four bytes, and is loaded from network order.
    { code: BPF_LD_W_IND, k: 4 },
    { code: BPF_AND_K, k: mask >>> 0 },
    ...comparisons,
    { code: BPF_RET_K, k: 0 },
  ];
}
