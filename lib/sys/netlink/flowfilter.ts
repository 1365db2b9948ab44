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

/** A flow matches if it has all the values that the filter gives. */
export interface FlowFilter {
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly original?: PartialTuple;
  readonly reply?: PartialTuple;
}

/** What the kernel can compare where several marks are wanted: the bits that they have in common. */
export function commonBits(marks: readonly number[], mask: number): NonNullable<FlowFilter['mark']> {
  const common = marks.reduce((bits, mark) => bits & ~(mark ^ marks[0]), mask);
  return { value: marks[0] & common, mask: common };
}

/**
 * The attributes that make the kernel list matching flows only. The kernel compares marks from Linux 3.8 on,
 * and tuples from 5.8 on. An older kernel ignores these attributes and lists all flows, so {@link matches}
 * must be called in any case.
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
 * The tuple without IPv6 addresses. The kernel compares them the wrong way round: it leaves out the flows
 * whose addresses are equal (ctnetlink_filter_match_tuple, from 5.8 on and still in 6.18).
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

/** These flags are in the byte order of the machine. All other numbers of netfilter are in network order. */
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
