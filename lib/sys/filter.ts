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

/** Offsets of the source address, by its size in bytes. */
const SOURCE = new Map([
  [4, 12],
  [16, 8],
]);
const PASS: ClassicInstruction = { code: BPF_RET_K, k: 0xffffffff };
const DROP: ClassicInstruction = { code: BPF_RET_K, k: 0 };

/**
 * Makes the kernel drop what comes to a socket, as if nobody were there at all: no reset, no ICMP error
 * (socket(7), SO_ATTACH_FILTER). A listening TCP socket ignores connection attempts,
 * and what it accepts inherits the filter.
 *
 * @param cidrs clients of the socket's family that are heard all the same; a plain address is a range of one
 * @returns false where the kernel refuses, and `errno()` says why: EINVAL for more than 4096 instructions,
 *   ENOMEM for more than net.core.optmem_max bytes of them
 */
export function ignoreAllBut(fd: number, cidrs: readonly string[]): boolean {
  return attachProgram(fd, SO_ATTACH_FILTER, [...cidrs.flatMap(passRange), DROP]);
}

/**
 * Takes back {@link ignoreAllBut}, if need be.
 * @returns false where the kernel refuses; `errno()` then says why
 */
export function ignoreNobody(fd: number): boolean {
  return setOption(fd, SOL_SOCKET, SO_DETACH_FILTER, 0) || errno() === ENOENT;
}

/**
 * One comparison for each word that the prefix reaches into; the first that fails skips to the next range.
 */
function passRange(cidr: string): ClassicInstruction[] {
  const { bytes, prefix: bits } = parseCidr(cidr);
  const view = new DataView(Uint8Array.from(bytes).buffer);
  const words = Math.ceil(bits / 32);
  return Array.from({ length: words }, (_, word) => {
    const mask = word < words - 1 || bits % 32 === 0 ? 0xffffffff : (0xffffffff << (32 - (bits % 32))) >>> 0;
    const instructionsAfter = (words - 1 - word) * 3 + 1;
    return [
      { code: BPF_LD_W_ABS, k: NET_HEADER + (SOURCE.get(bytes.length) as number) + word * 4 },
      { code: BPF_AND_K, k: mask },
      { code: BPF_JEQ_K, k: (view.getUint32(word * 4) & mask) >>> 0, otherwiseSkip: instructionsAfter },
    ];
  })
    .flat()
    .concat(PASS);
}
