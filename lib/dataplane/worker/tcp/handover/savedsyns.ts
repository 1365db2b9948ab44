import { AF_INET6 } from '../../../../sys/constants.js';
import type { SocketAddress } from '../../../../sys/sockaddr.js';
import { isSameSocket } from '../../../../sys/sockaddrwords.js';
import type { Failover } from '../../failover.js';
import { type Ends, EndsKeys, NO_SLOT, type Slot } from '../../kernel/endskeys.js';
import type { CarriedVip } from '../../kernel/viptable.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { QueuedSyn } from './queuedsyn.js';

/** SYNs that are remembered. Each is needed until its client sends it again: mostly after one second. */
const CAPACITY = 8192;
/** Bytes of a SYN that are kept: an IPv6 header and the longest TCP header have 100. */
const PACKET_SIZE = 128;

/**
 * The SYNs of connections that were handed over lately. A SYN that comes again is recognised, and one that an
 * endpoint has refused is sent to another. A new one takes the place of the oldest.
 */
export class SavedSyns {
  /** By slot: when it was last handed over (loop clock, ms); 0 before. */
  readonly handedAt = new Float64Array(CAPACITY);
  /** By slot: 1 if this worker has sent the SYN itself, and has not met it in its queue yet. */
  readonly isOnItsWay = new Uint8Array(CAPACITY);
  /** By slot: the address that the client uses; null if the slot is free. */
  readonly vips: (CarriedVip | null)[] = new Array(CAPACITY).fill(null);
  /** By slot: who serves the client. */
  readonly portals: (ServedPortal | null)[] = new Array(CAPACITY).fill(null);
  /** By slot: where it was handed over to last. */
  readonly targets: (Target | null)[] = new Array(CAPACITY).fill(null);
  /** By slot: null until an endpoint has failed. */
  readonly failovers: (Failover | null)[] = new Array(CAPACITY).fill(null);
  /** By slot: the endpoint that has refused last; null until one has. */
  readonly refusers: (Target | null)[] = new Array(CAPACITY).fill(null);
  readonly #keys = new EndsKeys(CAPACITY);
  readonly #packets = new Uint8Array(CAPACITY * PACKET_SIZE);
  readonly #lengths = new Uint8Array(CAPACITY);
  readonly #sequences = new Uint32Array(CAPACITY);
  readonly #inputDevices = new Int32Array(CAPACITY);
  #next: Slot = 0;

  /** The SYN that this client has sent to this VIP last, or NO_SLOT. */
  find(ends: Ends): Slot {
    return this.#keys.find(ends);
  }

  /**
   * The SYN with a sequence number that was handed over to an endpoint last, or NO_SLOT. An answer of the
   * endpoint does not tell the client's address if that is masqueraded, nor the VIP. The entry does not tell
   * them either: the kernel ends it when it sees a reset (nf_conntrack_tcp_packet).
   */
  findHandedTo(endpoint: SocketAddress, sequence: number): Slot {
    let slot = this.#sequences.indexOf(sequence);
    while (slot !== NO_SLOT && !isTo(this.targets[slot], endpoint)) {
      slot = this.#sequences.indexOf(sequence, slot + 1);
    }
    return slot;
  }

  /** Whether a SYN with this sequence number is kept. */
  hasSequence(sequence: number): boolean {
    for (let slot = this.#sequences.indexOf(sequence); slot !== NO_SLOT; ) {
      if (this.has(slot)) return true;
      slot = this.#sequences.indexOf(sequence, slot + 1);
    }
    return false;
  }

  /** Keeps a SYN that {@link find} has not found. */
  add(syn: QueuedSyn, vip: CarriedVip, portal: ServedPortal, target: Target): Slot {
    const slot = this.#next;
    this.#next = (slot + 1) % CAPACITY;
    this.delete(slot);
    this.#keys.add(slot, syn);
    this.vips[slot] = vip;
    this.portals[slot] = portal;
    this.targets[slot] = target;
    this.handedAt[slot] = 0;
    this.#sequences[slot] = syn.sequence;
    this.#inputDevices[slot] = syn.inputDevice;
    this.#lengths[slot] = syn.isWhole && syn.length <= PACKET_SIZE ? syn.length : 0;
    const to = slot * PACKET_SIZE;
    for (let byte = 0; byte < this.#lengths[slot]; byte++) {
      this.#packets[to + byte] = syn.bytes[syn.start + byte];
    }
    return slot;
  }

  delete(slot: Slot): void {
    if (!this.has(slot)) return;
    this.#keys.delete(slot);
    this.vips[slot] = null;
    this.portals[slot] = null;
    this.targets[slot] = null;
    this.failovers[slot] = null;
    this.refusers[slot] = null;
    this.isOnItsWay[slot] = 0;
  }

  has(slot: Slot): boolean {
    return this.vips[slot] !== null;
  }

  /** Copies the addresses and ports of a slot. */
  readEnds(slot: Slot, ends: Ends): void {
    this.#keys.read(slot, ends);
  }

  /** The slots of the connections that were handed over to an endpoint last. */
  *to(target: Target): Iterable<Slot> {
    for (let slot = 0; slot < CAPACITY; slot++) if (this.targets[slot] === target) yield slot;
  }

  sequenceOf(slot: Slot): number {
    return this.#sequences[slot];
  }

  /** See PacketQueue.inputDeviceOf. */
  inputDeviceOf(slot: Slot): number {
    return this.#inputDevices[slot];
  }

  /** The memory of all SYNs. */
  get packets(): Uint8Array {
    return this.#packets;
  }

  /** Byte of {@link packets} where a SYN begins, with its IP header. */
  startOf(slot: Slot): number {
    return slot * PACKET_SIZE;
  }

  /** Bytes. 0 for a SYN that is too long, because it has data: it cannot be sent again. */
  lengthOf(slot: Slot): number {
    return this.#lengths[slot];
  }
}

function isTo(target: Target | null, endpoint: SocketAddress): boolean {
  if (target === null) return false;
  const { words } = endpoint.memory;
  return isSameSocket(target.address.memory.words, 0, words, 0, endpoint.family === AF_INET6);
}
