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

/** Milliseconds. A flow without an answer for this time has lost its datagram. */
const LOST_AFTER_MS = 200;

/**
 * Each client opens a flow, asks some times, waits for each answer, closes the flow, and begins again. With
 * one request for each flow, resolvers of DNS do so. A flow counts when it has its last answer.
 */
export function udpFlows(
  { address, port }: Target,
  { clients, requests, sources }: WorkOf<'flows'>,
  meter: Meter,
): void {
  const epoll = new Epoll(clients);
  const target = SocketAddress.of(address, port);
  const source = new Sources(sources);
  const buffer = new Memory(MESSAGE_SIZE);
  const askedAt = new Map<number, number>();
  const missing = new Uint32Array(65536);
  const ask = (fd: number) => {
    askedAt.set(fd, performance.now());
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  };
  const start = () => {
    const fd = openFlow(target, source);
    missing[fd] = requests;
    epoll.add(fd, EPOLLIN, 0);
    ask(fd);
  };
  const end = (fd: number) => {
    askedAt.delete(fd);
    closeSocket(fd);
    start();
  };
  const lose = (fd: number) => {
    meter.losses++;
    end(fd);
  };
  const answer = (fd: number) => {
    if (libc.read(fd, buffer.address, MESSAGE_SIZE) <= 0) return lose(fd);
    missing[fd]--;
    if (missing[fd] > 0) return ask(fd);
    meter.total++;
    end(fd);
  };
  for (let i = 0; i < clients; i++) start();
  let nextCheck = performance.now() + LOST_AFTER_MS;
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.waitMs);
    for (let i = 0; i < ready; i++) answer(epoll.fdAt(i));
    const now = performance.now();
    if (now < nextCheck) continue;
    nextCheck = now + LOST_AFTER_MS;
    for (const [fd, since] of [...askedAt]) if (now - since >= LOST_AFTER_MS) lose(fd);
  }
}
