import {
  CONTROL_SIZE,
  CONTROL_WORDS,
  usedAddressAt,
  writeReplyControl,
} from '../../../sys/controlmessages.js';
import { NAME_WORDS } from '../../../sys/datagrams.js';
import { Memory } from '../../../sys/memory.js';
import { SOCKADDR_SIZE } from '../../../sys/sockaddr.js';
import {
  addressAt,
  addressWords,
  familyAndPortAt,
  isSameAddress,
  isSameSocket,
} from '../../../sys/sockaddrwords.js';
import { sipHash } from './siphash.js';

/** A flow's place in the arrays of the {@link FlowTable}. */
export type FlowIndex = number;
export const NO_FLOW = -1;

/** Listener, then family and port, client address and the address that the client used. */
const MOST_HASHED_WORDS = 10;

/** A received datagram's sender and destination: where they start in the receive ring's memory, in words. */
export interface DatagramHead {
  readonly names: Int32Array;
  readonly nameAt: number;
  readonly controls: Int32Array;
  readonly controlAt: number;
}

/**
 * What tells flows apart: (listener, client address and port, address that the client used) → index.
 *
 * A look-up happens for every datagram and must not make garbage, so this is a chained hash over typed arrays
 * that compares the kernel's own bytes. The same bytes are the addresses of the replies.
 */
export class FlowKeys {
  /** Client socket addresses, the destination of replies: SOCKADDR_SIZE bytes a flow. */
  readonly names: Memory;
  /** Control blocks of replies: CONTROL_SIZE bytes a flow. */
  readonly controls: Memory;
  readonly #listener: Int32Array;
  readonly #hash: Int32Array;
  readonly #buckets: Int32Array;
  readonly #chain: Int32Array;
  /** What {@link find} found last: datagrams of one flow often come together. */
  #found = NO_FLOW;
  readonly #key = crypto.getRandomValues(new Int32Array(2));
  readonly #hashed = new Int32Array(MOST_HASHED_WORDS);

  /** @param capacity most flows; their indexes are below it */
  constructor(capacity: number) {
    this.names = new Memory(capacity * SOCKADDR_SIZE);
    this.controls = new Memory(capacity * CONTROL_SIZE);
    this.#listener = new Int32Array(capacity);
    this.#hash = new Int32Array(capacity);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(NO_FLOW);
    this.#chain = new Int32Array(capacity);
  }

  /** The flow of a datagram, or NO_FLOW. @param listener descriptor that received it */
  find(listener: number, head: DatagramHead, isV6: boolean): FlowIndex {
    if (this.#found !== NO_FLOW && this.#matches(this.#found, listener, head, isV6)) return this.#found;
    const hash = this.#hashOf(listener, head, isV6);
    let flow = this.#buckets[hash & (this.#buckets.length - 1)];
    while (flow !== NO_FLOW) {
      if (this.#hash[flow] === hash && this.#matches(flow, listener, head, isV6)) {
        this.#found = flow;
        return flow;
      }
      flow = this.#chain[flow];
    }
    return NO_FLOW;
  }

  /** Keeps the key of a flow that {@link find} did not know. */
  add(flow: FlowIndex, listener: number, head: DatagramHead, isV6: boolean): void {
    for (let word = 0; word < NAME_WORDS; word++) {
      this.names.words[flow * NAME_WORDS + word] = head.names[head.nameAt + word];
    }
    writeReplyControl(this.controls.words, flow * CONTROL_WORDS, head.controls, head.controlAt, isV6);
    this.#listener[flow] = listener;
    this.#enchain(flow, this.#hashOf(listener, head, isV6));
  }

  remove(flow: FlowIndex): void {
    if (flow === this.#found) this.#found = NO_FLOW;
    this.#unchain(flow);
  }

  /** The word of `names.words` at which a flow's client begins. */
  nameAt(flow: FlowIndex): number {
    return flow * NAME_WORDS;
  }

  #hashOf(listener: number, { names, nameAt, controls, controlAt }: DatagramHead, isV6: boolean): number {
    const hashed = this.#hashed;
    const client = addressAt(nameAt, isV6);
    const used = usedAddressAt(controlAt, isV6);
    hashed[0] = listener;
    hashed[1] = familyAndPortAt(names, nameAt);
    hashed[2] = names[client];
    hashed[3] = controls[used];
    if (!isV6) return sipHash(this.#key, hashed, 4);
    for (let word = 1; word < addressWords(isV6); word++) {
      hashed[2 + 2 * word] = names[client + word];
      hashed[3 + 2 * word] = controls[used + word];
    }
    return sipHash(this.#key, hashed, MOST_HASHED_WORDS);
  }

  #matches(flow: FlowIndex, listener: number, head: DatagramHead, isV6: boolean): boolean {
    if (this.#listener[flow] !== listener) return false;
    if (!isSameSocket(this.names.words, this.nameAt(flow), head.names, head.nameAt, isV6)) return false;
    const used = usedAddressAt(flow * CONTROL_WORDS, isV6);
    return isSameAddress(this.controls.words, used, head.controls, usedAddressAt(head.controlAt, isV6), isV6);
  }

  #enchain(flow: FlowIndex, hash: number): void {
    const bucket = hash & (this.#buckets.length - 1);
    this.#hash[flow] = hash;
    this.#chain[flow] = this.#buckets[bucket];
    this.#buckets[bucket] = flow;
  }

  #unchain(flow: FlowIndex): void {
    const bucket = this.#hash[flow] & (this.#buckets.length - 1);
    if (this.#buckets[bucket] === flow) {
      this.#buckets[bucket] = this.#chain[flow];
      return;
    }
    let before = this.#buckets[bucket];
    while (this.#chain[before] !== flow) before = this.#chain[before];
    this.#chain[before] = this.#chain[flow];
  }
}
