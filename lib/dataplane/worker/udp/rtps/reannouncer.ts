import { DatagramSender } from '../../../../sys/datagramsender.js';
import { Memory } from '../../../../sys/memory.js';
import type { Task } from '../../loop.js';
import type { Target } from '../../target.js';
import type { ListeningSocket, UdpFlow } from '../flow.js';
import { NO_FLOW } from '../flowkeys.js';
import type { FlowMover } from '../mover.js';
import type { Participant } from './participant.js';
import { MAX_KEPT_BYTES, type Participants } from './participants.js';

/** A flow that has another endpoint now, and the one before. */
interface Move {
  readonly flow: UdpFlow;
  readonly from: Target;
}

/**
 * Announces participants to the replicas to which they have moved. A replica answers only participants that
 * have announced themselves. Clients do that every few seconds, and their links would be silent until then.
 *
 * All moves of one turn of the loop are handled together, as an endpoint may lose thousands of flows at once.
 */
export class Reannouncer implements Task {
  readonly #participants: Participants;
  readonly #mover: FlowMover;
  readonly #datagram = new Memory(MAX_KEPT_BYTES);
  readonly #sender = new DatagramSender(1);
  #moves: Move[] = [];

  constructor(participants: Participants, mover: FlowMover) {
    this.#participants = participants;
    this.#mover = mover;
  }

  get deadline(): number {
    return this.#moves.length === 0 ? Number.POSITIVE_INFINITY : 0;
  }

  /** Notes that a flow has moved to another endpoint. @param from the endpoint before */
  moved(flow: UdpFlow, from: Target): void {
    this.#moves.push({ flow, from });
  }

  /**
   * Announces the participants that announced themselves by flows that have moved. Flows that have the same
   * reason to move follow first, so that discovery does not wait for the clients' next announcements.
   */
  expire(now: number): void {
    const reasons = new Reasons(this.#moves);
    const moved = new Set(this.#moves.map(({ flow }) => flow));
    this.#moves = [];
    for (const participant of this.#participants.all()) {
      const { flow } = participant.announced;
      if (!moved.has(flow) && this.#follow(flow, reasons)) moved.add(flow);
      if (moved.has(flow)) this.#announce(participant, now);
    }
  }

  /** Announces the participants that announced themselves by a listener, to all that their flows lead to. */
  announceAll(listener: ListeningSocket, now: number): void {
    for (const participant of this.#participants.all()) {
      if (participant.announced.flow.listener === listener) this.#announce(participant, now);
    }
  }

  /** @returns whether the flow had a reason to move, and has moved */
  #follow(flow: UdpFlow, reasons: Reasons): boolean {
    if (flow.index === NO_FLOW) return false;
    if (reasons.hasPinMoved(flow)) return this.#mover.followPin(flow);
    return reasons.hasEndpointFailed(flow) && this.#mover.followFailure(flow);
  }

  #announce({ announced: { datagram, flow } }: Participant, now: number): void {
    if (datagram === null || flow.carrier === null) return;
    this.#datagram.bytes.set(datagram);
    this.#sender.clear();
    this.#sender.push(this.#datagram, 0, datagram.length);
    flow.send(this.#sender, now);
  }
}

/** Why flows moved, as far as it is a reason for others. */
class Reasons {
  /** The pins that have moved. */
  readonly #pins: ReadonlySet<string>;
  /** When an endpoint failed for all, by Service and pod: of a pod that is gone one port fails first. */
  readonly #failures = new Map<string, number>();

  constructor(moves: readonly Move[]) {
    this.#pins = new Set(moves.flatMap(({ flow }) => pinOf(flow) ?? []));
    for (const { flow, from } of moves) {
      const pod = podOf(flow, from);
      this.#failures.set(pod, Math.max(from.failedAt, this.#failures.get(pod) ?? from.failedAt));
    }
  }

  hasPinMoved(flow: UdpFlow): boolean {
    const pin = pinOf(flow);
    return pin !== null && this.#pins.has(pin);
  }

  /** Whether the flow's endpoint has failed for all since it last answered this flow. */
  hasEndpointFailed(flow: UdpFlow): boolean {
    const failedAt = this.#failures.get(podOf(flow, flow.target));
    return failedAt !== undefined && failedAt > flow.aliveAt;
  }
}

/** The pin of a flow's client, as a map key; null if it has none. */
function pinOf({ portal, pinKey }: UdpFlow): string | null {
  return pinKey === null ? null : `${portal.balancer.service} ${pinKey}`;
}

/** The pod of an endpoint in a flow's Service, as a map key. */
function podOf({ portal }: UdpFlow, { id }: Target): string {
  return `${portal.balancer.service} ${id}`;
}
