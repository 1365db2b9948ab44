import type { PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import { BATCH } from '../../../../sys/netlink/packetqueue.js';
import type { Route } from '../../../../sys/netlink/routequery.js';
import { FIELD } from '../../../shared/counters.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { Failover } from '../../failover.js';
import type { Judge } from '../../kernel/firstpackets.js';
import { sourceFor } from '../../kernel/masquerade.js';
import { reachable } from '../../kernel/reachable.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import { DatagramSending } from './datagramsending.js';
import { Decision } from './decision.js';
import { FlowInsertion } from './flowinsertion.js';
import { QueuedDatagram } from './queueddatagram.js';
import { RecentFlows } from './recentflows.js';

/**
 * Decides about first datagrams of UDP flows. Each flow gets an entry in the kernel's table of tracked flows,
 * by which its later datagrams and the answers go. The first datagram goes on from its queue as it came, but
 * to the endpoint: so the rules of other programs see client and endpoint, as with all later ones.
 *
 * That datagram has an entry of its own already, which the kernel has just made and not yet added to its
 * table. When it adds it, the two have the same client and VIP. The kernel keeps ours, and the other one for
 * a second in the direction of the answers only (nf_ct_resolve_clash_harder, Linux 5.7).
 */
export class DatagramJudge implements Judge {
  readonly owner = 'datagram queue';
  /** The relay would need more time for a datagram. */
  readonly maxWaitMs = Number.POSITIVE_INFINITY;
  readonly #datagram = new QueuedDatagram();
  readonly #decisions = Array.from({ length: BATCH }, () => new Decision());
  readonly #recent = new RecentFlows();
  readonly #insertion: FlowInsertion;
  readonly #sending: DatagramSending;

  /** @param report takes events for the log */
  constructor(
    readonly tools: KernelTools,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#insertion = new FlowInsertion(tools, report);
    this.#sending = new DatagramSending(tools, report);
  }

  decide(queue: PacketQueue, count: number): void {
    for (let index = 0; index < count; index++) this.#decide(queue, index);
    this.#insertion.commit(queue, this.#decisions);
    for (let index = 0; index < count; index++) this.#carryOut(queue, index);
  }

  reportUndecided(): void {
    this.report({ kind: 'datagramsUndecided' });
  }

  #decide(queue: PacketQueue, index: number): void {
    const datagram = this.#datagram;
    const decision = this.#decisions[index];
    decision.target = null;
    if (!datagram.read(queue, index)) return;
    const { vips, node } = this.tools;
    const { words } = datagram.client.memory;
    const vip = vips.UDP.find(datagram.vip, datagram.isV6);
    // Rules of an earlier run may bring datagrams that another worker decides about by now.
    if (!vip?.portal.carried?.isHome || vip.portal.isRtps) return;
    const portal = vip.portal.forClient(words, 0);
    if (!portal?.carried?.mayCarry(words, 0, node) || !portal.carried.isCertain) return;
    const known = this.#recent.targetOf(datagram, node.now());
    const target = known ?? this.#pick(portal);
    if (target === null) return;
    const route = node.paths.to(target) as Route;
    const device = queue.inputDeviceOf(index);
    decision.portal = portal;
    decision.target = target;
    decision.isNew = known === null;
    decision.source = sourceFor(words, 0, vip.masquerade, device, target, route, node);
    this.#insertion.queue(index, datagram, decision);
  }

  /** An endpoint for the flow of the datagram that was read last. Null: the relay gets it. */
  #pick(portal: ServedPortal): Target | null {
    const { node } = this.tools;
    const key = portal.balancer.keyOf(this.#datagram.client.memory.words, 0, null);
    const begin = () => new Failover(portal, key, node.now(), this.report);
    const target = reachable(portal.balancer.pick(key), begin, node);
    if (target !== null) this.#recent.add(this.#datagram, target, node.now());
    return target;
  }

  #carryOut(queue: PacketQueue, index: number): void {
    const { target, portal, source } = this.#decisions[index];
    if (target === null || portal === null) {
      queue.accept(index);
      return;
    }
    const datagram = this.#datagram;
    datagram.read(queue, index);
    if (source === null && this.tools.resolvesClashes) {
      datagram.leadTo(target.address, queue, index);
      queue.acceptChanged(index);
      // Its own entry has it, which nobody counts.
      portal.count(FIELD.datagramsIn, 1);
      portal.count(FIELD.bytesIn, datagram.dataLength);
      target.counts.sent(1, datagram.dataLength);
    } else if (this.#sending.send(datagram, queue, target, portal)) queue.drop(index);
    else queue.accept(index);
  }
}
