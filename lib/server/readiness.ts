import type { PortalStatus } from '../portal/status.js';

/** The part of a portal's status that readiness depends on. */
type KeyAndState = Pick<PortalStatus, 'key' | 'state'>;

/**
 * Whether the program is ready. It becomes ready when every portal of the first state listens and its traffic
 * is redirected. A portal that is added later never makes the program unready, even if it cannot be served:
 * the node serves all other portals, and a restart or a drain would not help.
 *
 * For the same reason, a portal is not waited for if another program uses its port, or if the node cannot
 * serve its IP family. As in kube-proxy, a dual-stack Service on a kernel without IPv6 is served over IPv4.
 */
export class Readiness {
  readonly #portals: () => readonly KeyAndState[];
  readonly #isUpToDate: () => boolean;
  #phase: 'starting' | 'checking' | 'ready' | 'stopping' = 'starting';
  #awaited: ReadonlySet<string> = new Set();

  /**
   * @param portals the present state of every portal. Called only until the program is ready.
   * @param isUpToDate whether changes take effect in time. While it is false, `isReady` is false too.
   */
  constructor(portals: () => readonly KeyAndState[], isUpToDate: () => boolean) {
    this.#portals = portals;
    this.#isUpToDate = isUpToDate;
  }

  /** Sets the portals to wait for. Call this when the proxy has the first state. */
  await(keys: Iterable<string>): void {
    this.#awaited = new Set(keys);
    this.#phase = 'checking';
  }

  /** The program stops. From now on it is not ready, so that load balancers use other nodes. */
  stop(): void {
    this.#phase = 'stopping';
  }

  isReady(): boolean {
    if (this.#phase === 'checking' && !this.#portals().some((portal) => this.#isMissing(portal)))
      this.#phase = 'ready';
    return this.#phase === 'ready' && this.#isUpToDate();
  }

  #isMissing(portal: KeyAndState): boolean {
    return portal.state === 'pending' && this.#awaited.has(portal.key);
  }
}
