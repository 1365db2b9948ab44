import { IPPROTO_UDP } from '../../../../sys/constants.js';
import { CONTROL_WORDS, usedAddressAt } from '../../../../sys/controlmessages.js';
import type { Route } from '../../../../sys/netlink/routequery.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { addressAt, portAt } from '../../../../sys/sockaddrwords.js';
import { sourceFor } from '../../kernel/masquerade.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { Target } from '../../target.js';
import type { UdpFlow } from '../flow.js';
import type { FlowKeys } from '../flowkeys.js';
import type { ClientVip } from './clientvip.js';

/** Writes what becomes of flows' entries in the kernel's table of tracked flows. */
export class FlowEntries {
  readonly #client = new SocketAddress();
  readonly #listener = new SocketAddress();

  constructor(
    readonly keys: FlowKeys,
    readonly tools: KernelTools,
  ) {}

  /** The client of a flow. Valid until the next call of any method. */
  clientOf({ index, portal }: UdpFlow): SocketAddress {
    const { names } = this.keys;
    const at = this.keys.nameAt(index);
    const { isV6 } = portal;
    return this.#client.setBytes(names.bytes, addressAt(at, isV6) * 4, isV6, portAt(names.words, at));
  }

  /**
   * Queues that the kernel carries what a client sends to a VIP.
   * @param route to the endpoint
   * @param inputDevice see {@link sourceFor}
   * @returns position in the batch
   */
  carry(
    client: SocketAddress,
    { address, masquerade }: ClientVip,
    target: Target,
    route: Route,
    inputDevice: number,
  ): number {
    const { batch, node, setup } = this.tools;
    const source = sourceFor(client.memory.words, 0, masquerade, inputDevice, target, route, node);
    return batch.replace(IPPROTO_UDP, client, address, target.address, source, setup.ownMark);
  }

  /**
   * Queues that the client's datagrams come to the listener. Without the entry of a redirect, the relay's
   * answers would leave with the listener's address, and their own entry would take the client's port away.
   * @returns position in the batch
   */
  bringBack(flow: UdpFlow, vip: ClientVip): number {
    const client = this.clientOf(flow);
    const listener = flow.listener.isRedirected ? this.#listenerOf(flow) : null;
    return this.tools.bringBack(IPPROTO_UDP, client, vip.address, listener);
  }

  #listenerOf(flow: UdpFlow): SocketAddress {
    const used = usedAddressAt(flow.index * CONTROL_WORDS, flow.portal.isV6) * 4;
    const { bytes } = this.keys.controls;
    return this.#listener.setBytes(bytes, used, flow.portal.isV6, flow.listener.port);
  }
}
