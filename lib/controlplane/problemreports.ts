import type { Logger } from 'pino';
import { NONE } from '../model/compact.js';
import type { Problem } from '../model/problem.js';
import type { Family } from '../net/address.js';
import type { ServicePolicy } from '../portal/policy.js';
import type { RedirectDriver } from '../redirect/driver.js';
import type { ActivePortal } from './activeportal.js';
import type { PortalProblem } from './portalproblem.js';

/** Reports each problem of the portals once, in the log and as an event of the Service. */
export class ProblemReports {
  readonly #reportedFamilies = new Set<Family>();
  /** The messages about portals that the kernel shall carry and cannot. */
  readonly #carrierMessages = new Set<string>();
  /** Those portals, each with the policy that it had then. */
  readonly #relayed = new WeakMap<ActivePortal, ServicePolicy>();
  /** The messages that were reported and still hold. A portal without problems has no entry. */
  readonly #reported = new WeakMap<ActivePortal, readonly string[]>();
  readonly #log: Logger;
  readonly #unsupported: RedirectDriver['unsupported'];
  readonly #emit: (problem: Problem, reason: string) => void;

  /** @param emit takes a problem, with one CamelCase word for machines */
  constructor(
    log: Logger,
    { unsupported }: Pick<RedirectDriver, 'unsupported'>,
    emit: (problem: Problem, reason: string) => void,
  ) {
    this.#log = log;
    this.#unsupported = unsupported;
    this.#emit = emit;
  }

  /**
   * Reports problems that were not reported before.
   * @param isSettled whether proxy ports have moved as far as they can: a listener that waits for a move is
   * a problem only then
   */
  tell(portals: Iterable<ActivePortal>, isSettled = false): void {
    for (const active of portals) {
      const { service, family } = active.portal;
      if (active.isSupported) this.#tellOfCarrier(active);
      else this.#tellOfFamily(family);
      for (const message of this.#fresh(active, isSettled)) {
        this.#log.warn({ portal: active.key }, message);
        this.#emit({ object: `Service ${service}`, message }, 'ListenFailed');
      }
    }
  }

  #fresh(active: ActivePortal, isSettled: boolean): string[] {
    const before = this.#reported.get(active) ?? NONE;
    const isDue = ({ kind, message }: PortalProblem) =>
      isSettled || kind !== 'waiting' || before.includes(message);
    const now = active.problems.filter(isDue).map(({ message }) => message);
    if (now.length > 0) this.#reported.set(active, now);
    else this.#reported.delete(active);
    return now.filter((message) => !before.includes(message));
  }

  /** Reports once that a family is not served, at its first portal. */
  #tellOfFamily(family: Family): void {
    if (this.#reportedFamilies.has(family)) return;
    this.#reportedFamilies.add(family);
    const reason = this.#unsupported.get(family);
    this.#log.warn({ family, reason }, `VIPs of ${family} are not served on this node`);
  }

  /** Logs each reason once: it may be the same for thousands of portals. The Services that ask are told. */
  #tellOfCarrier(active: ActivePortal): void {
    const { key, portal, context } = active;
    const message = context.carriers.problemOf(portal);
    if (message === null) return;
    if (portal.policy !== this.#relayed.get(active) && portal.policy.carrier === 'kernel') {
      this.#emit({ object: `Service ${portal.service}`, message }, 'NotCarried');
    }
    this.#relayed.set(active, portal.policy);
    if (this.#carrierMessages.has(message)) return;
    this.#carrierMessages.add(message);
    this.#log.warn({ portal: key }, `${message}; other portals may have the same problem`);
  }
}
