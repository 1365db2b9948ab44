import { attribute, type Encoded, nested, uint32 } from './attributes.js';
import { CTA_MARK, CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, type Flow } from './flow.js';
import { encodeTuple, type PartialEnd, type PartialTuple, SIDES, type Tuple } from './tuple.js';

/** linux/netfilter/nfnetlink_conntrack.h: enum ctattr_type and ctattr_filter. */
const CTA_MARK_MASK = 21;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** CTA_FILTER_F_* of net/netfilter/nf_internals.h: the parts of a tuple that the kernel compares. */
const COMPARED_ADDRESS = { source: 1 << 0, destination: 1 << 1 } as const;
const COMPARED_PROTOCOL = 1 << 3;
const COMPARED_PORT = { source: 1 << 4, destination: 1 << 5 } as const;

/** Which flows are wanted: those that agree with all that is given. */
export interface FlowFilter {
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly original?: PartialTuple;
  readonly reply?: PartialTuple;
}

/**
 * The attributes by which the kernel lists such flows only. It compares marks from Linux 3.8 on, tuples from
 * 5.8 on; an older one skips what it does not know and lists all,
 * so that {@link matches} must have a look all the same.
 */
export function encodeFilter({ mark, original, reply }: FlowFilter): Encoded[] {
  const attributes: Encoded[] = [];
  if (mark !== undefined) attributes.push(uint32(CTA_MARK, mark.value), uint32(CTA_MARK_MASK, mark.mask));
  const forKernel = { original: comparable(original), reply: comparable(reply) };
  attributes.push(
    encodeTuple(CTA_TUPLE_ORIG, forKernel.original),
    encodeTuple(CTA_TUPLE_REPLY, forKernel.reply),
  );
  const flags = [
    flagsOf(CTA_FILTER_ORIG_FLAGS, forKernel.original),
    flagsOf(CTA_FILTER_REPLY_FLAGS, forKernel.reply),
  ];
  attributes.push(nested(CTA_FILTER, ...flags));
  return attributes;
}

/**
 * Without IPv6 addresses: where the kernel compares them, it leaves out just those that are equal
 * (ctnetlink_filter_match_tuple, from 5.8 on and still in 6.18).
 */
function comparable(tuple: PartialTuple = {}): PartialTuple {
  return {
    protocol: tuple.protocol,
    source: comparableEnd(tuple.source),
    destination: comparableEnd(tuple.destination),
  };
}

function comparableEnd({ address, port }: PartialEnd = {}): PartialEnd {
  return { port, address: address?.length === 4 ? address : undefined };
}

/**
 * These are in the order of the machine, as the kernel's own numbers,
 * where the rest of netfilter has network order.
 */
function flagsOf(type: number, tuple: PartialTuple): Encoded {
  let flags = tuple.protocol === undefined ? 0 : COMPARED_PROTOCOL;
  for (const side of SIDES) {
    if (tuple[side]?.address !== undefined) flags |= COMPARED_ADDRESS[side];
    if (tuple[side]?.port !== undefined) flags |= COMPARED_PORT[side];
  }
  return attribute(type, [flags, 0, 0, 0]);
}

export function matches({ mark, original, reply }: FlowFilter, flow: Flow): boolean {
  if (mark !== undefined && ((flow.mark ^ mark.value) & mark.mask) !== 0) return false;
  return agrees(original, flow.original) && agrees(reply, flow.reply);
}

function agrees(wanted: PartialTuple | undefined, tuple: Tuple): boolean {
  if (wanted === undefined) return true;
  if (wanted.protocol !== undefined && wanted.protocol !== tuple.protocol) return false;
  return SIDES.every((side) => {
    const { address, port } = wanted[side] ?? {};
    if (port !== undefined && port !== tuple[side].port) return false;
    return address === undefined || Buffer.compare(address, tuple[side].address) === 0;
  });
}
