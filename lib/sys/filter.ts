import { parseCidr } from '../net/cidr.js';
import {
  attachProgram,
  BPF_AND_K,
  BPF_JEQ_K,
  BPF_LD_W_ABS,
  BPF_RET_K,
  type ClassicInstruction,
  NET_HEADER,
} from './bpf.js';
import { SO_ATTACH_FILTER, SO_DETACH_FILTER, SOL_SOCKET } from './constants.js';
import { ENOENT, errno } from './errno.js';
import { setOption } from './options.js';

/** Offset of the source address in the network header, by the size of the address in bytes. */
const SOURCE_OFFSET = new Map([
  [4, 12],
  [16, 8],
]);
const PASS: ClassicInstruction = { code: BPF_RET_K, k: 0xffffffff };
const DROP: ClassicInstruction = { code: BPF_RET_K, k: 0 };

/**
 * Makes the kernel drop the packets that come to a socket, without a reset or an ICMP error (socket(7),
 * SO_ATTACH_FILTER). A listening TCP socket ignores connection attempts, and accepted sockets inherit the
 * filter.
 *
 * @param cidrs clients of the socket's family whose packets are not dropped; an address without a prefix is a
 *   range of one
 * @returns false if the kernel refuses the filter; `errno()` is then EINVAL for more than 4096 instructions,
 *   ENOMEM for more than net.core.optmem_max bytes of instructions
 */
export function ignoreAllBut(fd: number, cidrs: readonly string[]): boolean {
  return attachProgram(fd, SO_ATTACH_FILTER, [...cidrs.flatMap(passRange), DROP]);
}

/**
 * Removes the filter of {@link ignoreAllBut}, if there is one.
 * @returns false if the kernel refuses; `errno()` then tells the reason
 */
export function ignoreNobody(fd: number): boolean {
  return setOption(fd, SOL_SOCKET, SO_DETACH_FILTER, 0) || errno() === ENOENT;
}

/** One comparison for each word of the prefix. The first comparison that fails skips to the next range. */
function passRange(cidr: string): ClassicInstruction[] {
  const { bytes, prefix: bits } = parseCidr(cidr);
  const view = new DataView(Uint8Array.from(bytes).buffer);
  const words = Math.ceil(bits / 32);
  return Array.from({ length: words }, (_, word) => {
    const mask = word < words - 1 || bits % 32 === 0 ? 0xffffffff : (0xffffffff << (32 - (bits % 32))) >>> 0;
    const instructionsAfter = (words - 1 - word) * 3 + 1;
    return [
      { code: BPF_LD_W_ABS, k: NET_HEADER + (SOURCE_OFFSET.get(bytes.length) as number) + word * 4 },
      { code: BPF_AND_K, k: mask },
      { code: BPF_JEQ_K, k: (view.getUint32(word * 4) & mask) >>> 0, otherwiseSkip: instructionsAfter },
    ];
  })
    .flat()
    .concat(PASS);
}
