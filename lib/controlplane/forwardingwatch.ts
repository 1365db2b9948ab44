import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { Forwarding, ForwardingState } from '../dataplane/shared/carrier.js';
import type { Family } from '../net/address.js';
import type { RedirectDriver } from '../redirect/driver.js';
import type { ActivePortal } from './activeportal.js';
import { forwardingObstacle, readForwarding } from './forwarding.js';

export interface ForwardingTools {
  readonly driver: Pick<RedirectDriver, 'dropsForwarded'>;
  readonly dataplane: Pick<Dataplane, 'setForwarding'>;
  readonly log: Logger;
}

interface ForwardingEvents {
  /** Something keeps packets from being forwarded that shall be. The text says what, with the way out. */
  problem: [string];
}

/** Tells workers and people whether this node forwards what the kernel carries. */
export class ForwardingWatch extends EventEmitter<ForwardingEvents> {
  readonly #tools: ForwardingTools;
  /** Families that the kernel carries, each with whether it shall carry one of their portals in any case. */
  readonly #families = new Map<Family, boolean>();
  readonly #reported = new Map<Family, ForwardingState>();
  #told: Forwarding | null = null;

  constructor(tools: ForwardingTools) {
    super();
    this.#tools = tools;
  }

  /** What is wrong with families that the kernel shall carry, with the way out. */
  get problems(): string[] {
    return this.#obstacles(true);
  }

  /** The same of families that it carries where it can. */
  get limits(): string[] {
    return this.#obstacles(false);
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
  concern(portals: Iterable<Pick<ActivePortal, 'carrier' | 'portal' | 'context'>>): void {
    for (const { carrier, portal, context } of portals) {
      if (carrier === 'kernel') this.#add(portal.family, context.carriers.modeOf(portal.policy) === 'kernel');
    }
    this.#report();
  }

  #add(family: Family, isDemanded: boolean): void {
    const wasDemanded = this.#families.get(family) ?? false;
    this.#families.set(family, wasDemanded || isDemanded);
    if (isDemanded && !wasDemanded) this.#reported.delete(family);
  }

  #obstacles(areDemanded: boolean): string[] {
    const concerned = [...this.#families].filter(([, isDemanded]) => isDemanded === areDemanded);
    return concerned.flatMap(([family]) => this.#obstacleOf(family) ?? []);
  }

  /** Logs what has changed since the last call. */
  #report(): void {
    for (const [family, isDemanded] of this.#families) {
      const state = this.#told?.[family] ?? 'forwards';
      if (state === (this.#reported.get(family) ?? 'forwards')) continue;
      this.#reported.set(family, state);
      this.#log(family, this.#obstacleOf(family), isDemanded);
    }
  }

  #log(family: Family, obstacle: string | null, isDemanded: boolean): void {
    const { log } = this.#tools;
    if (obstacle === null) log.info({ family }, 'this node forwards packets again');
    else if (!isDemanded) log.info({ family }, obstacle);
    else {
      log.warn({ family }, obstacle);
      this.emit('problem', obstacle);
    }
  }

  #obstacleOf(family: Family): string | null {
    return this.#told && forwardingObstacle(family, this.#told[family]);
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
