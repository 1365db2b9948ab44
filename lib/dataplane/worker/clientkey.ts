import { addressBytes, addressText } from '../../net/address.js';
import { addressAt, addressWords, isV6At } from '../../sys/sockaddrwords.js';

/** A client as a map key: its IPv4 address as a number, its IPv6 address as eight hexadecimal words. */
export type ClientKey = number | string;

/** The client whose sockaddr starts at word `at`. The port is not part of the key. */
export function clientKey(words: Int32Array, at: number): ClientKey {
  if (!isV6At(words, at)) return words[addressAt(at, false)];
  let key = '';
  const first = addressAt(at, true);
  for (let word = first; word < first + addressWords(true); word++) key += `${words[word].toString(16)}:`;
  return key;
}

/** The address that a key stands for. */
export function clientAddress(key: ClientKey): string {
  // The bytes in network order, in a word of a machine that is little endian.
  if (typeof key === 'number') return `${key & 255}.${(key >>> 8) & 255}.${(key >>> 16) & 255}.${key >>> 24}`;
  const words = key.split(':', 4).map((word) => Number.parseInt(word, 16));
  return addressText(new Uint8Array(Int32Array.from(words).buffer));
}

/** The key of the client with this address. @throws TypeError if it is no IP address */
export function clientKeyOf(address: string): ClientKey {
  const words = new Int32Array(Uint8Array.from(addressBytes(address)).buffer);
  return words.length === 1 ? words[0] : Array.from(words, (word) => `${word.toString(16)}:`).join('');
}
