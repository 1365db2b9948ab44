import { AF_INET6, IPPROTO_UDP } from './constants.js';
import type { EbpfInstruction, KernelSet } from './ebpf.js';

/**
 * Bytes of a key: an address (IPv4 as ::ffff:a.b.c.d), then one word with the port and, in the upper half,
 * the protocol. The word is 0 in the key that gates the address.
 */
export const KEY_SIZE = 20;
export const PORT_OFFSET = 16;
const MAPPED_WORD = 0xffff0000;

/** `struct bpf_sk_lookup` */
const FAMILY = 8;
const PROTOCOL = 12;
const REMOTE = { address4: 16, address6: 20, port: 36 };
const LOCAL = { address4: 40, address6: 44, port: 60 };

/**
 * Registers. R0 has the result of a call, ARG1 and ARG2 its arguments. Calls keep CONTEXT. STACK_END is the
 * end of the stack.
 */
const R0 = 0;
const ARG1 = 1;
const ARG2 = 2;
const SCRATCH = 3;
const CONTEXT = 6;
const STACK_END = 10;
const KEY_ON_STACK = -KEY_SIZE;

const PASS = 1;
const DROP = 0;
const MAP_LOOKUP_ELEM = 1;

const move = (to: number, from: number): EbpfInstruction => ({ code: 0xbf, to, from });
const set = (to: number, value: number): EbpfInstruction => ({ code: 0xb7, to, value });
const add = (to: number, value: number): EbpfInstruction => ({ code: 0x07, to, value });
const shiftLeft = (to: number, value: number): EbpfInstruction => ({ code: 0x67, to, value });
const or = (to: number, from: number): EbpfInstruction => ({ code: 0x4f, to, from });
/** From network byte order to the order of the CPU. */
const swap16 = (to: number): EbpfInstruction => ({ code: 0xdc, to, value: 16 });
const load32 = (to: number, from: number, offset: number): EbpfInstruction => ({
  code: 0x61,
  to,
  from,
  offset,
});
const load16 = (to: number, from: number, offset: number): EbpfInstruction => ({
  code: 0x69,
  to,
  from,
  offset,
});
const store32 = (from: number, offset: number): EbpfInstruction => ({
  code: 0x63,
  to: STACK_END,
  from,
  offset,
});
const storeConstant = (value: number, offset: number): EbpfInstruction => ({
  code: 0x62,
  to: STACK_END,
  value,
  offset,
});
/** `offset` is the number of instructions to skip, in all jumps. */
const skip = (offset: number): EbpfInstruction => ({ code: 0x05, offset });
const skipIfEqual = (to: number, value: number, offset: number): EbpfInstruction => ({
  code: 0x15,
  to,
  value,
  offset,
});
const skipUnlessEqual = (to: number, value: number, offset: number): EbpfInstruction => ({
  code: 0x55,
  to,
  value,
  offset,
});
const RETURN: EbpfInstruction = { code: 0x95 };

/** Writes an address of the context into the key, with port word 0. */
function storeAddress({ address4, address6 }: typeof LOCAL): EbpfInstruction[] {
  const v6 = [0, 4, 8, 12].flatMap((at) => [
    load32(SCRATCH, CONTEXT, address6 + at),
    store32(SCRATCH, KEY_ON_STACK + at),
  ]);
  const v4 = [
    storeConstant(0, KEY_ON_STACK),
    storeConstant(0, KEY_ON_STACK + 4),
    storeConstant(MAPPED_WORD, KEY_ON_STACK + 8),
    load32(SCRATCH, CONTEXT, address4),
    store32(SCRATCH, KEY_ON_STACK + 12),
    skip(v6.length),
  ];
  return [
    load32(SCRATCH, CONTEXT, FAMILY),
    skipIfEqual(SCRATCH, AF_INET6, v4.length),
    ...v4,
    ...v6,
    storeConstant(0, KEY_ON_STACK + PORT_OFFSET),
  ];
}

/** Writes the port in {@link SCRATCH} and the protocol into the key. */
const STORE_PORT = [
  load32(ARG1, CONTEXT, PROTOCOL),
  shiftLeft(ARG1, 16),
  or(SCRATCH, ARG1),
  store32(SCRATCH, KEY_ON_STACK + PORT_OFFSET),
];

/** Looks the key up. {@link R0} is 0 if the set does not have it. */
function lookUp(gateKeys: KernelSet): EbpfInstruction[] {
  return [
    // Two instructions load the map of a descriptor (BPF_PSEUDO_MAP_FD).
    { code: 0x18, to: ARG1, from: 1, value: gateKeys.fd },
    { code: 0 },
    move(ARG2, STACK_END),
    add(ARG2, KEY_ON_STACK),
    { code: 0x85, value: MAP_LOOKUP_ELEM },
  ];
}

const end = (verdict: number): EbpfInstruction[] => [set(R0, verdict), RETURN];

/**
 * Drops a packet to a closed port of a gated address. The kernel then refuses the client, as if no socket
 * listened. Answers from a VIP to the node's own programs must pass: a program of the node that sends UDP to
 * a VIP has the VIP itself as its source address.
 */
export function programFor(gateKeys: KernelSet): EbpfInstruction[] {
  return [
    move(CONTEXT, ARG1),
    ...storeAddress(LOCAL),
    ...lookUp(gateKeys),
    skipUnlessEqual(R0, 0, 2),
    ...end(PASS),
    load32(SCRATCH, CONTEXT, LOCAL.port),
    ...STORE_PORT,
    ...lookUp(gateKeys),
    skipIfEqual(R0, 0, 2),
    ...end(PASS),
    load32(SCRATCH, CONTEXT, PROTOCOL),
    skipIfEqual(SCRATCH, IPPROTO_UDP, 2),
    ...end(DROP),
    ...storeAddress(REMOTE),
    load16(SCRATCH, CONTEXT, REMOTE.port),
    swap16(SCRATCH),
    ...STORE_PORT,
    ...lookUp(gateKeys),
    skipIfEqual(R0, 0, 2),
    ...end(PASS),
    ...end(DROP),
  ];
}
