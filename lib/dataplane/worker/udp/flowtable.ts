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

/** A flow's index; NONE is no flow. */
export type FlowIndex = number;
export const NONE = -1;

/** What a flow has come to, as conntrack tells UDP flows apart. The order is that of their value. */
export enum Stage {
  /** Nothing has come back yet. */
  Unreplied,
  /** It had an answer: most look-ups never come to more. */
  Answered,
  /** It had an answer, and went on for more than {@link STREAM_AFTER}. */
  Stream,
}

export const STAGES: readonly Stage[] = [Stage.Unreplied, Stage.Answered, Stage.Stream];

/** How long, ms, an answered flow must last to be a stream: Linux's own value (nf_conntrack_proto_udp.c). */
const STREAM_AFTER = 2000;
/** Flows without a reply may be this share of all; beyond it they push out each other. */
const UNREPLIED_SHARE = 0.25;
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
 * The clients of the UDP portals of one worker: (listener, client address and port, address the client used) → flow.
 *
 * A look-up happens for every datagram and must not make garbage, so the table is a chained hash over typed arrays that
 * compares the kernel's own bytes. Each flow is in the list of its stage, in the order of use, and in that of its listener.
 */
export class FlowTable {
  readonly capacity: number;
  /** Client socket addresses, the destination of replies: SOCKADDR_SIZE bytes a flow. */
  readonly names: Memory;
  /** Control blocks of replies: CONTROL_SIZE bytes a flow. */
  readonly controls: Memory;
  readonly lastUsed: Float64Array;
  size = 0;

  readonly #openedAt: Float64Array;
  readonly #listener: Int32Array;
  readonly #hash: Int32Array;
  readonly #buckets: Int32Array;
  readonly #chain: Int32Array;
  readonly #stage: Uint8Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** Most and least recently used of each stage. */
  readonly #newest = STAGES.map(() => NONE);
  readonly #oldest = STAGES.map(() => NONE);
  readonly #counts = STAGES.map(() => 0);
  /** By a listener's descriptor: the flow that it opened last, which leads to the others. */
  readonly #ofListener: FlowIndex[] = [];
  readonly #listenerPrevious: Int32Array;
  readonly #listenerNext: Int32Array;
  #free = 0;
  /** What {@link find} found last: datagrams of one flow often come together. */
  #found = NONE;
  readonly #key = crypto.getRandomValues(new Int32Array(2));
  readonly #hashed = new Int32Array(MOST_HASHED_WORDS);

  constructor(capacity: number) {
    this.capacity = capacity;
    this.names = new Memory(capacity * SOCKADDR_SIZE);
    this.controls = new Memory(capacity * CONTROL_SIZE);
    this.lastUsed = new Float64Array(capacity);
    this.#openedAt = new Float64Array(capacity);
    this.#listener = new Int32Array(capacity);
    this.#hash = new Int32Array(capacity);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(NONE);
    this.#chain = new Int32Array(capacity);
    this.#stage = new Uint8Array(capacity);
    this.#previous = new Int32Array(capacity).fill(NONE);
    this.#next = Int32Array.from({ length: capacity }, (_, index) =>
      index + 1 < capacity ? index + 1 : NONE,
    );
    this.#listenerPrevious = new Int32Array(capacity);
    this.#listenerNext = new Int32Array(capacity);
  }

  get isFull(): boolean {
    return this.#free === NONE;
  }

  /** The flow of a datagram, or NONE. @param listener descriptor that received it */
  find(listener: number, head: DatagramHead, isV6: boolean): FlowIndex {
    if (this.#found !== NONE && this.#matches(this.#found, listener, head, isV6)) return this.#found;
    const hash = this.#hashOf(listener, head, isV6);
    let flow = this.#buckets[hash & (this.#buckets.length - 1)];
    while (flow !== NONE) {
      if (this.#hash[flow] === hash && this.#matches(flow, listener, head, isV6)) {
        this.#found = flow;
        return flow;
      }
      flow = this.#chain[flow];
    }
    return NONE;
  }

  /** Adds the flow of a datagram that find() did not know. The table must not be full. */
  add(listener: number, head: DatagramHead, isV6: boolean, now: number): FlowIndex {
    const flow = this.#free;
    this.#free = this.#next[flow];
    for (let word = 0; word < NAME_WORDS; word++) {
      this.names.words[flow * NAME_WORDS + word] = head.names[head.nameAt + word];
    }
    writeReplyControl(this.controls.words, flow * CONTROL_WORDS, head.controls, head.controlAt, isV6);
    this.#enchain(flow, this.#hashOf(listener, head, isV6));
    this.#stage[flow] = Stage.Unreplied;
    this.#openedAt[flow] = now;
    this.lastUsed[flow] = now;
    this.#link(flow);
    this.#join(flow, listener);
    this.size++;
    return flow;
  }

  remove(flow: FlowIndex): void {
    if (flow === this.#found) this.#found = NONE;
    this.#unlink(flow);
    this.#leave(flow);
    this.#unchain(flow);
    this.#next[flow] = this.#free;
    this.#free = flow;
    this.size--;
  }

  /** The flow carried something: it is now the last to go. */
  touch(flow: FlowIndex, now: number): void {
    this.lastUsed[flow] = now;
    const stage = this.#stage[flow];
    if (stage === Stage.Answered && now - this.#openedAt[flow] > STREAM_AFTER)
      this.#enter(flow, Stage.Stream);
    else if (this.#newest[stage] !== flow) this.#enter(flow, stage);
  }

  /** The flow had a reply. */
  markReplied(flow: FlowIndex): void {
    if (this.#stage[flow] === Stage.Unreplied) this.#enter(flow, Stage.Answered);
  }

  stageOf(flow: FlowIndex): Stage {
    return this.#stage[flow];
  }

  /** The least recently used flow of a stage, or NONE. */
  oldest(stage: Stage): FlowIndex {
    return this.#oldest[stage];
  }

  /**
   * The flow to give up first, or NONE. Those that have their answer go before those that wait for one, of which a few are
   * always under way, and these before streams; but a flood of spoofed sources pushes out its own kind.
   */
  victim(): FlowIndex {
    const unreplied = this.#oldest[Stage.Unreplied];
    if (this.#counts[Stage.Unreplied] > this.size * UNREPLIED_SHARE) return unreplied;
    const answered = this.#oldest[Stage.Answered];
    if (answered !== NONE) return answered;
    const stream = this.#oldest[Stage.Stream];
    return stream === NONE ? unreplied : stream;
  }

  /** Visits the flows that came through a listener; each may be removed by its visit. */
  forEachOf(listener: number, visit: (flow: FlowIndex) => void): void {
    let flow = this.#ofListener[listener] ?? NONE;
    while (flow !== NONE) {
      const next = this.#listenerNext[flow];
      visit(flow);
      flow = next;
    }
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

  #join(flow: FlowIndex, listener: number): void {
    const next = this.#ofListener[listener] ?? NONE;
    this.#listener[flow] = listener;
    this.#listenerPrevious[flow] = NONE;
    this.#listenerNext[flow] = next;
    if (next !== NONE) this.#listenerPrevious[next] = flow;
    this.#ofListener[listener] = flow;
  }

  #leave(flow: FlowIndex): void {
    const previous = this.#listenerPrevious[flow];
    const next = this.#listenerNext[flow];
    if (previous === NONE) this.#ofListener[this.#listener[flow]] = next;
    else this.#listenerNext[previous] = next;
    if (next !== NONE) this.#listenerPrevious[next] = previous;
  }

  /** The newest of a stage. */
  #enter(flow: FlowIndex, stage: Stage): void {
    this.#unlink(flow);
    this.#stage[flow] = stage;
    this.#link(flow);
  }

  #link(flow: FlowIndex): void {
    const stage = this.#stage[flow];
    const newest = this.#newest[stage];
    this.#next[flow] = newest;
    this.#previous[flow] = NONE;
    if (newest === NONE) this.#oldest[stage] = flow;
    else this.#previous[newest] = flow;
    this.#newest[stage] = flow;
    this.#counts[stage]++;
  }

  #unlink(flow: FlowIndex): void {
    const stage = this.#stage[flow];
    const previous = this.#previous[flow];
    const next = this.#next[flow];
    if (previous === NONE) this.#newest[stage] = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#oldest[stage] = previous;
    else this.#previous[next] = previous;
    this.#counts[stage]--;
  }
}
