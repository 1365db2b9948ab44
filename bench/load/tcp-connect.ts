import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  MSG_NOSIGNAL,
} from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { closeSocket } from '../../lib/sys/socket.js';
import type { Meter } from './meter.js';
import { MESSAGE_SIZE, type Target, type WorkOf } from './plan.js';
import { beginStream } from './stream.js';

/** Progress of a connection. 0: it has not asked yet. */
const ASKED = 1;
const ANSWERED = 2;

/** Each client connects, asks, reads until the server closes, closes too, and begins again. */
export function tcpConnect(target: Target, { clients }: WorkOf<'connect'>, meter: Meter): void {
  const epoll = new Epoll(clients);
  const address = SocketAddress.of(target.address, target.port);
  const buffer = new Memory(MESSAGE_SIZE);
  const progress = new Uint8Array(65536);
  const start = () => {
    const fd = beginStream(address);
    progress[fd] = 0;
    epoll.add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 0);
  };
  const end = (fd: number) => {
    if (progress[fd] === ANSWERED) meter.total++;
    else meter.losses++;
    closeSocket(fd);
    start();
  };
  for (let i = 0; i < clients; i++) start();
  while (meter.goesOn()) {
    const ready = epoll.wait(meter.waitMs);
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      const events = epoll.eventsAt(i);
      if (progress[fd] === 0 && events & EPOLLOUT) {
        progress[fd] = ASKED;
        libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
      }
      if (events & EPOLLIN && libc.read(fd, buffer.address, MESSAGE_SIZE) > 0) progress[fd] = ANSWERED;
      if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) end(fd);
    }
  }
}
