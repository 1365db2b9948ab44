import { DatagramRing } from '../datagrams.js';
import { EAGAIN, EINTR, errno } from '../errno.js';
import * as libc from '../libc.js';
import type { SocketAddress } from '../sockaddr.js';
import { commitAfter, positionOf, SEQUENCE_WORD, sequenceOf, TYPE_WORD } from './acknowledgements.js';
import { CT_NEW } from './flow.js';
import { FlowMessages } from './flowmessages.js';
import { FlowReader } from './flowreader.js';
import type { FlowProtocol } from './flowtemplates.js';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.js';

/** Default capacity. So many answers fit into a receive buffer of default size. */
const CAPACITY = 64;
/** Bytes. A message of a flow with all that the kernel can say of it takes less than half of that. */
const SLOT_SIZE = 1024;
/** Words of struct nlmsghdr and struct nfgenmsg: the attributes are behind them. */
const HEADER_WORDS = 5;

/**
 * Looks up entries of the kernel's table of tracked flows, many with one system call (needs CAP_NET_ADMIN).
 * It allocates nothing once it is made.
 */
export class FlowLookups {
  readonly #netlink: NetlinkSocket;
  readonly #messages: FlowMessages;
  readonly #answers: DatagramRing;
  readonly #flow = new FlowReader();
  #size = 0;
  #exchange = 0;

  private constructor(
    netlink: NetlinkSocket,
    readonly capacity: number,
  ) {
    this.#netlink = netlink;
    this.#messages = new FlowMessages(capacity);
    this.#answers = new DatagramRing(capacity, false, SLOT_SIZE);
  }

  /**
   * @param capacity questions in one exchange
   * @throws SysError
   */
  static open(capacity = CAPACITY): FlowLookups {
    return new FlowLookups(new NetlinkSocket(NETLINK_NETFILTER), capacity);
  }

  /**
   * Queues a question for the flow of this client and VIP. At most {@link capacity} are queued.
   * @returns its position, from 0 on
   */
  ask(protocol: FlowProtocol, client: SocketAddress, vip: SocketAddress): number {
    if (this.#size === this.capacity) throw new RangeError(`more than ${this.capacity} questions`);
    const position = this.#size++;
    this.#messages.begin(position, sequenceOf(this.#exchange, position));
    this.#messages.pushLookup(protocol, client, vip);
    return position;
  }

  /**
   * Asks what is queued. The kernel answers before this returns.
   * @param onFound called for each position whose flow is there; the flow is valid during this call only
   * @returns 0; an errno if questions may have no answer: ENOBUFS if answers were lost
   */
  exchange(onFound: (position: number, flow: FlowReader) => void): number {
    if (this.#size === 0) return 0;
    let sent: number;
    do sent = libc.send(this.#netlink.fd, this.#messages.address, this.#messages.size, 0);
    while (sent < 0 && errno() === EINTR);
    const code = sent < 0 ? errno() : this.#read(onFound);
    this.#messages.clear();
    this.#size = 0;
    this.#exchange = commitAfter(this.#exchange);
    return code;
  }

  close(): void {
    this.#netlink.close();
  }

  #read(onFound: (position: number, flow: FlowReader) => void): number {
    const ring = this.#answers;
    for (;;) {
      ring.next = 0;
      const received = ring.receive(this.#netlink.fd, ring.slots);
      if (received < 0) return errno() === EAGAIN ? 0 : errno();
      for (let slot = 0; slot < received; slot++) this.#readOne(slot, onFound);
      if (received < ring.slots) return 0;
    }
  }

  /** Other messages than flows are errors: nearly always ENOENT. */
  #readOne(slot: number, onFound: (position: number, flow: FlowReader) => void): void {
    const { words } = this.#answers.payloads;
    const start = this.#answers.startOf(slot) / 4;
    const position = positionOf(words[start + SEQUENCE_WORD], this.#exchange);
    if (position === null || (words[start + TYPE_WORD] & 0xffff) !== CT_NEW) return;
    const end = start + (this.#answers.length(slot) >>> 2);
    if (this.#flow.read(words, start + HEADER_WORDS, end)) onFound(position, this.#flow);
  }
}
