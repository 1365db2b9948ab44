import t from 'tap';
import { EndedFlows } from '../../../../lib/dataplane/worker/kernel/endedflows.js';
import type { EventLoop } from '../../../../lib/dataplane/worker/loop.js';
import { EAGAIN, EINTR, ENOBUFS } from '../../../../lib/sys/errno.js';
import type { FlowEvents } from '../../../../lib/sys/netlink/flowevents.js';
import type { FlowReader } from '../../../../lib/sys/netlink/flowreader.js';

const FLOW = {} as FlowReader;
const NEVER = Number.POSITIVE_INFINITY;

/** A loop, and the kernel with what it has to tell: batches of so many messages, or errors. */
class Stage {
  now = 1000;
  isWatched = false;
  heard = 0;
  lost = 0;
  /** Positive: messages. Negative: an errno. Nothing is left after the last one. */
  batches: number[] = [];
  readonly fd = 5;
  readonly ended = new EndedFlows(this as unknown as EventLoop, this as unknown as FlowEvents);

  constructor() {
    this.ended.begin(
      () => this.heard++,
      () => this.lost++,
    );
  }

  addTask(): void {}

  watchInput(): void {
    t.notOk(this.isWatched, 'epoll takes a descriptor once');
    this.isWatched = true;
  }

  unwatch(): void {
    this.isWatched = false;
  }

  receive(onEnded: (flow: FlowReader) => void): number {
    const batch = this.batches.shift() ?? -EAGAIN;
    for (let message = 0; message < batch; message++) onEnded(FLOW);
    return batch < 0 ? -batch : 0;
  }
}

t.test('what the kernel tells is heard at once, and then there is a pause of 20 ms', async (t) => {
  const stage = new Stage();
  t.ok(stage.isWatched);
  t.equal(stage.ended.deadline, NEVER);
  stage.batches = [1];
  t.equal(stage.ended.onReady(), 0);
  t.equal(stage.heard, 1);
  t.notOk(stage.isWatched);
  t.equal(stage.ended.deadline, 1020);
  stage.ended.expire();
  t.ok(stage.isWatched);
  t.equal(stage.ended.deadline, NEVER);
});

t.test('a pause begins only after all was heard, and others have their turn before', async (t) => {
  const stage = new Stage();
  stage.batches = Array.from({ length: 20 }, () => 64);
  t.equal(stage.ended.onReady(), 0);
  t.ok(stage.heard < 20 * 64, `${stage.heard}`);
  t.ok(stage.isWatched);
  t.equal(stage.ended.onReady(), 0);
  t.equal(stage.heard, 20 * 64);
  t.notOk(stage.isWatched);
});

t.test('lost messages are told, and those after them heard', async (t) => {
  const stage = new Stage();
  stage.batches = [-ENOBUFS, 3];
  t.equal(stage.ended.onReady(), 0);
  t.same([stage.lost, stage.heard], [1, 3]);
  t.notOk(stage.isWatched);
});

t.test('a descriptor that gives nothing is reported to the loop, and watched on', async (t) => {
  const stage = new Stage();
  t.equal(stage.ended.onReady(), EAGAIN);
  stage.batches = [-EINTR];
  t.equal(stage.ended.onReady(), EINTR);
  t.ok(stage.isWatched);
  t.equal(stage.ended.deadline, NEVER);
});

t.test('all can be heard in one go, also during a pause', async (t) => {
  const stage = new Stage();
  stage.batches = [1];
  stage.ended.onReady();
  stage.batches = Array.from({ length: 30 }, () => 64);
  t.ok(stage.ended.hearAll());
  t.equal(stage.heard, 1 + 30 * 64);
  stage.batches = [2, -ENOBUFS, 2];
  t.notOk(stage.ended.hearAll(), 'messages were lost');
  t.equal(stage.heard, 1 + 30 * 64 + 4);
});
