import { IPPROTO_UDP } from '../../../../sys/constants.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { EEXIST, EPERM, errno, errnoName } from '../../../../sys/errno.js';
import { portAt } from '../../../../sys/sockaddrwords.js';
import { FIELD } from '../../../shared/counters.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { Blame, blameForSend } from '../../blame.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { UdpFlow } from '../flow.js';
import { Stage } from '../flowstages.js';
import type { FlowTable } from '../flowtable.js';
import { RING_SLOTS } from '../inbox.js';
import type { ClientVip } from './clientvip.js';
import type { FlowEntries } from './entries.js';
import { type CarrierOwner, KernelCarrier } from './kernelcarrier.js';
import type { Origins } from './origins.js';

/**
 * Datagrams that come to the listener so long after the kernel has taken the flow's entry are not late: the
 * entry is gone, and without it they would go round in a circle.
 */
const LATE_MS = 100;

/**
 * Hands UDP flows over to the kernel. The first datagrams of a flow come to the listener. Then the entry of
 * the redirect gives way to one that leads to the endpoint, and the datagrams are sent once more to the VIP,
 * with the client's address.
 *
 * Datagrams of a flow that come while this is done may overtake each other. To make that time short, the
 * entries of a batch are made together, before its first datagram is sent.
 */
export class Handover implements CarrierOwner {
  /** Carriers whose entries are in the batch. */
  #pending: KernelCarrier[] = [];
  /** What an injector has not taken. */
  readonly #rest = new DatagramSender(RING_SLOTS);

  /**
   * @param relay gives a flow a socket to its endpoint, or to another one. The flow may end
   * @param report takes events for the log
   */
  constructor(
    readonly table: FlowTable,
    readonly entries: FlowEntries,
    readonly origins: Origins,
    readonly tools: KernelTools,
    readonly relay: (flow: UdpFlow) => void,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  /**
   * A carrier to the flow's present endpoint. Its entry is made by the next {@link commit}.
   * @returns null if the flow must be relayed
   */
  open(flow: UdpFlow): KernelCarrier | null {
    if (!this.#mayCarry(flow)) return null;
    flow.vip ??= this.origins.of(flow);
    const route = this.tools.node.paths.to(flow.target);
    if (flow.vip === null || typeof route === 'number') return null;
    // Conntrack sees an answer before the chain FORWARD drops it, so no answer proves that it arrives.
    if (this.tools.node.forwards(flow.portal.isV6) === 'doubtful' && !route.isLocal) return null;
    const { keys } = this.table;
    const port = portAt(keys.names.words, keys.nameAt(flow.index));
    const carrier = new KernelCarrier(flow, flow.vip, route, port, this);
    this.#queue(carrier);
    return carrier;
  }

  #mayCarry(flow: UdpFlow): boolean {
    const { portal, index } = flow;
    if (flow.isRelayOnly || portal.isRtps || portal.carried === null) return false;
    const { names } = this.table.keys;
    return portal.carried.mayCarry(names.words, this.table.keys.nameAt(index), this.tools.node);
  }

  /** Makes the client's datagrams come to the listener, because the flow gets another carrier. */
  bringBack(flow: UdpFlow): void {
    if (!flow.isCarried) return;
    this.#makeRoom();
    this.entries.bringBack(flow, flow.vip as ClientVip);
    flow.isCarried = false;
    if (this.table.stageOf(flow) === Stage.Carried) {
      flow.countActive(1);
      this.table.setCarried(flow, false);
    }
    this.commit();
  }

  /**
   * Makes the entries of all carriers that were opened. Flows whose entries are refused are relayed.
   * @returns whether there were any
   */
  commit(): boolean {
    const { batch } = this.tools;
    if (batch.size === 0) return false;
    batch.commit();
    const carriers = this.#pending;
    this.#pending = [];
    for (const carrier of carriers) carrier.code = batch.codeOf(carrier.position);
    for (const carrier of carriers) this.#onCommitted(carrier);
    return true;
  }

  send(carrier: KernelCarrier, sender: DatagramSender): number {
    const { flow, enteredAt } = carrier;
    const isGone = enteredAt !== null && this.tools.node.now() - enteredAt > LATE_MS;
    // Its entry may have ended because the flow is to be carried no more.
    if (isGone && !this.#mayCarry(flow)) this.#giveUp(flow);
    else if (isGone) this.#queue(carrier);
    this.commit();
    if (flow.carrier !== carrier) return this.#sendRelayed(flow, sender, 0);
    const sent = this.#inject(carrier, sender);
    // EPERM: a rule of this node forbids the endpoint to the client, and the relay must not lead round it.
    if (sent === sender.count || errno() === EPERM) return sent;
    this.#refused(flow, errno());
    return this.#sendRelayed(flow, sender, sent);
  }

  #queue(carrier: KernelCarrier): void {
    const { flow, vip, route } = carrier;
    this.#makeRoom();
    const client = this.entries.clientOf(flow);
    carrier.position = this.entries.carry(client, vip, flow.target, route, flow.inputDevice);
    flow.isCarried = true;
    this.#pending.push(carrier);
  }

  #makeRoom(): void {
    if (this.tools.batch.isFull) this.commit();
  }

  #onCommitted(carrier: KernelCarrier): void {
    const { flow, code } = carrier;
    // The flow has ended or moved since.
    if (flow.carrier !== carrier) return;
    if (code !== 0) {
      this.#refused(flow, code);
      return;
    }
    carrier.enteredAt = this.tools.node.now();
    this.tools.accounting.entered(flow.portal, flow.target, IPPROTO_UDP);
    if (this.table.stageOf(flow) === Stage.Carried) return;
    flow.countActive(-1);
    this.table.setCarried(flow, true);
  }

  #inject({ flow, vip }: KernelCarrier, sender: DatagramSender): number {
    const injector = this.tools.injectorFor(flow.portal.isV6);
    const client = this.entries.clientOf(flow);
    for (let index = 0; index < sender.count; index++) {
      injector.pushDatagram(
        client,
        vip.address,
        sender.payloadOf(index),
        sender.startOf(index),
        sender.lengthOf(index),
        flow.hops,
      );
    }
    return injector.send(flow.target.address);
  }

  /** The kernel has refused the flow's entry or a datagram. From now on the flow is relayed. */
  #refused(flow: UdpFlow, code: number): void {
    if (blameForSend(code) === Blame.Node) {
      const { portal, target } = flow;
      this.report({ kind: 'notCarried', portal: portal.key, endpoint: target.name, reason: errnoName(code) });
      // The client was faster, and this happens to no other flow.
      if (code !== EEXIST) this.tools.node.pause();
    }
    flow.isRelayOnly = true;
    this.#giveUp(flow);
  }

  #giveUp(flow: UdpFlow): void {
    flow.carrier = null;
    this.relay(flow);
  }

  /** Sends what is left by the carrier that the relay has opened. */
  #sendRelayed(flow: UdpFlow, sender: DatagramSender, from: number): number {
    if (flow.carrier === null) {
      flow.portal.count(FIELD.datagramsDropped, sender.count - from);
      return sender.count;
    }
    const rest = this.#rest;
    rest.clear();
    for (let index = from; index < sender.count; index++) {
      rest.push(sender.payloadOf(index), sender.startOf(index), sender.lengthOf(index));
    }
    return from + flow.send(rest, this.tools.node.now());
  }
}
