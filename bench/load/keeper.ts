/**
 * A program: keeps connections to the backend open, and sends every message back. Several of them share the
 * port, because none may have as many descriptors as all connections together need.
 */
import { EPOLLIN } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { raiseDescriptorLimit } from '../../lib/sys/limits.js';
import { listenStream, startListening } from '../../lib/sys/listening.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { accept, closeSocket } from '../../lib/sys/socket.js';
import { MESSAGE_SIZE, SERVER_PORTS } from './plan.js';

const epoll = new Epoll(256);
const buffer = new Memory(MESSAGE_SIZE);
const peer = new SocketAddress();
const listener = listenStream({
  address: '0.0.0.0',
  port: SERVER_PORTS.keep,
  sharing: 'user',
  freeBind: false,
});

function acceptAll(): void {
  for (let fd = accept(listener, peer); fd >= 0; fd = accept(listener, peer)) epoll.add(fd, EPOLLIN, 0);
}

function echo(fd: number): void {
  const length = libc.read(fd, buffer.address, MESSAGE_SIZE);
  if (length <= 0) closeSocket(fd);
  else libc.write(fd, buffer.address, length);
}

raiseDescriptorLimit();
startListening(listener);
epoll.add(listener, EPOLLIN, 0);
process.stdout.write('ready\n');
for (;;) {
  const ready = epoll.wait(-1);
  for (let i = 0; i < ready; i++) {
    const fd = epoll.fdAt(i);
    if (fd === listener) acceptAll();
    else echo(fd);
  }
}
