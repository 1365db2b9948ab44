import { AF_INET, EPOLLET, EPOLLOUT } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import { checked, EINPROGRESS, errno } from '../../lib/sys/errno.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { connect, openStream, setNoDelay, takeError } from '../../lib/sys/socket.js';
import type { Target } from './plan.js';
import type { Sources } from './sources.js';

const CONNECT_TIMEOUT_MS = 5000;

/**
 * A TCP socket that begins to connect. @param sources where it comes from. Undefined: the kernel chooses.
 * @throws Error if the connect fails at once
 */
export function beginStream(target: SocketAddress, sources?: Sources): number {
  const fd = checked('socket', openStream(AF_INET));
  sources?.bind(fd);
  if (connect(fd, target) < 0 && errno() !== EINPROGRESS) throw new Error(`connect: errno ${errno()}`);
  return fd;
}

/** `count` established connections. @throws Error if the service does not answer */
export function openStreams({ address, port }: Target, count: number): number[] {
  const epoll = new Epoll(count);
  const target = SocketAddress.of(address, port);
  const fds = Array.from({ length: count }, () => beginStream(target));
  for (const fd of fds) {
    setNoDelay(fd);
    epoll.add(fd, EPOLLOUT | EPOLLET, 0);
  }
  waitUntilOpen(epoll, fds);
  epoll.close();
  return fds;
}

function waitUntilOpen(epoll: Epoll, fds: readonly number[]): void {
  const open = new Set<number>();
  while (open.size < fds.length) {
    const ready = epoll.wait(CONNECT_TIMEOUT_MS);
    if (ready === 0) throw new Error('the service does not answer');
    for (let i = 0; i < ready; i++) open.add(epoll.fdAt(i));
  }
  for (const fd of fds) {
    const code = takeError(fd);
    if (code !== 0) throw new Error(`connect: errno ${code}`);
  }
}
