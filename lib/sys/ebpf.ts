import { closeSync, openSync } from 'node:fs';
import { arch } from 'node:process';
import { checked, ENOSYS, SysError } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** bpf(2) and linux/bpf.h: numbers of the call, commands, types. */
const NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280, arm: 386, riscv64: 280 };
const NUMBER = NUMBERS[arch];
const MAP_CREATE = 0;
const MAP_UPDATE_ELEM = 2;
const MAP_DELETE_ELEM = 3;
const PROG_LOAD = 5;
const LINK_CREATE = 28;
const MAP_TYPE_HASH = 1;
const NO_PREALLOC = 1;
const PROG_TYPE_SK_LOOKUP = 30;
const SK_LOOKUP = 36;
/**
 * The kernel requires a license. Some of its functions are for programs with a GPL-compatible license only;
 * none of them is used here.
 */
const LICENSE = 'Apache-2.0';

/** `struct bpf_insn`: opcode u8, two registers of four bits, offset s16, immediate s32. */
export interface EbpfInstruction {
  readonly code: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
}

const INSTRUCTION_SIZE = 8;
const PROG_ATTRIBUTES_SIZE = 72;

/** The `union bpf_attr` of a command. */
function attributesOf(size: number, fill: (view: DataView) => void): Memory {
  const attributes = new Memory(size);
  fill(attributes.view);
  return attributes;
}

/**
 * Pointers in `union bpf_attr` have 64 bits on every machine. On a 32-bit machine the upper half stays zero.
 * @param at byte
 */
function setPointer(attributes: Memory, at: number, to: Memory): void {
  attributes.setPointer(at / 4, to);
}

/**
 * @throws SysError: ENOSYS without bpf(2), EPERM without the right to it, EINVAL if the kernel does not know
 *   the command or its attributes
 */
function bpf(what: string, command: number, size: number, attributes: Memory): number {
  if (NUMBER === undefined) throw new SysError('bpf', ENOSYS);
  return checked(what, libc.bpf(NUMBER, command, attributes.address, size));
}

/**
 * A hash map in the kernel: a set of keys that eBPF programs look up. It takes 16 bytes for each key of its
 * capacity, and more memory for each key that it has.
 */
export class KernelSet {
  readonly fd: number;
  readonly #key: Memory;
  readonly #value = new Memory(8);
  /** Made once, because thousands of keys are added at a start. */
  readonly #add: Memory;
  readonly #delete: Memory;

  /** @throws SysError */
  constructor(keySize: number, capacity: number) {
    const fields = [MAP_TYPE_HASH, keySize, 4, capacity, NO_PREALLOC];
    const attributes = attributesOf(20, (view) => {
      for (const [index, field] of fields.entries()) view.setUint32(index * 4, field, true);
    });
    this.fd = bpf('bpf map', MAP_CREATE, 20, attributes);
    this.#key = new Memory(keySize);
    this.#delete = this.#elementAttributes();
    this.#add = this.#elementAttributes();
    setPointer(this.#add, 16, this.#value);
  }

  /** @throws SysError: E2BIG if the set is full */
  add(key: Uint8Array): void {
    this.#key.bytes.set(key);
    bpf('bpf map element', MAP_UPDATE_ELEM, 32, this.#add);
  }

  /** @throws SysError: ENOENT if the set does not have the key */
  delete(key: Uint8Array): void {
    this.#key.bytes.set(key);
    bpf('bpf map element', MAP_DELETE_ELEM, 32, this.#delete);
  }

  close(): void {
    libc.close(this.fd);
  }

  #elementAttributes(): Memory {
    const attributes = attributesOf(32, (view) => view.setUint32(0, this.fd, true));
    setPointer(attributes, 8, this.#key);
    return attributes;
  }
}

/**
 * Attaches a program to this network namespace. The kernel runs it for each packet without a connected
 * socket, before it looks for an unconnected socket (BPF_PROG_TYPE_SK_LOOKUP, Linux 5.9). The program is
 * detached when its descriptor is closed, also when the process is killed.
 * @returns the descriptor
 * @throws SysError
 */
export function attachSocketLookup(program: readonly EbpfInstruction[]): number {
  const programFd = loadSocketLookup(program);
  const namespace = openSync('/proc/self/ns/net', 'r');
  try {
    const attributes = attributesOf(16, (view) => {
      view.setUint32(0, programFd, true);
      view.setUint32(4, namespace, true);
      view.setUint32(8, SK_LOOKUP, true);
    });
    return bpf('bpf link', LINK_CREATE, 16, attributes);
  } finally {
    closeSync(namespace);
    libc.close(programFd);
  }
}

function loadSocketLookup(program: readonly EbpfInstruction[]): number {
  const license = new Memory(LICENSE.length + 1);
  license.bytes.set(Buffer.from(LICENSE));
  const attributes = attributesOf(PROG_ATTRIBUTES_SIZE, (view) => {
    view.setUint32(0, PROG_TYPE_SK_LOOKUP, true);
    view.setUint32(4, program.length, true);
    view.setUint32(68, SK_LOOKUP, true);
  });
  setPointer(attributes, 8, assemble(program));
  setPointer(attributes, 16, license);
  return bpf('bpf program', PROG_LOAD, PROG_ATTRIBUTES_SIZE, attributes);
}

function assemble(program: readonly EbpfInstruction[]): Memory {
  const assembled = new Memory(program.length * INSTRUCTION_SIZE);
  const { view } = assembled;
  for (const [index, { code, to = 0, from = 0, offset = 0, value = 0 }] of program.entries()) {
    const at = index * INSTRUCTION_SIZE;
    view.setUint8(at, code);
    view.setUint8(at + 1, to | (from << 4));
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, value, true);
  }
  return assembled;
}
