import { AF_INET6, SO_ATTACH_REUSEPORT_CBPF, SOL_SOCKET } from './constants.js';
import { layout, storePointer } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** Classic BPF opcodes, linux/bpf_common.h: load an absolute word, modulo a constant, return the accumulator. */
const BPF_LD_W_ABS = 0x20;
const BPF_ALU_MOD_K = 0x94;
const BPF_RET_A = 0x16;
/** Offsets from here on count from the network header (SKF_NET_OFF, -0x100000). */
const NET_HEADER = 0xfff00000;
const IPV4_SOURCE = 12;
/** The last word: the part of an IPv6 address that differs between the hosts of one prefix. */
const IPV6_SOURCE_LOW = 20;

/**
 * Makes the kernel choose the socket of a reuseport group by client address, so that one client always meets the
 * same worker, on every port and protocol. Attach to any socket of the group; the sockets' order of binding is
 * their index. Needs Linux 4.5 (UDP), 4.6 (TCP).
 * @returns false where the kernel refuses
 */
export function steerByClientAddress(fd: number, family: number, sockets: number): boolean {
  const source = NET_HEADER + (family === AF_INET6 ? IPV6_SOURCE_LOW : IPV4_SOURCE);
  const instructions = [
    [BPF_LD_W_ABS, source],
    [BPF_ALU_MOD_K, sockets],
    [BPF_RET_A, 0],
  ];
  const filter = new Memory(instructions.length * 8);
  instructions.forEach(([code, k], index) => {
    filter.view.setUint16(index * 8, code, true);
    filter.view.setUint32(index * 8 + 4, k, true);
  });
  const program = new Memory(2 * layout.pointer);
  program.view.setUint16(0, instructions.length, true);
  storePointer(program.words, layout.pointer / 4, filter.address);
  const length = 2 * layout.pointer;
  return libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program.address, length) === 0;
}
