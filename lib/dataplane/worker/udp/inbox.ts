import { DatagramRing } from '../../../sys/datagrams.js';
import type { DatagramSender } from '../../../sys/datagramsender.js';
import type { UdpFlow } from './flow.js';
import { ReceivedDatagram } from './receiveddatagram.js';

/** Instead of the number of a slot of the ring: no slot. */
export const NO_SLOT = -1;
/** One system call receives at most this many datagrams. */
export const BATCH_SIZE = 32;
/** The last datagrams of this number stay in the ring. A flow that was refused can send them again. */
export const RING_SLOTS = 64;
/** Older datagrams are not sent again. */
const RESEND_WINDOW_MS = 200;
/**
 * The quote in an ICMP error is a proof only if it has this many bytes of the datagram, or all bytes of a
 * shorter one. A stranger can often guess fewer: the first bytes of a protocol are known.
 */
const PROOF_BYTES = 256;

/**
 * The last datagrams that clients have sent, over all flows of a worker. They are received in batches into a
 * ring and sorted by flow. The ring keeps the last {@link RING_SLOTS}: if an endpoint refuses datagrams, they
 * go to another one without having been copied.
 */
export class Inbox {
  /** The flows that have datagrams in the present batch, each once. */
  readonly flows: UdpFlow[] = [];
  readonly #ring = new DatagramRing(RING_SLOTS, true);
  readonly #head = new ReceivedDatagram(this.#ring);
  /**
   * By slot: the datagram's flow, its number, when it came, and the next slot of the same flow in the batch.
   */
  readonly #flow: (UdpFlow | null)[] = new Array(RING_SLOTS).fill(null);
  readonly #number = new Float64Array(RING_SLOTS);
  readonly #time = new Float64Array(RING_SLOTS);
  readonly #next = new Int32Array(RING_SLOTS);
  /** By slot: 1 if it was sent again because it was too long for the path. */
  readonly #sentAgain = new Uint8Array(RING_SLOTS);
  /** By slot: the number of the run in which it was sent; 0 if it was sent alone. */
  readonly #run = new Float64Array(RING_SLOTS);
  #runs = 0;
  #received = 0;
  /** How many datagrams had come before the present batch. */
  #before = 0;
  /** How many datagrams the present batch has, and how many it could have. */
  #count = 0;
  #room = 0;

  /** How many datagrams have come so far. It is the number of the last one. */
  get received(): number {
    return this.#received;
  }

  /** The first slot of the present batch. */
  get first(): number {
    return this.#ring.first;
  }

  /**
   * Receives one batch.
   * @returns how many datagrams, from slot {@link first} on; 0 or less if there are none, -1 with `errno`
   */
  receive(fd: number): number {
    this.flows.length = 0;
    this.#before = this.#received;
    this.#room = this.#ring.room(BATCH_SIZE);
    this.#count = this.#ring.receive(fd, BATCH_SIZE);
    return this.#count;
  }

  /** Whether the socket had no more datagrams than the present batch. */
  get isSocketEmpty(): boolean {
    return this.#count < this.#room;
  }

  /** A slot's datagram: sender, destination, payload. Valid until the next call. */
  head(slot: number): ReceivedDatagram {
    this.#head.slot = slot;
    return this.#head;
  }

  /** Files a slot's datagram under its flow. @param flow null if the datagram is dropped */
  file(slot: number, flow: UdpFlow | null, now: number): void {
    this.#flow[slot] = flow;
    this.#number[slot] = ++this.#received;
    this.#time[slot] = now;
    this.#next[slot] = NO_SLOT;
    this.#sentAgain[slot] = 0;
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

  /** The slot of the flow's next datagram in the present batch, or NO_SLOT. */
  nextOf(slot: number): number {
    return this.#next[slot];
  }

  /** The memory of all slots. A slot's datagram is in it from {@link startOf} to {@link endOf}. */
  get payloads(): Uint8Array {
    return this.#ring.payloads.bytes;
  }

  startOf(slot: number): number {
    return this.#ring.startOf(slot);
  }

  endOf(slot: number): number {
    return this.#ring.startOf(slot) + this.#ring.length(slot);
  }

  /** The number of the first datagram that the flow has in the present batch, or of the next to come. */
  firstNumberOf({ firstSlot }: UdpFlow): number {
    return firstSlot === NO_SLOT ? this.#received + 1 : this.#number[firstSlot];
  }

  /** Adds the flow's datagrams of the present batch to a sender. */
  collectBatch(flow: UdpFlow, sender: DatagramSender): void {
    for (let slot = flow.firstSlot; slot !== NO_SLOT; slot = this.#next[slot]) this.#push(slot, sender);
    flow.firstSlot = NO_SLOT;
  }

  /** Adds the flow's recent datagrams that have no answer, in the order in which they came. */
  collectUnanswered(flow: UdpFlow, sender: DatagramSender, now: number): void {
    for (let step = 0; step < RING_SLOTS; step++) {
      const slot = (this.#ring.next + step) % RING_SLOTS;
      if (this.#flow[slot] !== flow || this.#number[slot] <= flow.answeredUpTo) continue;
      if (this.#time[slot] >= now - RESEND_WINDOW_MS) this.#push(slot, sender);
    }
  }

  /** Whether a quote is from a datagram of this flow, and too long to be guessed. */
  isQuoteOf(flow: UdpFlow, quote: Uint8Array): boolean {
    return this.#flow.some((_, slot) => this.#isQuoted(slot, flow, quote));
  }

  /** The flow's datagrams of the present batch were sent as one run (UDP_SEGMENT). */
  noteRun(flow: UdpFlow): void {
    this.#runs++;
    for (let slot = 0; slot < RING_SLOTS; slot++) {
      if (this.#flow[slot] === flow && this.#number[slot] > this.#before) this.#run[slot] = this.#runs;
    }
  }

  /**
   * Adds the flow's datagram that is quoted, and the other datagrams of its run: Linux routers between
   * virtual devices drop a run as a whole and quote its first segment. No datagram is added a second time.
   */
  collectQuoted(flow: UdpFlow, quote: Uint8Array, sender: DatagramSender): void {
    const quoted = this.#flow.findIndex(
      (_, slot) => this.#sentAgain[slot] === 0 && this.#isQuoted(slot, flow, quote),
    );
    if (quoted < 0) return;
    for (let step = 0; step < RING_SLOTS; step++) {
      const slot = (this.#ring.next + step) % RING_SLOTS;
      const isOfRun = this.#run[slot] !== 0 && this.#run[slot] === this.#run[quoted];
      if (this.#sentAgain[slot] !== 0 || (slot !== quoted && !isOfRun)) continue;
      this.#sentAgain[slot] = 1;
      this.#push(slot, sender);
    }
  }

  /** Removes the datagrams of a flow that ends. */
  forget(flow: UdpFlow): void {
    for (let slot = 0; slot < RING_SLOTS; slot++) if (this.#flow[slot] === flow) this.#flow[slot] = null;
  }

  #isQuoted(slot: number, flow: UdpFlow, quote: Uint8Array): boolean {
    return (
      this.#flow[slot] === flow &&
      quote.length > 0 &&
      quote.length >= Math.min(this.#ring.length(slot), PROOF_BYTES) &&
      Buffer.compare(this.#ring.payload(slot).subarray(0, quote.length), quote) === 0
    );
  }

  #push(slot: number, sender: DatagramSender): void {
    sender.pushSlot(this.#ring, slot);
  }
}
