import {
  AF_INET6,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  SHUT_WR,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_MEMINFO,
  SO_ORIGINAL_DST,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
} from './constants.js';
import { checked, ENOSYS, errno } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { getOption, preferOption, setOption } from './options.js';
import { SOCKADDR_SIZE, SocketAddress } from './sockaddr.js';

export const OPEN_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC;

/** struct linger: on, with a time of 0 seconds. */
const noLinger = new Memory(8);
noLinger.words[0] = 1;
const lengthCell = new Memory(8);
/** Nine words, of which the last counts what was dropped: linux/sock_diag.h, enum of SK_MEMINFO_. */
const memoryInfo = new Memory(40);
const DROPPED_WORD = 8;
const ANY4 = SocketAddress.of('0.0.0.0', 0);
const ANY6 = SocketAddress.of('::', 0);

/**
 * Reads and clears the pending error of a socket. After an asynchronous connect it is the result of the
 * connect; 0 means success.
 */
export function takeError(fd: number): number {
  return getOption(fd, SOL_SOCKET, SO_ERROR);
}

/** New non-blocking TCP socket, or -1 with `errno`. @param family AF_INET or AF_INET6 */
export function openStream(family: number): number {
  return libc.socket(family, SOCK_STREAM | OPEN_FLAGS, 0);
}

/** New non-blocking UDP socket, or -1 with `errno`. @param family AF_INET or AF_INET6 */
export function openDatagram(family: number): number {
  return libc.socket(family, SOCK_DGRAM | OPEN_FLAGS, 0);
}

/**
 * Binds a socket to a local port on all addresses of the node. Other sockets of this process may have the
 * same port, because each of them is connected to another peer (socket(7), SO_REUSEADDR).
 * @returns 0, or -1 with `errno`: EADDRINUSE if another socket does not share the port
 */
export function bindShared(fd: number, family: number, port: number): number {
  preferOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const wildcard = family === AF_INET6 ? ANY6 : ANY4;
  wildcard.memory.view.setUint16(2, port);
  return libc.bindSocket(fd, wildcard.memory.address, wildcard.length);
}

/** Starts to connect. @returns 0, or -1 with `errno`; EINPROGRESS means that the connect has not ended yet */
export function connect(fd: number, to: SocketAddress): number {
  return libc.connect(fd, to.memory.address, to.length);
}

/**
 * Accepts a connection as a non-blocking socket. `peer` gets the address of the peer.
 * @returns the descriptor, or -1 with `errno`
 */
export function accept(listener: number, peer: SocketAddress): number {
  lengthCell.words[0] = SOCKADDR_SIZE;
  const fd = libc.accept4(listener, peer.memory.address, lengthCell.address, OPEN_FLAGS);
  return fd < 0 && errno() === ENOSYS ? acceptPlain(listener, peer) : fd;
}

/**
 * For a kernel without accept4, or a seccomp filter that does not know it. If the socket cannot be made
 * non-blocking, it is closed: a blocking socket would stop the worker.
 */
function acceptPlain(listener: number, peer: SocketAddress): number {
  const fd = libc.accept(listener, peer.memory.address, lengthCell.address);
  if (fd < 0) return fd;
  const isPrepared =
    libc.fcntl(fd, F_SETFL, SOCK_NONBLOCK) === 0 && libc.fcntl(fd, F_SETFD, FD_CLOEXEC) === 0;
  if (isPrepared) return fd;
  libc.close(fd);
  return -1;
}

/**
 * Closes the sending direction of a connection. Data from the peer can still be read. If the peer has reset
 * the connection, the call fails with ENOTCONN; that needs no action, because epoll reports the reset.
 */
export function shutdownWrite(fd: number): void {
  libc.shutdown(fd, SHUT_WR);
}

/**
 * Makes the next close send a reset: the peer gets ECONNRESET, and no socket stays in TIME_WAIT (socket(7),
 * SO_LINGER).
 */
export function resetOnClose(fd: number): void {
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, noLinger.address, 8);
}

export function setNoDelay(fd: number): void {
  preferOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** Detects a dead peer after 90 seconds without packets: 30 s, then 6 probes with 10 s between them. */
export function setKeepAlive(fd: number): void {
  preferOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  preferOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  preferOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  preferOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

/** Sets both socket buffers. With CAP_NET_ADMIN they may be above the system's limits. @param size bytes */
export function setBuffers(fd: number, size: number): void {
  setReceiveBuffer(fd, size);
  setSendBuffer(fd, size);
}

/** Sets the receive buffer. With CAP_NET_ADMIN it may be above net.core.rmem_max. @param size bytes */
export function setReceiveBuffer(fd: number, size: number): void {
  if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, size)) preferOption(fd, SOL_SOCKET, SO_RCVBUF, size);
}

/** Sets the send buffer. With CAP_NET_ADMIN it may be above net.core.wmem_max. @param size bytes */
export function setSendBuffer(fd: number, size: number): void {
  if (!setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, size)) preferOption(fd, SOL_SOCKET, SO_SNDBUF, size);
}

/**
 * How many messages the kernel dropped because the receive buffer of a socket was full, modulo 2^32
 * (SO_MEMINFO of asm-generic/socket.h; Linux 4.12). 0 if the kernel does not tell.
 */
export function countDropped(fd: number): number {
  memoryInfo.words[DROPPED_WORD] = 0;
  lengthCell.words[0] = memoryInfo.bytes.length;
  libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memoryInfo.address, lengthCell.address);
  return memoryInfo.words[DROPPED_WORD] >>> 0;
}

/**
 * The destination port that a redirected connection had before netfilter changed it (SO_ORIGINAL_DST).
 * @returns the port, or 0 if conntrack does not know the connection
 */
export function originalDestinationPort(fd: number, family: number, cell: SocketAddress): number {
  lengthCell.words[0] = SOCKADDR_SIZE;
  const level = family === AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  const result = libc.getsockopt(fd, level, SO_ORIGINAL_DST, cell.memory.address, lengthCell.address);
  return result === 0 ? cell.port : 0;
}

/** The local address of a bound socket. @throws SysError */
export function localAddress(fd: number): SocketAddress {
  const local = new SocketAddress();
  lengthCell.words[0] = SOCKADDR_SIZE;
  checked('getsockname', libc.getsockname(fd, local.memory.address, lengthCell.address));
  local.length = lengthCell.words[0];
  return local;
}

/**
 * The address that this node's datagrams to an address have. Nothing is sent (udp(7): connect only looks for
 * the route).
 * @returns null where no route leads there
 */
export function localAddressTowards(to: SocketAddress): string | null {
  const fd = openDatagram(to.family);
  if (fd < 0) return null;
  const local = connect(fd, to) < 0 ? null : localAddress(fd).address;
  closeSocket(fd);
  return local;
}

/** The port of the peer of a connection. 0 if the peer has gone. */
export function peerPort(fd: number): number {
  const peer = new SocketAddress();
  lengthCell.words[0] = SOCKADDR_SIZE;
  return libc.getpeername(fd, peer.memory.address, lengthCell.address) === 0 ? peer.port : 0;
}

/** The result of close(2) is ignored: Linux frees the descriptor in any case, and close never blocks here. */
export function closeSocket(fd: number): void {
  libc.close(fd);
}
