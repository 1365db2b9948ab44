import { type Attributes, attributesAfter } from './attributes.js';

/** struct nfgenmsg of linux/netfilter/nfnetlink.h: family u8, version u8, resource u16. */
const NFGENMSG_SIZE = 4;

/**
 * The header at the beginning of each netfilter message.
 * @param family AF_INET or AF_INET6; 0: all
 * @param resource for packet queues, the number of the queue
 */
export function netfilterHeader(family: number, resource = 0): Uint8Array {
  return Uint8Array.of(family, 0, resource >>> 8, resource & 0xff);
}

/** The attributes of a netfilter message. @throws SysError with EBADMSG */
export function netfilterAttributes(body: DataView): Attributes {
  return attributesAfter(body, NFGENMSG_SIZE);
}
