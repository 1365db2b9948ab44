import { MSG_DONTWAIT } from '../constants.js';
import { type DatagramRing, IOVEC_LENGTH_WORD, IOVEC_WORDS } from '../datagrams.js';
import { EINTR, errno } from '../errno.js';
import { layout, storePointer } from '../layout.js';
import * as libc from '../libc.js';
import { Memory } from '../memory.js';
import { aligned } from './attributes.js';
import { NLM_F_REQUEST } from './messages.js';

/** linux/netfilter/nfnetlink_queue.h: a message of NFNL_SUBSYS_QUEUE, and two of its attributes. */
const NFQNL_MSG_VERDICT = 0x301;
const NFQA_VERDICT_HDR = 2;
const NFQA_PAYLOAD = 10;

/** NF_DROP and NF_ACCEPT of linux/netfilter.h in network order, as words of a little-endian CPU. */
export const NF_DROP = 0;
export const NF_ACCEPT = 1 << 24;

/** Bytes: struct nlmsghdr and struct nfgenmsg in front of the attributes; struct nlattr. */
const ATTRIBUTES_AT = 20;
const ATTRIBUTE_HEADER = 4;
/** struct nfqnl_msg_verdict_hdr: verdict u32, id u32. */
const HEADER_AT = ATTRIBUTES_AT + ATTRIBUTE_HEADER;
const VERDICT_SIZE = HEADER_AT + 8;
/**
 * Bytes that a message about a packet has in front of it, at least: the same headers, then the packet's own
 * id (NFQA_PACKET_HDR, which takes 12) and the header of NFQA_PAYLOAD.
 */
export const ROOM_BEFORE_PACKET = VERDICT_SIZE + ATTRIBUTE_HEADER;

/**
 * Verdicts about packets in a ring of messages from the kernel. A verdict is written over the message, right
 * in front of the packet, so that a packet that was changed in its place goes back without a copy.
 */
export class Verdicts {
  readonly #ring: DatagramRing;
  readonly #queue: number;
  readonly #vectors: Memory;
  /** A struct msghdr. */
  readonly #header = new Memory(layout.msghdr.size);
  #count = 0;

  /** @param ring with the messages, at most one verdict for each slot @param queue number of the queue */
  constructor(ring: DatagramRing, queue: number) {
    this.#ring = ring;
    this.#queue = queue;
    this.#vectors = new Memory(ring.slots * layout.iovec.size);
    this.#header.setPointer(layout.msghdr.iov / 4, this.#vectors);
  }

  /**
   * Adds a verdict.
   * @param verdict NF_DROP or NF_ACCEPT
   * @param id as the kernel has written it
   * @param packetAt byte of the ring where the packet begins
   * @param changed bytes of the packet that take the place of what it was; 0: the packet stays as it is
   */
  push(verdict: number, id: number, packetAt: number, changed: number): void {
    const { payloads } = this.#ring;
    const { view, words } = payloads;
    const at = packetAt - ROOM_BEFORE_PACKET;
    const size = changed === 0 ? VERDICT_SIZE : ROOM_BEFORE_PACKET + changed;
    words[at / 4] = size;
    view.setUint16(at + 4, NFQNL_MSG_VERDICT, true);
    view.setUint16(at + 6, NLM_F_REQUEST, true);
    words.fill(0, at / 4 + 2, at / 4 + 4);
    view.setUint16(at + 16, 0);
    view.setUint16(at + 18, this.#queue);
    view.setUint16(at + ATTRIBUTES_AT, ATTRIBUTE_HEADER + 8, true);
    view.setUint16(at + ATTRIBUTES_AT + 2, NFQA_VERDICT_HDR, true);
    words[(at + HEADER_AT) / 4] = verdict;
    words[(at + HEADER_AT) / 4 + 1] = id;
    view.setUint16(at + VERDICT_SIZE, ATTRIBUTE_HEADER + changed, true);
    view.setUint16(at + VERDICT_SIZE + 2, NFQA_PAYLOAD, true);
    const vector = this.#count++ * IOVEC_WORDS;
    storePointer(this.#vectors.words, vector, payloads.address + at);
    this.#vectors.words[vector + IOVEC_LENGTH_WORD] = aligned(size);
  }

  /**
   * Sends all verdicts in one datagram, and forgets them. The kernel carries them out within the call.
   * @returns 0, or the errno
   */
  send(fd: number): number {
    if (this.#count === 0) return 0;
    this.#header.words[layout.msghdr.iovLength / 4] = this.#count;
    this.#count = 0;
    let sent: number;
    do sent = libc.sendmsg(fd, this.#header.address, MSG_DONTWAIT);
    while (sent < 0 && errno() === EINTR);
    return sent < 0 ? errno() : 0;
  }
}
