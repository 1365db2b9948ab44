import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';

/** Port numbers are counted apart for each protocol in each IP family. */
export type PortSpace = `${Protocol}/${Family}`;

export function spaceOf({ protocol, family }: { protocol: Protocol; family: Family }): PortSpace {
  return `${protocol}/${family}`;
}

/** A portal's key ends in its protocol and family, see {@link Portal.key}. */
export function spaceOfKey(key: string): PortSpace {
  return key.split('/').slice(-2).join('/') as PortSpace;
}

/** The family of a portal with this key. */
export function familyOfKey(key: string): Family {
  return key.split('/').at(-1) as Family;
}

/** The protocol of a portal with this key. */
export function protocolOfKey(key: string): Protocol {
  return key.split('/').at(-2) as Protocol;
}
