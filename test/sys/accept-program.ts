/** Accepts a connection in a thread, and prints the result of the call and what the client gets. */
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import { EAGAIN, errno, errnoName } from '../../lib/sys/errno.js';
import * as libc from '../../lib/sys/libc.js';
import { listenStream, startListening } from '../../lib/sys/listening.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { accept, connect, localAddress, openStream } from '../../lib/sys/socket.js';

/**
 * Repeats a call of a non-blocking socket until it no longer fails with EAGAIN. @returns its result, or the
 * error's name
 */
async function until(call: () => number): Promise<number | string> {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    if (errno() !== EAGAIN) return errnoName(errno());
    await pause(1);
  }
}

if (isMainThread) new Worker(fileURLToPath(import.meta.url));
else {
  const listener = listenStream({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false });
  startListening(listener);
  const server = localAddress(listener);
  const client = openStream(server.family);
  connect(client, server);
  const accepted = await until(() => accept(listener, new SocketAddress()));
  if (typeof accepted === 'number') process.stdout.write('accepted\n');
  else {
    const buffer = new Memory(8);
    const received = await until(() => libc.recv(client, buffer.address, 8, 0));
    process.stdout.write(`${accepted}, client: ${received}\n`);
  }
}
