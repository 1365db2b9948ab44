import {
  CONTROL_SIZE,
  CONTROL_WORDS,
  NAME_WORDS,
  PACKET_INFO_V4,
  PACKET_INFO_V6,
  writeReplyControl,
} from '../../../sys/datagrams.js';
import { Memory } from '../../../sys/memory.js';
import { SOCKADDR_SIZE } from '../../../sys/sockaddr.js';
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
 * A look-up happens for every datagram and must not make garbage, so this is a chained hash over typed arrays that
 * compares the kernel's own bytes. The same bytes are the addresses of the replies.
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

  /** Word 0 of a sockaddr has family and port; IPv6 has its flow label next, which is no part of a flow's identity. */
  #hashOf(listener: number, head: DatagramHead, isV6: boolean): number {
    const hashed = this.#hashed;
    const { names, nameAt, controls, controlAt } = head;
    hashed[0] = listener;
    hashed[1] = names[nameAt];
    if (!isV6) {
      hashed[2] = names[nameAt + 1];
      hashed[3] = controls[controlAt + PACKET_INFO_V4.localAddress];
      return sipHash(this.#key, hashed, 4);
    }
    for (let word = 0; word < 4; word++) {
      hashed[2 + word] = names[nameAt + 2 + word];
      hashed[6 + word] = controls[controlAt + PACKET_INFO_V6.localAddress + word];
    }
    return sipHash(this.#key, hashed, MOST_HASHED_WORDS);
  }

  #matches(flow: FlowIndex, listener: number, head: DatagramHead, isV6: boolean): boolean {
    if (this.#listener[flow] !== listener) return false;
    const name = flow * NAME_WORDS;
    const control = flow * CONTROL_WORDS;
    const { words: names } = this.names;
    const { words: controls } = this.controls;
    if (names[name] !== head.names[head.nameAt]) return false;
    if (!isV6) {
      const local = PACKET_INFO_V4.localAddress;
      return (
        names[name + 1] === head.names[head.nameAt + 1] &&
        controls[control + local] === head.controls[head.controlAt + local]
      );
    }
    const local = PACKET_INFO_V6.localAddress;
    for (let word = 0; word < 4; word++) {
      if (names[name + 2 + word] !== head.names[head.nameAt + 2 + word]) return false;
      if (controls[control + local + word] !== head.controls[head.controlAt + local + word]) return false;
    }
    return names[name + 6] === head.names[head.nameAt + 6];
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
