import { EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, errnoName } from '../../../../sys/errno.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { FIELD } from '../../../shared/counters.js';
import { type Ends, NO_SLOT } from '../../kernel/endskeys.js';
import type { RefusedPacket } from '../../kernel/errorqueue.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { TcpHandover } from './handover.js';

/**
 * ICMP errors that say that no host is there. A host refuses a connection by a reset, so all other errors
 * come from a firewall, which may let other clients pass: that is no failure of the endpoint.
 */
const NO_HOST: ReadonlySet<number> = new Set([ENETUNREACH, EHOSTUNREACH, EHOSTDOWN]);

/** Hides from clients that an endpoint has refused their SYN, as long as another endpoint is left. */
export class TcpRefusals {
  readonly #handover: TcpHandover;
  readonly #endpoint = new SocketAddress();
  readonly #ends: Ends = { client: new SocketAddress(), vip: new SocketAddress() };

  constructor(handover: TcpHandover) {
    this.#handover = handover;
  }

  /** @returns whether the client must not see the refusal, because its SYN has gone to another endpoint */
  onRefused(packet: RefusedPacket): boolean {
    const { saved, entries, sender } = this.#handover;
    const sequence = sequenceOf(packet);
    if (sequence === null) return false;
    const slot = saved.findHandedTo(this.#endpointOf(packet), sequence);
    // The endpoint was late: its client sent the SYN again, and that has gone to another one.
    if (slot === NO_SLOT) return saved.hasSequence(sequence);
    if (this.#isForged(packet, saved.targets[slot] as Target)) return false;
    saved.readEnds(slot, this.#ends);
    saved.refusers[slot] = saved.targets[slot];
    if (!this.#handover.moveOn(slot, this.#ends, errnoName(packet.code), true)) {
      (saved.portals[slot] as ServedPortal).count(FIELD.connectionsRefused, 1);
      saved.delete(slot);
      return false;
    }
    entries.commit();
    // Without an entry, the relay has the client, or gets it by the client's next SYN.
    if (saved.has(slot)) sender.sendToTarget(slot);
    return true;
  }

  #endpointOf({ headers, isReset, bytes }: RefusedPacket): SocketAddress {
    const { isV6, sourceAt, sourcePort, destinationAt, destinationPort } = headers;
    return isReset
      ? this.#endpoint.setBytes(bytes, sourceAt, isV6, sourcePort)
      : this.#endpoint.setBytes(bytes, destinationAt, isV6, destinationPort);
  }

  /** Whether this node's firewall has sent a reset in the endpoint's name. */
  #isForged({ isReset, inputDevice }: RefusedPacket, target: Target): boolean {
    return isReset && inputDevice === 0 && !this.#handover.tools.node.paths.isLocal(target);
  }
}

/** The sequence number of the SYN that a packet refuses. Null if it does not refuse a SYN. */
function sequenceOf({ headers, isReset, code }: RefusedPacket): number | null {
  if (!isReset) return NO_HOST.has(code) ? headers.sequence : null;
  // The answer to a SYN, and not an end of a connection that was open, has 0 (RFC 9293, 3.5.2).
  return headers.sequence === 0 ? (headers.acknowledgement - 1) >>> 0 : null;
}
