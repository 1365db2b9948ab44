/**
 * Holds idle connections, a program of its own in the client pod: opens them with one round trip on each, says so with a
 * line, and keeps them until its input ends. Its arguments are address, port, and how many.
 */
import { readSync } from 'node:fs';
import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { raiseDescriptorLimit } from '../../lib/sys/limits.js';
import { Memory } from '../../lib/sys/memory.js';
import { MESSAGE_SIZE } from './plan.js';
import { openStreams } from './stream.js';

/** Connections that begin at once; a listener's backlog holds them. */
const AT_ONCE = 200;
const PATIENCE_MS = 5000;
const STDIN = 0;

/** @throws Error where an answer is missing */
function talk(fds: readonly number[]): void {
  const epoll = new Epoll(fds.length);
  const buffer = new Memory(MESSAGE_SIZE);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN, 0);
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  }
  let answered = 0;
  while (answered < fds.length) {
    const ready = epoll.wait(PATIENCE_MS);
    if (ready === 0) throw new Error('a connection has no answer');
    for (let i = 0; i < ready; i++) {
      if (libc.read(epoll.fdAt(i), buffer.address, MESSAGE_SIZE) <= 0)
        throw new Error('a connection ended before its answer');
      epoll.remove(epoll.fdAt(i));
      answered++;
    }
  }
  epoll.close();
}

const [address, port, connections] = process.argv.slice(2);
const target = { address, port: Number(port) };
raiseDescriptorLimit();
for (let open = 0; open < Number(connections); open += AT_ONCE) {
  talk(openStreams(target, Math.min(AT_ONCE, Number(connections) - open)));
}
process.stdout.write('open\n');
readSync(STDIN, new Uint8Array(1));
