import type { Logger } from 'pino';
import {
  type CarrierSupport,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from '../redirect/driver.js';
import type { ActivePortals } from './activeportals.js';
import type { Backlog } from './backlog.js';
import { Turns } from './turns.js';

/** Calls the redirect driver: one call at a time. A failure is logged once. */
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

  /** Whether the last call of the driver failed. */
  get isFailing(): boolean {
    return this.#lastFailure !== '';
  }

  /**
   * Resolves to the error if the driver fails, else to null. After an error the change stays wanted, and the
   * next audit tries again.
   * @param listening resolves once the portals listen. The driver prepares the change meanwhile.
   * @throws the error of `listening`, or an error that is a fault of kube-portal
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
   * Puts back redirects that other programs removed. Changes that need no redirect go on meanwhile, as the
   * kernel needs time to list thousands of rules.
   */
  async audit(portals: ActivePortals): Promise<void> {
    const failure = await this.#try(async () => {
      const repaired = await this.#driver.audit();
      if (repaired === 0) return;
      this.#log.warn({ repaired, driver: this.#driver.name }, 'redirects were missing or changed; put back');
    });
    for (const active of portals.all()) {
      if (!failure?.concerns(active.key)) active.redirectProgress.repair();
    }
  }

  /** Finds out what the driver can do for the kernel carrier, see {@link RedirectDriver.openCarrier}. */
  openCarrier(): Promise<CarrierSupport> {
    return this.#turns.take(() => this.#driver.openCarrier());
  }

  /** Asked between two calls of the driver, so that its own changes do not count. */
  wereDisturbed(): Promise<boolean> {
    return this.#turns.take(async () => this.#driver.wasDisturbed?.() ?? false);
  }

  /** Resolves when all calls of the driver are over. */
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
      // One Service with an address that the kernel refuses must not make all nodes unhealthy.
      if (error instanceof RedirectsRefused) this.#backlog.settle();
      if (error.message !== this.#lastFailure) this.#log.error(error.message);
      this.#lastFailure = error.message;
      return error;
    }
  }
}
