import fc from 'fast-check';
import t from 'tap';
import type { ServedPortal } from '../../../../lib/dataplane/worker/servedportal.js';
import { Target } from '../../../../lib/dataplane/worker/target.js';
import { type ListeningSocket, UdpFlow } from '../../../../lib/dataplane/worker/udp/flow.js';
import type { DatagramHead } from '../../../../lib/dataplane/worker/udp/flowkeys.js';
import { STAGES, Stage } from '../../../../lib/dataplane/worker/udp/flowstages.js';
import { FlowTable } from '../../../../lib/dataplane/worker/udp/flowtable.js';
import { ListenerVips } from '../../../../lib/dataplane/worker/udp/kernel/clientvip.js';
import { MAX_PARTICIPANT_FLOWS } from '../../../../lib/dataplane/worker/udp/participantflows.js';
import { CONTROL_WORDS, usedAddressAt } from '../../../../lib/sys/controlmessages.js';
import { NAME_WORDS } from '../../../../lib/sys/datagrams.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';
import { addressWords } from '../../../../lib/sys/sockaddrwords.js';
import { item } from '../../../lab/items.js';
import { servedPortal } from '../fixtures.js';

/** The parts of a flow's key, as small numbers, so that random actions often meet the same flow. */
interface Who {
  readonly listener: number;
  readonly client: number;
  readonly port: number;
  readonly local: number;
  /** The last word of the sender's GUID prefix. Absent: the prefix is not part of the flow's key. */
  readonly prefix?: number | undefined;
}

const V6_PREFIX = 'fd00::';

/** A datagram's head as the kernel writes it into the receive ring. */
function headOf({ client, port, local, prefix }: Who, isV6: boolean, flowLabel = 0): DatagramHead {
  const names = new Int32Array(NAME_WORDS);
  const address = isV6 ? `${V6_PREFIX}${client.toString(16)}` : `10.0.0.${client}`;
  names.set(SocketAddress.of(address, port).memory.words.subarray(0, NAME_WORDS));
  if (isV6) names[1] = flowLabel;
  const controls = new Int32Array(CONTROL_WORDS);
  controls[usedAddressAt(0, isV6) + addressWords(isV6) - 1] = local;
  const payloads = Int32Array.of(0x53505452, 0x10010502, 7, 7, prefix ?? 0);
  const prefixWords = prefix === undefined ? 0 : 3;
  return { names, nameAt: 0, controls, controlAt: 0, prefixWords, payloads, prefixAt: 2 };
}

const who = (over: Partial<Who> = {}): Who => ({ listener: 3, client: 1, port: 1000, local: 1, ...over });

const target = new Target({ id: 'pod', address: '10.0.1.1', port: 53 });

/** Sockets of one portal by their descriptors. */
class Listeners {
  readonly #portal: ServedPortal;
  readonly #byFd = new Map<number, ListeningSocket>();

  constructor(isV6: boolean) {
    this.#portal = servedPortal({ protocol: 'UDP', family: isV6 ? 'IPv6' : 'IPv4' });
  }

  at(fd: number): ListeningSocket {
    const listener = this.#byFd.get(fd) ?? {
      fd,
      portal: this.#portal,
      port: 0,
      isRedirected: false,
      vips: new ListenerVips(),
      flows: new Set<UdpFlow>(),
    };
    this.#byFd.set(fd, listener);
    return listener;
  }

  /** Adds the flow of a datagram to a table. */
  add(table: FlowTable, one: Who, now: number): UdpFlow {
    const flow = new UdpFlow(this.at(one.listener), this.#portal, null, target, 64, now);
    table.add(flow, headOf(one, this.#portal.isV6), now);
    return flow;
  }

  find(table: FlowTable, one: Who, flowLabel = 0): UdpFlow | null {
    return table.find(this.at(one.listener), headOf(one, this.#portal.isV6, flowLabel));
  }
}

for (const isV6 of [false, true]) {
  t.test(
    `the key of a flow is listener, client address and port, and the address used, ${isV6 ? 'IPv6' : 'IPv4'}`,
    async (t) => {
      const table = new FlowTable(16);
      const listeners = new Listeners(isV6);
      const one = who();
      const flow = listeners.add(table, one, 0);
      t.equal(listeners.find(table, one), flow);
      for (const over of [{ listener: 4 }, { client: 2 }, { port: 1001 }, { local: 2 }]) {
        t.equal(listeners.find(table, who(over)), null, JSON.stringify(over));
      }
      t.equal(listeners.find(table, one, 77), flow, 'an IPv6 flow label does not count');
      t.equal(listeners.find(table, who({ prefix: 1 })), null, 'a participant with the same socket');
      const participants = [1, 2].map((prefix) => listeners.add(table, who({ prefix }), 0));
      for (const prefix of [1, 2]) {
        t.equal(listeners.find(table, who({ prefix })), participants[prefix - 1], 'each has its own flow');
      }
      t.equal(listeners.find(table, one), flow, 'and so has what is no RTPS');
    },
  );

  t.test(
    `after any changes, the table finds the same flows as a map, ${isV6 ? 'IPv6' : 'IPv4'}`,
    async (t) => {
      const small = (max: number) => fc.integer({ min: 1, max });
      const action = fc.record({
        what: fc.constantFrom('add', 'add', 'touch', 'reply', 'takeOver', 'giveBack', 'remove'),
        who: fc.record({
          listener: small(2),
          client: small(4),
          port: small(4),
          local: small(2),
          prefix: fc.constantFrom(undefined, undefined, 1, 2),
        }),
      });
      fc.assert(
        fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
          const table = new FlowTable(24);
          const listeners = new Listeners(isV6);
          const model = new Model(listeners);
          const forget = (flow: UdpFlow) => {
            model.remove(flow);
            table.remove(flow);
          };
          for (const [turn, { what, who }] of actions.entries()) {
            const now = turn * 100;
            const key = JSON.stringify(who);
            const flow = listeners.find(table, who);
            const known = model.flowOf(key);
            if (flow !== known) throw new Error(`${key}: ${flow?.index}, not ${known?.index}`);
            if (flow === null) {
              if (what !== 'add') continue;
              if (table.isFull) forget(table.victim() as UdpFlow);
              model.add(key, listeners.add(table, who, now), now);
            } else if (what === 'remove') {
              forget(flow);
            } else if (what === 'reply') {
              table.markReplied(flow);
              model.reply(key);
            } else if (what === 'takeOver' || what === 'giveBack') {
              const stage = what === 'takeOver' ? Stage.Hot : Stage.Unreplied;
              table.setStage(flow, stage);
              model.setStage(key, stage);
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
    },
  );
}

/** An answered flow that lasts longer is a stream, in the unit of the actions' time. */
const STREAM_AFTER = 2000;

/** The flows of each stage by key, in the order of their last use. */
class Model {
  readonly #lists = STAGES.map(() => new Map<string, UdpFlow>());
  readonly #openedAt = new Map<string, number>();

  constructor(readonly listeners: Listeners) {}

  flowOf(key: string): UdpFlow | null {
    return this.#listOf(key)?.get(key) ?? null;
  }

  add(key: string, flow: UdpFlow, now: number): void {
    this.#openedAt.set(key, now);
    item(this.#lists, Stage.Unreplied).set(key, flow);
  }

  touch(key: string, now: number): void {
    const stage = this.#lists.findIndex((list) => list.has(key));
    const hasLasted = now - (this.#openedAt.get(key) ?? 0) > STREAM_AFTER;
    this.#append(key, stage === Stage.Answered && hasLasted ? Stage.Stream : stage);
  }

  /** Only the first reply changes the stage. The relay touches the flow itself. */
  reply(key: string): void {
    if (item(this.#lists, Stage.Unreplied).has(key)) this.#append(key, Stage.Answered);
  }

  setStage(key: string, stage: Stage): void {
    this.#append(key, stage);
  }

  #listOf(key: string): Map<string, UdpFlow> | undefined {
    return this.#lists.find((list) => list.has(key));
  }

  #append(key: string, stage: Stage): void {
    const flow = this.flowOf(key) as UdpFlow;
    this.#listOf(key)?.delete(key);
    item(this.#lists, stage).set(key, flow);
  }

  remove(flow: UdpFlow): void {
    for (const list of this.#lists) for (const [key, known] of list) if (known === flow) list.delete(key);
  }

  check(table: FlowTable): void {
    const size = this.#lists.reduce((sum, list) => sum + list.size, 0);
    const oldest = this.#lists.map((list) => list.values().next().value?.index);
    const seen = [table.size, ...STAGES.map((stage) => table.oldest(stage)?.index)];
    if (seen.join() !== [size, ...oldest].join()) throw new Error(`${seen}, not ${[size, ...oldest]}`);
    for (const fd of [1, 2]) {
      const flows = Array.from(this.listeners.at(fd).flows, ({ index }) => index);
      const known = this.#lists.flatMap((list) =>
        [...list].filter(([key]) => JSON.parse(key).listener === fd).map(([, { index }]) => index),
      );
      if (flows.sort().join() !== known.sort().join()) throw new Error(`of ${fd}: ${flows}, not ${known}`);
    }
  }
}

t.test('beyond a quarter of all flows, unreplied flows take the place of each other', async (t) => {
  const table = new FlowTable(8);
  const listeners = new Listeners(false);
  const add = (port: number) => listeners.add(table, who({ port }), port);
  t.equal(table.victim(), null, 'nothing to give up');
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

t.test('answered look-ups end before streams if a new flow needs a place', async (t) => {
  const table = new FlowTable(8);
  const listeners = new Listeners(false);
  const flows = [1, 2, 3].map((port) => listeners.add(table, who({ port }), 0));
  for (const flow of flows) table.markReplied(flow);
  table.touch(item(flows, 0), 2000);
  t.equal(table.stageOf(item(flows, 0)), Stage.Answered, 'two seconds are not more than two seconds');
  table.touch(item(flows, 0), 2001);
  t.equal(table.stageOf(item(flows, 0)), Stage.Stream);
  table.touch(item(flows, 2), 1);
  table.touch(item(flows, 1), 2);
  t.equal(table.victim(), flows[2]);
  table.remove(item(flows, 2));
  t.equal(table.victim(), flows[1]);
  table.remove(item(flows, 1));
  t.equal(table.victim(), flows[0], 'the last one');
});

t.test(
  'flows that the kernel has taken over are victims after all answered ones, and not listed',
  async (t) => {
    const table = new FlowTable(8);
    const listeners = new Listeners(false);
    const hot = [1, 2, 3].map((port) => listeners.add(table, who({ port }), port));
    for (const flow of hot) table.setStage(flow, Stage.Hot);
    t.equal(table.victim(), hot[0]);
    const answered = listeners.add(table, who({ port: 4 }), 4);
    table.markReplied(answered);
    t.equal(table.victim(), answered);
    t.same(
      Array.from(table.sessionsFrom(0), ({ clientPort }) => clientPort),
      [4],
    );
    for (const flow of hot) table.markReplied(flow);
    t.equal(table.stageOf(item(hot, 0)), Stage.Hot);
  },
);

t.test('the flows of a listener can be removed while they are visited', async (t) => {
  const table = new FlowTable(8);
  const listeners = new Listeners(false);
  for (const port of [1, 2, 3, 4]) listeners.add(table, who({ listener: port % 2, port }), 0);
  for (const flow of listeners.at(1).flows) table.remove(flow);
  t.equal(table.size, 2);
  t.equal(listeners.at(1).flows.size, 0);
  t.equal(listeners.at(0).flows.size, 2);
});

t.test('one client address may have many participants, and no more', async (t) => {
  const table = new FlowTable(2 * MAX_PARTICIPANT_FLOWS);
  const listeners = new Listeners(false);
  const headFor = (over: Partial<Who>) => headOf(who(over), false);
  const flows = Array.from({ length: MAX_PARTICIPANT_FLOWS }, (_, i) => {
    t.notOk(table.hasTooManyParticipants(headFor({ prefix: i, port: i % 7 })));
    return listeners.add(table, who({ prefix: i, port: i % 7 }), 0);
  });
  t.ok(table.hasTooManyParticipants(headFor({ prefix: 9999 })), 'whatever its ports are');
  t.notOk(table.hasTooManyParticipants(headFor({ prefix: 9999, client: 2 })), 'another address');
  t.notOk(table.hasTooManyParticipants(headFor({})), 'what is no RTPS');
  table.remove(item(flows, 0));
  t.notOk(table.hasTooManyParticipants(headFor({ prefix: 9999 })), 'one has ended');
});
