import { portAt } from '../../../../sys/sockaddrwords.js';
import type { KernelNode } from '../../kernel/node.js';
import { hasOtherPin, type UdpFlow } from '../flow.js';
import type { FlowTable } from '../flowtable.js';
import type { Participants } from '../rtps/participants.js';
import { EndpointSocket } from '../sockets/endpointsocket.js';

/** Says which flows the kernel may take over from the relay. */
export class Eligibility {
  constructor(
    readonly table: FlowTable,
    readonly participants: Participants,
    readonly node: KernelNode,
  ) {}

  /**
   * Whether the kernel may take a flow over:
   *
   * - Nobody needs to read its datagrams. The announcements of a participant are read.
   * - All that comes from its client's socket to this VIP is of the flow.
   * - The kernel reaches the endpoint as the relay does. Programs and endpoints of the node itself stay with
   *   the relay.
   */
  mayTakeOver(flow: UdpFlow): boolean {
    if (flow.isRelayOnly || flow.hasAnnounced || flow.portal.router !== null) return false;
    if (!(flow.carrier instanceof EndpointSocket) || flow.previousCarrier !== null) return false;
    const { target } = flow;
    if (target.isRemoved || flow.aliveAt < target.failedAt) return false;
    return this.isForwarded(flow) && this.#isAloneOnItsSocket(flow);
  }

  /** Whether the node forwards the flow's packets to its endpoint. */
  isForwarded({ portal, target, index, inputDevice }: UdpFlow): boolean {
    const { names } = this.table.keys;
    const mayCarry = portal.carried?.mayCarry(names.words, this.table.keys.nameAt(index), this.node);
    if (!mayCarry || inputDevice === 0 || this.node.forwards(portal.isV6) !== 'forwards') return false;
    const route = this.node.paths.to(target);
    return typeof route !== 'number' && !route.isLocal;
  }

  /** The kernel cannot tell participants apart. */
  #isAloneOnItsSocket(flow: UdpFlow): boolean {
    if (flow.portal.balancer.prefixBytes === 0) return true;
    if (!flow.isOfParticipant) return false;
    const port = this.#portOf(flow);
    if (this.participants.haveOther(flow, port)) return false;
    for (const other of this.table.participantsBeside(flow)) {
      if (hasOtherPin(other, flow) && this.#portOf(other) === port) return false;
    }
    return true;
  }

  #portOf({ index }: UdpFlow): number {
    return portAt(this.table.keys.names.words, this.table.keys.nameAt(index));
  }
}
