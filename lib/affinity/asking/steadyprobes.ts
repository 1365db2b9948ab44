import { setTimeout as sleep } from 'node:timers/promises';
import type { Link, Observation } from '../observation.js';
import type { UdpConversation } from './conversations.js';
import type { Prober } from './prober.js';

/** Milliseconds that the answer to a datagram is waited for at least, before the next one is sent. */
const LEAST_PATIENCE_MS = 250;

/**
 * Asks over every link at a steady pace until it is ended. A UDP link keeps its socket, as a DDS participant
 * does; a TCP link makes a new connection for each question.
 */
export class SteadyProbes {
  readonly #prober: Prober;
  readonly #stage: number;
  readonly #intervalMs: number;
  readonly #observations: Observation[] = [];
  readonly #running: Promise<unknown>;
  #isEnding = false;

  constructor(prober: Prober, stage: number, intervalMs: number, links: readonly Link[]) {
    this.#prober = prober;
    this.#stage = stage;
    this.#intervalMs = intervalMs;
    this.#running = Promise.all(links.map((link) => this.#follow(link)));
    // `end` reports the error.
    this.#running.catch(() => {});
  }

  /** Resolves to all observations, once the last questions are answered. */
  async end(): Promise<Observation[]> {
    this.#isEnding = true;
    await this.#running;
    return this.#observations;
  }

  async #follow(link: Link): Promise<void> {
    // Links do not ask in step.
    await sleep(Math.random() * this.#intervalMs);
    const conversation = await this.#prober.converse(link);
    for (let round = 0; !this.#isEnding; round++) {
      const observation = await this.#observe(link, round, conversation);
      this.#observations.push(observation);
      await sleep(Math.max(0, this.#intervalMs - observation.tookMs));
    }
    conversation?.close();
  }

  #observe(link: Link, round: number, conversation: UdpConversation | null): Promise<Observation> {
    const moment = { stage: this.#stage, round };
    if (conversation === null) return this.#prober.observe(link, moment);
    const patienceMs = Math.max(LEAST_PATIENCE_MS, this.#intervalMs);
    return this.#prober.note(link, moment, () => conversation.ask(patienceMs));
  }
}
