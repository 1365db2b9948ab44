/** A program: the load server in the backend pod, one thread with epoll. See SERVER_PORTS. */
import { AF_INET, EPOLLIN } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import { checked } from '../../lib/sys/errno.js';
import * as libc from '../../lib/sys/libc.js';
import { raiseDescriptorLimit } from '../../lib/sys/limits.js';
import { listenStream, startListening } from '../../lib/sys/listening.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { accept, closeSocket, openDatagram, setBuffers } from '../../lib/sys/socket.js';
import { Counter } from './counter.js';
import { EchoBatch } from './echo-batch.js';
import { SOCKET_BUFFER } from './flow.js';
import { MESSAGE_SIZE, SERVER_PORTS } from './plan.js';

const BUFFER_SIZE = 65536;
/** Connections that are accepted, and datagrams that are received, before other sockets get their turn. */
const MAX_ACCEPTS = 64;
const BATCH = 64;
const MAX_DATAGRAM_BYTES = 2048;

const epoll = new Epoll(256);
const buffer = new Memory(BUFFER_SIZE);
const peer = new SocketAddress();
const handlers: ((fd: number) => void)[] = [];

function watch(fd: number, handler: (fd: number) => void): void {
  handlers[fd] = handler;
  epoll.add(fd, EPOLLIN, 0);
}

function listen(port: number, onConnection: (fd: number) => void): void {
  const listener = listenStream({ address: '0.0.0.0', port, sharing: 'nobody', freeBind: false });
  startListening(listener);
  watch(listener, () => {
    for (let i = 0; i < MAX_ACCEPTS; i++) {
      const fd = accept(listener, peer);
      if (fd < 0) return;
      onConnection(fd);
    }
  });
}

function echo(fd: number): void {
  const length = libc.read(fd, buffer.address, BUFFER_SIZE);
  if (length <= 0) closeSocket(fd);
  else libc.write(fd, buffer.address, length);
}

/** @returns false if there is no request yet */
function answerOnce(fd: number): boolean {
  if (libc.read(fd, buffer.address, BUFFER_SIZE) < 0) return false;
  libc.write(fd, buffer.address, MESSAGE_SIZE);
  closeSocket(fd);
  return true;
}

function listenUdp(port: number, handler: (fd: number) => void): void {
  const fd = openDatagram(AF_INET);
  setBuffers(fd, SOCKET_BUFFER);
  const local = SocketAddress.of('0.0.0.0', port);
  checked('bind', libc.bindSocket(fd, local.memory.address, local.length));
  watch(fd, handler);
}

const batch = new EchoBatch(BATCH, MAX_DATAGRAM_BYTES, true);

function echoDatagrams(fd: number): void {
  const count = batch.receive(fd);
  if (count > 0) sendBack(fd, count);
}

function answerWithPort(fd: number, port: number): void {
  const count = batch.receive(fd);
  for (let slot = 0; slot < count; slot++) batch.words[batch.wordOf(slot)] = port;
  if (count > 0) sendBack(fd, count);
}

function sendBack(fd: number, count: number): void {
  batch.keepSizes(count);
  batch.send(fd, count);
  batch.rearm(count);
}

raiseDescriptorLimit();
const counter = new Counter();
listenUdp(SERVER_PORTS.echo, echoDatagrams);
listenUdp(SERVER_PORTS.count, (fd) => counter.receive(fd));
for (const port of SERVER_PORTS.who) listenUdp(port, (fd) => answerWithPort(fd, port));
listen(SERVER_PORTS.echo, (fd) => watch(fd, echo));
listen(SERVER_PORTS.once, (fd) => {
  if (!answerOnce(fd)) watch(fd, answerOnce);
});
process.stdout.write('ready\n');
for (;;) {
  const ready = epoll.wait(-1);
  for (let i = 0; i < ready; i++) {
    const fd = epoll.fdAt(i);
    handlers[fd](fd);
  }
}
