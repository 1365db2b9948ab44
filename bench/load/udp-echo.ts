import { EPOLLIN } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import { EchoBatch } from './echo-batch.js';
import { openFlows } from './flow.js';
import type { Meter } from './meter.js';
import type { Target, WorkOf } from './plan.js';

/** Milliseconds. A flow without an answer for this time has lost its datagrams. */
const LOST_AFTER_MS = 200;

/** Keeps `outstanding` datagrams under way on each flow. Each answer counts, and is sent again. */
export function udpEcho(target: Target, { flows, outstanding, size }: WorkOf<'udp'>, meter: Meter): void {
  const epoll = new Epoll(flows);
  const batch = new EchoBatch(outstanding, size, false);
  const fds = openFlows(target, flows);
  const answeredAt = new Float64Array(65536);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN, 0);
    answeredAt[fd] = performance.now();
    batch.send(fd, outstanding);
  }
  let nextCheck = performance.now() + LOST_AFTER_MS;
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.waitMs);
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
    nextCheck = now + LOST_AFTER_MS;
    for (const fd of fds) {
      if (now - answeredAt[fd] < LOST_AFTER_MS) continue;
      meter.losses += outstanding;
      answeredAt[fd] = now;
      batch.send(fd, outstanding);
    }
  }
}
