import fc from 'fast-check';
import t from 'tap';
import { EVICTED_CELL, TOTAL_CELL } from '../../../lib/dataplane/shared/pincells.js';
import type { PinChange, PinRecord } from '../../../lib/dataplane/shared/pins.js';
import { Balancer } from '../../../lib/dataplane/worker/balancer.js';
import { parsePinKey, pinKeyText } from '../../../lib/dataplane/worker/pinkey.js';
import type { Target } from '../../../lib/dataplane/worker/target.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../../lib/portal/policy.js';
import { type WorkerOptions, workerContext } from './fixtures.js';

const SERVICE = 'default/web';
const PORTAL = 'default/web:http/TCP/IPv4';
const TIMEOUT = 10_000;
const PINNING: ServicePolicy = { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: TIMEOUT } };

/** The cell of each pod's pins: pods have names of one letter. */
const cellOf = (pod: string) => 10 + pod.charCodeAt(0) - 'a'.charCodeAt(0);

/** One worker with one portal, and a clock that the test moves. */
class Worker {
  now = 1000;
  readonly told: PinChange[] = [];
  readonly context: ReturnType<typeof workerContext>;
  readonly balancer: Balancer;

  constructor(pods: string, options: WorkerOptions = {}) {
    const tell = (changes: readonly PinChange[]) => this.told.push(...changes);
    this.context = workerContext({ now: () => this.now, maxPins: 1000, tell, ...options });
    this.balancer = new Balancer(1, PORTAL, SERVICE, this.context);
    this.setPods(pods);
  }

  setPods(pods: string, policy = PINNING): void {
    const endpoints = [...pods].map((id) => ({ id, address: `10.0.0.${id.charCodeAt(0)}`, port: 80 }));
    this.balancer.update({ endpoints, policy, pinCells: [...pods].map(cellOf) });
  }

  pick(client: number | string): string | null {
    return this.balancer.pick(client)?.id ?? null;
  }

  /** Lets time pass, ms, and does what the loop then does. */
  pass(time: number): void {
    this.now += time;
    for (const task of [this.context.pins, this.context.outbox])
      if (task.deadline <= this.now) task.expire(this.now);
  }

  records(): readonly PinRecord[] {
    return this.context.pins.page({ service: null, client: null, from: 0 }).pins;
  }
}

const clients = (count: number) => Array.from({ length: count }, (_, client) => client);
const countsIn = (cells: Int32Array, pods: string) => [...pods].map((pod) => cells[cellOf(pod)]);

t.test('a rolling update ends even, and each client moves once, whatever worker it is in', async (t) => {
  const shared = { roundRobin: new Int32Array(8), cells: new Int32Array(100) };
  const workers = [new Worker('abc', shared), new Worker('abc', shared)];
  const homes = () => clients(60).map((client) => workers[client % 2]?.pick(client) as string);
  const moves = new Array<number>(60).fill(0);
  let before = homes();
  t.same(countsIn(shared.cells, 'abc'), [20, 20, 20]);
  // As a Deployment with maxSurge 1: a new pod comes, an old one goes.
  for (const pods of ['abcd', 'bcd', 'bcde', 'cde', 'cdef', 'def']) {
    for (const worker of workers) worker.setPods(pods);
    const after = homes();
    for (const client of clients(60)) if (after[client] !== before[client]) moves[client]!++;
    before = after;
  }
  t.same(countsIn(shared.cells, 'abcdef'), [0, 0, 0, 20, 20, 20]);
  t.same(moves, new Array(60).fill(1));
  for (const worker of workers)
    t.ok(
      worker.records().every((pin) => pin.moves === 1),
      'the pins know it',
    );
});

t.test('clients of an endpoint that fails go where the fewest pins are', async (t) => {
  const worker = new Worker('abc');
  const { cells } = worker.context;
  for (const client of clients(30)) worker.pick(client);
  const failed = worker.balancer.pick(0) as Target;
  t.equal(failed.id, 'a');
  worker.balancer.rotation.avoid(failed);
  for (const client of clients(30)) {
    const target = worker.balancer.pick(client) as Target;
    if (target !== failed) continue;
    worker.balancer.unpin(client, target);
    worker.balancer.pickOther(client, new Set([target]));
  }
  t.same(countsIn(cells, 'abc'), [0, 15, 15]);
  t.equal(new Set(clients(3).map((client) => worker.pick(100 + client))).size, 2, 'new ones go on in turn');
});

t.test('a client that no endpoint serves keeps its record, and moves when one does', async (t) => {
  const worker = new Worker('a');
  const target = worker.balancer.pick(7) as Target;
  worker.balancer.unpin(7, target);
  t.equal(worker.balancer.pickOther(7, new Set([target])), null);
  t.same(countsIn(worker.context.cells, 'a'), [0]);
  t.equal(worker.pick(7), 'a', 'the same endpoint again');
  t.match(worker.records(), [{ endpoint: 'a', moves: 0 }]);
});

t.test('active-standby: who moves goes to the first endpoint, however many pins it has', async (t) => {
  const worker = new Worker('abc');
  const standby = { ...PINNING, activeStandby: true };
  for (const client of clients(9)) worker.pick(client);
  worker.setPods('bc', standby);
  t.same(
    clients(9).map((client) => worker.pick(client)),
    [...'bbcbbcbbc'],
    'the clients of a, and nobody else',
  );
  t.same(countsIn(worker.context.cells, 'abc'), [0, 6, 3]);
});

t.test('the counts are right, whatever happens', async (t) => {
  const pods = fc.subarray([...'abcd']).map((names) => names.join(''));
  const event = fc.oneof(
    fc.record({ client: fc.nat(20) }),
    fc.record({ fails: fc.nat(20) }),
    fc.record({ pods }),
    fc.record({ pass: fc.nat(TIMEOUT) }),
    fc.record({ released: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const worker = new Worker('abc', { maxPins: 12 });
      let present = 'abc';
      for (const one of events) {
        if ('client' in one) worker.pick(one.client);
        if ('pass' in one) worker.pass(one.pass);
        if ('released' in one) worker.context.pins.release(SERVICE, `0.0.0.${one.released}`);
        if ('pods' in one) {
          present = one.pods;
          worker.setPods(present);
        }
        if ('fails' in one) {
          const target = worker.balancer.pick(one.fails);
          if (target !== null && worker.balancer.unpin(one.fails, target))
            worker.balancer.pickOther(one.fails, new Set([target]));
        }
        const found = new Map([...'abcd'].map((pod) => [pod, 0]));
        const { pins, cells } = worker.context;
        for (const client of clients(21)) {
          const pin = pins.find(SERVICE, null, client);
          if (pin === undefined || pin.isHomeless || !present.includes(pin.endpoint.id)) continue;
          found.set(pin.endpoint.id, (found.get(pin.endpoint.id) ?? 0) + 1);
        }
        const counted = countsIn(cells, 'abcd');
        if (JSON.stringify(counted) !== JSON.stringify([...found.values()])) return false;
        if (cells[TOTAL_CELL] !== pins.size || pins.size > 12) return false;
      }
      return true;
    }),
  );
  t.pass('in a hundred random runs');
});

t.test('the main thread is told of new pins, moves, evictions and releases, and seldom of use', async (t) => {
  const worker = new Worker('ab', { maxPins: 2 });
  const { context, told } = worker;
  const [one, two, three] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(parsePinKey) as [number, number, number];
  t.equal(context.outbox.deadline, Number.POSITIVE_INFINITY, 'nothing to tell');
  worker.pick(one);
  worker.pass(0);
  t.match(told.splice(0), [
    { service: SERVICE, portal: null, client: '10.0.0.1', endpoint: 'a', timeoutMs: TIMEOUT, moves: 0 },
  ]);
  for (let i = 0; i < 10; i++) {
    worker.pass(100);
    worker.pick(one);
  }
  t.same(told, [], 'not of each use');
  worker.pass(TIMEOUT / 8);
  worker.pick(one);
  worker.pass(200);
  t.equal(told.splice(0).length, 1, 'but when an eighth of its time has passed');
  worker.pick(two);
  worker.pass(200);
  t.equal(told.splice(0).length, 1);
  worker.pick(three);
  worker.pass(200);
  t.match(told.splice(0), [{ client: '10.0.0.3' }, { client: '10.0.0.1', endpoint: null }]);
  t.equal(context.cells[EVICTED_CELL], 1);
  worker.setPods('a');
  t.equal(worker.pick(two), 'a');
  t.equal(context.pins.release(SERVICE, '10.0.0.3'), 1);
  t.equal(context.pins.release(SERVICE, '10.0.0.3'), 0, 'there is none any more');
  worker.pass(200);
  t.match(told.splice(0), [
    { client: '10.0.0.2', endpoint: 'a', moves: 1 },
    { client: '10.0.0.3', endpoint: null },
  ]);
  worker.pass(TIMEOUT);
  t.equal(context.pins.size, 0);
  t.same(told, [], 'not of the end of its time');
});

t.test('the digits of a prefix are not those of an address', async (t) => {
  const worker = new Worker('ab');
  t.same([worker.pick(12345678), worker.pick('12345678')], ['a', 'b']);
});

t.test('many changes are told a few at a time, in their order', async (t) => {
  const worker = new Worker('ab', { maxPins: 5000 });
  const { outbox } = worker.context;
  for (const client of clients(600)) worker.pick(client);
  worker.pass(0);
  t.equal(worker.told.length, 250);
  t.equal(outbox.deadline, worker.now + 50, 'the rest soon');
  worker.pass(50);
  worker.pass(50);
  t.same(
    worker.told.map(({ client }) => client),
    clients(600).map((client) => pinKeyText(client)),
  );
  worker.pick(-1);
  t.equal(outbox.deadline, worker.now + 200, 'then there is a pause');
  outbox.flush(worker.now);
  t.equal(worker.told.length, 601, 'unless the thread ends');
});

t.test('a flood of clients leaves no more to tell than there are pins', async (t) => {
  const worker = new Worker('ab', { maxPins: 100 });
  const { outbox, pins } = worker.context;
  for (const client of clients(50)) worker.pick(client);
  outbox.flush(worker.now);
  for (const client of clients(10_000)) worker.pick(1000 + client);
  t.equal(pins.size, 100);
  t.equal(outbox.size, 100 + 50, 'those that are there, and those that the main thread must forget');
  outbox.flush(worker.now);
  const known = new Map<string, PinChange>();
  for (const change of worker.told) {
    if (change.endpoint === null) known.delete(change.client);
    else known.set(change.client, change);
  }
  t.same(
    [...known.keys()].sort(),
    worker
      .records()
      .map(({ client }) => client)
      .sort(),
  );
});

t.test('pins of an earlier run are as they were', async (t) => {
  const first = new Worker('abc');
  for (const client of clients(10)) {
    first.pick(client);
    first.pass(500);
  }
  first.setPods('bc');
  for (const client of clients(5)) first.pick(client);
  const records = first.records().map((pin) => ({ ...pin, pinnedAt: pin.pinnedAt - 100_000 }));
  const second = new Worker('cb');
  second.pick(3);
  const inOrder = records.toSorted((a, b) => a.usedAt - b.usedAt);
  for (const chunk of [inOrder.slice(0, 4), inOrder.slice(4)]) second.context.pins.restore(chunk);
  const after = new Map(second.records().map((pin) => [pin.client, pin]));
  t.equal(after.size, 10);
  for (const before of records) {
    const pin = after.get(before.client) as PinRecord;
    if (before.client === '3.0.0.0')
      t.not(pin.pinnedAt, before.pinnedAt, 'who came before keeps its new pin');
    else {
      t.match(pin, { ...before, usedAt: Number });
      t.ok(Math.abs(pin.usedAt - before.usedAt) < 100, 'and its time runs on');
    }
  }
  t.same(
    countsIn(second.context.cells, 'bc').reduce((sum = 0, n = 0) => sum + n),
    10 - 2,
    'two are of pod a',
  );
  second.pass(TIMEOUT - 2000);
  t.ok(second.context.pins.size < 10, 'those that were not used for longest end first');
  second.pass(2500);
  t.equal(second.context.pins.size, 0);
});

t.test('pages list each pin once, also while pins come and go', async (t) => {
  const worker = new Worker('ab', { maxPins: 5000 });
  const { pins } = worker.context;
  for (const client of clients(900)) worker.pick(client);
  const listed: string[] = [];
  let from: number | null = 0;
  for (let page = 0; from !== null; page++) {
    const found = pins.page({ service: null, client: null, from });
    listed.push(...found.pins.map(({ client }) => client));
    from = found.next;
    pins.release(SERVICE, `${page}.0.0.0`);
    worker.pick(10_000 + page);
  }
  t.equal(new Set(listed).size, listed.length);
  t.equal(listed.length, 900 + 3);
  const filtered = (question: object) =>
    pins.page({ service: null, client: null, from: 0, ...question }).pins.length;
  t.equal(filtered({ client: '9.0.0.0' }), 1);
  t.equal(filtered({ service: 'default/other' }), 0);
});
