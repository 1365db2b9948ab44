import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../../test/lab/old-kernel.c', import.meta.url));

/** What a kernel may not have: socket options and control messages by their names, system calls by theirs. */
export type Lacking =
  | 'UDP_SEGMENT'
  | 'IPV6_FREEBIND'
  | 'accept4'
  | 'recvmmsg'
  | 'sendmmsg'
  | 'splice'
  | 'F_SETFL';

/** @returns the environment in which programs find the kernel without these */
export function oldKernel(
  t: { teardown(run: () => void): unknown },
  ...lacking: readonly Lacking[]
): Readonly<Record<string, string>> {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-old-kernel-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const library = join(directory, 'old-kernel.so');
  execFileSync('gcc', ['-shared', '-fPIC', '-Wall', '-Werror', '-o', library, SOURCE], { stdio: 'pipe' });
  return { LD_PRELOAD: library, KERNEL_LACKS: lacking.join() };
}
