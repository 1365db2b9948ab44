import { AF_INET6 } from '../../sys/constants.js';
import { addressText } from '../../sys/sockaddr.js';
import type { ClientKey } from './affinity.js';

/** The client address of a sockaddr that starts at word `at`, as an affinity key; the port does not count. */
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
