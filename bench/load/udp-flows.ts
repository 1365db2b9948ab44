import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { closeSocket } from '../../lib/sys/socket.js';
import { openFlow } from './flow.js';
import type { Meter } from './meter.js';
import { MESSAGE_SIZE, type Target, type WorkOf } from './plan.js';

/** Milliseconds. A flow without an answer for this time has lost its datagram. */
const LOST_AFTER_MS = 200;

/** Each client opens a flow, waits for one answer, closes the flow, and begins again, as DNS resolvers do. */
export function udpFlows({ address, port }: Target, { clients }: WorkOf<'flows'>, meter: Meter): void {
  const epoll = new Epoll(clients);
  const target = SocketAddress.of(address, port);
  const buffer = new Memory(MESSAGE_SIZE);
  const openSince = new Map<number, number>();
  const start = () => {
    const fd = openFlow(target);
    openSince.set(fd, performance.now());
    epoll.add(fd, EPOLLIN, 0);
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  };
  const end = (fd: number) => {
    openSince.delete(fd);
    closeSocket(fd);
    start();
  };
  for (let i = 0; i < clients; i++) start();
  let nextCheck = performance.now() + LOST_AFTER_MS;
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.waitMs);
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      if (libc.read(fd, buffer.address, MESSAGE_SIZE) > 0) meter.total++;
      else meter.losses++;
      end(fd);
    }
    const now = performance.now();
    if (now < nextCheck) continue;
    nextCheck = now + LOST_AFTER_MS;
    for (const [fd, since] of [...openSince]) {
      if (now - since < LOST_AFTER_MS) continue;
      meter.losses++;
      end(fd);
    }
  }
}
