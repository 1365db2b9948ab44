import { PREFIX_SIZE } from '../../../rtps/prefix.js';
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
import { HashChains, NO_ENTRY } from '../hashchains.js';
import { sipHash } from '../siphash.js';

/** A flow's place in the arrays of the {@link FlowTable}. */
export type FlowIndex = number;
export const NO_FLOW = NO_ENTRY;

/** Words of a GUID prefix. */
const PREFIX_WORDS = PREFIX_SIZE / 4;
/**
 * One word each for the listener and for family and port; four each for the two IPv6 addresses; then the
 * prefix.
 */
const MAX_HASHED_WORDS = 10 + PREFIX_WORDS;

/** A received datagram's sender and destination. Offsets are in words of the receive ring's memory. */
export interface DatagramHead {
  readonly names: Int32Array;
  readonly nameAt: number;
  readonly controls: Int32Array;
  readonly controlAt: number;
  /**
   * How many words of the sender's GUID prefix are part of the flow's key. 0 for Services whose pin key is
   * not out of it, and for what is no RTPS.
   */
  readonly prefixWords: number;
  readonly payloads: Int32Array;
  readonly prefixAt: number;
}

/**
 * Finds a flow's index by its key: listener, client address and port, and the address that the client used.
 * If pins are kept by participant, the key also has the participant: several may share a socket.
 *
 * A look-up happens for every datagram and must not make garbage. So this is a hash table over typed arrays
 * that compares the kernel's own bytes. The same bytes are the addresses of the replies.
 */
export class FlowKeys {
  /** Client socket addresses, the destination of replies: SOCKADDR_SIZE bytes a flow. */
  readonly names: Memory;
  /** Control blocks of replies: CONTROL_SIZE bytes a flow. */
  readonly controls: Memory;
  readonly #listener: Int32Array;
  readonly #chains: HashChains;
  /** By flow: the prefix in its key, filled up with zeros. Null until the first flow with a prefix. */
  #prefixes: Int32Array | null = null;
  /** The flow that {@link find} found last. The next datagram is often of the same flow. */
  #found = NO_FLOW;
  readonly #key = crypto.getRandomValues(new Int32Array(2));
  readonly #hashed = new Int32Array(MAX_HASHED_WORDS);

  /** @param capacity limit of flows; all indexes are below it */
  constructor(capacity: number) {
    this.names = new Memory(capacity * SOCKADDR_SIZE);
    this.controls = new Memory(capacity * CONTROL_SIZE);
    this.#listener = new Int32Array(capacity);
    this.#chains = new HashChains(capacity);
  }

  /** The flow of a datagram, or NO_FLOW. @param listener descriptor that received it */
  find(listener: number, head: DatagramHead, isV6: boolean): FlowIndex {
    if (this.#found !== NO_FLOW && this.#matches(this.#found, listener, head, isV6)) return this.#found;
    const hash = this.#hashOf(listener, head, isV6);
    let flow = this.#chains.first(hash);
    while (flow !== NO_FLOW && !this.#matches(flow, listener, head, isV6)) flow = this.#chains.after(flow);
    if (flow !== NO_FLOW) this.#found = flow;
    return flow;
  }

  /** Adds the key of a flow that {@link find} has not found. */
  add(flow: FlowIndex, listener: number, head: DatagramHead, isV6: boolean): void {
    for (let word = 0; word < NAME_WORDS; word++) {
      this.names.words[flow * NAME_WORDS + word] = head.names[head.nameAt + word];
    }
    writeReplyControl(this.controls.words, flow * CONTROL_WORDS, head.controls, head.controlAt, isV6);
    this.#listener[flow] = listener;
    this.#addPrefix(flow, head);
    this.#chains.add(flow, this.#hashOf(listener, head, isV6));
  }

  remove(flow: FlowIndex): void {
    if (flow === this.#found) this.#found = NO_FLOW;
    this.#chains.delete(flow);
  }

  /** The word of `names.words` where the sockaddr of a flow's client begins. */
  nameAt(flow: FlowIndex): number {
    return flow * NAME_WORDS;
  }

  #hashOf(listener: number, head: DatagramHead, isV6: boolean): number {
    const { names, nameAt, controls, controlAt } = head;
    const hashed = this.#hashed;
    const client = addressAt(nameAt, isV6);
    const used = usedAddressAt(controlAt, isV6);
    hashed[0] = listener;
    hashed[1] = familyAndPortAt(names, nameAt);
    let count = 2;
    for (let word = 0; word < addressWords(isV6); word++) {
      hashed[count++] = names[client + word];
      hashed[count++] = controls[used + word];
    }
    for (let word = 0; word < head.prefixWords; word++) hashed[count++] = prefixWord(head, word);
    return sipHash(this.#key, hashed, count);
  }

  #matches(flow: FlowIndex, listener: number, head: DatagramHead, isV6: boolean): boolean {
    if (this.#listener[flow] !== listener) return false;
    if (!isSameSocket(this.names.words, this.nameAt(flow), head.names, head.nameAt, isV6)) return false;
    const used = usedAddressAt(flow * CONTROL_WORDS, isV6);
    return (
      isSameAddress(this.controls.words, used, head.controls, usedAddressAt(head.controlAt, isV6), isV6) &&
      this.#hasPrefixOf(flow, head)
    );
  }

  #addPrefix(flow: FlowIndex, head: DatagramHead): void {
    if (head.prefixWords > 0) this.#prefixes ??= new Int32Array(this.#listener.length * PREFIX_WORDS);
    if (this.#prefixes === null) return;
    for (let word = 0; word < PREFIX_WORDS; word++) {
      this.#prefixes[flow * PREFIX_WORDS + word] = prefixWord(head, word);
    }
  }

  #hasPrefixOf(flow: FlowIndex, head: DatagramHead): boolean {
    const prefixes = this.#prefixes;
    if (prefixes === null) return head.prefixWords === 0;
    for (let word = 0; word < PREFIX_WORDS; word++) {
      if (prefixes[flow * PREFIX_WORDS + word] !== prefixWord(head, word)) return false;
    }
    return true;
  }
}

/** A word of the prefix in a datagram's flow key. 0 beyond the end of it. */
function prefixWord({ prefixWords, payloads, prefixAt }: DatagramHead, word: number): number {
  return word < prefixWords ? payloads[prefixAt + word] : 0;
}
