import {
  CONTROL_SIZE,
  CONTROL_WORDS,
  NAME_WORDS,
  PACKET_INFO_V4,
  PACKET_INFO_V6,
  writeReplyControl,
} from '../sys/datagrams.js';
import { Memory } from '../sys/memory.js';
import { SOCKADDR_SIZE } from '../sys/sockaddr.js';

/** A flow's index; NONE is no flow. */
export type FlowIndex = number;
export const NONE = -1;

/** Flows without a reply may be this share of all; beyond it they push out each other. */
const UNREPLIED_SHARE = 0.25;

/** A received datagram's sender and destination: where they start in the receive ring's memory, in words. */
export interface DatagramHead {
  readonly names: Int32Array;
  readonly nameAt: number;
  readonly controls: Int32Array;
  readonly controlAt: number;
}

/**
 * The clients of the UDP portals of one worker: (listener, client address and port, address the client used) → flow.
 *
 * A look-up happens for every datagram and must not make garbage, so the table is a chained hash over typed arrays that
 * compares the kernel's own bytes. Each flow is on one of two lists in order of use: flows that had no reply yet, and
 * flows that had one. The first are the cheaper ones to lose, so a flood of spoofed sources evicts its own kind.
 */
export class FlowTable {
  readonly capacity: number;
  /** Client socket addresses, the destination of replies: SOCKADDR_SIZE bytes a flow. */
  readonly names: Memory;
  /** Control blocks of replies: CONTROL_SIZE bytes a flow. */
  readonly controls: Memory;
  readonly lastUsed: Float64Array;
  size = 0;

  readonly #listener: Int32Array;
  readonly #hash: Int32Array;
  readonly #buckets: Int32Array;
  readonly #chain: Int32Array;
  readonly #replied: Uint8Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** Most and least recently used, first of the unreplied list, then of the replied one. */
  readonly #newest = [NONE, NONE];
  readonly #oldest = [NONE, NONE];
  #free = 0;
  /** How many flows had no reply yet. */
  #unreplied = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.names = new Memory(capacity * SOCKADDR_SIZE);
    this.controls = new Memory(capacity * CONTROL_SIZE);
    this.lastUsed = new Float64Array(capacity);
    this.#listener = new Int32Array(capacity);
    this.#hash = new Int32Array(capacity);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(NONE);
    this.#chain = new Int32Array(capacity);
    this.#replied = new Uint8Array(capacity);
    this.#previous = new Int32Array(capacity).fill(NONE);
    this.#next = Int32Array.from({ length: capacity }, (_, index) =>
      index + 1 < capacity ? index + 1 : NONE,
    );
  }

  get isFull(): boolean {
    return this.#free === NONE;
  }

  /** The flow of a datagram, or NONE. @param listener descriptor that received it */
  find(listener: number, head: DatagramHead, isV6: boolean): FlowIndex {
    const hash = hashOf(listener, head, isV6);
    let flow = this.#buckets[hash & (this.#buckets.length - 1)];
    while (flow !== NONE) {
      if (this.#hash[flow] === hash && this.#matches(flow, listener, head, isV6)) return flow;
      flow = this.#chain[flow];
    }
    return NONE;
  }

  /** Adds the flow of a datagram that find() did not know. The table must not be full. */
  add(listener: number, head: DatagramHead, isV6: boolean, now: number): FlowIndex {
    const flow = this.#free;
    this.#free = this.#next[flow];
    this.#listener[flow] = listener;
    for (let word = 0; word < NAME_WORDS; word++) {
      this.names.words[flow * NAME_WORDS + word] = head.names[head.nameAt + word];
    }
    writeReplyControl(this.controls.words, flow * CONTROL_WORDS, head.controls, head.controlAt, isV6);
    const hash = hashOf(listener, head, isV6);
    const bucket = hash & (this.#buckets.length - 1);
    this.#hash[flow] = hash;
    this.#chain[flow] = this.#buckets[bucket];
    this.#buckets[bucket] = flow;
    this.#replied[flow] = 0;
    this.lastUsed[flow] = now;
    this.#link(flow);
    this.size++;
    this.#unreplied++;
    return flow;
  }

  remove(flow: FlowIndex): void {
    this.#unlink(flow);
    this.#unchain(flow);
    this.#next[flow] = this.#free;
    this.#free = flow;
    this.size--;
    if (this.#replied[flow] === 0) this.#unreplied--;
  }

  /** The flow carried something: it is now the last to go. */
  touch(flow: FlowIndex, now: number): void {
    this.lastUsed[flow] = now;
    if (this.#newest[this.#replied[flow]] === flow) return;
    this.#unlink(flow);
    this.#link(flow);
  }

  /** The flow had a reply. */
  markReplied(flow: FlowIndex): void {
    if (this.#replied[flow] === 1) return;
    this.#unlink(flow);
    this.#replied[flow] = 1;
    this.#unreplied--;
    this.#link(flow);
  }

  hasReply(flow: FlowIndex): boolean {
    return this.#replied[flow] === 1;
  }

  /** The least recently used flow of one kind, or NONE. */
  oldest(replied: boolean): FlowIndex {
    return this.#oldest[replied ? 1 : 0];
  }

  /**
   * The flow to give up first, or NONE. A flood of spoofed sources pushes out its own kind and few of the clients that are
   * being served; a look-up that waits for its answer, one of a few, is not pushed out by those that have theirs.
   */
  victim(): FlowIndex {
    const unreplied = this.oldest(false);
    const replied = this.oldest(true);
    if (unreplied === NONE || replied === NONE) return Math.max(unreplied, replied);
    return this.#unreplied > this.size * UNREPLIED_SHARE ? unreplied : replied;
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

  #link(flow: FlowIndex): void {
    const list = this.#replied[flow];
    const newest = this.#newest[list];
    this.#next[flow] = newest;
    this.#previous[flow] = NONE;
    if (newest === NONE) this.#oldest[list] = flow;
    else this.#previous[newest] = flow;
    this.#newest[list] = flow;
  }

  #unlink(flow: FlowIndex): void {
    const list = this.#replied[flow];
    const previous = this.#previous[flow];
    const next = this.#next[flow];
    if (previous === NONE) this.#newest[list] = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#oldest[list] = previous;
    else this.#previous[next] = previous;
  }
}

/** Word 0 of a sockaddr has family and port; IPv6 has its flow label next, which is no part of a flow's identity. */
function hashOf(listener: number, head: DatagramHead, isV6: boolean): number {
  let hash = mix(listener, head.names[head.nameAt]);
  if (!isV6) {
    hash = mix(hash, head.names[head.nameAt + 1]);
    return finish(mix(hash, head.controls[head.controlAt + PACKET_INFO_V4.localAddress]));
  }
  for (let word = 0; word < 4; word++) {
    hash = mix(hash, head.names[head.nameAt + 2 + word]);
    hash = mix(hash, head.controls[head.controlAt + PACKET_INFO_V6.localAddress + word]);
  }
  return finish(hash);
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function finish(hash: number): number {
  const mixed = Math.imul(hash, 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) & 0x7fffffff;
}
