import type { DescriptorBudget } from '../../shared/budget.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import type { Carrier } from './carrier.js';
import type { UdpFlow } from './flow.js';
import type { HotFlows } from './hot/hotflows.js';
import type { UdpKernel } from './kernel/udpkernel.js';
import type { FlowLifetimes } from './lifetimes.js';
import type { FlowMover } from './mover.js';
import { SpreadSockets } from './rtps/spreadsockets.js';
import type { EndpointSocket } from './sockets/endpointsocket.js';
import { FlowDescriptors } from './sockets/flowdescriptors.js';
import { FlowSockets } from './sockets/flowsockets.js';
import type { LocalPorts } from './sockets/localports.js';

/** Opens the carriers of flows that are relayed: by a socket, or by several. */
export class Carriers {
  /** Null while nothing is handed over to the kernel. */
  kernel: UdpKernel | null = null;
  hot: HotFlows | null = null;
  readonly #descriptors: FlowDescriptors;
  readonly #sockets: FlowSockets;
  /** Made for the first flow that needs it: it has a ring of its own, and most nodes have no such Service. */
  #spreadSockets: SpreadSockets | null = null;

  constructor(
    localPorts: LocalPorts<EndpointSocket>,
    budget: DescriptorBudget,
    readonly lifetimes: FlowLifetimes,
    readonly mover: FlowMover,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    const { loop } = lifetimes;
    this.#descriptors = new FlowDescriptors(budget, lifetimes, report);
    this.#sockets = new FlowSockets(loop, localPorts, this.#descriptors, lifetimes, mover, report);
  }

  /** Opens a carrier to the flow's present endpoint. @returns the errno if that fails */
  open(flow: UdpFlow): Carrier | number {
    const { router } = flow.portal;
    if (router === null) return this.#openSocket(flow);
    this.#spreadSockets ??= new SpreadSockets(
      this.lifetimes.loop,
      this.#descriptors,
      this.lifetimes,
      this.mover,
      this.report,
    );
    return this.#spreadSockets.open(flow, router);
  }

  #openSocket(flow: UdpFlow): Carrier | number {
    this.kernel?.bringBack(flow);
    return this.#sockets.open(flow);
  }
}
