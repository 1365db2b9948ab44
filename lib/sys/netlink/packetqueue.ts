import { MSG_DONTWAIT, MSG_PEEK } from '../constants.js';
import { DatagramRing } from '../datagrams.js';
import * as libc from '../libc.js';
import { Memory } from '../memory.js';
import { countDropped } from '../socket.js';
import { aligned } from './attributes.js';
import { NLM_F_REQUEST } from './messages.js';
import { bindQueue } from './queuebinding.js';
import { type NetlinkSocket, sendMessages } from './socket.js';

/** linux/netfilter/nfnetlink_queue.h: enum nfqnl_msg_types; the upper byte is NFNL_SUBSYS_QUEUE. */
const NFQNL_MSG_PACKET = 0x300;
const NFQNL_MSG_VERDICT = 0x301;
/** enum nfqnl_attr_type. */
const NFQA_PACKET_HDR = 1;
const NFQA_VERDICT_HDR = 2;
const NFQA_IFINDEX_INDEV = 5;
const NFQA_PAYLOAD = 10;
/** linux/netfilter.h. */
const NF_DROP = 0;
const NF_ACCEPT = 1;

/** Most packets in one receive. If there are fewer, no more were waiting. */
export const BATCH = 64;
/** Bytes. An IPv6 header and the longest TCP header take 100, an IPv4 header with options 20 more. */
const SYN_SIZE = 128;
/** Bytes in front of the packet in a message. All attributes of an IP packet together take less. */
const MESSAGE_ROOM = 256;
/** Bytes of kernel memory that a message takes beside the packet (Linux 6.18, 64 bits). */
const MESSAGE_COST = 704;
/**
 * Packets that may wait. A SYN costs the thread 40 to 100 us, of which the way of the accepted packet through
 * the kernel takes the most. So the last one waits at most about 100 ms: if a flood lets SYNs wait for a
 * second, their clients send them again and make it worse.
 */
const CAPACITY = 1024;

/** Bytes: struct nlmsghdr and struct nfgenmsg in front of the attributes; struct nlattr. */
const ATTRIBUTES_AT = 20;
const ATTRIBUTE_HEADER = 4;
const MESSAGE_TYPE_AT = 4;
const MESSAGE_FLAGS_AT = 6;
const MESSAGE_QUEUE_AT = 18;
/** A verdict: these headers, then struct nfqnl_msg_verdict_hdr: verdict u32, id u32. */
const VERDICT_SIZE = ATTRIBUTES_AT + ATTRIBUTE_HEADER + 8;
const VERDICT_WORDS = VERDICT_SIZE / 4;
const VERDICT_WORD = (ATTRIBUTES_AT + ATTRIBUTE_HEADER) / 4;
/** NF_DROP and NF_ACCEPT in network order, as words of a little-endian CPU. */
const DROP_WORD = NF_DROP;
const ACCEPT_WORD = NF_ACCEPT << 24;

export interface PacketQueueOptions {
  /** Bytes of each packet that are received. The default is enough for a TCP SYN. */
  readonly copied?: number;
  /** About how many packets may wait, 1,024 by default. Those above that pass as if they were accepted. */
  readonly capacity?: number;
}

/**
 * A queue of netfilter in which packets wait for a verdict of this program (target NFQUEUE of iptables; needs
 * CAP_NET_ADMIN). Receiving and deciding allocate nothing.
 *
 * Where nobody has the queue, rules without --queue-bypass drop the packets. Closing drops those that wait.
 */
export class PacketQueue {
  readonly fd: number;
  readonly #socket: NetlinkSocket;
  readonly #messages: DatagramRing;
  readonly #verdicts = new Memory(BATCH * VERDICT_SIZE);
  /** Of each packet of the last receive: its id as it is in the message, place, length and input device. */
  readonly #ids = new Int32Array(BATCH);
  readonly #starts = new Int32Array(BATCH);
  readonly #lengths = new Int32Array(BATCH);
  readonly #devices = new Int32Array(BATCH);
  #received = 0;
  #decided = 0;

  private constructor(socket: NetlinkSocket, queue: number, copied: number) {
    this.#socket = socket;
    this.fd = socket.fd;
    this.#messages = new DatagramRing(BATCH, false, aligned(MESSAGE_ROOM + copied));
    for (let index = 0; index < BATCH; index++) this.#prepareVerdict(index * VERDICT_SIZE, queue);
  }

  /** @throws SysError: EBUSY if another program has the queue, EPERM, EINVAL if the kernel has no queues */
  static open(
    queue: number,
    { copied = SYN_SIZE, capacity = CAPACITY }: PacketQueueOptions = {},
  ): PacketQueue {
    const socket = bindQueue(queue, { copied, buffer: capacity * (MESSAGE_COST + copied) });
    return new PacketQueue(socket, queue, copied);
  }

  #prepareVerdict(at: number, queue: number): void {
    const { view } = this.#verdicts;
    view.setUint32(at, VERDICT_SIZE, true);
    view.setUint16(at + MESSAGE_TYPE_AT, NFQNL_MSG_VERDICT, true);
    view.setUint16(at + MESSAGE_FLAGS_AT, NLM_F_REQUEST, true);
    view.setUint16(at + MESSAGE_QUEUE_AT, queue);
    view.setUint16(at + ATTRIBUTES_AT, VERDICT_SIZE - ATTRIBUTES_AT, true);
    view.setUint16(at + ATTRIBUTES_AT + 2, NFQA_VERDICT_HDR, true);
  }

  /**
   * Receives packets that wait. Each of them must be accepted or dropped before the next call.
   * @returns how many, at most 64; 0 if only answers to earlier verdicts came; -1 with `errno`: EAGAIN if
   *   nothing waits
   */
  receive(): number {
    this.#messages.next = 0;
    const messages = this.#messages.receive(this.fd, BATCH);
    if (messages < 0) return -1;
    this.#received = 0;
    for (let slot = 0; slot < messages; slot++) this.#read(slot);
    return this.#received;
  }

  /** Whether packets wait for which the last receive had no room. */
  get hasMore(): boolean {
    return libc.recv(this.fd, this.#verdicts.address, 0, MSG_PEEK | MSG_DONTWAIT) >= 0;
  }

  /** The memory of all packets of the last receive. */
  get bytes(): Uint8Array {
    return this.#messages.payloads.bytes;
  }

  /** As {@link bytes}. */
  get view(): DataView {
    return this.#messages.payloads.view;
  }

  /** Byte of {@link bytes} where a packet begins, with its IP header. */
  startOf(index: number): number {
    return this.#starts[index];
  }

  /** Bytes of a packet that were received. */
  lengthOf(index: number): number {
    return this.#lengths[index];
  }

  /** The number of the network device on which a packet came. 0: this node sent it. */
  inputDeviceOf(index: number): number {
    return this.#devices[index];
  }

  /** Lets a packet go on to the rules behind the one that queued it. */
  accept(index: number): void {
    this.#decide(index, ACCEPT_WORD);
  }

  drop(index: number): void {
    this.#decide(index, DROP_WORD);
  }

  /**
   * Sends the verdicts. The kernel carries them out within the call: accepted packets have left when it
   * returns. Verdicts about packets that are gone (their device went down) do nothing.
   * @returns 0; an errno if the kernel did not take the verdicts: the packets then wait until the end
   */
  flush(): number {
    if (this.#decided === 0) return 0;
    const size = this.#decided * VERDICT_SIZE;
    this.#decided = 0;
    return sendMessages(this.fd, this.#verdicts.address, size, MSG_DONTWAIT);
  }

  /** How many packets passed undecided because the queue had no room. Counts from 2^32 - 1 on to 0. */
  get overflows(): number {
    return countDropped(this.fd);
  }

  /** Gives the queue up. TCP sends a SYN that waited again after a second. */
  close(): void {
    this.#socket.close();
  }

  #decide(index: number, verdict: number): void {
    const word = this.#decided++ * VERDICT_WORDS + VERDICT_WORD;
    const { words } = this.#verdicts;
    words[word] = verdict;
    words[word + 1] = this.#ids[index];
  }

  /** Other messages than packets are errors of verdicts, of which the docstring of flush tells. */
  #read(slot: number): void {
    const { view } = this.#messages.payloads;
    const start = this.#messages.startOf(slot);
    const end = start + this.#messages.length(slot);
    if (view.getUint16(start + MESSAGE_TYPE_AT, true) !== NFQNL_MSG_PACKET) return;
    const index = this.#received++;
    this.#lengths[index] = 0;
    this.#devices[index] = 0;
    for (let at = start + ATTRIBUTES_AT; at < end; ) {
      const size = view.getUint16(at, true);
      if (size < ATTRIBUTE_HEADER || at + size > end) return;
      this.#readAttribute(
        index,
        view.getUint16(at + 2, true),
        at + ATTRIBUTE_HEADER,
        size - ATTRIBUTE_HEADER,
      );
      at += aligned(size);
    }
  }

  #readAttribute(index: number, type: number, at: number, length: number): void {
    switch (type) {
      case NFQA_PACKET_HDR:
        this.#ids[index] = this.#messages.payloads.view.getInt32(at, true);
        return;
      case NFQA_IFINDEX_INDEV:
        this.#devices[index] = this.#messages.payloads.view.getInt32(at);
        return;
      case NFQA_PAYLOAD:
        this.#starts[index] = at;
        this.#lengths[index] = length;
    }
  }
}
