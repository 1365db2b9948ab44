import { EPOLLERR, EPOLLIN } from '../../../../sys/constants.js';
import { DatagramRing, NAME_WORDS } from '../../../../sys/datagrams.js';
import type { DatagramSender } from '../../../../sys/datagramsender.js';
import { DatagramSpreader } from '../../../../sys/datagramspreader.js';
import { EMFILE, errno, errnoName } from '../../../../sys/errno.js';
import type { Memory } from '../../../../sys/memory.js';
import { FIELD } from '../../../shared/counters.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { Blame, blameForSend } from '../../blame.js';
import type { EventLoop } from '../../loop.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { CarrierEvents } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import { BATCH_SIZE } from '../inbox.js';
import type { FlowLifetimes } from '../lifetimes.js';
import { ClientSender } from '../sockets/clientsender.js';
import { ErrorJudge, Verdict } from '../sockets/errorjudge.js';
import type { FlowDescriptors } from '../sockets/flowdescriptors.js';
import { Prober } from './prober.js';
import type { Routed, RtpsRouter } from './router.js';
import { SpreadSocket, type SpreadSocketOwner } from './spreadsocket.js';

/** Datagrams for one system call; one counts as often as it has endpoints. */
const MOST_COPIES = 256;

/**
 * Carries the flows of portals with an {@link RtpsRouter}: each datagram to the endpoints that the router
 * says, and the answers of all of them to the client.
 */
export class SpreadSockets implements SpreadSocketOwner {
  readonly #ring = new DatagramRing(BATCH_SIZE, true);
  readonly #spreader = new DatagramSpreader(MOST_COPIES);
  /** Of each datagram in the spreader, the endpoint; and of all of them, the portal. */
  readonly #targets: Target[] = [];
  #portal: ServedPortal | null = null;
  readonly #datagram = new ClientDatagram();
  readonly #clients: ClientSender;
  readonly #judge: ErrorJudge;
  readonly #prober: Prober;

  constructor(
    readonly loop: EventLoop,
    readonly descriptors: FlowDescriptors,
    readonly lifetimes: FlowLifetimes,
    readonly events: CarrierEvents,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#clients = new ClientSender(lifetimes.table.keys);
    this.#judge = new ErrorJudge(lifetimes.inbox);
    this.#prober = new Prober(loop, descriptors.budget);
  }

  /** @returns the errno where no socket is to be had */
  open(flow: UdpFlow, router: RtpsRouter): SpreadSocket | number {
    if (!this.descriptors.takeFor(flow)) return EMFILE;
    const socket = SpreadSocket.open(flow, router, this);
    if (typeof socket === 'number') {
      this.descriptors.give();
      return socket;
    }
    if (this.loop.watch(socket.fd, EPOLLIN, socket)) return socket;
    const code = errno();
    socket.close();
    return code;
  }

  close({ fd }: SpreadSocket): void {
    this.descriptors.give();
    this.loop.closeUnshared(fd);
  }

  spread(socket: SpreadSocket, sender: DatagramSender): void {
    const { flow, router } = socket;
    const { keys } = this.lifetimes.table;
    const datagram = this.#datagram;
    datagram.sender = keys.names.words;
    datagram.senderAt = keys.nameAt(flow.index);
    for (let index = 0; index < sender.count; index++) {
      datagram.take(sender, index);
      const targets = router.route(datagram, this.loop.now);
      if (this.#mayCopy(flow.portal, router, targets.length)) this.#push(socket, sender, index, targets);
    }
    this.#flush(socket);
    this.#prober.look(router, flow.portal.key);
  }

  drain(socket: SpreadSocket): void {
    this.#relay(socket);
  }

  onSocketReady(socket: SpreadSocket, events: number): number {
    const count = this.#relay(socket);
    const code = count < 0 ? errno() : 0;
    if (count > 0) this.events.answered(socket.flow);
    const hasJudged = (events & EPOLLERR) !== 0 && this.#judgeErrors(socket);
    return hasJudged ? 0 : code;
  }

  /** One endpoint is no copy: such a datagram is never held up. */
  #mayCopy(portal: ServedPortal, { limit }: RtpsRouter, copies: number): boolean {
    if (copies < 2 || limit.take(copies, this.loop.now)) return true;
    portal.count(FIELD.copiesRefused, copies);
    portal.count(FIELD.datagramsDropped, 1);
    this.report({ kind: 'copiesLimited', portal: portal.key, perSecond: limit.perSecond });
    return false;
  }

  #push(socket: SpreadSocket, sender: DatagramSender, index: number, targets: readonly Target[]): void {
    const spreader = this.#spreader;
    for (const target of targets) {
      if (spreader.isFull) this.#flush(socket);
      this.#targets[spreader.count] = target;
      const start = sender.startOf(index);
      spreader.push(sender.payloadOf(index), start, sender.lengthOf(index), target.address);
      target.counts.sent(1, sender.lengthOf(index));
    }
  }

  #flush({ fd, flow }: SpreadSocket): void {
    this.#portal = flow.portal;
    flow.portal.count(FIELD.copiesSent, this.#spreader.count);
    this.#spreader.send(fd, this.#unsent);
  }

  readonly #unsent = (index: number, code: number): void => {
    const portal = this.#portal as ServedPortal;
    portal.count(FIELD.datagramsDropped, 1);
    if (blameForSend(code) === Blame.Endpoint) this.#blame(portal, this.#targets[index], code);
  };

  /**
   * Relays one batch of what endpoints have answered. What strangers have sent is dropped, as a connected
   * socket would not hear it.
   * @returns how many answers there were, or -1 with `errno`
   */
  #relay({ fd, flow, router }: SpreadSocket): number {
    const ring = this.#ring;
    const count = ring.receive(fd, BATCH_SIZE);
    if (count < 0) return count;
    const { sender } = this.#clients;
    sender.clear();
    for (let slot = ring.first; slot < ring.first + count; slot++) {
      const target = router.targetAt(ring.nameWords, slot * NAME_WORDS);
      if (target === null) continue;
      const start = ring.startOf(slot);
      router.heard(target, ring.payloads.bytes, start, start + ring.length(slot), this.loop.now);
      target.counts.answered(1, ring.length(slot));
      sender.pushSlot(ring, slot);
    }
    if (sender.count < count) flow.portal.count(FIELD.datagramsDropped, count - sender.count);
    if (sender.count > 0) this.#clients.sendTo(flow, this.loop.now);
    return sender.count;
  }

  /** @returns whether there were any errors */
  #judgeErrors(socket: SpreadSocket): boolean {
    const { fd, flow, router } = socket;
    const targetAt = ({ words }: Memory) => router.targetAt(words, 0);
    const count = this.#judge.judgeEach(fd, flow, targetAt, (target, verdict) => {
      const { tooLong, code } = this.#judge;
      for (let index = 0; index < tooLong.count; index++) this.#push(socket, tooLong, index, [target]);
      // A suspicion is not worth a step: the endpoint is asked again with the next datagram.
      if (verdict >= Verdict.Refused) this.#blame(flow.portal, target, code);
    });
    this.#flush(socket);
    return count > 0;
  }

  /** The endpoint gets nothing for a while, if others are there. The flow goes on. */
  #blame(portal: ServedPortal, target: Target, code: number): void {
    const reason = errnoName(code);
    portal.blame(target, reason, null);
    this.report({ kind: 'endpointFailed', portal: portal.key, endpoint: target.name, reason });
  }
}

/** One of the datagrams that a sender has collected. There is one object for all of them. */
class ClientDatagram implements Routed {
  bytes: Uint8Array = new Uint8Array();
  start = 0;
  end = 0;
  sender: Int32Array = new Int32Array();
  senderAt = 0;

  take(sender: DatagramSender, index: number): void {
    this.bytes = sender.payloadOf(index).bytes;
    this.start = sender.startOf(index);
    this.end = this.start + sender.lengthOf(index);
  }
}
