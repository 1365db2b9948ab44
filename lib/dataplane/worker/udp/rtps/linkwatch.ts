import { HEADER_SIZE, SOURCE_PREFIX_AT } from '../../../../rtps/message.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { Memory } from '../../../../sys/memory.js';
import type { Task } from '../../loop.js';
import type { Target } from '../../target.js';
import type { UdpFlow } from '../flow.js';
import type { Participants } from './participants.js';

/** How often each endpoint is asked. */
const PERIOD_MS = 100;
/** An endpoint is asked by this many flows. If two are refused, it has failed for all. */
const MAX_ASKING = 2;
/** The beginning of an RTPS message: "RTPS", version 2.2, vendor unknown. */
const BEGINNING = [0x52, 0x54, 0x50, 0x53, 2, 2, 0, 0];

/**
 * Finds out that a replica has died while its clients only listen. An endpoint that is gone says so when it
 * gets a datagram, but such clients send one every few seconds only. So each endpoint that has participants
 * gets RTPS messages without content. Participants ignore them: they come from nobody that they know, and a
 * client that has died must not look alive.
 */
export class LinkWatch implements Task {
  readonly #participants: Participants;
  readonly #question = new Memory(HEADER_SIZE);
  readonly #sender = new DatagramSender(1);
  #nextAt = 0;

  constructor(participants: Participants) {
    this.#participants = participants;
    this.#question.bytes.set(BEGINNING);
  }

  get deadline(): number {
    return this.#participants.isEmpty ? Number.POSITIVE_INFINITY : this.#nextAt;
  }

  expire(now: number): void {
    this.#nextAt = now + PERIOD_MS;
    this.#participants.forgetSilent();
    const asking = new Map<Target, UdpFlow[]>();
    for (const { announced } of this.#participants.all()) {
      const { flow } = announced;
      // A flow with a router has no endpoint of its own: the announcements of its participants go to all.
      if (flow.carrier === null || flow.portal.router !== null) continue;
      const flows = asking.get(flow.target) ?? [];
      if (flows.length === MAX_ASKING || flows.includes(flow)) continue;
      asking.set(flow.target, [...flows, flow]);
      this.#ask(flow, now);
    }
  }

  /** Each flow has a prefix of its own in its questions, so that an error that quotes it is a proof. */
  #ask(flow: UdpFlow, now: number): void {
    const { bytes } = this.#question;
    if (flow.question === null) {
      crypto.getRandomValues(bytes.subarray(SOURCE_PREFIX_AT, HEADER_SIZE));
      flow.question = bytes.slice(0, HEADER_SIZE);
    } else {
      bytes.set(flow.question);
    }
    this.#sender.clear();
    this.#sender.push(this.#question, 0, HEADER_SIZE);
    flow.send(this.#sender, now);
  }
}
