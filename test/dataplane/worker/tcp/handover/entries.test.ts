import t from 'tap';
import type { Slot } from '../../../../../lib/dataplane/worker/kernel/endskeys.js';
import type { KernelTools } from '../../../../../lib/dataplane/worker/kernel/tools.js';
import { Target } from '../../../../../lib/dataplane/worker/target.js';
import { TcpEntries } from '../../../../../lib/dataplane/worker/tcp/handover/entries.js';
import type { QueuedSyn } from '../../../../../lib/dataplane/worker/tcp/handover/queuedsyn.js';
import { SavedSyns } from '../../../../../lib/dataplane/worker/tcp/handover/savedsyns.js';
import { EEXIST, ENOBUFS, ENOMEM } from '../../../../../lib/sys/errno.js';
import { TCP_STATE } from '../../../../../lib/sys/netlink/flow.js';
import { SocketAddress } from '../../../../../lib/sys/sockaddr.js';
import { servedPortal } from '../../fixtures.js';

const OWN = 0x4000_0000;
const { synSent, timeWait, close, established } = TCP_STATE;

/** The kernel's table, with the state and the mark of each entry by the client's port. */
class Stage {
  readonly table = new Map<number, { tcpState: number; mark: number }>();
  readonly saved = new SavedSyns();
  /** What was asked of the kernel, in its order. */
  readonly calls: string[] = [];
  room = 1000;
  lookupCode = 0;
  entered = 0;
  pauses = 0;
  /** Called after the kernel has told of entries. */
  onLooked: () => unknown = () => {};
  readonly #portal = servedPortal();
  readonly #target = new Target({ id: 'a', address: '10.244.0.2', port: 8080 });
  readonly #entries: TcpEntries;
  #changes: { port: number; replaces: boolean }[] = [];
  #codes: number[] = [];
  #asked: number[] = [];

  constructor() {
    const tools = {
      batch: {
        capacity: 64,
        insert: (_: number, { port }: SocketAddress) => this.#changes.push({ port, replaces: false }) - 1,
        replace: (_: number, { port }: SocketAddress) => this.#changes.push({ port, replaces: true }) - 1,
        commit: () => this.#commit(),
        codeOf: (position: number) => this.#codes[position],
      },
      lookups: {
        ask: (_: number, { port }: SocketAddress) => this.#asked.push(port) - 1,
        exchange: (onFound: (position: number, flow: object) => void) => this.#answer(onFound),
      },
      node: {
        paths: { to: () => ({ device: 1, source: null }) },
        now: () => 1,
        pause: () => this.pauses++,
        seesBridged: () => true,
      },
      setup: { ownMark: OWN },
      accounting: { entered: () => this.entered++ },
      checks: { isDoubtful: () => false },
      isOwn: (mark: number) => mark === OWN,
    };
    this.#entries = new TcpEntries(
      tools as unknown as KernelTools,
      this.saved,
      () => {},
      () => {},
    );
  }

  /** Queues the entry of a client's SYN. */
  queue(port: number): Slot {
    const client = SocketAddress.of('10.244.0.9', port);
    const vip = SocketAddress.of('10.96.0.10', 80);
    const syn = { client, vip, isV6: false, sequence: 1, inputDevice: 7, length: 0 } as unknown as QueuedSyn;
    const slot = this.saved.add(
      syn,
      { portal: this.#portal, masquerade: 'never' },
      this.#portal,
      this.#target,
    );
    this.#entries.queue(slot);
    return slot;
  }

  /** Makes the entries of clients with these ports. @returns the ports of those that got one */
  enter(...ports: number[]): number[] {
    this.calls.length = 0;
    const slots = ports.map((port) => this.queue(port));
    this.#entries.commit();
    return ports.filter((_, index) => this.saved.has(slots[index] as Slot));
  }

  commit(): void {
    this.#entries.commit();
  }

  #commit(): number {
    this.#codes = this.#changes.map(({ port, replaces }) => {
      this.calls.push(`${replaces ? 'replace' : 'insert'} ${port}`);
      if (this.table.has(port) && !replaces) return EEXIST;
      if (this.table.size >= this.room) return ENOMEM;
      this.table.set(port, { tcpState: synSent, mark: OWN });
      return 0;
    });
    this.#changes = [];
    return 0;
  }

  #answer(onFound: (position: number, flow: object) => void): number {
    for (const [position, port] of this.#asked.entries()) {
      this.calls.push(`look ${port}`);
      const flow = this.table.get(port);
      if (flow !== undefined) onFound(position, flow);
    }
    this.#asked = [];
    this.onLooked();
    return this.lookupCode;
  }
}

/** The stage of a worker whose last batch had another entry in the way of its only SYN. */
function afterReuse(): Stage {
  const stage = new Stage();
  stage.table.set(1, { tcpState: timeWait, mark: OWN });
  t.same(stage.enter(1), [1]);
  return stage;
}

t.test('the entry of a new connection is made at once', async (t) => {
  const stage = new Stage();
  t.same(stage.enter(1, 2), [1, 2]);
  t.same(stage.calls, ['insert 1', 'insert 2']);
  t.equal(stage.entered, 2);
});

for (const isAfterReuse of [false, true]) {
  const start = () => (isAfterReuse ? afterReuse() : new Stage());
  t.test(`an entry that has ended gives its place${isAfterReuse ? ', after others' : ''}`, async (t) => {
    const stage = start();
    for (const [port, tcpState, mark] of [
      [10, timeWait, OWN],
      [11, close, 0],
      [12, synSent, OWN],
      [13, synSent, 0],
      [14, established, OWN],
    ] as const) {
      stage.table.set(port, { tcpState, mark });
    }
    const before = stage.entered;
    t.same(stage.enter(10, 11, 12, 13, 14, 15), [10, 11, 12, 15]);
    t.equal(stage.entered - before, 4);
    t.notOk(stage.calls.includes('replace 13'), 'another program may wait for the answer');
    t.notOk(stage.calls.includes('replace 14'), 'the connection is open');
    t.equal(stage.calls.includes('insert 10'), !isAfterReuse);
    t.notOk(stage.calls.includes('replace 15'), 'nothing was there');
  });

  t.test(
    `if nobody knows what is in the way, nothing is deleted${isAfterReuse ? ', after others' : ''}`,
    async (t) => {
      const stage = start();
      stage.table.set(10, { tcpState: timeWait, mark: OWN });
      stage.lookupCode = ENOBUFS;
      t.same(stage.enter(10), []);
      t.notOk(stage.calls.includes('replace 10'));
    },
  );
}

t.test('where most ports are used again, entries are looked at first, and else no more', async (t) => {
  const stage = afterReuse();
  t.same(stage.calls, ['insert 1', 'look 1', 'replace 1']);
  stage.table.set(1, { tcpState: timeWait, mark: OWN });
  stage.enter(1, 2, 3);
  t.same(stage.calls, ['look 1', 'look 2', 'look 3', 'replace 1', 'insert 2', 'insert 3']);
  stage.enter(4);
  t.same(stage.calls, ['insert 4']);
});

t.test('an entry that appears after the look is left alone', async (t) => {
  const stage = afterReuse();
  stage.onLooked = () => stage.table.set(2, { tcpState: timeWait, mark: OWN });
  t.same(stage.enter(2), []);
  t.same(stage.calls, ['look 2', 'insert 2']);
});

t.test('a SYN whose place another one has taken gets no entry, and is not counted', async (t) => {
  const stage = new Stage();
  stage.saved.delete(stage.queue(1));
  stage.queue(1);
  stage.commit();
  t.same(stage.calls, ['insert 1']);
  t.equal(stage.entered, 1);
});

t.test('where the kernel has no room, SYNs are forgotten and the node pauses', async (t) => {
  const stage = new Stage();
  stage.room = 1;
  t.same(stage.enter(1, 2), [1]);
  t.equal(stage.pauses, 1);
});
