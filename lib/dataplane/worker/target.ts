import { hostPort } from '../../net/hostport.js';
import type { Endpoint } from '../../portal/portal.js';
import { SocketAddress } from '../../sys/sockaddr.js';

/** How long, ms, it is remembered that a client was told that an endpoint is not there. */
const MEMORY_MS = 5000;

/** An endpoint with what a worker learns about it. */
export class Target {
  /** When it last failed (loop clock, ms): new clients avoid it for a while. */
  failedAt = Number.NEGATIVE_INFINITY;
  isRemoved = false;
  #name: string | null = null;
  /** When it last answered a UDP client (loop clock, ms). */
  heardAt = Number.NEGATIVE_INFINITY;
  /** Who was told last that it is not there, and when. */
  #refused: unknown = null;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #address: SocketAddress | null = null;

  constructor(readonly endpoint: Endpoint) {}

  get id(): string {
    return this.endpoint.id;
  }

  /** For log lines; the same for all targets at one address and port. */
  get name(): string {
    this.#name ??= targetName(this.endpoint);
    return this.#name;
  }

  /**
   * Notes that a client was told that the endpoint is not there.
   * @param by anything that tells clients apart
   * @returns whether another client was told so too a while ago, and nobody has heard of the endpoint since
   */
  isRefusedAgain(by: unknown, now: number): boolean {
    const isSecond =
      this.#refused !== by && now - this.#refusedAt < MEMORY_MS && this.#refusedAt >= this.heardAt;
    this.#refused = by;
    this.#refusedAt = now;
    return isSecond;
  }

  /** Made on first use: most endpoints of a big cluster are never used by one node. */
  get address(): SocketAddress {
    this.#address ??= SocketAddress.of(this.endpoint.address, this.endpoint.port);
    return this.#address;
  }
}

export function targetName({ address, port }: Endpoint): string {
  return hostPort(address, port);
}
