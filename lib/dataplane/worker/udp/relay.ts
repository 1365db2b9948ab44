import type { PortalVip } from '../../../portal/portal.js';
import { receivedHopsOf } from '../../../sys/controlmessages.js';
import { DatagramSender } from '../../../sys/datagramsender.js';
import { errno } from '../../../sys/errno.js';
import type { DescriptorBudget } from '../../shared/budget.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { Blame, blameForSend } from '../blame.js';
import { clientAddress, clientKey } from '../clientkey.js';
import { hopsOnward } from '../hops.js';
import type { RefusedPacket } from '../kernel/errorqueue.js';
import type { KernelTools } from '../kernel/tools.js';
import type { EventLoop } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { Carriers } from './carriers.js';
import type { UdpFlow } from './flow.js';
import { FlowTable } from './flowtable.js';
import { HotFlows } from './hot/hotflows.js';
import { Inbox, NO_SLOT, RING_SLOTS } from './inbox.js';
import { UdpKernel } from './kernel/udpkernel.js';
import { FlowLifetimes } from './lifetimes.js';
import { UdpListener } from './listener.js';
import { FlowMover } from './mover.js';
import type { ReceivedDatagram } from './receiveddatagram.js';
import { LinkWatch } from './rtps/linkwatch.js';
import { Participants } from './rtps/participants.js';
import { Reannouncer } from './rtps/reannouncer.js';
import type { EndpointSocket } from './sockets/endpointsocket.js';
import type { LocalPorts } from './sockets/localports.js';

/** After this many batches of one listener, the others get their turn. */
const BATCHES_PER_EVENT = 4;

/**
 * Relays UDP in one worker: receives clients' datagrams in batches, and sends the datagrams of each flow to
 * its endpoint together.
 */
export class UdpRelay {
  readonly table: FlowTable;
  readonly lifetimes: FlowLifetimes;
  readonly participants: Participants;
  readonly #inbox = new Inbox();
  readonly #sender = new DatagramSender(RING_SLOTS);
  readonly #mover: FlowMover;
  /**
   * Made for the first flow that speaks RTPS. Most nodes have none, and each task costs something in every
   * turn of the loop.
   */
  #reannouncer: Reannouncer | null = null;
  readonly #carriers: Carriers;

  /** @param udpTimeoutMs see FlowLifetimes */
  constructor(
    readonly loop: EventLoop,
    localPorts: LocalPorts<EndpointSocket>,
    budget: DescriptorBudget,
    maxFlows: number,
    udpTimeoutMs: number | null,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.table = new FlowTable(maxFlows);
    this.lifetimes = new FlowLifetimes(loop, this.table, this.#inbox, udpTimeoutMs);
    this.participants = new Participants(this.table.keys, () => loop.now, report);
    this.#mover = new FlowMover(
      this.lifetimes,
      (flow) => this.#carriers.open(flow),
      (flow, from) => {
        if (flow.portal.isRtps) this.#reannouncer?.moved(flow, from);
        this.#carriers.hot?.moved(flow, from);
      },
      report,
    );
    this.#carriers = new Carriers(localPorts, budget, this.lifetimes, this.#mover, report);
  }

  /** @param redirectedPort see WorkerListener */
  listen(fd: number, portal: ServedPortal, redirectedPort: number | null): UdpListener {
    const listener = new UdpListener(this, fd, portal, redirectedPort);
    this.loop.watchInput(fd, listener);
    return listener;
  }

  /** Closes a listener and ends its flows. */
  close(listener: UdpListener): void {
    this.lifetimes.endAll(listener);
    this.loop.closeUnshared(listener.fd);
  }

  /** Ends the flows of clients that another portal or none serves now. */
  admissionChanged(listener: UdpListener): void {
    this.lifetimes.endForeign(listener);
    this.#carriers.kernel?.recall(listener.portal);
  }

  /** See {@link UdpKernel.portalChanged}. */
  portalChanged(
    portal: ServedPortal,
    vips: readonly PortalVip[],
    targets: readonly Target[],
    wasRead: boolean,
  ): void {
    this.#carriers.kernel?.portalChanged(portal, vips, targets, wasRead);
  }

  /** From now on the kernel carries flows of portals that are {@link ServedPortal.carried}. */
  startHandover(tools: KernelTools): void {
    const kernel = new UdpKernel(tools, this.loop, this.table.keys, this.report);
    this.#carriers.kernel = kernel;
    // Without a queue of its own, the worker would not hear of endpoints that refuse.
    if (tools.setup.queues === null) return;
    this.#carriers.hot = new HotFlows(
      this.loop,
      this.table,
      kernel,
      this.#mover,
      this.participants,
      this.report,
    );
  }

  /** See OnRefused. */
  onRefused(packet: RefusedPacket): boolean {
    const { hot, kernel } = this.#carriers;
    return hot?.onRefused(packet) || kernel?.refusals.onRefused(packet) || false;
  }

  /**
   * The endpoints of a portal that speaks RTPS have changed. A DDS client may be silent for seconds and wait
   * for the replica to speak. So flows to endpoints that are gone move at once, not with their next datagram,
   * and new endpoints hear of the participants that they are to answer.
   */
  endpointsChanged(listener: UdpListener): void {
    const { portal, flows } = listener;
    for (const flow of flows) if (flow.target.isRemoved) this.#mover.moveIfNeeded(flow);
    if (portal.router !== null && portal.hasNewEndpoints)
      this.#reannouncer?.announceAll(listener, this.loop.now);
  }

  /**
   * Receives a listener's datagrams, sorts them by flow, and sends those of each flow together.
   * @returns 0, or the errno if there was nothing to receive
   */
  receive(listener: UdpListener): number {
    const inbox = this.#inbox;
    for (let batch = 0; batch < BATCHES_PER_EVENT; batch++) {
      const count = inbox.receive(listener.fd);
      if (count < 0) return batch === 0 ? errno() : 0;
      for (let slot = inbox.first; slot < inbox.first + count; slot++) this.#file(slot, listener);
      for (const flow of inbox.flows) this.#forward(flow);
      if (inbox.isSocketEmpty) break;
    }
    this.#carriers.hot?.takeOver();
    return 0;
  }

  #file(slot: number, listener: UdpListener): void {
    const { now } = this.loop;
    const flow = this.#flowOf(listener, this.#inbox.head(slot));
    this.#inbox.file(slot, flow, now);
    if (flow === null) listener.portal.count(FIELD.datagramsDropped, 1);
    // Now, so that a new flow later in the batch does not take the place of this one.
    else this.table.touch(flow, now);
  }

  /** @returns null if the datagram must be dropped */
  #flowOf(listener: UdpListener, head: ReceivedDatagram): UdpFlow | null {
    const { portal } = listener;
    const hops = hopsOnward(receivedHopsOf(head.controls, head.controlAt, portal.isV6));
    if (hops < 1) {
      this.report({
        kind: 'hopsUsedUp',
        portal: portal.key,
        client: clientAddress(clientKey(head.names, head.nameAt)),
      });
      return null;
    }
    head.tellApartBy(portal.balancer.prefixBytes);
    const known = this.table.find(listener, head) ?? this.#sharedFlowOf(listener, head);
    if (known !== null) {
      known.limitHops(hops);
      return known;
    }
    const flow = this.lifetimes.begin(listener, head, hops);
    if (flow === null || !this.#mover.openCarrier(flow)) return null;
    this.#carriers.hot?.begun(flow);
    return flow;
  }

  /**
   * The flow that a client's participants share if it has too many of them.
   * @returns null if there is none; a new flow is then the shared one
   */
  #sharedFlowOf(listener: UdpListener, head: ReceivedDatagram): UdpFlow | null {
    if (!this.table.hasTooManyParticipants(head)) return null;
    head.tellApartBy(0);
    const shared = this.table.find(listener, head);
    if (shared !== null) return shared;
    const client = clientAddress(clientKey(head.names, head.nameAt));
    this.report({ kind: 'participantsLimited', portal: listener.portal.key, client });
    return null;
  }

  #forward(flow: UdpFlow): void {
    // A flow without a slot has ended since: a new flow later in the batch needed its descriptor.
    if (flow.firstSlot === NO_SLOT || !this.#mover.moveIfNeeded(flow)) return;
    if (flow.portal.isRtps) this.#hear(flow);
    const { now } = this.loop;
    const sender = this.#sender;
    sender.clear();
    this.#inbox.collectBatch(flow, sender);
    flow.keepPin(now);
    if (!flow.isCarried) flow.countSent(sender);
    const sent = flow.send(sender, now);
    this.#carriers.hot?.relayed(flow, sender.count);
    if (sender.segments === 'sent') this.#inbox.noteRun(flow);
    if (sent < sender.count) this.#sendFailed(flow, sender.count - sent);
  }

  #hear(flow: UdpFlow): void {
    this.#reannouncer ??= this.#watchParticipants();
    this.participants.hear(flow, this.#inbox);
  }

  #watchParticipants(): Reannouncer {
    const reannouncer = new Reannouncer(this.participants, this.#mover);
    this.loop.addTask(reannouncer);
    this.loop.addTask(new LinkWatch(this.participants));
    return reannouncer;
  }

  #sendFailed(flow: UdpFlow, unsent: number): void {
    const code = errno();
    if (blameForSend(code) === Blame.Endpoint) this.#mover.refused(flow, code, true);
    else flow.portal.count(FIELD.datagramsDropped, unsent);
  }
}
