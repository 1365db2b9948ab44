import { ENOBUFS, SysError } from '../../../sys/errno.js';
import { type Route, RouteQuery } from '../../../sys/netlink/routequery.js';
import type { SocketAddress } from '../../../sys/sockaddr.js';
import type { Target } from '../target.js';
import { Reach } from './reach.js';

/** The kernel is asked again for the way to an endpoint after this time, ms. */
const ROUTE_MS = 10_000;
/** The same where no way was found. */
const NO_ROUTE_MS = 1000;

/** The ways of this node's packets to endpoints. */
export class Paths {
  readonly #query = new RouteQuery();

  /** @param now the loop's clock, ms @throws SysError */
  constructor(readonly now: () => number) {}

  /**
   * The way to an endpoint, not older than ten seconds.
   * @returns the errno that connect(2) gives where there is none; ENOBUFS if the kernel does not answer
   */
  to(target: Target): Route | number {
    const reach = reachOf(target);
    const now = this.now();
    if (now < reach.routeUntil) return reach.route;
    reach.route = this.towards(target.address);
    reach.routeUntil = now + (typeof reach.route === 'number' ? NO_ROUTE_MS : ROUTE_MS);
    reach.isBridge = null;
    return reach.route;
  }

  /** Whether an endpoint is at an address of this node. */
  isLocal(target: Target): boolean {
    const route = this.to(target);
    return typeof route !== 'number' && route.isLocal;
  }

  /** As {@link to} for any address, asked of the kernel now. */
  towards(address: SocketAddress): Route | number {
    try {
      return this.#query.towards(address);
    } catch (error) {
      if (error instanceof SysError) return ENOBUFS;
      throw error;
    }
  }

  /** Whether packets to the endpoint leave by a bridge. */
  isByBridge(target: Target): boolean {
    const route = this.to(target);
    const reach = reachOf(target);
    if (typeof route !== 'number') reach.isBridge ??= this.#isBridge(route.device);
    return reach.isBridge === true;
  }

  close(): void {
    this.#query.close();
  }

  #isBridge(device: number): boolean {
    try {
      return this.#query.isBridge(device);
    } catch (error) {
      if (error instanceof SysError) return false;
      throw error;
    }
  }
}

/** Made when the kernel first carries to the endpoint. */
export function reachOf(target: Target): Reach {
  target.reach ??= new Reach();
  return target.reach;
}
