import { hostPort } from '../../../../net/hostport.js';
import type { Announcement } from '../../../../rtps/announcement.js';
import { locatorText } from '../../../../rtps/locator.js';
import { runningPlaceOf } from '../../../../rtps/runningplace.js';
import { vendorName } from '../../../../rtps/vendor.js';
import type * as shared from '../../../shared/participants.js';
import type { UdpFlow } from '../flow.js';
import { unreachableAddresses } from './nat.js';

/** A received announcement. */
export interface Announced {
  readonly announcement: Announcement;
  /** The datagram, kept to be sent again; null if it is too long. */
  readonly datagram: Uint8Array | null;
  /** The flow of the datagram. It may have ended. */
  readonly flow: UdpFlow;
  /** The client's address and port. */
  readonly address: string;
  readonly port: number;
}

/**
 * Who sent a flow's last message. A flow may outlive what is known of its participant, so it has no more than
 * what finds it.
 */
export interface Sender {
  readonly prefix: Uint8Array;
  /** By which {@link Participants} may know it. */
  readonly key: string;
}

/** A participant of a Service that has announced itself. Times are the loop's, ms. */
export class Participant {
  datagrams = 0;
  bytes = 0;
  heardAt: number;

  /**
   * @param number a later participant has a higher number
   * @param announced its last announcement
   */
  constructor(
    readonly number: number,
    public announced: Announced,
    readonly firstHeardAt: number,
  ) {
    this.heardAt = firstHeardAt;
  }

  /** See {@link unreachableAddresses}. A replica may announce the VIP in place of its own address. */
  get unreachableAt(): readonly string[] {
    const { announcement, address, flow } = this.announced;
    return flow.portal.balancer.rotation.hasAddress(address)
      ? []
      : unreachableAddresses(announcement, address);
  }

  /** The participant as listings show it. */
  describe(now: number): shared.Participant {
    const { announcement, address, port, flow } = this.announced;
    const { prefix, vendor, domainId, entityName, leaseMs, metatraffic, data } = announcement;
    return {
      service: flow.portal.balancer.service,
      prefix,
      vendor: vendorName(vendor),
      domainId,
      name: entityName,
      ...runningPlaceOf(announcement),
      leaseMs: Number.isFinite(leaseMs) ? leaseMs : null,
      metatraffic: metatraffic.map(locatorText),
      data: data.map(locatorText),
      source: hostPort(address, port),
      endpoint: flow.target.name,
      datagrams: this.datagrams,
      bytes: this.bytes,
      firstHeardMs: Math.max(0, Math.round(now - this.firstHeardAt)),
      lastHeardMs: Math.max(0, Math.round(now - this.heardAt)),
      unreachableAt: this.unreachableAt,
    };
  }
}
