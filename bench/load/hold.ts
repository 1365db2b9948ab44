/**
 * A program: opens idle connections from the client pod, and asks on each. After a line of input it asks
 * again on all, and prints how many are still open. Its argument is a HoldPlan as JSON.
 */
import { readSync } from 'node:fs';
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { raiseDescriptorLimit } from '../../lib/sys/limits.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { type HoldPlan, MESSAGE_SIZE, SERVER_PORTS } from './plan.js';
import { Sources } from './sources.js';
import { beginStream } from './stream.js';

/** Connections of this program that begin at the same time: the row is about how many can be, not begin. */
const AT_ONCE = 32;
/** Milliseconds. Connections that begin together have their answers by then, or never. */
const ANSWER_TIMEOUT_MS = 5000;
/** Milliseconds. No more are opened after this time. */
const OPENING_MS = 60_000;
const STDIN = 0;

const { address, connections, sources } = JSON.parse(process.argv[2]) as HoldPlan;
const target = SocketAddress.of(address, SERVER_PORTS.keep);
const source = new Sources(sources);
const buffer = new Memory(MESSAGE_SIZE);

/** Opens connections, and asks on each. @returns those that were answered in time */
function open(count: number): number[] {
  const epoll = new Epoll(count);
  for (let i = 0; i < count; i++) epoll.add(beginStream(target, source), EPOLLIN | EPOLLOUT | EPOLLET, 0);
  const asked = new Set<number>();
  const answered: number[] = [];
  const deadline = performance.now() + ANSWER_TIMEOUT_MS;
  for (let ended = 0; ended < count; ) {
    const ready = epoll.wait(Math.max(0, deadline - performance.now()));
    if (ready === 0) break;
    for (let i = 0; i < ready; i++) {
      const fd = epoll.fdAt(i);
      const events = epoll.eventsAt(i);
      if (events & EPOLLOUT && !asked.has(fd)) {
        asked.add(fd);
        ask(fd);
      }
      if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
      ended++;
      if (isAnswered(fd)) answered.push(fd);
      epoll.remove(fd);
    }
  }
  epoll.close();
  return answered;
}

/** Asks on open connections. @returns how many are answered in time */
function countAnswers(fds: readonly number[]): number {
  const epoll = new Epoll(AT_ONCE);
  for (const fd of fds) {
    epoll.add(fd, EPOLLIN | EPOLLET, 0);
    ask(fd);
  }
  let answers = 0;
  for (let ended = 0; ended < fds.length; ) {
    const ready = epoll.wait(ANSWER_TIMEOUT_MS);
    if (ready === 0) break;
    for (let i = 0; i < ready; i++) if (isAnswered(epoll.fdAt(i))) answers++;
    ended += ready;
  }
  return answers;
}

function ask(fd: number): void {
  libc.send(fd, buffer.address, MESSAGE_SIZE, MSG_NOSIGNAL);
}

function isAnswered(fd: number): boolean {
  return libc.read(fd, buffer.address, MESSAGE_SIZE) > 0;
}

const waitForInput = () => readSync(STDIN, new Uint8Array(1));

raiseDescriptorLimit();
const fds: number[] = [];
const deadline = performance.now() + OPENING_MS;
for (let wanted = 0; fds.length === wanted && wanted < connections && performance.now() < deadline; ) {
  const count = Math.min(AT_ONCE, connections - wanted);
  wanted += count;
  fds.push(...open(count));
}
process.stdout.write('opened\n');
waitForInput();
process.stdout.write(`open ${countAnswers(fds)}\n`);
waitForInput();
