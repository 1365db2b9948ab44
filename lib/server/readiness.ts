import type { PortalStatus } from '../portal/status.js';

/** What readiness depends on. */
type AwaitedPortal = Pick<PortalStatus, 'key' | 'state'>;

/**
 * Knows when the program became ready: once every portal of the first state is listening and redirected. A
 * portal that comes later and has to wait, say for a taken NodePort, does not take readiness back: the node
 * serves all others, and restarting the program or draining the node would help nobody. For the same reason
 * two kinds of portals are not waited for: those whose port another program holds, and those of a family that
 * the node cannot serve. A dual-stack Service on a kernel without IPv6 is served over IPv4, as kube-proxy
 * does.
 */
export class Readiness {
  readonly #portals: () => readonly AwaitedPortal[];
  readonly #isUpToDate: () => boolean;
  #phase: 'starting' | 'checking' | 'ready' | 'stopping' = 'starting';
  #awaited: ReadonlySet<string> = new Set();

  /**
   * @param portals the portals' present states, asked only until the program is ready.
   * @param isUpToDate whether changes get into effect in good time; while they do not, a ready program is not
   */
  constructor(portals: () => readonly AwaitedPortal[], isUpToDate: () => boolean) {
    this.#portals = portals;
    this.#isUpToDate = isUpToDate;
  }

  /** The first state was handed to the proxy; its portals are the ones to wait for. */
  await(keys: Iterable<string>): void {
    this.#awaited = new Set(keys);
    this.#phase = 'checking';
  }

  /** The program is on its way out: load balancers should look elsewhere. */
  stop(): void {
    this.#phase = 'stopping';
  }

  isReady(): boolean {
    if (this.#phase === 'checking' && !this.#portals().some((portal) => this.#isMissing(portal)))
      this.#phase = 'ready';
    return this.#phase === 'ready' && this.#isUpToDate();
  }

  #isMissing(portal: AwaitedPortal): boolean {
    return portal.state === 'pending' && this.#awaited.has(portal.key);
  }
}
