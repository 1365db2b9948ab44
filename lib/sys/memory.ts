import koffi from 'koffi';
import { storePointer } from './layout.js';

/**
 * A block of memory that JavaScript and the kernel both use.
 *
 * It is the store of an ArrayBuffer. It is zeroed, the garbage collector never moves it, and a large block
 * takes pages only when they are used. It lives as long as this object or a block that points to it (see
 * {@link setPointer}).
 */
export class Memory {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The block as 32-bit words. The size of every block is a multiple of 8 bytes. */
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
   * Writes a pointer to another block. From then on that block lives as long as this one, because the garbage
   * collector does not see pointers for the kernel.
   * @param word position of the pointer in this block, index of a 32-bit word
   * @param offset position in the other block, bytes
   */
  setPointer(word: number, to: Memory, offset = 0): void {
    storePointer(this.words, word, to.address + offset);
    this.#pointees ??= new Set();
    this.#pointees.add(to);
  }
}

/**
 * Shows memory of another owner as an ArrayBuffer. The caller must know that the memory lives long enough.
 */
export function viewForeign(address: number, size: number): ArrayBuffer {
  return koffi.view(address, size);
}
