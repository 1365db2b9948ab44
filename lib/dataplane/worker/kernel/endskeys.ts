import { AF_INET6 } from '../../../sys/constants.js';
import type { SocketAddress } from '../../../sys/sockaddr.js';
import { addressAt, addressWords } from '../../../sys/sockaddrwords.js';
import { HashChains, NO_ENTRY } from '../hashchains.js';
import { sipHash } from '../siphash.js';

/** The addresses and ports of a connection or flow, as its client sees it. */
export interface Ends {
  readonly client: SocketAddress;
  readonly vip: SocketAddress;
}

/** The place of a connection or flow in the arrays of whoever remembers it. */
export type Slot = number;
export const NO_SLOT = NO_ENTRY;

/** Family and port of the client, and port of the VIP; then both addresses. */
const KEY_WORDS = 10;
const CLIENT_WORD = 2;
const VIP_WORD = 6;

/**
 * Finds a slot by the addresses and ports of client and VIP. Strangers send first packets as fast as they
 * can, so this is a hash table over typed arrays, as FlowKeys is for relayed datagrams.
 */
export class EndsKeys {
  readonly #keys: Int32Array;
  readonly #keyBytes: Uint8Array;
  readonly #chains: HashChains;
  readonly #hashKey = crypto.getRandomValues(new Int32Array(2));
  readonly #wanted = new Int32Array(KEY_WORDS);

  /** @param capacity all slots are below it */
  constructor(capacity: number) {
    this.#keys = new Int32Array(capacity * KEY_WORDS);
    this.#keyBytes = new Uint8Array(this.#keys.buffer);
    this.#chains = new HashChains(capacity);
  }

  /** @returns NO_SLOT if there is none */
  find({ client, vip }: Ends): Slot {
    const hash = this.#want(client, vip);
    let slot = this.#chains.first(hash);
    while (slot !== NO_SLOT && !this.#isWanted(slot)) slot = this.#chains.after(slot);
    return slot;
  }

  /** Adds a key that {@link find} has not found. */
  add(slot: Slot, { client, vip }: Ends): void {
    this.#chains.add(slot, this.#want(client, vip));
    this.#keys.set(this.#wanted, slot * KEY_WORDS);
  }

  delete(slot: Slot): void {
    this.#chains.delete(slot);
  }

  /** Copies the addresses and ports of a slot. */
  read(slot: Slot, { client, vip }: Ends): void {
    const start = slot * KEY_WORDS;
    const isV6 = (this.#keys[start] & 0xffff) === AF_INET6;
    client.setBytes(this.#keyBytes, (start + CLIENT_WORD) * 4, isV6, this.#keys[start] >>> 16);
    vip.setBytes(this.#keyBytes, (start + VIP_WORD) * 4, isV6, this.#keys[start + 1]);
  }

  /** @returns the hash of the key, which is then in {@link #wanted} */
  #want(client: SocketAddress, vip: SocketAddress): number {
    const isV6 = client.family === AF_INET6;
    const address = addressAt(0, isV6);
    const key = this.#wanted.fill(0);
    key[0] = client.family | (client.port << 16);
    key[1] = vip.port;
    for (let word = 0; word < addressWords(isV6); word++) {
      key[CLIENT_WORD + word] = client.memory.words[address + word];
      key[VIP_WORD + word] = vip.memory.words[address + word];
    }
    return sipHash(this.#hashKey, key, KEY_WORDS);
  }

  #isWanted(slot: Slot): boolean {
    const start = slot * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) {
      if (this.#keys[start + word] !== this.#wanted[word]) return false;
    }
    return true;
  }
}
