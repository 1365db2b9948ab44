import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import type { Meter } from './meter.js';
import { MESSAGE_SIZE, type Target, type WorkOf } from './plan.js';
import { openStreams } from './stream.js';

/** Keeps one message under way on each connection, and measures the time of each round trip. */
export function tcpRoundTrips(target: Target, { connections }: WorkOf<'roundtrip'>, meter: Meter): void {
  const fds = openStreams(target, connections);
  const epoll = new Epoll(connections);
  const buffer = new Memory(MESSAGE_SIZE);
  const missing = new Int32Array(65536).fill(MESSAGE_SIZE);
  const sentAt = new Float64Array(65536);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN, 0);
    sentAt[fd] = performance.now();
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  }
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.waitMs);
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      const length = libc.read(fd, buffer.address, MESSAGE_SIZE);
      if (length <= 0) throw new Error('a connection ended in the middle of the measurement');
      missing[fd] -= length;
      if (missing[fd] > 0) continue;
      missing[fd] = MESSAGE_SIZE;
      meter.total++;
      const now = performance.now();
      meter.latencies.add((now - sentAt[fd]) * 1e6);
      sentAt[fd] = now;
      libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
    }
  }
}
