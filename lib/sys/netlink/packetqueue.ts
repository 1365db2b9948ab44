import { MSG_DONTWAIT, MSG_PEEK } from '../constants.js';
import * as libc from '../libc.js';
import type { Memory } from '../memory.js';
import { countDropped } from '../socket.js';
import { messageSize, PacketMessages } from './packetmessages.js';
import { bindQueue } from './queuebinding.js';
import type { NetlinkSocket } from './socket.js';
import { NF_ACCEPT, NF_DROP, Verdicts } from './verdicts.js';

/** Bits of NFQA_SKB_INFO (linux/netfilter/nfnetlink_queue.h). */
const NFQA_SKB_CSUMNOTREADY = 1 << 0;
const NFQA_SKB_GSO = 1 << 1;

/** Most packets in one receive. If there are fewer, no more were waiting. */
export const BATCH = 64;
/** Bytes. An IPv6 header and the longest TCP header take 100, an IPv4 header with options 20 more. */
const SYN_SIZE = 128;
/** Bytes of kernel memory that a message takes beside the packet (Linux 6.18, 64 bits). */
const MESSAGE_COST = 704;
/** Bytes of a packet that is not in fragments. */
const USUAL_SIZE = 1500;
/**
 * Packets that may wait. A SYN costs the thread 40 to 100 us, of which the way of the accepted packet through
 * the kernel takes the most. So the last one waits at most about 100 ms: if a flood lets SYNs wait for a
 * second, their clients send them again and make it worse.
 */
const CAPACITY = 1024;

export interface PacketQueueOptions {
  /** Bytes of each packet that are received, at most 65,531. The default is enough for a TCP SYN. */
  readonly copied?: number;
  /** About how many packets may wait, 1,024 by default. Those above that pass as if they were accepted. */
  readonly capacity?: number;
  /** Whether packets come as the sender's device would get them, see PacketQueue.isRun. */
  readonly areUnfinished?: boolean;
}

/**
 * A queue of netfilter in which packets wait for a verdict of this program (target NFQUEUE of iptables; needs
 * CAP_NET_ADMIN). Receiving and deciding allocate nothing. The memory for packets has pages only where
 * packets have been.
 *
 * Where nobody has the queue, rules without --queue-bypass drop the packets. Closing drops those that wait.
 */
export class PacketQueue {
  readonly fd: number;
  readonly #socket: NetlinkSocket;
  readonly #messages: PacketMessages;
  readonly #verdicts: Verdicts;

  private constructor(socket: NetlinkSocket, queue: number, size: number) {
    this.#socket = socket;
    this.fd = socket.fd;
    this.#messages = new PacketMessages(BATCH, size);
    this.#verdicts = new Verdicts(this.#messages.ring, queue);
  }

  /** @throws SysError: EBUSY if another program has the queue, EPERM, EINVAL if the kernel has no queues */
  static open(
    queue: number,
    { copied = SYN_SIZE, capacity = CAPACITY, areUnfinished = false }: PacketQueueOptions = {},
  ): PacketQueue {
    const size = messageSize(copied);
    const socket = bindQueue(queue, {
      copied,
      areUnfinished,
      waiting: capacity * (MESSAGE_COST + Math.min(copied, USUAL_SIZE)),
      verdicts: BATCH * size,
    });
    return new PacketQueue(socket, queue, size);
  }

  /**
   * Receives packets that wait. Each of them must be accepted or dropped before the next call.
   * @returns how many, at most 64; 0 if only answers to earlier verdicts came; -1 with `errno`: EAGAIN if
   *   nothing waits
   */
  receive(): number {
    return this.#messages.receive(this.fd);
  }

  /** Whether packets wait for which the last receive had no room. */
  get hasMore(): boolean {
    return libc.recv(this.fd, this.memory.address, 0, MSG_PEEK | MSG_DONTWAIT) >= 0;
  }

  /** The memory of all packets of the last receive. */
  get memory(): Memory {
    return this.#messages.ring.payloads;
  }

  get bytes(): Uint8Array {
    return this.memory.bytes;
  }

  get view(): DataView {
    return this.memory.view;
  }

  /** Byte of {@link memory} where a packet begins, with its IP header: a multiple of 4. */
  startOf(index: number): number {
    return this.#messages.starts[index];
  }

  /** Bytes of a packet that were received. */
  lengthOf(index: number): number {
    return this.#messages.lengths[index];
  }

  /** The number of the network device on which a packet came. 0: this node sent it. */
  inputDeviceOf(index: number): number {
    return this.#messages.devices[index];
  }

  /**
   * Whether a packet is a run of datagrams, which a device will divide (UDP_SEGMENT). Only if packets are
   * unfinished; the kernel divides it else.
   */
  isRun(index: number): boolean {
    return (this.#messages.infos[index] & NFQA_SKB_GSO) !== 0;
  }

  /** Whether the checksum of TCP or UDP is there. False only if packets are unfinished. */
  hasChecksum(index: number): boolean {
    return (this.#messages.infos[index] & NFQA_SKB_CSUMNOTREADY) === 0;
  }

  /** Lets a packet go on to the rules behind the one that queued it. */
  accept(index: number): void {
    this.#decide(index, NF_ACCEPT, 0);
  }

  /** As {@link accept}, with what the caller has changed in {@link memory}. The packet must be whole. */
  acceptChanged(index: number): void {
    this.#decide(index, NF_ACCEPT, this.lengthOf(index));
  }

  drop(index: number): void {
    this.#decide(index, NF_DROP, 0);
  }

  /**
   * Sends the verdicts. The kernel carries them out within the call: accepted packets have left when it
   * returns. Verdicts about packets that are gone (their device went down) do nothing.
   * @returns 0; an errno if the kernel did not take the verdicts: the packets then wait until the end
   */
  flush(): number {
    return this.#verdicts.send(this.fd);
  }

  /** How many packets passed undecided because the queue had no room. Counts from 2^32 - 1 on to 0. */
  get overflows(): number {
    return countDropped(this.fd);
  }

  /** Gives the queue up. TCP sends a SYN that waited again after a second. */
  close(): void {
    this.#socket.close();
  }

  #decide(index: number, verdict: number, changed: number): void {
    this.#verdicts.push(verdict, this.#messages.ids[index], this.startOf(index), changed);
  }
}
