import { SOL_SOCKET } from './constants.js';
import { layout } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/**
 * Opcodes of classic BPF (linux/bpf_common.h): load a constant into the accumulator or into X; load a word at
 * an absolute offset, or at one that counts from X; AND and modulo with a constant; jump if equal, or if
 * greater or equal; copy the accumulator to X; return a constant; return the accumulator.
 */
export const BPF_LD_IMM = 0x00;
export const BPF_LDX_IMM = 0x01;
export const BPF_LD_W_ABS = 0x20;
export const BPF_LD_W_IND = 0x40;
export const BPF_AND_K = 0x54;
export const BPF_MOD_K = 0x94;
export const BPF_JEQ_K = 0x15;
export const BPF_JGE_K = 0x35;
export const BPF_TAX = 0x07;
export const BPF_RET_K = 0x06;
export const BPF_RET_A = 0x16;
/** Added to an offset that counts from the network header (SKF_NET_OFF, -0x100000). */
export const NET_HEADER = 0xfff00000;
/**
 * Instead of an offset: finds the netlink attribute whose type is in X, from the byte in the accumulator on
 * (SKF_AD_OFF + SKF_AD_NLATTR). The result is its position; 0: there is none.
 */
export const NETLINK_ATTRIBUTE = 0xfffff00c;

/** A `struct sock_filter`. `otherwiseSkip`: the number of instructions that a failed comparison skips. */
export interface ClassicInstruction {
  readonly code: number;
  readonly k: number;
  readonly otherwiseSkip?: number;
}

const INSTRUCTION_SIZE = 8;

/**
 * Gives a socket a classic BPF program.
 * @param option SO_ATTACH_FILTER or SO_ATTACH_REUSEPORT_CBPF
 * @returns false if the kernel refuses it; `errno()` then tells the reason
 */
export function attachProgram(
  fd: number,
  option: number,
  instructions: readonly ClassicInstruction[],
): boolean {
  const code = new Memory(instructions.length * INSTRUCTION_SIZE);
  for (const [index, { code: opcode, k, otherwiseSkip = 0 }] of instructions.entries()) {
    code.view.setUint16(index * INSTRUCTION_SIZE, opcode, true);
    code.view.setUint8(index * INSTRUCTION_SIZE + 3, otherwiseSkip);
    code.view.setUint32(index * INSTRUCTION_SIZE + 4, k, true);
  }
  const program = new Memory(2 * layout.pointer);
  program.view.setUint16(0, instructions.length, true);
  program.setPointer(layout.pointer / 4, code);
  return libc.setsockopt(fd, SOL_SOCKET, option, program.address, 2 * layout.pointer) === 0;
}
