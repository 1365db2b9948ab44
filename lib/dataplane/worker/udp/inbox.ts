import { CONTROL_WORDS } from '../../../sys/controlmessages.js';
import { DatagramRing, NAME_WORDS } from '../../../sys/datagrams.js';
import type { DatagramSender } from '../../../sys/datagramsender.js';
import type { FirstDatagram } from '../pinkey.js';
import type { UdpFlow } from './flow.js';
import type { DatagramHead } from './flowkeys.js';

/** Where a slot of the ring is named, and there is none. */
export const NO_SLOT = -1;
/** Datagrams one system call receives at most. */
export const BATCH = 32;
/** Received datagrams stay readable for this many more: what a refused flow can send again. */
export const RING_SLOTS = 64;
/** Older datagrams are not sent again, ms. */
const RESEND_WINDOW = 200;
/**
 * A quote proves something only if it has this many bytes of the datagram, or all of a shorter one. A
 * stranger can often guess fewer: the first bytes of a protocol are known.
 */
const PROOF = 256;

/** One datagram in the ring. There is one object for all of them, as every datagram is looked at. */
export class ReceivedDatagram implements DatagramHead, FirstDatagram {
  readonly names: Int32Array;
  readonly controls: Int32Array;
  readonly #ring: DatagramRing;
  slot = 0;

  constructor(ring: DatagramRing) {
    this.#ring = ring;
    this.names = ring.nameWords;
    this.controls = ring.controlWords;
  }

  get nameAt(): number {
    return this.slot * NAME_WORDS;
  }

  get controlAt(): number {
    return this.slot * CONTROL_WORDS;
  }

  get payload(): Uint8Array {
    return this.#ring.payload(this.slot);
  }
}

/**
 * What clients sent last, over all flows of a worker: received in batches into a ring, sorted by flow, and
 * kept for as long as the ring has room, so that what an endpoint refuses can go to another one without ever
 * having been copied.
 */
export class Inbox {
  /** The flows of the batch in hand, each once. */
  readonly flows: UdpFlow[] = [];
  readonly #ring = new DatagramRing(RING_SLOTS, true);
  readonly #head = new ReceivedDatagram(this.#ring);
  /**
   * Per slot: whose datagram it is, its number, when it came, and the next slot of the same flow in the
   * batch.
   */
  readonly #flow: (UdpFlow | null)[] = new Array(RING_SLOTS).fill(null);
  readonly #number = new Float64Array(RING_SLOTS);
  readonly #time = new Float64Array(RING_SLOTS);
  readonly #next = new Int32Array(RING_SLOTS);
  /** Per slot: 1 if it went a second time, as the path had refused it. */
  readonly #again = new Uint8Array(RING_SLOTS);
  /** Per slot: the number of the run that it went in; 0 if it went alone. */
  readonly #run = new Float64Array(RING_SLOTS);
  #runs = 0;
  #received = 0;
  /** How many datagrams the batch in hand has, and could have. */
  #count = 0;
  #room = 0;

  /** How many datagrams have come so far; each has its place in this order as its number. */
  get received(): number {
    return this.#received;
  }

  /** Where the batch in hand begins. */
  get first(): number {
    return this.#ring.first;
  }

  /**
   * Receives one batch.
   * @returns how many datagrams, from slot {@link first} on; 0 or less where there are none
   */
  receive(fd: number): number {
    this.#room = this.#ring.room(BATCH);
    this.flows.length = 0;
    this.#count = this.#ring.receive(fd, BATCH);
    return this.#count;
  }

  /** Whether the socket had no more than the batch in hand. */
  get hasAll(): boolean {
    return this.#count < this.#room;
  }

  /** A slot's datagram: sender, destination, payload. Valid until the next call. */
  head(slot: number): ReceivedDatagram {
    this.#head.slot = slot;
    return this.#head;
  }

  /** Files a slot's datagram under its flow; null is for one that goes no further. */
  file(slot: number, flow: UdpFlow | null, now: number): void {
    this.#flow[slot] = flow;
    this.#number[slot] = ++this.#received;
    this.#time[slot] = now;
    this.#next[slot] = NO_SLOT;
    this.#again[slot] = 0;
    this.#run[slot] = 0;
    if (flow === null) return;
    flow.lastNumber = this.#received;
    if (flow.firstSlot === NO_SLOT) {
      flow.firstSlot = slot;
      this.flows.push(flow);
    } else {
      this.#next[flow.lastSlot] = slot;
    }
    flow.lastSlot = slot;
  }

  /** The number of the first datagram that the flow has in the batch in hand. */
  firstNumberOf(flow: UdpFlow): number {
    return this.#number[flow.firstSlot];
  }

  /** Takes the flow's share of the batch in hand. */
  collectBatch(flow: UdpFlow, sender: DatagramSender): void {
    for (let slot = flow.firstSlot; slot !== NO_SLOT; slot = this.#next[slot]) this.#push(slot, sender);
    flow.firstSlot = NO_SLOT;
  }

  /** Takes what came for the flow lately and was never answered, in the order in which it came. */
  collectUnanswered(flow: UdpFlow, sender: DatagramSender, now: number): void {
    for (let step = 0; step < RING_SLOTS; step++) {
      const slot = (this.#ring.next + step) % RING_SLOTS;
      if (this.#flow[slot] !== flow || this.#number[slot] <= flow.answeredUpTo) continue;
      if (this.#time[slot] >= now - RESEND_WINDOW) this.#push(slot, sender);
    }
  }

  /** Whether a quote is out of a datagram of this flow, and long enough that nobody can have guessed it. */
  hasSent(flow: UdpFlow, quote: Uint8Array): boolean {
    return this.#flow.some((_, slot) => this.#isQuoted(slot, flow, quote));
  }

  /** The flow's share of the batch in hand went as one run, to be cut into segments on the way. */
  noteRun(flow: UdpFlow): void {
    this.#runs++;
    for (let slot = this.first; slot < this.first + this.#count; slot++) {
      if (this.#flow[slot] === flow) this.#run[slot] = this.#runs;
    }
  }

  /**
   * Takes the datagram of this flow that a quote is out of, with its run: Linux routers between virtual
   * devices drop a run as a whole, and quote its first segment. Nothing is taken twice.
   */
  collectQuoted(flow: UdpFlow, quote: Uint8Array, sender: DatagramSender): void {
    const quoted = this.#flow.findIndex(
      (_, slot) => this.#again[slot] === 0 && this.#isQuoted(slot, flow, quote),
    );
    if (quoted < 0) return;
    for (let step = 0; step < RING_SLOTS; step++) {
      const slot = (this.#ring.next + step) % RING_SLOTS;
      const isOfRun = this.#run[slot] !== 0 && this.#run[slot] === this.#run[quoted];
      if (this.#again[slot] !== 0 || (slot !== quoted && !isOfRun)) continue;
      this.#again[slot] = 1;
      this.#push(slot, sender);
    }
  }

  /** The flow goes: what it still has here is nobody's. */
  forget(flow: UdpFlow): void {
    for (let slot = 0; slot < RING_SLOTS; slot++) if (this.#flow[slot] === flow) this.#flow[slot] = null;
  }

  #isQuoted(slot: number, flow: UdpFlow, quote: Uint8Array): boolean {
    return (
      this.#flow[slot] === flow &&
      quote.length > 0 &&
      quote.length >= Math.min(this.#ring.length(slot), PROOF) &&
      Buffer.compare(this.#ring.payload(slot).subarray(0, quote.length), quote) === 0
    );
  }

  #push(slot: number, sender: DatagramSender): void {
    sender.pushSlot(this.#ring, slot);
  }
}
