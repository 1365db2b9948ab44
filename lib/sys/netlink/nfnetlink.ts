import { type Attributes, attributesAfter } from './attributes.js';

/** struct nfgenmsg of linux/netfilter/nfnetlink.h: family u8, version u8, resource u16. */
const NFGENMSG_SIZE = 4;

/** What each message of netfilter begins with. @param family AF_INET or AF_INET6; 0 for all */
export function netfilterHeader(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0);
}

/** The attributes of a message of netfilter. @throws SysError with EBADMSG */
export function netfilterAttributes(body: DataView): Attributes {
  return attributesAfter(body, NFGENMSG_SIZE);
}
