import type { PortRange } from '../redirect/rules.js';
import type { PortSpace } from './portspace.js';

/** No port of the range is free. The message names the flag to change. */
export class PortRangeError extends Error {}

/**
 * The ports of a range, each with its owner, the key of a portal.
 *
 * Ports are taken from the top of the range downwards, and then from the top again. So a port that was given
 * back is used again as late as possible: conntrack entries of UDP clients may still lead to it.
 */
export class PortPool {
  readonly #range: PortRange;
  readonly #owners = new Map<PortSpace, Map<number, string>>();
  /** The port that was taken last. */
  readonly #cursors = new Map<PortSpace, number>();

  constructor(range: PortRange) {
    this.#range = range;
  }

  ownerOf(space: PortSpace, port: number): string | undefined {
    return this.#owners.get(space)?.get(port);
  }

  /**
   * Gives a portal the port that it had in an earlier run.
   * @returns false if the port has an owner or is outside of the range
   */
  restore(space: PortSpace, port: number, key: string): boolean {
    const { first, last } = this.#range;
    if (port < first || port > last || this.#ownersIn(space).has(port)) return false;
    this.own(space, port, key);
    this.#cursors.set(space, Math.min(this.#cursors.get(space) ?? last, port));
    return true;
  }

  /**
   * Gives a portal a port without an owner.
   * @param isUnfit whether the portal cannot use this port
   * @throws PortRangeError if no port is free
   */
  take(space: PortSpace, key: string, isUnfit: (port: number) => boolean): number {
    const { first, last } = this.#range;
    const owners = this.#ownersIn(space);
    let port = this.#cursors.get(space) ?? last + 1;
    for (let tries = first; tries <= last; tries++) {
      port = port <= first ? last : port - 1;
      if (owners.has(port) || isUnfit(port)) continue;
      this.#cursors.set(space, port);
      owners.set(port, key);
      return port;
    }
    throw new PortRangeError(
      `all ports of --proxy-port-range ${first}-${last} are in use for ${space}; give a wider range`,
    );
  }

  /** Makes the portal the owner of the port, also if the port has another owner. */
  own(space: PortSpace, port: number, key: string): void {
    this.#ownersIn(space).set(port, key);
  }

  /** Takes the owner away from the port. */
  free(space: PortSpace, port: number): void {
    this.#owners.get(space)?.delete(port);
  }

  #ownersIn(space: PortSpace): Map<number, string> {
    const owners = this.#owners.get(space) ?? new Map<number, string>();
    this.#owners.set(space, owners);
    return owners;
  }
}
