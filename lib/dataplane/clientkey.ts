import { AF_INET6 } from '../sys/constants.js';
import type { ClientKey } from './affinity.js';

/** The client address of a sockaddr that starts at word `at`, as an affinity key; the port does not count. */
export function clientKey(words: Int32Array, at: number): ClientKey {
  if ((words[at] & 0xffff) !== AF_INET6) return words[at + 1];
  let key = '';
  for (let word = at + 2; word < at + 6; word++) key += `${words[word].toString(16)}:`;
  return key;
}
