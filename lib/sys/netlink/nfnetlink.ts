import { type Attributes, attributesAfter } from './attributes.js';

/** struct nfgenmsg of linux/netfilter/nfnetlink.h: family u8, version u8, resource u16. */
const NFGENMSG_SIZE = 4;

/** The header at the beginning of each netfilter message. @param family AF_INET or AF_INET6; 0: all */
export function netfilterHeader(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0);
}

/** The attributes of a netfilter message. @throws SysError with EBADMSG */
export function netfilterAttributes(body: DataView): Attributes {
  return attributesAfter(body, NFGENMSG_SIZE);
}
