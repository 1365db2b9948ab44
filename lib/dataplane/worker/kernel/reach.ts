import { ENOBUFS } from '../../../sys/errno.js';
import type { Route } from '../../../sys/netlink/routequery.js';

/** The kernel does not carry to an endpoint for this time after that has failed, ms. */
const FAILURE_MS = 600_000;

/** What a worker has learned of the kernel's way to an endpoint. Times are those of the loop's clock, ms. */
export class Reach {
  /** The way there, or the errno of connect(2) where there is none. {@link Paths} keeps it fresh. */
  route: Route | number = ENOBUFS;
  routeUntil = Number.NEGATIVE_INFINITY;
  /** Whether the route's device is a bridge. Null: nobody has asked. */
  isBridge: boolean | null = null;
  /** Whether an answer has been seen of a client that the kernel carries. */
  isProved = false;
  /** Whether an {@link AnswerChecks} waits for such an answer. */
  isBeingChecked = false;
  #failedUntil = Number.NEGATIVE_INFINITY;

  /** The endpoint could not be reached although it may live: this node's own rules are in the way. */
  fail(now: number): void {
    this.#failedUntil = now + FAILURE_MS;
  }

  /** Whether that was lately: then the kernel must not carry to it. */
  hasFailed(now: number): boolean {
    return now < this.#failedUntil;
  }
}
