import koffi from 'koffi';

/**
 * A block of memory that both JavaScript and the kernel see.
 *
 * It is the store of an ArrayBuffer: zeroed, page-lazy when large, never moved by the garbage collector. It
 * lives as long as this object: whoever stores `address` in a kernel structure must keep the Memory too.
 */
export class Memory {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** 32-bit words; only present in full words, as every block is a multiple of 8 bytes. */
  readonly words: Int32Array;

  /** @param size bytes, rounded up to a multiple of 8 */
  constructor(size: number) {
    const buffer = new ArrayBuffer((size + 7) & ~7);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.address = Number(koffi.address(this.bytes));
  }
}

/** Makes existing foreign memory visible. The caller answers for its lifetime. */
export function viewForeign(address: number, size: number): ArrayBuffer {
  return koffi.view(address, size);
}
