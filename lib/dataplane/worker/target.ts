import { hostPort } from '../../net/hostport.js';
import type { Endpoint } from '../../portal/portal.js';
import { SocketAddress } from '../../sys/sockaddr.js';
import { EndpointCounts } from './endpointcounts.js';
import type { Reach } from './kernel/reach.js';
import type { ServiceEndpoint } from './serviceendpoints.js';

/** An endpoint's refusal of one client is remembered for this time. */
const REFUSAL_MEMORY_MS = 5000;

/** An endpoint, and what a worker learns about it. */
export class Target {
  /** When it last failed (loop clock, ms). New clients avoid it for a while. */
  failedAt = Number.NEGATIVE_INFINITY;
  /** Whether the portal no longer has this endpoint. */
  isRemoved = false;
  /** The endpoint over all ports of its Service. Null if clients are not pinned. */
  home: ServiceEndpoint | null = null;
  /** What is known of the kernel's way to it. Null until the kernel shall carry to it, see reachOf. */
  reach: Reach | null = null;
  #name: string | null;
  /** When it last answered a UDP client (loop clock, ms). */
  answeredAt = Number.NEGATIVE_INFINITY;
  /** The client that was refused last, and when. */
  #refusedClient: unknown = null;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #address: SocketAddress | null = null;
  #counts: EndpointCounts | null = null;

  /** @param name null for `address:port` */
  constructor(
    readonly endpoint: Endpoint,
    name: string | null = null,
  ) {
    this.#name = name;
  }

  get id(): string {
    return this.endpoint.id;
  }

  /** For log lines and listings: `address:port`, unless it has another. */
  get name(): string {
    this.#name ??= targetName(this.endpoint);
    return this.#name;
  }

  /**
   * Notes that the endpoint refused a client.
   * @param client any value that tells clients apart
   * @returns whether it has refused another client lately, and has answered nobody since
   */
  isRefusedAgain(client: unknown, now: number): boolean {
    const isSecond =
      this.#refusedClient !== client &&
      now - this.#refusedAt < REFUSAL_MEMORY_MS &&
      this.#refusedAt >= this.answeredAt;
    this.#refusedClient = client;
    this.#refusedAt = now;
    return isSecond;
  }

  /** Made on first use, as {@link address}. */
  get counts(): EndpointCounts {
    this.#counts ??= new EndpointCounts();
    return this.#counts;
  }

  /** The {@link counts}; null if nothing was counted. */
  get usedCounts(): EndpointCounts | null {
    return this.#counts;
  }

  /** Made on first use: one node never uses most endpoints of a big cluster. */
  get address(): SocketAddress {
    this.#address ??= SocketAddress.of(this.endpoint.address, this.endpoint.port);
    return this.#address;
  }
}

export function targetName({ address, port }: Endpoint): string {
  return hostPort(address, port);
}
