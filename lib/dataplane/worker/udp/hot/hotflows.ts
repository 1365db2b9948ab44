import { EPOLLERR } from '../../../../sys/constants.js';
import type { DatagramSender } from '../../../../sys/datagramsender.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { isSameSocket } from '../../../../sys/sockaddrwords.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { Blame, blameForConnect } from '../../blame.js';
import type { RefusedPacket } from '../../kernel/errorqueue.js';
import type { EventLoop, Task } from '../../loop.js';
import type { Target } from '../../target.js';
import { hasOtherPin, type UdpFlow } from '../flow.js';
import { NO_FLOW } from '../flowkeys.js';
import type { FlowTable } from '../flowtable.js';
import { isCredible } from '../kernel/credibility.js';
import type { UdpKernel } from '../kernel/udpkernel.js';
import type { FlowMover } from '../mover.js';
import type { Participants } from '../rtps/participants.js';
import { EndpointSocket } from '../sockets/endpointsocket.js';
import { Eligibility } from './eligibility.js';
import { Heat } from './heat.js';
import { HotCarrier } from './hotcarrier.js';
import { LateDatagrams } from './latedatagrams.js';
import { Quotes } from './quotes.js';
import { TakeOver } from './takeover.js';
import { Usage, Use } from './usage.js';

/** Endpoints that have failed are looked for this often, ms: as often as LinkWatch asks them. */
const LOOK_MS = 100;

/**
 * Lets the kernel carry hot flows, from the middle of them on. The endpoint sees no change: the kernel goes
 * on with the address and port of the flow's socket. A flow comes back when its datagrams must be read, or
 * when its endpoint may be gone.
 */
export class HotFlows implements Task {
  /** Flows that are hot, and are not handed over yet. */
  readonly #waiting = new Set<UdpFlow>();
  readonly #carriers = new Set<HotCarrier>();
  readonly #eligibility: Eligibility;
  readonly #takeOver: TakeOver;
  readonly #usage: Usage;
  readonly #late: LateDatagrams;
  readonly #quotes = new Quotes();
  /** Pods that flows have left since the last look, see {@link podOf}. */
  readonly #left = new Set<string>();
  #lookAt = 0;
  readonly #endpoint = new SocketAddress();

  /** @param report takes events for the log */
  constructor(
    readonly loop: EventLoop,
    readonly table: FlowTable,
    readonly kernel: UdpKernel,
    readonly mover: FlowMover,
    participants: Participants,
    report: (event: DataplaneEvent) => void,
  ) {
    const { entries, tools } = kernel;
    this.#eligibility = new Eligibility(table, participants, tools.node);
    this.#takeOver = new TakeOver(table, entries, tools, report);
    this.#usage = new Usage(entries, tools);
    this.#late = new LateDatagrams(entries, tools);
    loop.addTask(this);
  }

  /** Datagrams of a flow were relayed. */
  relayed(flow: UdpFlow, datagrams: number): void {
    if (flow.portal.carried === null || flow.isCarried || flow.isRelayOnly || flow.hasAnnounced) return;
    flow.heat ??= new Heat();
    if (!flow.heat.add(datagrams, this.loop.now)) return;
    flow.heat.cool();
    this.#waiting.add(flow);
  }

  /** Hands over the flows that are hot. Call it when few datagrams wait: later ones may overtake them. */
  takeOver(): void {
    if (this.#waiting.size === 0) return;
    const carriers = [...this.#waiting].flatMap((flow) => this.#carrierFor(flow) ?? []);
    this.#waiting.clear();
    for (let from = 0; from < carriers.length; from += this.#takeOver.capacity) {
      const part = carriers.slice(from, from + this.#takeOver.capacity);
      for (const carrier of this.#takeOver.begin(part)) this.#carriers.add(carrier);
    }
  }

  #carrierOf({ headers, bytes }: RefusedPacket): HotCarrier | null {
    const { isV6, sourcePort, destinationAt, destinationPort } = headers;
    const { words } = this.#endpoint.setBytes(bytes, destinationAt, isV6, destinationPort).memory;
    for (const carrier of this.#carriers) {
      const { address } = carrier.flow.target;
      if (carrier.port === sourcePort && isSameSocket(address.memory.words, 0, words, 0, isV6))
        return carrier;
    }
    return null;
  }

  #carrierFor(flow: UdpFlow): HotCarrier | null {
    if (flow.index === NO_FLOW || !(flow.carrier instanceof EndpointSocket)) return null;
    if (!this.#eligibility.mayTakeOver(flow)) return null;
    flow.vip ??= this.kernel.origins.of(flow);
    return flow.vip && new HotCarrier(flow.carrier, flow.vip, this.table.stageOf(flow), this);
  }

  /** A flow has begun. The kernel cannot tell its participant from others that share the socket. */
  begun(flow: UdpFlow): void {
    if (!flow.isOfParticipant || this.#carriers.size === 0) return;
    for (const other of this.table.participantsBeside(flow)) {
      if (other.carrier instanceof HotCarrier && hasOtherPin(other, flow)) this.restore(other.carrier);
    }
  }

  /** A flow has left an endpoint. Its whole pod may be gone. */
  moved(flow: UdpFlow, from: Target): void {
    if (this.#carriers.size > 0) this.#left.add(podOf(flow, from));
    this.#quotes.moved(flow, this.loop.now);
  }

  get deadline(): number {
    if (this.#carriers.size === 0) return Number.POSITIVE_INFINITY;
    return this.#left.size > 0 ? 0 : this.#lookAt;
  }

  /** Takes flows back whose endpoint may be gone. Their next datagrams show whether it is. */
  expire(now: number): void {
    this.#lookAt = now + LOOK_MS;
    const left = new Set(this.#left);
    this.#left.clear();
    for (const carrier of this.#carriers) {
      const { flow } = carrier;
      const hasFailed = flow.target.isRemoved || flow.aliveAt < flow.target.failedAt;
      if (!hasFailed && !left.has(podOf(flow, flow.target))) continue;
      this.restore(carrier);
      if (hasFailed) this.mover.moveIfNeeded(flow);
    }
  }

  /** See OnRefused. As with relayed flows, the client never sees an ICMP error. */
  onRefused(packet: RefusedPacket): boolean {
    const carrier = this.#carrierOf(packet);
    if (carrier === null) return false;
    const { flow } = carrier;
    const { paths } = this.kernel.tools.node;
    if (blameForConnect(packet.code) !== Blame.Endpoint || !isCredible(packet, flow.target, paths))
      return true;
    this.restore(carrier);
    this.mover.suspected(flow, packet.code);
    if (flow.index !== NO_FLOW) this.#quotes.sendAgain(flow, packet, this.loop.now);
    return true;
  }

  /** Datagrams of the client that have come to the listener all the same. */
  send(carrier: HotCarrier, sender: DatagramSender): number {
    if (this.#late.isLate(carrier) && !carrier.flow.hasAnnounced) return this.#late.send(carrier, sender);
    this.restore(carrier);
    carrier.flow.countSent(sender);
    return carrier.socket.send(sender);
  }

  /** Answers or errors that have come to the flow's socket all the same. */
  onSocketReady(carrier: HotCarrier, events: number): number {
    if ((events & EPOLLERR) === 0 && this.#late.isLate(carrier)) return this.#late.passOnAnswers(carrier);
    this.restore(carrier);
    return carrier.socket.onReady(carrier.socket.fd, events);
  }

  /** See {@link HotCarrier.goesOn}. */
  goesOn(carrier: HotCarrier): boolean {
    const { flow } = carrier;
    const use = this.#usage.of(carrier);
    if (use === Use.Over) return false;
    if (use === Use.Used) flow.keepPin(this.loop.now);
    // Forwarding may have been switched off, or the route to the endpoint is gone.
    if (!this.#eligibility.isForwarded(flow)) this.restore(carrier);
    return true;
  }

  /** The flow is relayed again. */
  restore(carrier: HotCarrier): void {
    this.#carriers.delete(carrier);
    this.#takeOver.restore(carrier);
  }

  /** The flow ends, or gets another carrier next. */
  leave(carrier: HotCarrier): void {
    this.#carriers.delete(carrier);
    this.#takeOver.end(carrier);
  }
}

/** The pod of an endpoint in a flow's Service, as a map key. */
function podOf({ portal }: UdpFlow, { id }: Target): string {
  return `${portal.balancer.service} ${id}`;
}
