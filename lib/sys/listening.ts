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
  readonly port: number;
  /**
   * Who may listen on the same port: nobody else; other sockets of the same user that agree to it
   * (SO_REUSEPORT); or sockets of this program only, see {@link ownPort}.
   */
  readonly sharing: 'nobody' | 'user' | 'program';
  /** Binds an address that the node does not have yet. */
  readonly freeBind: boolean;
}

/**
 * A listening TCP socket. TCP_NODELAY and keep-alive are set here because accepted sockets inherit them,
 * which saves five calls a connection.
 * @throws SysError with EADDRINUSE and the like
 */
export function listenStream(options: ListenOptions): number {
  return openBound(SOCK_STREAM, options, (fd) => {
    setNoDelay(fd);
    setKeepAlive(fd);
  });
}

/**
 * A bound UDP socket that reports to which address each datagram came, and with how many hops left.
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
    // For IPv6 too: its own option is there from Linux 4.15 only, and sets the same bit of the socket.
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
