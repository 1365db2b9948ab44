/**
 * Sizes and offsets of the kernel's structures, in bytes. They depend on the machine: `epoll_event` is packed
 * on x86-64 only, and a structure with a pointer or a size_t depends on the size of pointers.
 */
export interface Layout {
  readonly pointer: 4 | 8;
  readonly epollEvent: { readonly size: number; readonly data: number };
  readonly iovec: { readonly size: number; readonly length: number };
  readonly msghdr: {
    readonly size: number;
    readonly name: number;
    readonly nameLength: number;
    readonly iov: number;
    readonly iovLength: number;
    readonly control: number;
    readonly controlLength: number;
    readonly flags: number;
  };
  readonly mmsghdr: { readonly size: number; readonly length: number };
  readonly cmsghdr: { readonly level: number; readonly type: number; readonly data: number };
}

const bits64 = {
  pointer: 8,
  iovec: { size: 16, length: 8 },
  msghdr: {
    size: 56,
    name: 0,
    nameLength: 8,
    iov: 16,
    iovLength: 24,
    control: 32,
    controlLength: 40,
    flags: 48,
  },
  mmsghdr: { size: 64, length: 56 },
  cmsghdr: { level: 8, type: 12, data: 16 },
} as const;

const bits32 = {
  pointer: 4,
  iovec: { size: 8, length: 4 },
  msghdr: {
    size: 28,
    name: 0,
    nameLength: 4,
    iov: 8,
    iovLength: 12,
    control: 16,
    controlLength: 20,
    flags: 24,
  },
  mmsghdr: { size: 32, length: 28 },
  cmsghdr: { level: 4, type: 8, data: 12 },
} as const;

/** The layout for a value of `process.arch`. */
export function layoutFor(arch: string): Layout {
  switch (arch) {
    case 'x64':
      return { ...bits64, epollEvent: { size: 12, data: 4 } };
    case 'arm64':
    case 'riscv64':
    case 'loong64':
      return { ...bits64, epollEvent: { size: 16, data: 8 } };
    case 'arm':
      return { ...bits32, epollEvent: { size: 16, data: 8 } };
    default:
      throw new Error(
        `kube-portal has no memory layout for ${arch}; supported: x64, arm64, arm, riscv64, loong64`,
      );
  }
}

export const layout = layoutFor(process.arch);

/** CMSG_SPACE of the C library: the bytes that a control message with `length` bytes of data takes. */
export function cmsgSpace(length: number): number {
  const align = (n: number) => (n + layout.pointer - 1) & -layout.pointer;
  return align(layout.cmsghdr.data) + align(length);
}

/** Writes a pointer into 32-bit words, without a BigInt. @param word index of a word, not of a byte */
export function storePointer(words: Int32Array, word: number, address: number): void {
  words[word] = address | 0;
  if (layout.pointer === 8) words[word + 1] = Math.floor(address / 2 ** 32);
}
