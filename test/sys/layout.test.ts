import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { cmsgSpace, type Layout, layout, layoutFor, storePointer } from '../../lib/sys/layout.js';

/** C expression → its value, as {@link Layout} has it. */
function expressionsOf(layout: Layout): Record<string, number> {
  const { epollEvent, iovec, msghdr, mmsghdr, cmsghdr } = layout;
  return {
    'sizeof(void *)': layout.pointer,
    'sizeof(struct epoll_event)': epollEvent.size,
    'offsetof(struct epoll_event, data)': epollEvent.data,
    'sizeof(struct iovec)': iovec.size,
    'offsetof(struct iovec, iov_len)': iovec.length,
    'sizeof(struct msghdr)': msghdr.size,
    'offsetof(struct msghdr, msg_name)': msghdr.name,
    'offsetof(struct msghdr, msg_namelen)': msghdr.nameLength,
    'offsetof(struct msghdr, msg_iov)': msghdr.iov,
    'offsetof(struct msghdr, msg_iovlen)': msghdr.iovLength,
    'offsetof(struct msghdr, msg_control)': msghdr.control,
    'offsetof(struct msghdr, msg_controllen)': msghdr.controlLength,
    'offsetof(struct msghdr, msg_flags)': msghdr.flags,
    'sizeof(struct mmsghdr)': mmsghdr.size,
    'offsetof(struct mmsghdr, msg_len)': mmsghdr.length,
    'offsetof(struct cmsghdr, cmsg_level)': cmsghdr.level,
    'offsetof(struct cmsghdr, cmsg_type)': cmsghdr.type,
    'CMSG_LEN(0)': cmsghdr.data,
  };
}

/** Offsets that are numbers in lib/sys/steering.ts and lib/sys/sockaddr.ts. */
const OTHERS: Record<string, number> = {
  'CMSG_SPACE(2)': cmsgSpace(2),
  'CMSG_SPACE(12)': cmsgSpace(12),
  'CMSG_SPACE(20)': cmsgSpace(20),
  'sizeof(struct sock_filter)': 8,
  'sizeof(struct sock_fprog)': 2 * layout.pointer,
  'offsetof(struct sock_fprog, filter)': layout.pointer,
  'sizeof(struct sockaddr_in)': 16,
  'offsetof(struct sockaddr_in, sin_addr)': 4,
  'sizeof(struct sockaddr_in6)': 28,
  'offsetof(struct sockaddr_in6, sin6_addr)': 8,
};

function compile(expressions: readonly string[]): Record<string, number> {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-layout-'));
  try {
    const program = join(directory, 'print');
    const lines = expressions.map((text) => `printf("%zu\\t%s\\n", (size_t)(${text}), "${text}");`);
    const source = `
      #define _GNU_SOURCE
      #include <stddef.h>
      #include <stdio.h>
      #include <netinet/in.h>
      #include <sys/epoll.h>
      #include <sys/socket.h>
      #include <sys/uio.h>
      #include <linux/filter.h>
      int main(void) { ${lines.join('\n')} }`;
    const { status, stderr } = spawnSync('gcc', ['-x', 'c', '-', '-o', program], { input: source });
    if (status !== 0) throw new Error(`gcc: ${stderr}`);
    const { stdout } = spawnSync(program, { encoding: 'utf8' });
    const rows = stdout.trim().split('\n');
    return Object.fromEntries(rows.map((row) => row.split('\t').reverse()).map(([k, v]) => [k, Number(v)]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

t.test('this machine: the layout is that of its C compiler', async (t) => {
  const ours = { ...expressionsOf(layout), ...OTHERS };
  t.same(compile(Object.keys(ours)), ours);
});

/*
 * The values of the expressions above, in that order, from Debian 12's C compilers for these machines (gcc
 * 12.2, glibc 2.36, Linux 6.1 headers). They are from the assembly output of the cross compilers, because the
 * programs do not run here. Debian has no compiler for loong64. Its kernel and C library use the generic
 * 64-bit structures, as those of arm64 do.
 */
const GENERIC_64 = [8, 16, 8, 16, 8, 56, 0, 8, 16, 24, 32, 40, 48, 64, 56, 8, 12, 16];
const TABLES: Record<string, readonly number[]> = {
  x64: [8, 12, 4, 16, 8, 56, 0, 8, 16, 24, 32, 40, 48, 64, 56, 8, 12, 16],
  arm64: GENERIC_64,
  riscv64: GENERIC_64,
  loong64: GENERIC_64,
  arm: [4, 16, 8, 8, 4, 28, 0, 4, 8, 12, 16, 20, 24, 32, 28, 4, 8, 12],
};

for (const [arch, table] of Object.entries(TABLES)) {
  t.test(`${arch}: the layout is that of its C compiler`, async (t) => {
    t.same(Object.values(expressionsOf(layoutFor(arch))), table);
  });
}

t.test('an unknown machine is refused, and the error names the supported ones', async (t) => {
  t.throws(() => layoutFor('mips'), /mips.*x64, arm64, arm, riscv64, loong64/);
});

t.test('a pointer is written into its words and no other', async (t) => {
  const words = new Int32Array(3).fill(7);
  storePointer(words, 0, 0x7f12_89ab_cdef);
  const stored = new BigInt64Array(words.buffer.slice(0, 8))[0];
  if (layout.pointer === 8) t.equal(stored, 0x7f12_89ab_cdefn);
  else t.equal(words[0], 0x89ab_cdef | 0);
  t.equal(words[2], 7, 'and no more');
});
