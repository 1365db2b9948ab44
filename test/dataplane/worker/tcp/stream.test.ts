import { execFileSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { DescriptorBudget } from '../../../../lib/dataplane/shared/budget.js';
import { PipePool } from '../../../../lib/dataplane/worker/tcp/pipepool.js';
import { Progress, Stream, StreamResources } from '../../../../lib/dataplane/worker/tcp/stream.js';
import { AF_INET, EPOLLIN, EPOLLRDHUP } from '../../../../lib/sys/constants.js';
import { Epoll } from '../../../../lib/sys/epoll.js';
import * as libc from '../../../../lib/sys/libc.js';
import { listenStream, startListening } from '../../../../lib/sys/listening.js';
import { Memory } from '../../../../lib/sys/memory.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';
import {
  accept,
  closeSocket,
  connect,
  localAddress,
  openStream,
  shutdownWrite,
} from '../../../../lib/sys/socket.js';

const ANSWER = 'the whole answer';

/** Two ends of a TCP connection of this machine with itself. */
function connection(t: Test): readonly [here: number, there: number] {
  const listener = listenStream({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false });
  startListening(listener);
  const here = openStream(AF_INET);
  connect(here, SocketAddress.of('127.0.0.1', localAddress(listener).port));
  t.ok(happens(listener, EPOLLIN), 'a connection comes');
  const there = accept(listener, new SocketAddress());
  closeSocket(listener);
  t.teardown(() => [here, there].forEach(closeSocket));
  return [here, there];
}

function send(fd: number, message: string): void {
  const memory = new Memory(message.length);
  memory.bytes.set(Buffer.from(message));
  libc.send(fd, memory.address, message.length, 0);
}

function receive(fd: number): string {
  const memory = new Memory(1000);
  const length = libc.read(fd, memory.address, 1000);
  return Buffer.from(memory.bytes.subarray(0, length)).toString();
}

/** Waits for an event. @returns whether it came */
function happens(fd: number, event: number): boolean {
  const epoll = new Epoll(1);
  epoll.add(fd, event, 0);
  const ready = epoll.wait(5000);
  epoll.close();
  return ready === 1;
}

/** How many TCP segments a socket has received, as `ss` shows it. */
function segmentsIn(fd: number): number {
  const { port } = localAddress(fd);
  const report = execFileSync('ss', ['-Htin', 'src', '127.0.0.1', 'and', 'sport', '=', String(port)]);
  return Number(/ segs_in:(\d+)/.exec(report.toString())?.[1]);
}

t.test('the last data and the end travel in one packet', async (t) => {
  const [sender, source] = connection(t);
  const [target, receiver] = connection(t);
  send(sender, ANSWER);
  shutdownWrite(sender);
  t.ok(happens(source, EPOLLRDHUP), 'all is there');
  const before = segmentsIn(receiver);

  const resources = new StreamResources(new PipePool(new DescriptorBudget()));
  const stream = new Stream(resources, source, target);
  stream.isReadable = true;
  stream.hasSourceSentEnd = true;
  t.equal(stream.pump(), Progress.Finished);

  t.ok(happens(receiver, EPOLLRDHUP), 'the end arrives');
  t.equal(segmentsIn(receiver) - before, 1, 'in one packet');
  t.equal(receive(receiver), ANSWER, 'with all data');
  t.equal(receive(receiver), '', 'and is the end');
});
