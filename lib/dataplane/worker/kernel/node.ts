import type { Family } from '../../../net/address.js';
import type { CarrierSetup, Forwarding, ForwardingState } from '../../shared/carrier.js';
import { AddressRanges } from '../ranges.js';
import type { Paths } from './paths.js';

/** After the kernel has refused an entry, clients are relayed for this time, ms. */
const PAUSE_MS = 1000;

const UNKNOWN: Forwarding = { IPv4: 'off', IPv6: 'off', bridges: { IPv4: false, IPv6: false } };

/** What a worker knows of its node as a carrier. */
export class KernelNode {
  /** Changes when a portal may have to be judged again. */
  version = 0;
  readonly #clusterRanges: Readonly<Record<Family, AddressRanges | null>>;
  #forwarding = UNKNOWN;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  /** @param now the loop's clock, ms */
  constructor(
    readonly paths: Paths,
    { clusterCidrs }: Pick<CarrierSetup, 'clusterCidrs'>,
    readonly now: () => number,
  ) {
    const rangesOf = (isV6: boolean) => {
      const cidrs = clusterCidrs.filter((cidr) => cidr.includes(':') === isV6);
      return cidrs.length === 0 ? null : new AddressRanges(cidrs, isV6);
    };
    this.#clusterRanges = { IPv4: rangesOf(false), IPv6: rangesOf(true) };
  }

  set forwarding(forwarding: Forwarding) {
    this.#forwarding = forwarding;
    this.version++;
  }

  forwards(isV6: boolean): ForwardingState {
    return this.#forwarding[isV6 ? 'IPv6' : 'IPv4'];
  }

  /** Whether packets between two ports of one bridge pass netfilter (bridge-nf-call-iptables). */
  seesBridged(isV6: boolean): boolean {
    return this.#forwarding.bridges[isV6 ? 'IPv6' : 'IPv4'];
  }

  /** Whether an address is known to be outside of the cluster. @param sockaddr it begins at word `at` */
  isOffCluster(sockaddr: Int32Array, at: number, isV6: boolean): boolean {
    const ranges = this.#clusterRanges[isV6 ? 'IPv6' : 'IPv4'];
    return ranges !== null && !ranges.has(sockaddr, at);
  }

  /** The kernel has refused an entry, so the next ones may wait: each try would cost a client its turn. */
  pause(): void {
    this.#pausedUntil = this.now() + PAUSE_MS;
  }

  get isPaused(): boolean {
    return this.now() < this.#pausedUntil;
  }
}
