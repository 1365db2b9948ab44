import type { Logger } from 'pino';
import {
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from '../redirect/driver.js';
import type { ActivePortals } from './activeportals.js';
import type { Backlog } from './backlog.js';
import { Turns } from './turns.js';

/** Talks to the redirect driver: one call at a time, and a failure is told of once. */
export class Redirects {
  readonly #turns = new Turns();
  readonly #driver: RedirectDriver;
  readonly #backlog: Backlog;
  readonly #log: Logger;
  #lastFailure = '';

  constructor(driver: RedirectDriver, backlog: Backlog, log: Logger) {
    this.#driver = driver;
    this.#backlog = backlog;
    this.#log = log;
  }

  /** Whether the driver could not do what it was last asked for. */
  get isFailing(): boolean {
    return this.#lastFailure !== '';
  }

  /**
   * Resolves to what the driver says where it fails. It then keeps what is wanted, and the next audit tries
   * again.
   * @param listening resolves once the portals hear their clients; the driver gets ready meanwhile
   * @throws as `listening` does, or where the driver fails by a fault of its own
   */
  change(change: RedirectChange, listening?: Promise<void>): Promise<RedirectError | null> {
    return this.#try(async () => {
      const prepared = await this.#driver.prepare(change);
      try {
        await listening;
      } catch (error) {
        prepared.abandon();
        throw error;
      }
      await prepared.commit();
    });
  }

  /**
   * Puts back what others took away. Changes that need no redirect go on meanwhile: a kernel with thousands
   * of rules takes its time to list them.
   */
  async audit(portals: ActivePortals): Promise<void> {
    const failure = await this.#try(async () => {
      const repaired = await this.#driver.audit();
      if (repaired === 0) return;
      this.#log.warn({ repaired, driver: this.#driver.name }, 'redirects were missing or changed; put back');
    });
    for (const active of portals.all()) {
      const isRepaired = active.redirectState === 'refused' && !failure?.concerns(active.key);
      if (isRepaired) active.redirectState = 'inPlace';
    }
  }

  /** Not asked while the driver is at work itself: what it changes is no disturbance. */
  wereDisturbed(): Promise<boolean> {
    return this.#turns.take(async () => this.#driver.wasDisturbed?.() ?? false);
  }

  /** Resolves when the driver has done all that it was asked for. */
  end(): Promise<void> {
    return this.#turns.end();
  }

  async clear(): Promise<void> {
    try {
      await this.#driver.clear();
    } catch (error) {
      this.#log.error(
        { reason: (error as Error).message },
        'some redirects could not be removed; run "kube-portal run --cleanup"',
      );
    }
  }

  async #try(work: () => Promise<unknown>): Promise<RedirectError | null> {
    try {
      await this.#backlog.during(() => this.#turns.take(work));
      this.#backlog.settle();
      this.#lastFailure = '';
      return null;
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      // One Service with an address that no node takes must not make them all unhealthy.
      if (error instanceof RedirectsRefused) this.#backlog.settle();
      if (error.message !== this.#lastFailure) this.#log.error(error.message);
      this.#lastFailure = error.message;
      return error;
    }
  }
}
