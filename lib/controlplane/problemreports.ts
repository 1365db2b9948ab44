import type { Logger } from 'pino';
import type { Problem } from '../model/problem.js';
import type { Family } from '../net/address.js';
import type { RedirectDriver } from '../redirect/driver.js';
import type { ActivePortal } from './activeportal.js';

/** Says in the log and to the Services what cannot be had on this node: each problem once. */
export class ProblemReports {
  readonly #reportedFamilies = new Set<Family>();
  readonly #log: Logger;
  readonly #unsupported: RedirectDriver['unsupported'];
  readonly #emit: (problem: Problem) => void;

  constructor(log: Logger, { unsupported }: RedirectDriver, emit: (problem: Problem) => void) {
    this.#log = log;
    this.#unsupported = unsupported;
    this.#emit = emit;
  }

  /** @param isSettled whether proxy ports have moved as far as they can */
  tell(portals: Iterable<ActivePortal>, isSettled = false): void {
    for (const active of portals) {
      const { service, family } = active.portal;
      if (!active.isSupported) this.#tellOfFamily(family);
      for (const message of active.freshProblems(isSettled)) {
        this.#log.warn({ portal: active.key }, message);
        this.#emit({ object: `Service ${service}`, message });
      }
    }
  }

  /** Once for all portals of the family, and only if there are any. */
  #tellOfFamily(family: Family): void {
    if (this.#reportedFamilies.has(family)) return;
    this.#reportedFamilies.add(family);
    const reason = this.#unsupported.get(family);
    this.#log.warn({ family, reason }, `VIPs of ${family} are not served on this node`);
  }
}
