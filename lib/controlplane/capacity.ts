import { readdirSync } from 'node:fs';

/** Descriptors kept for connections to the HTTP servers: probes, scrapes, health checks of load balancers. */
export const HTTP_CONNECTIONS = 48;
/** Descriptors kept for the control plane: programs that it starts, files, connections to the API server. */
const CONTROL_RESERVE = 80;
/**
 * The share of all descriptors that listeners in every worker may use. Beyond it, a new portal listens in one
 * worker only. So 10,000 portals under a limit of 20,000 leave room for 4,000 connections.
 */
const SPREAD_SHARE = 0.1;
/** No node needs more UDP flows, and each flow costs about 200 bytes of tables. */
const MAX_FLOWS = 131072;

/** Divides the descriptors of the process between listeners, connections and flows. */
export class Capacity {
  /** Descriptors that the runtime itself has open. */
  readonly #base = readdirSync('/proc/self/fd').length;
  #listeners = 0;

  /** @param limit the current RLIMIT_NOFILE */
  constructor(readonly limit: number) {}

  /** Most UDP flows. The workers share them equally. Beyond that, a new flow ends an old one. */
  get maxFlows(): number {
    return Math.max(64, Math.min(MAX_FLOWS, Math.floor(this.#usable / 2)));
  }

  /** Descriptors that connections and flows may use while the present listeners are open. */
  get forTraffic(): number {
    return Math.max(0, this.#usable - this.#listeners);
  }

  get #usable(): number {
    return this.limit - this.#base - HTTP_CONNECTIONS - CONTROL_RESERVE;
  }

  /**
   * Whether a listener in each of `workers` workers still fits.
   * @param promised how many listeners there will be at least, open ones among them
   */
  hasRoomInAll(workers: number, promised: number): boolean {
    return Math.max(this.#listeners, promised) + workers <= this.limit * SPREAD_SHARE;
  }

  listenersOpened(count: number): void {
    this.#listeners += count;
  }

  listenersClosed(count: number): void {
    this.#listeners -= count;
  }
}
