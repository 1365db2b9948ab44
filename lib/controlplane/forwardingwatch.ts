import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { Forwarding, ForwardingState } from '../dataplane/shared/carrier.js';
import type { Family } from '../net/address.js';
import type { RedirectDriver } from '../redirect/driver.js';
import type { ActivePortal } from './activeportal.js';
import { forwardingProblem, readForwarding } from './forwarding.js';

export interface ForwardingTools {
  readonly driver: Pick<RedirectDriver, 'dropsForwarded'>;
  readonly dataplane: Pick<Dataplane, 'setForwarding'>;
  readonly log: Logger;
}

interface ForwardingEvents {
  /** Something keeps packets from being forwarded. The text says what, with the way out. */
  problem: [string];
}

/** Tells workers and people whether this node forwards what the kernel carries. */
export class ForwardingWatch extends EventEmitter<ForwardingEvents> {
  readonly #tools: ForwardingTools;
  readonly #families = new Set<Family>();
  readonly #reported = new Map<Family, ForwardingState>();
  #told: Forwarding | null = null;

  constructor(tools: ForwardingTools) {
    super();
    this.#tools = tools;
  }

  /** What is wrong with the families that the kernel carries, with the way out. */
  get problems(): string[] {
    return [...this.#families].flatMap((family) => this.#problemOf(family) ?? []);
  }

  /**
   * Begins to watch. Resolves when the workers know of this moment.
   * @throws Error if a worker has ended
   */
  async begin(): Promise<void> {
    await this.#tell(this.#read());
  }

  /**
   * Looks whether something has changed. Does nothing before {@link begin}.
   * @throws Error if a worker has ended
   */
  async check(): Promise<void> {
    if (this.#told === null) return;
    const now = this.#read();
    if (isDeepStrictEqual(now, this.#told)) return;
    await this.#tell(now);
    this.#report();
  }

  /** From now on, people want to know of the families of these portals, as far as the kernel carries them. */
  concern(portals: Iterable<Pick<ActivePortal, 'carrier' | 'portal'>>): void {
    for (const { carrier, portal } of portals) if (carrier === 'kernel') this.#families.add(portal.family);
    this.#report();
  }

  /** Logs what has changed since the last call. */
  #report(): void {
    for (const family of this.#families) {
      const state = this.#told?.[family] ?? 'forwards';
      if (state === (this.#reported.get(family) ?? 'forwards')) continue;
      this.#reported.set(family, state);
      this.#log(family, this.#problemOf(family));
    }
  }

  #log(family: Family, problem: string | null): void {
    const { log } = this.#tools;
    if (problem === null) {
      log.info({ family }, 'this node forwards packets again');
      return;
    }
    log.warn({ family }, problem);
    this.emit('problem', problem);
  }

  #problemOf(family: Family): string | null {
    return this.#told && forwardingProblem(family, this.#told[family]);
  }

  #read(): Forwarding {
    const drops = this.#tools.driver.dropsForwarded;
    return readForwarding((family) => drops?.[family] ?? false);
  }

  async #tell(forwarding: Forwarding): Promise<void> {
    await this.#tools.dataplane.setForwarding(forwarding);
    this.#told = forwarding;
  }
}
