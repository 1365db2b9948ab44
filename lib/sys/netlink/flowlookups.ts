import { DatagramRing } from '../datagrams.js';
import { EAGAIN, errno } from '../errno.js';
import type { SocketAddress } from '../sockaddr.js';
import { commitAfter, positionOf, SEQUENCE_WORD, sequenceOf } from './acknowledgements.js';
import { CT_NEW } from './flow.js';
import { FlowMessages } from './flowmessages.js';
import { FLOW_MESSAGE_SIZE, FlowReader } from './flowreader.js';
import type { FlowProtocol } from './flowtemplates.js';
import { NETLINK_NETFILTER, NetlinkSocket, sendMessages } from './socket.js';

/** Default capacity. So many answers fit into a receive buffer of default size. */
const CAPACITY = 64;

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
    this.#answers = new DatagramRing(capacity, false, FLOW_MESSAGE_SIZE);
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
    const sent = sendMessages(this.#netlink.fd, this.#messages.address, this.#messages.size);
    const code = sent || this.#read(onFound);
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
    const answers = this.#answers;
    const sequence = answers.payloads.words[answers.startOf(slot) / 4 + SEQUENCE_WORD];
    const position = positionOf(sequence, this.#exchange);
    if (position !== null && this.#flow.readSlot(answers, slot, CT_NEW)) onFound(position, this.#flow);
  }
}
