import { AF_INET6, IPPROTO_UDP } from '../../../../sys/constants.js';
import { EEXIST, errnoName } from '../../../../sys/errno.js';
import type { FlowReader } from '../../../../sys/netlink/flowreader.js';
import type { PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import type { SocketAddress } from '../../../../sys/sockaddr.js';
import { isSameSocket } from '../../../../sys/sockaddrwords.js';
import { FIELD } from '../../../shared/counters.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { Decision } from './decision.js';
import { QueuedDatagram } from './queueddatagram.js';

/** What is known of an entry that was there before. */
enum Found {
  /** The kernel does not tell, or the addresses of the answers are those of another flow. */
  Nothing,
  /** It leads to an endpoint, where the datagram goes too. Or it leads to the listener. */
  Translated,
  /** It leads nowhere: the flow has begun before its VIP was served. */
  Untranslated,
}

/** Makes the entries of flows whose first datagrams wait. A datagram whose flow gets none is relayed. */
export class FlowInsertion {
  readonly #datagram = new QueuedDatagram();
  /** By position in the batch: the datagram's index. */
  readonly #indexes: Int32Array;
  readonly #found: Found[];
  #decisions: readonly Decision[] = [];

  /** @param report takes events for the log */
  constructor(
    readonly tools: KernelTools,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#indexes = new Int32Array(tools.batch.capacity);
    this.#found = new Array(tools.batch.capacity).fill(Found.Nothing);
  }

  /** Queues the entry of a datagram's flow. If its source stays, so does the port: the datagram has it. */
  queue(index: number, { client, vip }: QueuedDatagram, { target, source }: Decision): void {
    const { batch, setup } = this.tools;
    const { address } = target as Target;
    const from = source ?? client;
    this.#indexes[batch.insert(IPPROTO_UDP, client, vip, address, from, setup.ownMark)] = index;
  }

  /** Makes what is queued. Decisions whose flows get no entry have no target then. */
  commit(queue: PacketQueue, decisions: readonly Decision[]): void {
    this.#decisions = decisions;
    const contested = this.#exchange();
    this.#lookUp(queue, contested);
    for (let position = 0; position < contested; position++) this.#settle(queue, position);
    const lost = this.#exchange();
    for (let position = 0; position < lost; position++) this.#refuse(this.#indexes[position], EEXIST);
  }

  /** @returns how many entries there were before; their indexes are the first ones then */
  #exchange(): number {
    const { batch } = this.tools;
    const count = batch.size;
    batch.commit();
    let contested = 0;
    for (let position = 0; position < count; position++) {
      const code = batch.codeOf(position);
      const index = this.#indexes[position];
      if (code === 0) this.#onEntered(this.#decisions[index]);
      else if (code === EEXIST) this.#indexes[contested++] = index;
      else this.#refuse(index, code);
    }
    return contested;
  }

  #onEntered(decision: Decision): void {
    const portal = decision.portal as ServedPortal;
    const target = decision.target as Target;
    this.tools.accounting.entered(portal, target, IPPROTO_UDP);
    if (!decision.isNew) return;
    portal.count(FIELD.flowsTotal, 1);
    target.counts.total++;
  }

  /** Looks at the entries that are in the way of the first datagrams. */
  #lookUp(queue: PacketQueue, contested: number): void {
    const { lookups } = this.tools;
    for (let position = 0; position < contested; position++) {
      this.#datagram.read(queue, this.#indexes[position]);
      lookups.ask(IPPROTO_UDP, this.#datagram.client, this.#datagram.vip);
    }
    this.#found.fill(Found.Nothing, 0, contested);
    lookups.exchange(this.#onFound);
  }

  readonly #onFound = (position: number, { vip, endpoint, mark }: FlowReader): void => {
    if (isSame(endpoint, vip)) {
      this.#found[position] = Found.Untranslated;
      return;
    }
    this.#found[position] = Found.Translated;
    const decision = this.#decisions[this.#indexes[position]];
    if (isSame(endpoint, (decision.target as Target).address)) return;
    const isOwn = this.tools.isOwn(mark);
    decision.target = isOwn ? targetAt(decision.portal as ServedPortal, endpoint) : null;
  };

  #settle(queue: PacketQueue, position: number): void {
    const index = this.#indexes[position];
    const decision = this.#decisions[index];
    switch (this.#found[position]) {
      case Found.Nothing:
        this.#refuse(index, EEXIST);
        return;
      case Found.Untranslated:
        this.#datagram.read(queue, index);
        this.#replace(index, this.#datagram, decision);
    }
  }

  #replace(index: number, { client, vip }: QueuedDatagram, { target, source }: Decision): void {
    const { batch, setup } = this.tools;
    const { address } = target as Target;
    const from = source ?? client;
    this.#indexes[batch.replace(IPPROTO_UDP, client, vip, address, from, setup.ownMark)] = index;
  }

  #refuse(index: number, code: number): void {
    const decision = this.#decisions[index];
    const { key: portal } = decision.portal as ServedPortal;
    const { name: endpoint } = decision.target as Target;
    this.report({ kind: 'notCarried', portal, endpoint, reason: errnoName(code) });
    decision.target = null;
    // Another flow has the addresses, and this happens to no other client.
    if (code !== EEXIST) this.tools.node.pause();
  }
}

/** Null: the portal does not have the endpoint any more. */
function targetAt({ balancer }: ServedPortal, endpoint: SocketAddress): Target | null {
  return balancer.rotation.targets.find(({ address }) => isSame(address, endpoint)) ?? null;
}

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return isSameSocket(a.memory.words, 0, b.memory.words, 0, a.family === AF_INET6);
}
