import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { closeSocket } from '../../lib/sys/socket.js';
import { openFlow } from './flow.js';
import type { Meter } from './meter.js';
import { MESSAGE_SIZE, type Target, type WorkOf } from './plan.js';
import { Sources } from './sources.js';

/** Milliseconds. Resolvers wait longer, but nothing here takes so long. */
const LOST_AFTER_MS = 1000;
const WAIT_MS = 1;
/** Events of one wait. */
const EVENTS = 256;

/** Asks at a fixed rate, each time with a new flow that ends with its answer, as resolvers of DNS do. */
export function udpLookups(
  { address, port }: Target,
  { perSecond, sources }: WorkOf<'lookups'>,
  meter: Meter,
): void {
  const epoll = new Epoll(EVENTS);
  const target = SocketAddress.of(address, port);
  const source = new Sources(sources);
  const buffer = new Memory(MESSAGE_SIZE);
  /** In the order of time. */
  const askedAt = new Map<number, number>();
  const ask = () => {
    const fd = openFlow(target, source);
    epoll.add(fd, EPOLLIN, 0);
    askedAt.set(fd, performance.now());
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  };
  const end = (fd: number) => {
    askedAt.delete(fd);
    closeSocket(fd);
  };
  const receive = () => {
    const ready = epoll.wait(WAIT_MS);
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      if (libc.read(fd, buffer.address, MESSAGE_SIZE) > 0) {
        meter.total++;
        meter.latencies.add((performance.now() - (askedAt.get(fd) as number)) * 1e6);
      } else meter.losses++;
      end(fd);
    }
    const oldest = performance.now() - LOST_AFTER_MS;
    for (const [fd, since] of askedAt) {
      if (since > oldest) break;
      meter.losses++;
      end(fd);
    }
  };
  const begun = performance.now();
  for (let asked = 0; meter.goesOn(); receive()) {
    const due = ((performance.now() - begun) / 1000) * perSecond;
    // After a standstill of this program, answers are read in between: all sockets at once are too many.
    for (let burst = 0; asked < due && burst < EVENTS; burst++, asked++) ask();
  }
  while (askedAt.size > 0) receive();
}
