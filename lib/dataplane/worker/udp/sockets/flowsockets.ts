import { EPOLLIN } from '../../../../sys/constants.js';
import { EMFILE, errno } from '../../../../sys/errno.js';
import type { DescriptorBudget } from '../../../shared/budget.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { EventLoop } from '../../loop.js';
import type { Target } from '../../target.js';
import type { UdpFlow } from '../flow.js';
import { EndpointSocket, type SocketOwner } from './endpointsocket.js';
import { LeftSockets } from './leftsockets.js';

/** Of the local ports towards an endpoint, this share in use is worth a line in the log. */
const NEARLY_ALL = 7 / 8;

/** Gives flows their sockets and takes them back: within the descriptor budget, watched by the loop. */
export class FlowSockets {
  readonly #left = new LeftSockets<EndpointSocket>();

  /** @param freeDescriptor asked for one when the budget is used up, on behalf of a flow that must not be the one to go */
  constructor(
    readonly loop: EventLoop,
    readonly budget: DescriptorBudget,
    readonly owner: SocketOwner,
    readonly report: (event: DataplaneEvent) => void,
    readonly freeDescriptor: (flow: UdpFlow) => boolean,
  ) {}

  /** When the next left socket's time is up. */
  get deadline(): number {
    return this.#left.deadline;
  }

  expire(now: number): void {
    for (;;) {
      const socket = this.#left.expired(now);
      if (socket === null) return;
      this.closeLeft(socket.flow);
    }
  }

  /** Connects a flow that has no socket to an endpoint. @returns 0, or the errno */
  open(flow: UdpFlow, target: Target): number {
    flow.target = target;
    if (!this.#takeDescriptor(flow)) return EMFILE;
    const socket = EndpointSocket.open(flow, target, this.owner);
    if (typeof socket === 'number') {
      this.budget.give(1);
      return socket;
    }
    if (!this.loop.watch(socket.fd, EPOLLIN, socket)) {
      const code = errno();
      this.#close(socket);
      return code;
    }
    flow.socket = socket;
    flow.heardAt = this.loop.now;
    const { used, size } = socket.ports;
    if (used >= size * NEARLY_ALL) this.report({ kind: 'portsShort', endpoint: target.name, ports: size });
    return 0;
  }

  close(flow: UdpFlow): void {
    if (flow.socket !== null) this.#close(flow.socket);
    flow.socket = null;
  }

  /** Keeps the flow's socket open for a while, for answers under way. */
  leave(flow: UdpFlow): void {
    this.closeLeft(flow);
    flow.left = flow.socket;
    flow.socket = null;
    if (flow.left !== null) this.#left.add(flow.left, this.loop.now);
  }

  closeLeft(flow: UdpFlow): void {
    if (flow.left === null) return;
    this.#left.delete(flow.left);
    this.#close(flow.left);
    flow.left = null;
  }

  #close(socket: EndpointSocket): void {
    this.loop.forget(socket.fd);
    socket.close();
    this.budget.give(1);
  }

  #takeDescriptor(flow: UdpFlow): boolean {
    if (this.budget.take(1)) return true;
    this.report({ kind: 'descriptorsOut' });
    if (flow.left !== null) this.closeLeft(flow);
    else if (!this.freeDescriptor(flow)) return false;
    return this.budget.take(1);
  }
}
