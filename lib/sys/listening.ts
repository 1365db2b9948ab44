import {
  AF_INET,
  AF_INET6,
  IP_FREEBIND,
  IP_PKTINFO,
  IP_RECVTTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from './constants.js';
import { checked } from './errno.js';
import * as libc from './libc.js';
import { requireOption } from './options.js';
import { ownPort } from './portowner.js';
import { SocketAddress } from './sockaddr.js';
import { OPEN_FLAGS, setBuffers, setKeepAlive, setNoDelay } from './socket.js';

const bound = new SocketAddress();

export interface ListenOptions {
  readonly address: string;
  /** 0: the kernel chooses a free port. */
  readonly port: number;
  /**
   * Which other sockets may listen on the same port. `nobody`: none. `user`: sockets of the same user with
   * SO_REUSEPORT. `program`: sockets of this program only, see {@link ownPort}.
   */
  readonly sharing: 'nobody' | 'user' | 'program';
  /** Whether to bind an address that the node does not have yet (IP_FREEBIND). */
  readonly freeBind: boolean;
}

/**
 * A bound TCP socket. TCP_NODELAY and keep-alive are set here because accepted sockets inherit them. That
 * saves five calls for each connection.
 * @throws SysError with EADDRINUSE and the like
 */
export function listenStream(options: ListenOptions): number {
  return openBound(SOCK_STREAM, options, (fd) => {
    setNoDelay(fd);
    setKeepAlive(fd);
  });
}

/**
 * A bound UDP socket that reports the destination address of each datagram and the hops that it had left.
 * @param bufferSize of both socket buffers, bytes
 * @throws SysError
 */
export function listenDatagram(options: ListenOptions, bufferSize: number): number {
  return openBound(SOCK_DGRAM, options, (fd, family) => {
    if (family === AF_INET) {
      requireOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
      requireOption(fd, IPPROTO_IP, IP_RECVTTL, 1);
    } else {
      requireOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
      requireOption(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    }
    setBuffers(fd, bufferSize);
  });
}

function openBound(
  type: typeof SOCK_STREAM | typeof SOCK_DGRAM,
  { address, port, sharing, freeBind }: ListenOptions,
  prepare: (fd: number, family: number) => void,
): number {
  const local = bound.set(address, port);
  const fd = checked('socket', libc.socket(local.family, type | OPEN_FLAGS, 0));
  try {
    if (type === SOCK_STREAM) requireOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (sharing !== 'nobody') requireOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (sharing === 'program') ownPort(fd);
    if (local.family === AF_INET6) requireOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    // For IPv6 too: IPV6_FREEBIND exists only from Linux 4.15 on, and both options set the same bit of the
    // socket.
    if (freeBind) requireOption(fd, IPPROTO_IP, IP_FREEBIND, 1);
    prepare(fd, local.family);
    checked('bind', libc.bindSocket(fd, local.memory.address, local.length));
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Lets a bound TCP socket accept. The kernel caps the backlog at net.core.somaxconn. @throws SysError */
export function startListening(fd: number, backlog = 65535): void {
  checked('listen', libc.listen(fd, backlog));
}
