import { DatagramSender } from '../../../../sys/datagramsender.js';
import { Memory } from '../../../../sys/memory.js';
import type { UdpFlow } from '../flow.js';
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
   * A flow has moved to another endpoint. Participants with the same pin may announce themselves by other
   * flows. Those flows follow, so that discovery does not wait for the client's next announcement.
   * @param now the loop's clock, ms
   */
  moved(flow: UdpFlow, now: number): void {
    const moved = new Set([flow]);
    for (const participant of this.#participants.all()) {
      const { flow: own } = participant.announced;
      if (!moved.has(own) && isElsewhere(own, flow) && this.#mover.followPin(own)) moved.add(own);
      if (moved.has(own)) this.#announce(participant, now);
    }
  }

  #announce({ announced: { datagram, flow } }: Participant, now: number): void {
    if (datagram === null || flow.carrier === null) return;
    this.#datagram.bytes.set(datagram);
    this.#sender.clear();
    this.#sender.push(this.#datagram, 0, datagram.length);
    flow.send(this.#sender, now);
  }
}

/** Whether a flow with the same pin as another one is still at another endpoint. */
function isElsewhere(flow: UdpFlow, moved: UdpFlow): boolean {
  return (
    flow.index !== NO_FLOW &&
    flow.pinKey !== null &&
    flow.pinKey === moved.pinKey &&
    flow.portal.balancer.service === moved.portal.balancer.service &&
    flow.target.id !== moved.target.id
  );
}
