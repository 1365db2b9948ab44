import koffi from 'koffi';
import { storePointer } from './layout.js';

/**
 * A block of memory that both JavaScript and the kernel see.
 *
 * It is the store of an ArrayBuffer: zeroed, page-lazy when large, never moved by the garbage collector. It
 * lives as long as this object, and as long as a block that points to it: see {@link setPointer}.
 */
export class Memory {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** 32-bit words; only present in full words, as every block is a multiple of 8 bytes. */
  readonly words: Int32Array;
  #pointees: Set<Memory> | null = null;

  /** @param size bytes, rounded up to a multiple of 8 */
  constructor(size: number) {
    const buffer = new ArrayBuffer((size + 7) & ~7);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.address = Number(koffi.address(this.bytes));
  }

  /**
   * Writes a pointer to another block, which from now on lives as long as this one. The kernel reads pointers
   * that the garbage collector does not see.
   * @param word where in this block, index of 32-bit words
   * @param offset where in the other one, bytes
   */
  setPointer(word: number, to: Memory, offset = 0): void {
    storePointer(this.words, word, to.address + offset);
    this.#pointees ??= new Set();
    this.#pointees.add(to);
  }
}

/** Makes existing foreign memory visible. The caller answers for its lifetime. */
export function viewForeign(address: number, size: number): ArrayBuffer {
  return koffi.view(address, size);
}
