import fc from 'fast-check';
import t from 'tap';
import {
  type DatagramHead,
  type FlowIndex,
  FlowTable,
  NONE,
  STAGES,
  Stage,
} from '../../../../lib/dataplane/worker/udp/flowtable.js';
import { CONTROL_WORDS, NAME_WORDS, PACKET_INFO_V4, PACKET_INFO_V6 } from '../../../../lib/sys/datagrams.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';

/** Enough to tell flows apart, and few enough to meet again. */
interface Who {
  readonly listener: number;
  readonly client: number;
  readonly port: number;
  readonly local: number;
}

const V6_PREFIX = 'fd00::';

/** As the kernel would leave it in the receive ring. */
function headOf({ client, port, local }: Who, isV6: boolean, flowLabel = 0): DatagramHead {
  const names = new Int32Array(NAME_WORDS);
  const address = isV6 ? `${V6_PREFIX}${client.toString(16)}` : `10.0.0.${client}`;
  names.set(SocketAddress.of(address, port).memory.words.subarray(0, NAME_WORDS));
  if (isV6) names[1] = flowLabel;
  const controls = new Int32Array(CONTROL_WORDS);
  controls[isV6 ? PACKET_INFO_V6.localAddress + 3 : PACKET_INFO_V4.localAddress] = local;
  return { names, nameAt: 0, controls, controlAt: 0 };
}

const who = (over: Partial<Who> = {}): Who => ({ listener: 3, client: 1, port: 1000, local: 1, ...over });

for (const isV6 of [false, true]) {
  t.test(
    `a flow is listener, client address and port, and the address used, ${isV6 ? 'IPv6' : 'IPv4'}`,
    async (t) => {
      const table = new FlowTable(16);
      const one = who();
      const flow = table.add(one.listener, headOf(one, isV6), isV6, 0);
      t.equal(table.find(one.listener, headOf(one, isV6), isV6), flow);
      for (const over of [{ listener: 4 }, { client: 2 }, { port: 1001 }, { local: 2 }]) {
        const other = who(over);
        t.equal(table.find(other.listener, headOf(other, isV6), isV6), NONE, JSON.stringify(over));
      }
      t.equal(
        table.find(one.listener, headOf(one, isV6, 77), isV6),
        flow,
        'an IPv6 flow label does not count',
      );
    },
  );

  t.test(`whatever happens, the table knows what a map would, ${isV6 ? 'IPv6' : 'IPv4'}`, async (t) => {
    const small = (max: number) => fc.integer({ min: 1, max });
    const action = fc.record({
      what: fc.constantFrom('add', 'add', 'touch', 'reply', 'remove'),
      who: fc.record({ listener: small(2), client: small(4), port: small(4), local: small(2) }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const table = new FlowTable(24);
        const model = new Model();
        const forget = (flow: FlowIndex) => {
          model.remove(flow);
          table.remove(flow);
        };
        for (const [turn, { what, who }] of actions.entries()) {
          const now = turn * 100;
          const head = headOf(who, isV6);
          const key = JSON.stringify(who);
          const flow = table.find(who.listener, head, isV6);
          if (flow !== model.indexOf(key)) throw new Error(`${key}: ${flow}, not ${model.indexOf(key)}`);
          if (flow === NONE) {
            if (what !== 'add') continue;
            if (table.isFull) forget(table.victim());
            model.add(key, table.add(who.listener, head, isV6, now), now);
          } else if (what === 'remove') {
            forget(flow);
          } else if (what === 'reply') {
            table.markReplied(flow);
            model.reply(key);
          } else {
            table.touch(flow, now);
            model.touch(key, now);
          }
          model.check(table);
        }
      }),
      { numRuns: 200 },
    );
    t.pass();
  });
}

/** How long, of the actions' time, an answered flow must last to be a stream. */
const STREAM_AFTER = 2000;

/** Flows by key in order of use, by their stage. */
class Model {
  readonly #lists = STAGES.map(() => new Map<string, FlowIndex>());
  readonly #openedAt = new Map<string, number>();

  indexOf(key: string): FlowIndex {
    return this.#listOf(key)?.get(key) ?? NONE;
  }

  add(key: string, flow: FlowIndex, now: number): void {
    this.#openedAt.set(key, now);
    this.#lists[Stage.Unreplied].set(key, flow);
  }

  touch(key: string, now: number): void {
    const stage = this.#lists.findIndex((list) => list.has(key));
    const hasLasted = now - (this.#openedAt.get(key) ?? 0) > STREAM_AFTER;
    this.#append(key, stage === Stage.Answered && hasLasted ? Stage.Stream : stage);
  }

  /** Only the first reply counts: the relay touches the flow itself. */
  reply(key: string): void {
    if (this.#lists[Stage.Unreplied].has(key)) this.#append(key, Stage.Answered);
  }

  #listOf(key: string): Map<string, FlowIndex> | undefined {
    return this.#lists.find((list) => list.has(key));
  }

  #append(key: string, stage: Stage): void {
    const flow = this.indexOf(key);
    this.#listOf(key)?.delete(key);
    this.#lists[stage].set(key, flow);
  }

  remove(flow: FlowIndex): void {
    for (const list of this.#lists) for (const [key, known] of list) if (known === flow) list.delete(key);
  }

  check(table: FlowTable): void {
    const size = this.#lists.reduce((sum, list) => sum + list.size, 0);
    const oldest = this.#lists.map((list) => list.values().next().value ?? NONE);
    const seen = [table.size, ...STAGES.map((stage) => table.oldest(stage))];
    if (seen.join() !== [size, ...oldest].join()) throw new Error(`${seen}, not ${[size, ...oldest]}`);
    for (const listener of [1, 2]) {
      const flows: FlowIndex[] = [];
      table.forEachOf(listener, (flow) => flows.push(flow));
      const known = this.#lists.flatMap((list) =>
        [...list].filter(([key]) => JSON.parse(key).listener === listener).map(([, flow]) => flow),
      );
      if (flows.sort().join() !== known.sort().join())
        throw new Error(`of ${listener}: ${flows}, not ${known}`);
    }
  }
}

t.test('flows without a reply push out each other once they are more than a quarter', async (t) => {
  const table = new FlowTable(8);
  const add = (port: number) => {
    const one = who({ port });
    return table.add(one.listener, headOf(one, false), false, port);
  };
  t.equal(table.victim(), NONE, 'nothing to give up');
  const first = add(1);
  t.equal(table.victim(), first, 'the only one');
  table.markReplied(first);
  t.equal(table.victim(), first);
  for (const port of [2, 3]) table.markReplied(add(port));
  const waiting = add(4);
  t.equal(table.victim(), first, 'one look-up that waits among those that have their answers');
  const spoofed = add(5);
  t.equal(table.victim(), waiting, 'a flood: the oldest of its kind');
  table.remove(waiting);
  t.equal(table.victim(), first, 'no flood any more');
  table.markReplied(spoofed);
  t.equal(table.victim(), first);
});

t.test('look-ups that have their answer go before streams', async (t) => {
  const table = new FlowTable(8);
  const flows = [1, 2, 3].map((port) => table.add(3, headOf(who({ port }), false), false, 0));
  for (const flow of flows) table.markReplied(flow);
  table.touch(flows[0], 2000);
  t.equal(table.stageOf(flows[0]), Stage.Answered, 'two seconds are not more than two seconds');
  table.touch(flows[0], 2001);
  t.equal(table.stageOf(flows[0]), Stage.Stream);
  table.touch(flows[2], 1);
  table.touch(flows[1], 2);
  t.equal(table.victim(), flows[2]);
  table.remove(flows[2]);
  t.equal(table.victim(), flows[1]);
  table.remove(flows[1]);
  t.equal(table.victim(), flows[0], 'the last one');
});

t.test('the flows of one listener can all be removed on the way', async (t) => {
  const table = new FlowTable(8);
  for (const port of [1, 2, 3, 4]) table.add(port % 2, headOf(who({ port }), false), false, 0);
  table.forEachOf(1, (flow) => table.remove(flow));
  t.equal(table.size, 2);
  const left: FlowIndex[] = [];
  table.forEachOf(1, (flow) => left.push(flow));
  t.same(left, []);
});
