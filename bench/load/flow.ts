import { AF_INET } from '../../lib/sys/constants.js';
import { checked } from '../../lib/sys/errno.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { connect, openDatagram, setBuffers } from '../../lib/sys/socket.js';
import type { Target } from './plan.js';
import type { Sources } from './sources.js';

/** Bytes. It holds what arrives while a process is busy. */
export const SOCKET_BUFFER = 4 << 20;

/** A connected UDP socket: one flow. @param sources where it comes from. Undefined: the kernel chooses. */
export function openFlow(target: SocketAddress, sources?: Sources): number {
  const fd = checked('socket', openDatagram(AF_INET));
  sources?.bind(fd);
  checked('connect', connect(fd, target));
  return fd;
}

/** Flows with buffers of {@link SOCKET_BUFFER}. */
export function openFlows({ address, port }: Target, count: number): number[] {
  const target = SocketAddress.of(address, port);
  return Array.from({ length: count }, () => {
    const fd = openFlow(target);
    setBuffers(fd, SOCKET_BUFFER);
    return fd;
  });
}
