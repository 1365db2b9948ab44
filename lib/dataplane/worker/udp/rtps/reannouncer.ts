import { DatagramSender } from '../../../../sys/datagramsender.js';
import { Memory } from '../../../../sys/memory.js';
import type { Target } from '../../target.js';
import type { ListeningSocket, UdpFlow } from '../flow.js';
import { NO_FLOW } from '../flowkeys.js';
import type { FlowMover } from '../mover.js';
import type { Participant } from './participant.js';
import { MAX_KEPT_BYTES, type Participants } from './participants.js';

/**
 * Announces participants to the replicas to which they have moved. A replica answers only participants that
 * have announced themselves. Clients do that every few seconds, and their links would be silent until then.
 */
export class Reannouncer {
  readonly #participants: Participants;
  readonly #mover: FlowMover;
  readonly #datagram = new Memory(MAX_KEPT_BYTES);
  readonly #sender = new DatagramSender(1);

  constructor(participants: Participants, mover: FlowMover) {
    this.#participants = participants;
    this.#mover = mover;
  }

  /**
   * A flow has moved to another endpoint. Participants may announce themselves by other flows that have to
   * move, too. Those flows follow, so that discovery does not wait for the clients' next announcements.
   * @param from the endpoint before
   * @param now the loop's clock, ms
   */
  moved(flow: UdpFlow, from: Target, now: number): void {
    const moved = new Set([flow]);
    for (const participant of this.#participants.all()) {
      const { flow: own } = participant.announced;
      if (!moved.has(own) && this.#follows(own, flow, from)) moved.add(own);
      if (moved.has(own)) this.#announce(participant, now);
    }
  }

  /** Announces the participants that announced themselves by a listener, to all that their flows lead to. */
  announceAll(listener: ListeningSocket, now: number): void {
    for (const participant of this.#participants.all()) {
      if (participant.announced.flow.listener === listener) this.#announce(participant, now);
    }
  }

  /** Moves a flow if another one's move is a reason for that. @returns whether it has moved */
  #follows(flow: UdpFlow, other: UdpFlow, from: Target): boolean {
    if (flow.index === NO_FLOW || flow.portal.balancer.service !== other.portal.balancer.service)
      return false;
    const hasSamePin = flow.pinKey !== null && flow.pinKey === other.pinKey;
    if (hasSamePin) return flow.target.id !== other.target.id && this.#mover.followPin(flow);
    return flow.target.id === from.id && flow.aliveAt < from.failedAt && this.#mover.followFailure(flow);
  }

  #announce({ announced: { datagram, flow } }: Participant, now: number): void {
    if (datagram === null || flow.carrier === null) return;
    this.#datagram.bytes.set(datagram);
    this.#sender.clear();
    this.#sender.push(this.#datagram, 0, datagram.length);
    flow.send(this.#sender, now);
  }
}
