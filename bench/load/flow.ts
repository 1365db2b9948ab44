import { AF_INET } from '../../lib/sys/constants.js';
import { checked } from '../../lib/sys/errno.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { connect, openDatagram, setBuffers } from '../../lib/sys/socket.js';
import type { Target } from './plan.js';

/** Large enough for what a busy process cannot take at once. */
export const SOCKET_BUFFER = 4 << 20;

/** A connected UDP socket: a flow of its own. */
export function openFlow(target: SocketAddress): number {
  const fd = checked('socket', openDatagram(AF_INET));
  checked('connect', connect(fd, target));
  return fd;
}

/** Flows with great buffers. */
export function openFlows({ address, port }: Target, count: number): number[] {
  const target = SocketAddress.of(address, port);
  return Array.from({ length: count }, () => {
    const fd = openFlow(target);
    setBuffers(fd, SOCKET_BUFFER);
    return fd;
  });
}
