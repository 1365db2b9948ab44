import { AF_INET, EPOLLIN } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import { checked } from '../../lib/sys/errno.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { connect, openDatagram, setBuffers } from '../../lib/sys/socket.js';
import { EchoBatch } from './echo-batch.js';
import type { Meter } from './meter.js';
import type { LoadPlan, Work } from './plan.js';

/** A flow without an answer for so long, ms, has lost its datagrams. */
const LOST_AFTER = 200;

/** Keeps a number of datagrams under way on each flow; every answer is a round trip and brings the next datagram. */
export function udpEcho(
  plan: LoadPlan,
  { flows, outstanding, size }: Extract<Work, { kind: 'udp' }>,
  meter: Meter,
): void {
  const epoll = new Epoll(flows);
  const batch = new EchoBatch(outstanding, size, false);
  const fds = openFlows(plan, flows);
  const answeredAt = new Float64Array(65536);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN, 0);
    answeredAt[fd] = performance.now();
    batch.send(fd, outstanding);
  }
  let nextCheck = performance.now() + LOST_AFTER;
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.timeout);
    const now = performance.now();
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      const count = batch.receive(fd);
      if (count <= 0) continue;
      answeredAt[fd] = now;
      meter.total += count;
      batch.send(fd, count);
    }
    if (now < nextCheck) continue;
    nextCheck = now + LOST_AFTER;
    for (const fd of fds) {
      if (now - answeredAt[fd] < LOST_AFTER) continue;
      meter.losses += outstanding;
      answeredAt[fd] = now;
      batch.send(fd, outstanding);
    }
  }
}

/** Connected UDP sockets, each with a source port of its own. */
export function openFlows({ address, port }: LoadPlan, count: number): number[] {
  const target = SocketAddress.of(address, port);
  return Array.from({ length: count }, () => {
    const fd = checked('socket', openDatagram(AF_INET));
    setBuffers(fd, 4 << 20);
    checked('connect', connect(fd, target));
    return fd;
  });
}
