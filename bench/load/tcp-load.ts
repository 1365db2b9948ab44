import {
  AF_INET,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  MSG_NOSIGNAL,
} from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import { checked, EINPROGRESS, errno } from '../../lib/sys/errno.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import {
  closeSocket,
  connect,
  openStream,
  setNoDelay,
  shutdownWrite,
  takeError,
} from '../../lib/sys/socket.js';
import type { Meter } from './meter.js';
import { type LoadPlan, MESSAGE_SIZE, type Work } from './plan.js';

const CHUNK = 256 << 10;
const buffer = new Memory(CHUNK);

function begin(target: SocketAddress): number {
  const fd = checked('socket', openStream(AF_INET));
  if (connect(fd, target) < 0 && errno() !== EINPROGRESS) throw new Error(`connect: errno ${errno()}`);
  return fd;
}

/** Each client connects, asks, reads the answer to the server's end of stream, closes, and begins again. */
export function connectLoad(
  plan: LoadPlan,
  { clients }: Extract<Work, { kind: 'connect' }>,
  meter: Meter,
): void {
  const epoll = new Epoll(clients);
  const target = SocketAddress.of(plan.address, plan.port);
  const asked = new Uint8Array(65536);
  const answered = new Uint8Array(65536);
  const start = () => {
    const fd = begin(target);
    asked[fd] = 0;
    answered[fd] = 0;
    epoll.add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 0);
  };
  const end = (fd: number) => {
    if (answered[fd] === 1) meter.total++;
    else meter.losses++;
    closeSocket(fd);
    start();
  };
  for (let i = 0; i < clients; i++) start();
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.timeout);
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      const events = epoll.eventsAt(i);
      if (asked[fd] === 0 && events & EPOLLOUT) {
        asked[fd] = 1;
        libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
      }
      if (events & EPOLLIN && answered[fd] === 0 && libc.read(fd, buffer.address, CHUNK) > 0)
        answered[fd] = 1;
      if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) end(fd);
    }
  }
}

function waitUntilOpen(epoll: Epoll, fds: readonly number[]): void {
  const open = new Set<number>();
  while (open.size < fds.length) {
    const ready = epoll.wait(5000);
    if (ready === 0) throw new Error('the service does not answer');
    for (let i = 0; i < ready; i++) open.add(epoll.fdAt(i));
  }
  for (const fd of fds) {
    const code = takeError(fd);
    if (code !== 0) throw new Error(`connect: errno ${code}`);
  }
}

function openAll(plan: LoadPlan, count: number): number[] {
  const epoll = new Epoll(count);
  const target = SocketAddress.of(plan.address, plan.port);
  const fds = Array.from({ length: count }, () => begin(target));
  for (const fd of fds) {
    setNoDelay(fd);
    epoll.add(fd, EPOLLOUT | EPOLLET, 0);
  }
  waitUntilOpen(epoll, fds);
  epoll.close();
  return fds;
}

/** One message under way on each connection. */
export function roundTripLoad(
  plan: LoadPlan,
  { connections }: Extract<Work, { kind: 'roundtrip' }>,
  meter: Meter,
): void {
  const fds = openAll(plan, connections);
  const epoll = new Epoll(connections);
  const missing = new Int32Array(65536).fill(MESSAGE_SIZE);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN, 0);
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  }
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.timeout);
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      const length = libc.read(fd, buffer.address, CHUNK);
      if (length <= 0) throw new Error('a connection ended in the middle of the measurement');
      missing[fd] -= length;
      if (missing[fd] > 0) continue;
      missing[fd] = MESSAGE_SIZE;
      meter.total++;
      libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
    }
  }
}

/**
 * Writes as fast as the path takes it. What the clients' sockets took is counted, which is ahead of what arrived by
 * the buffers on the way at the start and at the end of the time that counts; the difference cancels out.
 */
export function bulkLoad(plan: LoadPlan, { streams }: Extract<Work, { kind: 'bulk' }>, meter: Meter): void {
  const fds = openAll(plan, streams);
  const epoll = new Epoll(streams);
  for (const fd of fds) epoll.add(fd, EPOLLOUT, 0);
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.timeout);
    for (let i = 0; i < ready; i++) {
      const written = libc.send(epoll.fdAt(i), buffer.address, CHUNK, MSG_NOSIGNAL);
      if (written < 0) throw new Error('a stream broke in the middle of the measurement');
      meter.total += written;
    }
  }
  for (const fd of fds) shutdownWrite(fd);
}
