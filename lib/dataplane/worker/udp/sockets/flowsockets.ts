import { EPOLLERR, EPOLLIN } from '../../../../sys/constants.js';
import { EAGAIN, EMFILE, errno } from '../../../../sys/errno.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { EventLoop, Task } from '../../loop.js';
import type { CarrierEvents } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import type { FlowLifetimes } from '../lifetimes.js';
import { EndpointSocket, type SocketOwner } from './endpointsocket.js';
import { ErrorJudge, Verdict } from './errorjudge.js';
import type { FlowDescriptors } from './flowdescriptors.js';
import type { LocalPorts } from './localports.js';
import { Replies } from './replies.js';
import { RetiredSockets } from './retiredsockets.js';

/** If this share of the local ports towards an endpoint is in use, that is reported. */
const SHORTAGE_SHARE = 7 / 8;
/** Before a socket is closed, at most this many batches of replies are relayed. */
const MAX_DRAINED_BATCHES = 4;

/**
 * The sockets that carry flows: one for each flow, connected to its endpoint. They take descriptors of the
 * budget, and the loop watches them.
 */
export class FlowSockets implements Task, SocketOwner {
  readonly #replies: Replies;
  readonly #judge: ErrorJudge;
  readonly #retired = new RetiredSockets<EndpointSocket>();

  /** @param lifetimes ends other flows if no port is left */
  constructor(
    readonly loop: EventLoop,
    readonly localPorts: LocalPorts<EndpointSocket>,
    readonly descriptors: FlowDescriptors,
    readonly lifetimes: FlowLifetimes,
    readonly events: CarrierEvents,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#replies = new Replies(lifetimes.table.keys);
    this.#judge = new ErrorJudge(lifetimes.inbox);
    loop.addTask(this);
  }

  /** When the next retired socket must close; Infinity if there is none. */
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
   * Connects a socket to the flow's present endpoint.
   * @returns the socket or the errno
   */
  open(flow: UdpFlow): EndpointSocket | number {
    if (!this.descriptors.takeFor(flow)) return EMFILE;
    const socket = EndpointSocket.open(flow, this);
    if (typeof socket === 'number') {
      this.descriptors.give();
      return socket;
    }
    if (!this.loop.watch(socket.fd, EPOLLIN, socket)) {
      const code = errno();
      socket.close();
      return code;
    }
    const { used, size } = socket.ports;
    const endpoint = flow.target.name;
    if (used >= size * SHORTAGE_SHARE) this.report({ kind: 'portsShort', endpoint, ports: size });
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
    this.descriptors.give();
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
    for (let batch = 0; batch < MAX_DRAINED_BATCHES; batch++) {
      if (this.#replies.relay(socket, this.loop.now) < 0 && errno() === EAGAIN) return;
    }
  }

  /** Relays replies first: the endpoint has sent them before the errors came. */
  onSocketReady(socket: EndpointSocket, events: number): number {
    const { flow } = socket;
    const count = this.#replies.relay(socket, this.loop.now);
    const code = count < 0 ? errno() : 0;
    if (count > 0 && socket === flow.carrier) this.events.answered(flow);
    const hadErrors = (events & EPOLLERR) !== 0 && this.#judgeErrors(socket);
    return hadErrors ? 0 : code;
  }

  /**
   * Reads a socket's errors, and reports what they say about the endpoint.
   * @returns whether there were errors
   */
  #judgeErrors(socket: EndpointSocket): boolean {
    const { flow } = socket;
    const verdict = this.#judge.judge(socket);
    const { code, count, tooLong } = this.#judge;
    if (tooLong.count > 0) tooLong.sendConnected(socket.fd);
    if (verdict === Verdict.Nothing) return count > 0;
    // The flow has another endpoint already, and does not need this one's answers.
    if (socket === flow.previousCarrier) socket.close();
    else if (verdict === Verdict.Suspected) this.events.suspected(flow, code);
    else this.events.refused(flow, code, verdict === Verdict.Unreachable);
    return true;
  }
}
