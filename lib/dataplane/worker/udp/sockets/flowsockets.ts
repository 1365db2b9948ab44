import { EPOLLERR, EPOLLIN } from '../../../../sys/constants.js';
import { EAGAIN, EMFILE, errno } from '../../../../sys/errno.js';
import type { DescriptorBudget } from '../../../shared/budget.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { EventLoop, Task } from '../../loop.js';
import type { CarrierEvents } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import type { FlowLifetimes } from '../lifetimes.js';
import { EndpointSocket, type SocketOwner } from './endpointsocket.js';
import { ErrorJudge, Verdict } from './errorjudge.js';
import type { LocalPorts } from './localports.js';
import { Replies } from './replies.js';
import { RetiredSockets } from './retiredsockets.js';

/** Of the local ports towards an endpoint, this share in use is worth a line in the log. */
const NEARLY_ALL = 7 / 8;
/** Batches of late replies that are saved from a socket before it closes. */
const LATE_BATCHES = 4;

/**
 * Carries flows by sockets, one connected to the endpoint for each: within the descriptor budget, watched by
 * the loop.
 */
export class FlowSockets implements Task, SocketOwner {
  readonly #replies: Replies;
  readonly #judge: ErrorJudge;
  readonly #retired = new RetiredSockets<EndpointSocket>();

  /** @param lifetimes asked for descriptors and ports of other flows where there is none left */
  constructor(
    readonly loop: EventLoop,
    readonly localPorts: LocalPorts<EndpointSocket>,
    readonly budget: DescriptorBudget,
    readonly lifetimes: FlowLifetimes,
    readonly events: CarrierEvents,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#replies = new Replies(lifetimes.table.keys);
    this.#judge = new ErrorJudge(lifetimes.inbox);
    loop.addTask(this);
  }

  /** When the next left socket's time is up. */
  get deadline(): number {
    return this.#retired.deadline;
  }

  expire(now: number): void {
    for (;;) {
      const socket = this.#retired.expired(now);
      if (socket === null) return;
      socket.close();
    }
  }

  /**
   * Connects a socket to the endpoint that a flow has now.
   * @returns the errno where there is none to be had
   */
  open(flow: UdpFlow): EndpointSocket | number {
    if (!this.#takeDescriptor(flow)) return EMFILE;
    const socket = EndpointSocket.open(flow, this);
    if (typeof socket === 'number') {
      this.budget.give(1);
      return socket;
    }
    if (!this.loop.watch(socket.fd, EPOLLIN, socket)) {
      const code = errno();
      socket.close();
      return code;
    }
    const { used, size } = socket.ports;
    const endpoint = flow.target.name;
    if (used >= size * NEARLY_ALL) this.report({ kind: 'portsShort', endpoint, ports: size });
    return socket;
  }

  retire(socket: EndpointSocket): void {
    const { flow } = socket;
    flow.previousCarrier?.close();
    flow.previousCarrier = socket;
    flow.carrier = null;
    this.#retired.add(socket, this.loop.now);
  }

  closed(socket: EndpointSocket): void {
    const { flow } = socket;
    this.budget.give(1);
    if (socket === flow.previousCarrier) {
      this.#retired.delete(socket);
      flow.previousCarrier = null;
    } else {
      flow.carrier = null;
    }
  }

  giveUp(holder: EndpointSocket): boolean {
    if (holder !== holder.flow.previousCarrier) return this.lifetimes.evictIdle(holder.flow);
    holder.close();
    return true;
  }

  drain(socket: EndpointSocket): void {
    for (let batch = 0; batch < LATE_BATCHES; batch++) {
      if (this.#replies.relay(socket, this.loop.now) < 0 && errno() === EAGAIN) return;
    }
  }

  /** What an endpoint said before its errors came is heard before them. */
  onSocketReady(socket: EndpointSocket, events: number): number {
    const { flow } = socket;
    const count = this.#replies.relay(socket, this.loop.now);
    const code = count < 0 ? errno() : 0;
    if (count > 0 && socket === flow.carrier) this.events.answered(flow);
    const hasJudged = (events & EPOLLERR) !== 0 && this.#judgeErrors(socket);
    return hasJudged ? 0 : code;
  }

  /**
   * Hears the errors that a socket has kept, and tells what follows from them.
   * @returns whether there were any
   */
  #judgeErrors(socket: EndpointSocket): boolean {
    const { flow } = socket;
    const verdict = this.#judge.judge(socket);
    const { code, count, tooLong } = this.#judge;
    if (tooLong.count > 0) tooLong.sendConnected(socket.fd);
    if (verdict === Verdict.Nothing) return count > 0;
    // Answers from there are a courtesy.
    if (socket === flow.previousCarrier) socket.close();
    else if (verdict === Verdict.Suspected) this.events.suspected(flow, code);
    else this.events.refused(flow, code, verdict === Verdict.Unreachable);
    return true;
  }

  #takeDescriptor(flow: UdpFlow): boolean {
    if (this.budget.take(1)) return true;
    this.report({ kind: 'descriptorsOut' });
    if (flow.previousCarrier !== null) flow.previousCarrier.close();
    else if (!this.lifetimes.evictOther(flow)) return false;
    return this.budget.take(1);
  }
}
