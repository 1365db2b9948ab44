import { AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, MSG_DONTWAIT, MSG_ERRQUEUE } from './constants.js';
import { cmsgSpace, layout } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { preferOption } from './options.js';
import { SOCKADDR_SIZE } from './sockaddr.js';

/** linux/in.h and linux/in6.h. */
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
/** linux/errqueue.h: struct sock_extended_err. The address of the node that reported the error follows it. */
const EXTENDED_ERROR_SIZE = 16;
const ORIGIN_OFFSET = 4;
const ORIGIN_LOCAL = 1;
/**
 * Bytes. An ICMP error has at most 576 bytes with IPv4 (RFC 1812, 4.3.2.3), and its headers take at least 56
 * of them.
 */
const QUOTE_SIZE = 520;
const ERROR_CONTROL_SIZE = cmsgSpace(EXTENDED_ERROR_SIZE + SOCKADDR_SIZE);
const DATA_OFFSET = layout.cmsghdr.data;

/**
 * Makes a socket keep the errors for its datagrams, each with the address that reported it (ip(7),
 * IP_RECVERR).
 */
export function keepErrors(fd: number, family: number): void {
  if (family === AF_INET6) preferOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
  else preferOption(fd, IPPROTO_IP, IP_RECVERR, 1);
}

/** Reads the errors of sockets with {@link keepErrors}, one at a time. */
export class ErrorQueue {
  /** How many bytes of the undelivered datagram the error contains. 0: none. */
  quoted = 0;
  /** The sockaddr to which the undelivered datagram was sent. */
  readonly destination = new Memory(SOCKADDR_SIZE);
  readonly #quote = new Memory(QUOTE_SIZE);
  readonly #control = new Memory(ERROR_CONTROL_SIZE);
  readonly #vector = new Memory(layout.iovec.size);
  readonly #header = new Memory(layout.msghdr.size);

  constructor() {
    this.#vector.setPointer(0, this.#quote);
    this.#vector.words[layout.iovec.length / 4] = QUOTE_SIZE;
    const { words } = this.#header;
    this.#header.setPointer(layout.msghdr.name / 4, this.destination);
    this.#header.setPointer(layout.msghdr.iov / 4, this.#vector);
    words[layout.msghdr.iovLength / 4] = 1;
    this.#header.setPointer(layout.msghdr.control / 4, this.#control);
  }

  /**
   * Takes the oldest error out of a socket's queue. The other members then tell about this error.
   * @returns false if the queue is empty
   */
  read(fd: number): boolean {
    this.#control.bytes.fill(0);
    this.#header.words[layout.msghdr.nameLength / 4] = SOCKADDR_SIZE;
    this.#header.words[layout.msghdr.controlLength / 4] = ERROR_CONTROL_SIZE;
    const length = libc.recvmsg(fd, this.#header.address, MSG_ERRQUEUE | MSG_DONTWAIT);
    this.quoted = Math.min(Math.max(length, 0), QUOTE_SIZE);
    return length >= 0;
  }

  /** The error, as an errno. */
  get code(): number {
    return this.#control.view.getUint32(DATA_OFFSET, true);
  }

  /** Whether the kernel of this node made the error itself, without an ICMP message. */
  get isLocal(): boolean {
    return this.#control.bytes[DATA_OFFSET + ORIGIN_OFFSET] === ORIGIN_LOCAL;
  }

  /** Whether the error came from the address in a sockaddr. The port is not compared. */
  isFrom(sockaddr: Memory): boolean {
    const offender = DATA_OFFSET + EXTENDED_ERROR_SIZE;
    const family = sockaddr.view.getUint16(0, true);
    if (this.#control.view.getUint16(offender, true) !== family) return false;
    const [at, length] = family === AF_INET ? [4, 4] : [8, 16];
    for (let byte = at; byte < at + length; byte++) {
      if (this.#control.bytes[offender + byte] !== sockaddr.bytes[byte]) return false;
    }
    return true;
  }

  /** The beginning of the undelivered datagram. Valid until the next {@link read}. */
  get quote(): Uint8Array {
    return this.#quote.bytes.subarray(0, this.quoted);
  }
}
