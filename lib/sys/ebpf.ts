import { closeSync, openSync } from 'node:fs';
import { arch } from 'node:process';
import { checked, ENOSYS, SysError } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** bpf(2) and linux/bpf.h: numbers of the call, commands, types. */
const CALL: Readonly<Record<string, number>> = { x64: 321, arm64: 280, arm: 386, riscv64: 280 };
const MAP_CREATE = 0;
const MAP_UPDATE_ELEM = 2;
const MAP_DELETE_ELEM = 3;
const PROG_LOAD = 5;
const LINK_CREATE = 28;
const MAP_TYPE_HASH = 1;
const NO_PREALLOC = 1;
const PROG_TYPE_SK_LOOKUP = 30;
const SK_LOOKUP = 36;
/** The kernel wants to know, and lends a few functions to programs with a license like its own only; none of them is used. */
const LICENSE = 'Apache-2.0';

/** `struct bpf_insn`: opcode u8, two registers of four bits, offset s16, immediate s32. */
export interface Instruction {
  readonly code: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
}

const INSTRUCTION_SIZE = 8;
const attributes = new Memory(128);

/** @throws SysError: ENOSYS without bpf(2), EPERM without the right to it, EINVAL where it does not know what is asked */
function bpf(what: string, command: number, size: number, fill: (view: DataView) => void): number {
  const number = CALL[arch];
  if (number === undefined) throw new SysError('bpf', ENOSYS);
  attributes.bytes.fill(0);
  fill(attributes.view);
  return checked(`bpf ${what}`, libc.bpf(number, command, attributes.address, size));
}

/** A hash map of the kernel: a set of keys that programs look up. It takes memory as it fills, beside 16 bytes for each key it may have. */
export class KernelSet {
  readonly fd: number;
  readonly #key: Memory;
  readonly #value = new Memory(8);

  /** @throws SysError */
  constructor(keySize: number, capacity: number) {
    this.#key = new Memory(keySize);
    this.fd = bpf('map', MAP_CREATE, 20, (view) => {
      for (const [index, word] of [MAP_TYPE_HASH, keySize, 4, capacity, NO_PREALLOC].entries()) {
        view.setUint32(index * 4, word, true);
      }
    });
  }

  /** @throws SysError, E2BIG when it is full */
  add(key: Uint8Array): void {
    this.#change(MAP_UPDATE_ELEM, key, this.#value.address);
  }

  /** @throws SysError, ENOENT for a key that is not there */
  delete(key: Uint8Array): void {
    this.#change(MAP_DELETE_ELEM, key, 0);
  }

  close(): void {
    libc.close(this.fd);
  }

  #change(command: number, key: Uint8Array, valueAddress: number): void {
    this.#key.bytes.set(key);
    bpf('map element', command, 32, (view) => {
      view.setUint32(0, this.fd, true);
      view.setBigUint64(8, BigInt(this.#key.address), true);
      view.setBigUint64(16, BigInt(valueAddress), true);
    });
  }
}

/**
 * Has a program asked before the kernel looks for the socket of a packet that no connected socket of this network namespace
 * wants (BPF_PROG_TYPE_SK_LOOKUP, Linux 5.9). It ends with its descriptor, whatever ends the process.
 * @returns the descriptor
 * @throws SysError
 */
export function attachLookup(program: readonly Instruction[]): number {
  const programFd = loadLookup(program);
  const namespace = openSync('/proc/self/ns/net', 'r');
  try {
    return bpf('link', LINK_CREATE, 16, (view) => {
      view.setUint32(0, programFd, true);
      view.setUint32(4, namespace, true);
      view.setUint32(8, SK_LOOKUP, true);
    });
  } finally {
    closeSync(namespace);
    libc.close(programFd);
  }
}

function loadLookup(program: readonly Instruction[]): number {
  const code = new Memory(program.length * INSTRUCTION_SIZE);
  for (const [index, { code: opcode, to = 0, from = 0, offset = 0, value = 0 }] of program.entries()) {
    const at = index * INSTRUCTION_SIZE;
    code.view.setUint8(at, opcode);
    code.view.setUint8(at + 1, to | (from << 4));
    code.view.setInt16(at + 2, offset, true);
    code.view.setInt32(at + 4, value, true);
  }
  const license = new Memory(LICENSE.length + 1);
  license.bytes.set(Buffer.from(LICENSE));
  return bpf('program', PROG_LOAD, 72, (view) => {
    view.setUint32(0, PROG_TYPE_SK_LOOKUP, true);
    view.setUint32(4, program.length, true);
    view.setBigUint64(8, BigInt(code.address), true);
    view.setBigUint64(16, BigInt(license.address), true);
    view.setUint32(68, SK_LOOKUP, true);
  });
}
