import { parseCidr } from '../../net/cidr.js';
import { addressAt, addressWords } from '../../sys/sockaddrwords.js';

/**
 * A set of CIDRs of one family. It is asked for every new client, so it compares the words of the kernel's
 * sockaddr and makes no garbage.
 */
export class AddressRanges {
  readonly #isV6: boolean;
  /** A mask and a value for each range and each word of an address: `word & mask` must equal the value. */
  readonly #masks: Int32Array;
  readonly #values: Int32Array;

  /** @param cidrs a plain address is a range of one address */
  constructor(cidrs: readonly string[], isV6: boolean) {
    this.#isV6 = isV6;
    const words = addressWords(isV6);
    this.#masks = new Int32Array(cidrs.length * words);
    this.#values = new Int32Array(cidrs.length * words);
    for (const [index, cidr] of cidrs.entries()) {
      const { bytes, prefix } = parseCidr(cidr);
      const network = new Int32Array(Uint8Array.from(bytes).buffer);
      for (let word = 0; word < words; word++) {
        const mask = networkMask(prefix - word * 32);
        this.#masks[index * words + word] = mask;
        this.#values[index * words + word] = network[word] & mask;
      }
    }
  }

  /** Whether a range contains the address of the sockaddr that starts at word `start`. */
  has(sockaddr: Int32Array, start: number): boolean {
    const at = addressAt(start, this.#isV6);
    const words = addressWords(this.#isV6);
    for (let range = 0; range < this.#masks.length; range += words) {
      let word = 0;
      while (word < words && this.#matches(range + word, sockaddr[at + word])) word++;
      if (word === words) return true;
    }
    return false;
  }

  #matches(index: number, value: number): boolean {
    return (value & this.#masks[index]) === this.#values[index];
  }
}

const cell = new DataView(new ArrayBuffer(4));
const host = new Int32Array(cell.buffer);

/** A mask with the first `bits` of 32 set, in network byte order as a word of this machine. */
function networkMask(bits: number): number {
  cell.setInt32(0, bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits), false);
  return host[0];
}
