import { AF_INET6 } from '../constants.js';
import { Memory } from '../memory.js';
import type { SocketAddress } from '../sockaddr.js';
import { SEQUENCE_WORD } from './acknowledgements.js';
import {
  type FlowProtocol,
  type FlowTemplate,
  networkWord,
  putAddress,
  putSocket,
  putTuple,
  takeoverTemplate,
  templatesFor,
} from './flowtemplates.js';

/** Bytes. Two deletions and the insertion of a UDP flow over IPv6 with both ends translated take 488. */
const POSITION_SIZE = 512;

/**
 * Messages about tracked flows, one behind the other in a block of memory. A position has one message, or
 * deletions and an insertion. Nothing is allocated once it is made.
 */
export class FlowMessages {
  readonly #memory: Memory;
  /** Where the messages of each position begin and end, words. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #position = 0;
  #sequence = 0;
  /** Words in use. */
  #end = 0;

  /** @param capacity positions */
  constructor(capacity: number) {
    this.#memory = new Memory(capacity * POSITION_SIZE);
    this.#starts = new Int32Array(capacity);
    this.#ends = new Int32Array(capacity);
  }

  get address(): number {
    return this.#memory.address;
  }

  /** Bytes in use. */
  get size(): number {
    return this.#end * 4;
  }

  clear(): void {
    this.#end = 0;
  }

  /** The messages that are pushed next belong to this position. */
  begin(position: number, sequence: number): void {
    this.#position = position;
    this.#sequence = sequence;
    this.#starts[position] = this.#end;
  }

  pushDeletion(protocol: FlowProtocol, client: SocketAddress, vip: SocketAddress): void {
    const isV6 = client.family === AF_INET6;
    const { deletion } = templatesFor(protocol, isV6, false);
    const at = this.#push(deletion) + deletion.original;
    putTuple(this.#memory.words, at, client.memory.words, vip.memory.words, isV6);
  }

  pushLookup(protocol: FlowProtocol, client: SocketAddress, vip: SocketAddress): void {
    const isV6 = client.family === AF_INET6;
    const { lookup } = templatesFor(protocol, isV6, false);
    const at = this.#push(lookup) + lookup.original;
    putTuple(this.#memory.words, at, client.memory.words, vip.memory.words, isV6);
  }

  /** @param source null: the client's address stays; `client`: its port too */
  pushInsertion(
    protocol: FlowProtocol,
    client: SocketAddress,
    vip: SocketAddress,
    endpoint: SocketAddress,
    source: SocketAddress | null,
    mark: number,
  ): void {
    const { words } = this.#memory;
    const isV6 = client.family === AF_INET6;
    const templates = templatesFor(protocol, isV6, source !== null);
    const insertion = source === client ? templates.exactInsertion : templates.insertion;
    const from = client.memory.words;
    const to = vip.memory.words;
    const at = this.#push(insertion);
    putTuple(words, at + insertion.original, from, to, isV6);
    putTuple(words, at + insertion.reply, to, from, isV6);
    words[at + insertion.mark] = networkWord(mark);
    putSocket(words, at + insertion.natDestination, endpoint.memory.words, isV6);
    if (source === client) putSocket(words, at + insertion.natSource, from, isV6);
    else if (source !== null) putAddress(words, at + insertion.natSource, source.memory.words, isV6);
  }

  /** Inserts a flow that was relayed, see {@link takeoverTemplate}. @param source with its port */
  pushTakeover(
    client: SocketAddress,
    vip: SocketAddress,
    endpoint: SocketAddress,
    source: SocketAddress,
    mark: number,
  ): void {
    const { words } = this.#memory;
    const isV6 = client.family === AF_INET6;
    const template = takeoverTemplate(isV6);
    const at = this.#push(template);
    putTuple(words, at + template.original, client.memory.words, vip.memory.words, isV6);
    putTuple(words, at + template.reply, vip.memory.words, client.memory.words, isV6);
    words[at + template.mark] = networkWord(mark);
    putSocket(words, at + template.natDestination, endpoint.memory.words, isV6);
    putSocket(words, at + template.natSource, source.memory.words, isV6);
  }

  /** After {@link clear}: takes the messages of a position again. Positions must come in their order. */
  pushAgain(position: number): void {
    const start = this.#starts[position];
    const end = this.#ends[position];
    this.#memory.words.copyWithin(this.#end, start, end);
    this.#starts[position] = this.#end;
    this.#end += end - start;
    this.#ends[position] = this.#end;
  }

  /** @returns the word where the message begins */
  #push({ words }: FlowTemplate): number {
    const at = this.#end;
    this.#memory.words.set(words, at);
    this.#memory.words[at + SEQUENCE_WORD] = this.#sequence;
    this.#end = at + words.length;
    this.#ends[this.#position] = this.#end;
    return at;
  }
}
