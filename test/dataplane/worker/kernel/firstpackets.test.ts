import t from 'tap';
import type { DataplaneEvent } from '../../../../lib/dataplane/shared/messages.js';
import { FirstPackets } from '../../../../lib/dataplane/worker/kernel/firstpackets.js';
import type { EventLoop } from '../../../../lib/dataplane/worker/loop.js';
import type { TcpHandover } from '../../../../lib/dataplane/worker/tcp/handover/handover.js';
import { SynJudge } from '../../../../lib/dataplane/worker/tcp/handover/synjudge.js';
import type { PacketQueue } from '../../../../lib/sys/netlink/packetqueue.js';
import { synPacket } from '../../syn.js';

const BATCH = 64;
const SYN = synPacket({ client: 0x0a000001, clientPort: 1024, vip: 0x0a600001, port: 80 }, 1);

/** A queue of SYNs that are all the same, a loop and a handover. They count what is done to them. */
class Stage {
  now = 1000;
  waiting = 0;
  /** How many more wait after each flush. */
  comingBack = 0;
  overflows = 0;
  decided = 0;
  accepted = 0;
  readonly events: DataplaneEvent[] = [];
  readonly bytes = SYN;
  readonly view = new DataView(SYN.buffer, SYN.byteOffset);
  readonly syns = new FirstPackets(
    this as unknown as EventLoop,
    this as unknown as PacketQueue,
    new SynJudge(this as unknown as TcpHandover),
  );

  watchInput(): void {}
  receive(): number {
    const count = Math.min(this.waiting, BATCH);
    this.waiting -= count;
    return count;
  }
  get hasMore(): boolean {
    return this.waiting > 0;
  }
  startOf = () => 0;
  lengthOf = () => SYN.length;
  inputDeviceOf = () => 1;
  accept = () => this.accepted++;
  flush(): number {
    this.waiting += this.comingBack;
    return 0;
  }
  readonly entries = { commit: () => 0 };
  decide(): boolean {
    this.decided++;
    return true;
  }
  report = (event: DataplaneEvent) => this.events.push(event);
}

t.test('each SYN is decided while the queue gets empty in between', async (t) => {
  const stage = new Stage();
  for (let round = 0; round < 10; round++, stage.now += 15) {
    stage.waiting = BATCH + 1;
    stage.syns.onReady();
  }
  t.equal(stage.decided, 10 * (BATCH + 1));
  t.equal(stage.accepted, stage.decided);
  t.same(stage.events, []);
});

t.test('a queue that two full batches leave empty is not busy', async (t) => {
  const stage = new Stage();
  for (let round = 0; round < 10; round++, stage.now += 25) {
    stage.waiting = 2 * BATCH;
    stage.syns.onReady();
  }
  t.equal(stage.decided, 10 * 2 * BATCH);
  t.same(stage.events, []);
});

t.test('nor is one to which clients come back as soon as they are let go', async (t) => {
  const stage = new Stage();
  stage.waiting = BATCH;
  stage.comingBack = BATCH;
  for (let round = 0; round < 10; round++, stage.now += 25) stage.syns.onReady();
  t.equal(stage.decided, 10 * BATCH);
  t.same(stage.events, []);
});

t.test('if SYNs wait for 20 ms, the relay gets them, and this is told', async (t) => {
  const stage = new Stage();
  stage.waiting = 6 * BATCH + 10;
  stage.syns.onReady();
  stage.now += 19;
  stage.syns.onReady();
  t.equal(stage.decided, 4 * BATCH);
  t.same(stage.events, []);
  stage.now += 1;
  stage.syns.onReady();
  t.equal(stage.decided, 4 * BATCH);
  t.equal(stage.accepted, 6 * BATCH);
  t.match(stage.events, [{ kind: 'synsUndecided' }, { kind: 'synsUndecided' }]);
  stage.syns.onReady();
  stage.waiting = 3;
  stage.syns.onReady();
  t.equal(stage.decided, 4 * BATCH + 3, 'the queue was empty');
});

t.test('SYNs for which the queue had no room are told once', async (t) => {
  const stage = new Stage();
  stage.overflows = 7;
  stage.waiting = BATCH;
  stage.syns.onReady();
  t.same(stage.events, [{ kind: 'synsUndecided' }]);
  stage.waiting = BATCH;
  stage.syns.onReady();
  t.equal(stage.events.length, 1);
  stage.overflows = 8;
  stage.waiting = BATCH;
  stage.syns.onReady();
  t.equal(stage.events.length, 2);
});
