/**
 * A program: opens idle connections from the client pod. It makes one round trip on each, prints a line,
 * and keeps the connections until its input ends. Arguments: address, port, number of connections.
 */
import { readSync } from 'node:fs';
import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { raiseDescriptorLimit } from '../../lib/sys/limits.js';
import { Memory } from '../../lib/sys/memory.js';
import { MESSAGE_SIZE } from './plan.js';
import { openStreams } from './stream.js';

/** Connections that begin at the same time. The backlog of a listener holds as many. */
const AT_ONCE = 200;
const ANSWER_TIMEOUT_MS = 5000;
const STDIN = 0;

/** Makes one round trip on each connection. @throws Error if an answer is missing */
function makeRoundTrips(fds: readonly number[]): void {
  const epoll = new Epoll(fds.length);
  const buffer = new Memory(MESSAGE_SIZE);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN, 0);
    libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
  }
  let answered = 0;
  while (answered < fds.length) {
    const ready = epoll.wait(ANSWER_TIMEOUT_MS);
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
  makeRoundTrips(openStreams(target, Math.min(AT_ONCE, Number(connections) - open)));
}
process.stdout.write('open\n');
readSync(STDIN, new Uint8Array(1));
