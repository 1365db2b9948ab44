import { addressText } from '../../net/address.js';
import { AF_INET6 } from '../../sys/constants.js';

/** A client as a map key: its IPv4 address as a number, its IPv6 address as eight hexadecimal words. */
export type ClientKey = number | string;

/** The client of a sockaddr that starts at word `at`; the port does not count. */
export function clientKey(words: Int32Array, at: number): ClientKey {
  if ((words[at] & 0xffff) !== AF_INET6) return words[at + 1];
  let key = '';
  for (let word = at + 2; word < at + 6; word++) key += `${words[word].toString(16)}:`;
  return key;
}

/** The address that a key stands for. */
export function clientAddress(key: ClientKey): string {
  const words = typeof key === 'number' ? [key] : key.split(':', 4).map((word) => Number.parseInt(word, 16));
  return addressText(new Uint8Array(Int32Array.from(words).buffer));
}
