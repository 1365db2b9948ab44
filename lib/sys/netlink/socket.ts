import {
  AF_NETLINK,
  MSG_DONTWAIT,
  MSG_TRUNC,
  SO_RCVTIMEO,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
} from '../constants.js';
import { checked, EAGAIN, EINTR, EMSGSIZE, ETIMEDOUT, errno, SysError } from '../errno.js';
import { layout } from '../layout.js';
import * as libc from '../libc.js';
import { Memory } from '../memory.js';
import { decodeMessages, type Message } from './messages.js';

/** The parts of the kernel: linux/netlink.h. */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** struct sockaddr_nl: family u16, pad u16, port u32, groups u32 (a bit for each). */
const SOCKADDR_NL_SIZE = 12;
const NL_GROUPS = 8;

/** Bytes. The kernel never makes a dump message longer than 32 KiB. */
const BUFFER_SIZE = 65536;

/**
 * Seconds. The kernel answers within the sending call, so an answer that does not come at once was lost.
 * Without a time-out, the thread and all its connections would wait for ever.
 */
const RECEIVE_TIMEOUT_S = 2;

/** A netlink socket to one part of the kernel. It sends and receives datagrams. */
export class NetlinkSocket {
  readonly fd: number;
  readonly #buffer = new Memory(BUFFER_SIZE);

  /**
   * @param protocol a NETLINK_ number
   * @throws SysError
   */
  constructor(protocol: number) {
    this.fd = checked('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    try {
      this.#limitWaiting();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The time-out is a struct timeval of two longs (SO_RCVTIMEO of asm-generic/socket.h). */
  #limitWaiting(): void {
    const { bytes, words, address } = this.#buffer;
    bytes.fill(0, 0, 2 * layout.pointer);
    words[0] = RECEIVE_TIMEOUT_S;
    const result = libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVTIMEO, address, 2 * layout.pointer);
    checked('setsockopt', result);
  }

  /**
   * From now on, receives the messages that the kernel sends to a group. Membership alone
   * (NETLINK_ADD_MEMBERSHIP) is not enough: a socket that is not bound receives nothing.
   *
   * @param group from 1 to 32
   * @throws SysError
   */
  join(group: number): void {
    const { bytes, view, address } = this.#buffer;
    bytes.fill(0, 0, SOCKADDR_NL_SIZE);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(NL_GROUPS, 2 ** (group - 1), true);
    checked('bind', libc.bindSocket(this.fd, address, SOCKADDR_NL_SIZE));
  }

  /**
   * Sends requests in one datagram of at most 64 KiB. The kernel processes them before this returns.
   * @throws SysError
   */
  send(requests: readonly Uint8Array[]): void {
    let end = 0;
    for (const request of requests) {
      if (end + request.length > BUFFER_SIZE) throw new SysError('netlink request', EMSGSIZE);
      this.#buffer.bytes.set(request, end);
      end += request.length;
    }
    const code = sendMessages(this.fd, this.#buffer.address, end);
    if (code !== 0) throw new SysError('netlink request', code);
  }

  /**
   * The messages of the next datagram, valid until the next call. Empty if a signal interrupted the wait.
   * @throws SysError: ETIMEDOUT after two seconds, ENOBUFS if answers were lost, EBADMSG
   */
  receive(): readonly Message[] {
    const length = this.#receive(0);
    if (length >= 0) return this.#messages(length);
    const code = errno();
    if (code === EINTR) return [];
    throw new SysError('netlink answer', code === EAGAIN ? ETIMEDOUT : code);
  }

  /** Like {@link receive}, without waiting. @returns null if there is no datagram */
  receiveAtOnce(): readonly Message[] | null {
    const length = this.#receive(MSG_DONTWAIT);
    if (length >= 0) return this.#messages(length);
    const code = errno();
    if (code === EAGAIN) return null;
    if (code === EINTR) return [];
    throw new SysError('netlink announcement', code);
  }

  close(): void {
    libc.close(this.fd);
  }

  /** With MSG_TRUNC the result is the datagram's real length (netlink(7), recv(2)). */
  #receive(flags: number): number {
    return libc.recv(this.fd, this.#buffer.address, BUFFER_SIZE, flags | MSG_TRUNC);
  }

  #messages(length: number): Message[] {
    if (length > BUFFER_SIZE) throw new SysError('netlink answer', EMSGSIZE);
    return decodeMessages(new DataView(this.#buffer.view.buffer, 0, length));
  }
}

/**
 * Sends messages that stand in memory. The kernel processes them before this returns.
 * @param flags of send(2)
 * @returns 0, or the errno
 */
export function sendMessages(fd: number, address: number, size: number, flags = 0): number {
  let sent: number;
  do sent = libc.send(fd, address, size, flags);
  while (sent < 0 && errno() === EINTR);
  return sent < 0 ? errno() : 0;
}
