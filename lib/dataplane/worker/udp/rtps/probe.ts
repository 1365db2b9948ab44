import { announcementOf, farewellOf, type Introduction } from '../../../../rtps/announcing.js';
import { destinationAt, isRtps } from '../../../../rtps/message.js';
import { isSamePrefix, PREFIX_SIZE } from '../../../../rtps/prefix.js';
import { ABSENT } from '../../../../rtps/submessages.js';
import { FAST_DDS } from '../../../../rtps/vendor.js';
import { SysError } from '../../../../sys/errno.js';
import { listenDatagram } from '../../../../sys/listening.js';
import type { SocketAddress } from '../../../../sys/sockaddr.js';
import { localAddress, localAddressTowards } from '../../../../sys/socket.js';
import type { Watcher } from '../../loop.js';
import type { Target } from '../../target.js';
import { TimerEntry } from '../../timers.js';
import type { RtpsService } from './services.js';

/** An endpoint that misses the farewell forgets the asker after this time, ms. */
export const LEASE_MS = 500;
const RECEIVE_BUFFER = 65536;

/** Who is told of a probe's events. */
export interface ProbeOwner {
  /** @returns 0, or the errno if there was nothing to receive */
  onProbeReady(probe: Probe): number;
  /** A lease has passed since the last question. */
  onProbeTimer(probe: Probe, now: number): void;
}

/** What a probe is for. */
export interface ProbeSubject {
  readonly service: RtpsService;
  readonly target: Target;
  /** For log lines. */
  readonly portal: string;
}

/**
 * Asks one endpoint which participant it has. It announces a participant, whose only locator is a socket of
 * its own: a participant answers every newcomer at once. Whoever answers there is at the endpoint, from
 * whatever address, as pods may be behind a NAT.
 */
export class Probe extends TimerEntry implements Watcher {
  isAnswered = false;
  /** Discovery servers answer clients only, and nobody else must take the asker for one. */
  isClient = false;
  readonly #owner: ProbeOwner;
  readonly #local: SocketAddress;
  readonly #prefix = crypto.getRandomValues(new Uint8Array(PREFIX_SIZE));

  private constructor(
    readonly fd: number,
    readonly subject: ProbeSubject,
    owner: ProbeOwner,
  ) {
    super();
    this.#owner = owner;
    this.#local = localAddress(fd);
  }

  /** @returns null if no way leads to the endpoint, or this node is short of something */
  static open(subject: ProbeSubject, owner: ProbeOwner): Probe | null {
    const address = localAddressTowards(subject.target.address);
    if (address === null) return null;
    try {
      const options = { address, port: 0, sharing: 'nobody', freeBind: false } as const;
      return new Probe(listenDatagram(options, RECEIVE_BUFFER), subject, owner);
    } catch (error) {
      if (error instanceof SysError) return null;
      throw error;
    }
  }

  get owner(): string {
    return this.subject.portal;
  }

  onReady(): number {
    return this.#owner.onProbeReady(this);
  }

  onTimer(now: number): void {
    this.#owner.onProbeTimer(this, now);
  }

  question(): Uint8Array {
    return announcementOf(this.#introduction);
  }

  farewell(): Uint8Array {
    return farewellOf(this.#introduction);
  }

  /** Whether a datagram is for the asker. Only who has got the question knows its prefix. */
  isAnswer(bytes: Uint8Array, start: number, end: number): boolean {
    if (!isRtps(bytes, start, end)) return false;
    const destination = destinationAt(bytes, start, end);
    return destination !== ABSENT && isSamePrefix(bytes, destination, this.#prefix, 0);
  }

  get #introduction(): Introduction {
    return {
      prefix: this.#prefix,
      vendor: FAST_DDS,
      domainId: null,
      leaseMs: LEASE_MS,
      address: this.#local.address,
      port: this.#local.port,
      entityName: 'kube-portal',
      isClient: this.isClient,
    };
  }
}
