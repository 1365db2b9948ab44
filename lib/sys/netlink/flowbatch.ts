import { IPPROTO_UDP } from '../constants.js';
import { EEXIST, SysError } from '../errno.js';
import { SocketAddress } from '../sockaddr.js';
import { Acknowledgements, commitAfter, sequenceOf } from './acknowledgements.js';
import { FlowMessages } from './flowmessages.js';
import type { FlowProtocol } from './flowtemplates.js';
import { NETLINK_NETFILTER, NetlinkSocket, sendMessages } from './socket.js';

/**
 * Default capacity. At most three answers a position wait in the socket's receive buffer until the call
 * returns; this many fit into a buffer of default size.
 */
const CAPACITY = 64;
/** How often the positions that failed with EEXIST are repeated in one commit. */
const REPEATS = 4;

/** The members of a {@link NetlinkSocket} that a batch uses. */
export type Channel = Pick<NetlinkSocket, 'fd' | 'close'>;

/**
 * Replaces and deletes entries of the kernel's table of tracked flows, many with one system call (needs
 * CAP_NET_ADMIN). It allocates nothing once it is made.
 *
 * The translation of an entry cannot be changed (EOPNOTSUPP of ctnetlink_change_conntrack), so replacing
 * means deleting and inserting. A packet of the flow may come between and make an entry of its own. The
 * kernel then refuses the insertion with EEXIST, and both are repeated.
 */
export class FlowBatch {
  readonly #netlink: Channel;
  readonly #messages: FlowMessages;
  readonly #acknowledgements: Acknowledgements;
  readonly #codes: Int32Array;
  /** By position: 1 if it is repeated after EEXIST. */
  readonly #isRepeated: Uint8Array;
  #size = 0;
  #commit = 0;

  /**
   * @param netlink a socket for netfilter; the batch closes it
   * @param capacity positions in one commit
   */
  constructor(
    netlink: Channel,
    readonly capacity = CAPACITY,
  ) {
    this.#netlink = netlink;
    this.#messages = new FlowMessages(capacity);
    this.#acknowledgements = new Acknowledgements(netlink.fd, 3 * capacity);
    this.#codes = new Int32Array(capacity);
    this.#isRepeated = new Uint8Array(capacity);
  }

  /**
   * @param capacity positions in one commit
   * @throws SysError if the kernel has no nf_conntrack_netlink (EINVAL), or without CAP_NET_ADMIN (EPERM)
   */
  static open(capacity?: number): FlowBatch {
    const batch = new FlowBatch(new NetlinkSocket(NETLINK_NETFILTER), capacity);
    // Nobody has an address for documentation (RFC 5737), so the kernel answers ENOENT.
    const nobody = SocketAddress.of('192.0.2.1', 1);
    batch.end(IPPROTO_UDP, nobody, nobody);
    const code = batch.commit() || batch.codeOf(0);
    if (code === 0) return batch;
    batch.close();
    throw new SysError('conntrack entry', code);
  }

  /** Positions queued since the last commit. */
  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size === this.capacity;
  }

  /**
   * Queues: from the next packet on, the kernel translates what the client sends to the VIP, so that it goes
   * to the endpoint. An entry that the flow has is deleted. The kernel translates only if the network
   * namespace has at least one rule that translates, for instance REDIRECT: a nat table without one tracks
   * nothing. The batch must not be full.
   *
   * @param client of the same family as the other addresses
   * @param source the address from which the endpoint sees the packets come; its port is not used: the kernel
   *   takes the client's port, or another one if that is taken. Null: the client's own address. `client`
   *   itself: the port stays too, and if it is taken, the code is EEXIST.
   * @param mark conntrack mark of the entry, 32 bits
   * @returns position for {@link codeOf}
   */
  replace(
    protocol: FlowProtocol,
    client: SocketAddress,
    vip: SocketAddress,
    endpoint: SocketAddress,
    source: SocketAddress | null,
    mark: number,
  ): number {
    const position = this.#begin(true);
    this.#messages.pushDeletion(protocol, client, vip);
    this.#messages.pushInsertion(protocol, client, vip, endpoint, source, mark);
    return position;
  }

  /** As {@link replace}, but an entry that the flow has stays as it is: the code is EEXIST then. */
  insert(
    protocol: FlowProtocol,
    client: SocketAddress,
    vip: SocketAddress,
    endpoint: SocketAddress,
    source: SocketAddress | null,
    mark: number,
  ): number {
    const position = this.#begin(false);
    this.#messages.pushInsertion(protocol, client, vip, endpoint, source, mark);
    return position;
  }

  /**
   * Queues: the kernel carries a UDP flow from now on that was relayed by a socket. The endpoint goes on to
   * see the address and port of the socket. The entries of both legs are deleted, that of the client and that
   * of the socket. While the new entry is there, the socket must stay open, so that nobody else takes its
   * port, and must not send: the kernel would give its datagrams another source port. The batch must not be
   * full.
   *
   * @param socket the local address and port of the socket that is connected to the endpoint
   * @param mark as with {@link replace}
   * @returns position for {@link codeOf}
   */
  takeOver(
    client: SocketAddress,
    vip: SocketAddress,
    endpoint: SocketAddress,
    socket: SocketAddress,
    mark: number,
  ): number {
    const position = this.#begin(true);
    this.#messages.pushDeletion(IPPROTO_UDP, client, vip);
    this.#messages.pushDeletion(IPPROTO_UDP, socket, endpoint);
    this.#messages.pushTakeover(client, vip, endpoint, socket, mark);
    return position;
  }

  /**
   * Queues that the flow's entry is deleted. The flow's next packet meets the rules. The batch must not be
   * full.
   * @returns position for {@link codeOf}
   */
  end(protocol: FlowProtocol, client: SocketAddress, vip: SocketAddress): number {
    const position = this.#begin(true);
    this.#messages.pushDeletion(protocol, client, vip);
    return position;
  }

  /** @param isRepeated whether the position is repeated after EEXIST */
  #begin(isRepeated: boolean): number {
    if (this.isFull) throw new RangeError(`more than ${this.capacity} flows in a batch`);
    const position = this.#size++;
    this.#isRepeated[position] = isRepeated ? 1 : 0;
    this.#messages.begin(position, sequenceOf(this.#commit, position));
    return position;
  }

  /**
   * Sends what is queued. The kernel does it before this returns.
   * @returns 0; {@link codeOf} then tells the result of each position. Otherwise the errno of the socket, and
   *   nobody knows what was done: ENOBUFS if an answer was lost.
   */
  commit(): number {
    const size = this.#size;
    if (size === 0) return 0;
    this.#codes.fill(0, 0, size);
    let code = this.#exchange();
    for (let repeats = 0; repeats < REPEATS && code === 0 && this.#keepRefused(size); repeats++) {
      code = this.#exchange();
    }
    if (code !== 0) this.#codes.fill(code, 0, size);
    this.#messages.clear();
    this.#size = 0;
    this.#commit = commitAfter(this.#commit);
    return code;
  }

  /**
   * Result of a position of the last commit: 0 or an errno. ENOMEM: the table is full. EEXIST: there is
   * another flow with the same addresses and ports, even after repetitions. EINVAL, EOPNOTSUPP: the kernel
   * lacks what is needed. A flow that was to be ended and is not there gives 0.
   */
  codeOf(position: number): number {
    return this.#codes[position];
  }

  close(): void {
    this.#netlink.close();
  }

  /** Keeps the messages of those positions only that failed with EEXIST. @returns false if there are none */
  #keepRefused(size: number): boolean {
    this.#messages.clear();
    for (let position = 0; position < size; position++) {
      if (this.#codes[position] !== EEXIST || this.#isRepeated[position] === 0) continue;
      this.#codes[position] = 0;
      this.#messages.pushAgain(position);
    }
    return this.#messages.size > 0;
  }

  #exchange(): number {
    const code = sendMessages(this.#netlink.fd, this.#messages.address, this.#messages.size);
    return code || this.#acknowledgements.read(this.#commit, this.#codes);
  }
}
